//! The load: so many connections that stand, each of which asks again as soon as it is answered.
//!
//! It takes about the system calls of the bare loop, so that it does not hold up whom it measures, and of each answer it looks at
//! length and status only.

use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

/// What came of some time of load.
#[derive(Default)]
pub struct Sample {
    pub answers: u64,
    pub elapsed: Duration,
    /// One for each answer.
    pub latencies: Vec<Duration>,
}

impl Sample {
    pub fn per_second(&self) -> f64 {
        self.answers as f64 / self.elapsed.as_secs_f64()
    }
}

struct Connection {
    stream: TcpStream,
    asked_at: Instant,
    /// Bytes of the present answer that have come.
    come: usize,
}

/// Connections to one server.
pub struct Load {
    poll: Poll,
    connections: Vec<Connection>,
    request: Vec<u8>,
    /// The length of each answer.
    length: usize,
    status: &'static [u8],
}

impl Load {
    /// So many connections to a server all of whose answers to a GET of that path have one length.
    pub fn new(address: SocketAddr, path: &str, count: usize, status: &'static [u8]) -> Self {
        let request = request(path);
        let poll = Poll::new().unwrap();
        let mut length = 0;
        let connections = (0..count).map(|number| {
            let mut stream = std::net::TcpStream::connect(address).unwrap();
            stream.set_nodelay(true).unwrap();
            length = ask(&mut stream, &request).len();
            stream.set_nonblocking(true).unwrap();
            let mut stream = TcpStream::from_std(stream);
            poll.registry().register(&mut stream, Token(number), Interest::READABLE).unwrap();
            Connection { stream, asked_at: Instant::now(), come: 0 }
        });
        let connections = connections.collect();
        Self { poll, connections, request, length, status }
    }

    /// Asks for so long.
    pub fn run(&mut self, time: Duration) -> Sample {
        let (start, patience) = (Instant::now(), super::support::patience());
        let mut sample = Sample::default();
        for connection in &mut self.connections {
            connection.asked_at = Instant::now();
            send(&mut connection.stream, &self.request);
        }
        let mut events = Events::with_capacity(1024);
        let mut buffer = vec![0; 16 * 1024];
        let mut under_way = self.connections.len();
        let mut ends = false;
        while under_way > 0 {
            if let Err(error) = self.poll.poll(&mut events, Some(patience)) {
                assert_eq!(error.kind(), ErrorKind::Interrupted);
                continue;
            }
            assert!(!events.is_empty(), "no answer comes");
            for event in &events {
                let connection = &mut self.connections[event.token().0];
                let read = match connection.stream.read(&mut buffer) {
                    Ok(0) => panic!("the server has closed"),
                    Ok(read) => read,
                    Err(error) if error.kind() == ErrorKind::WouldBlock => continue,
                    Err(error) => panic!("{error}"),
                };
                if connection.come == 0 {
                    assert!(buffer.get(9..12) == Some(self.status), "{:?}", String::from_utf8_lossy(&buffer[..read]));
                }
                connection.come += read;
                if connection.come < self.length {
                    continue;
                }
                assert!(connection.come == self.length, "{} bytes came, not {}", connection.come, self.length);
                connection.come = 0;
                let now = Instant::now();
                sample.answers += 1;
                sample.latencies.push(now - connection.asked_at);
                if ends {
                    under_way -= 1;
                } else {
                    connection.asked_at = now;
                    send(&mut connection.stream, &self.request);
                }
            }
            if !ends {
                sample.elapsed = start.elapsed();
                ends = sample.elapsed >= time;
            }
        }
        sample.elapsed = start.elapsed();
        sample
    }
}

/// A GET as balancers send it.
pub fn request(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: prober/1.0\r\n\r\n").into_bytes()
}

fn send(stream: &mut TcpStream, request: &[u8]) {
    assert_eq!(stream.write(request).unwrap(), request.len(), "there is always room for one request");
}

/// One request and its whole answer, on a blocking connection.
pub fn ask(stream: &mut (impl Read + Write), request: &[u8]) -> Vec<u8> {
    stream.write_all(request).unwrap();
    let mut answer = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let read = stream.read(&mut buffer).unwrap();
        assert!(read > 0, "the server has closed");
        answer.extend_from_slice(&buffer[..read]);
        if let Some(end) = answer.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&answer[..end]).to_ascii_lowercase();
            let length: usize = head.split_once("content-length: ").unwrap().1.lines().next().unwrap().parse().unwrap();
            if answer.len() >= end + 4 + length {
                return answer;
            }
        }
    }
}
