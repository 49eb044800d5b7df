//! The program itself: how large it is, and how soon it answers.

use std::fs;
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::host;
use super::load;
use super::runner::median;
use super::support::{PREFIX, free_port, patience, program};
use super::table::{Table, grouped, time};

const SIZE: u64 = 1_572_864;
const STARTS: usize = 50;
const START: Duration = Duration::from_millis(10);

pub fn measure(table: &mut Table) {
    let size = fs::metadata(program().get_program()).unwrap().len();
    table.add("static binary, stripped", format!("{} bytes", grouped(size)), &format!("1.5 MiB ({} bytes)", grouped(SIZE)), size <= SIZE);

    let docker = host::docker(62, "Up 5 days");
    docker.open_stream();
    let address = format!("unix://{}", docker.path().display());
    let times: Vec<_> = (0..STARTS).map(|_| start(program().args(["-docker-host", &address]))).collect();
    let (middle, worst) = (median(times.clone()), *times.iter().max().unwrap());
    let what = format!("start to the first answer, median of {STARTS}");
    table.add(&what, format!("{}, worst {}", time(middle), time(worst)), "10 ms", middle <= START);
}

/// From just before the process is made to its first answer.
fn start(command: &mut Command) -> Duration {
    let port = free_port();
    command.args(["-bind", &format!("127.0.0.1:{port}")]).stdin(Stdio::null()).stderr(Stdio::null());
    let request = load::request(&format!("{PREFIX}/health"));
    let (start, mut child) = host::elsewhere(|| (Instant::now(), command.spawn().unwrap()));
    let mut stream = loop {
        assert!(start.elapsed() < patience(), "it never listens");
        if let Ok(stream) = TcpStream::connect(("127.0.0.1", port)) {
            break stream;
        }
    };
    let answer = load::ask(&mut stream, &request);
    let took = start.elapsed();
    assert!(answer.starts_with(b"HTTP/1.1 200"));
    child.kill().unwrap();
    child.wait().unwrap();
    took
}
