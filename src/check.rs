//! One check of an app on one connection: the request, and what its answer comes to. When an app is checked, and what the outcome
//! means, is the engine's business.

use std::path::PathBuf;

use crate::config::{Address, CheckUrl};
use crate::engine::{AppName, CheckFault};
use crate::http::outbound::{Outbound, Part, Talk};
use crate::http::response::Broken;
use crate::limits;

/// What stands for the app in a URL.
const APP: &str = "{app}";

impl CheckUrl {
    /// Where to connect for that app.
    #[must_use]
    pub fn address_of(&self, app: &AppName) -> Address {
        match &self.address {
            Address::Tcp(address) => Address::Tcp(*address),
            Address::Unix(path) => Address::Unix(PathBuf::from(path.to_string_lossy().replace(APP, app.as_str()))),
        }
    }

    /// Its path for that app. A name has no byte that means anything in a path, and is not `.` or `..`: it begins with a letter or
    /// a digit.
    fn path_of(&self, app: &AppName) -> String {
        self.path.replace(APP, app.as_str())
    }

    /// The URL for that app, as an operator would write it.
    #[must_use]
    pub fn of(&self, app: &AppName) -> String {
        let path = self.path_of(app);
        match self.address_of(app) {
            Address::Tcp(address) => format!("http://{address}{path}"),
            Address::Unix(socket) => format!("unix:{}:{path}", socket.display()),
        }
    }

    /// The request for that app. There is no connection to keep: one for each check has no history.
    #[must_use]
    pub fn request(&self, app: &AppName) -> Vec<u8> {
        let path = self.path_of(app);
        let host = match &self.address {
            Address::Tcp(address) => address.to_string(),
            Address::Unix(_) => "localhost".to_owned(),
        };
        let agent = concat!("container-healthcheck/", env!("CARGO_PKG_VERSION"));
        format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: {agent}\r\nAccept: */*\r\nConnection: close\r\n\r\n").into_bytes()
    }
}

/// One check and its answer on their way.
#[derive(Debug)]
pub struct Exchange {
    outbound: Outbound,
    told: bool,
    /// Bytes of the body that may still be read.
    left: usize,
}

impl Exchange {
    /// A request that is still to be written.
    #[must_use]
    pub const fn new(request: Vec<u8>) -> Self {
        Self { outbound: Outbound::new(request), told: false, left: limits::CHECK_BODY_BYTES }
    }
}

impl Talk for Exchange {
    type Told = u16;
    type Outcome = Result<(), CheckFault>;

    fn outbound(&mut self) -> &mut Outbound {
        &mut self.outbound
    }

    /// Tells the status once. Of the body nothing matters, not even that its framing is broken.
    fn feed(&mut self, bytes: &[u8], mut tell: impl FnMut(u16)) -> Option<Self::Outcome> {
        let Self { outbound, told, left } = self;
        let fed = outbound.feed(bytes, |part| match part {
            Part::Head(head) => {
                *told = true;
                tell(head.status);
            }
            Part::Body(bytes) => *left = left.saturating_sub(bytes.len()),
        });
        match fed {
            Err(_) if !*told => Some(Err(CheckFault::Malformed)),
            Err(_) => Some(Ok(())),
            Ok(()) if outbound.is_done() || *left == 0 => Some(Ok(())),
            Ok(()) => None,
        }
    }

    fn end(&mut self) -> Self::Outcome {
        match self.outbound.end() {
            Err(Broken::CutShort) if !self.told => Err(CheckFault::Closed),
            Ok(()) | Err(_) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Command, parse};
    use crate::http::testing::however_cut;

    fn url(args: &[&str]) -> CheckUrl {
        let Ok(Command::Serve(config, _)) = parse(args.iter().map(ToString::to_string), |_| None) else { panic!("{args:?}") };
        config.check().unwrap()
    }

    #[test]
    fn the_request_and_where_it_goes() {
        let app = AppName::parse(b"bk_iam").unwrap();
        let cases = [
            (&["-ngx-port=8010"][..], "127.0.0.1:8010", "/o/bk_iam/", "http://127.0.0.1:8010/o/bk_iam/"),
            (
                &["-ngx-port=8010", "-check-url=http://[::1]/x?a={app}&b={app}"],
                "[::1]:80",
                "/x?a=bk_iam&b=bk_iam",
                "http://[::1]:80/x?a=bk_iam&b=bk_iam",
            ),
            (&["-check-url=http://localhost:81"], "127.0.0.1:81", "/", "http://127.0.0.1:81/"),
            (&["-check-url=unix:/run/{app}/u.sock:/ping"], "localhost", "/ping", "unix:/run/bk_iam/u.sock:/ping"),
        ];
        for (args, host, path, name) in cases {
            let url = url(args);
            let version = env!("CARGO_PKG_VERSION");
            let want = format!(
                "GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: container-healthcheck/{version}\r\nAccept: */*\r\nConnection: close\r\n\r\n"
            );
            assert_eq!(String::from_utf8(url.request(&app)).unwrap(), want);
            assert_eq!(url.of(&app), name);
        }
        assert_eq!(url(&["-check-url=unix:/run/{app}.sock:/"]).address_of(&app), Address::Unix("/run/bk_iam.sock".into()));
    }

    #[test]
    fn the_worst_names_stay_in_their_place() {
        let url = url(&["-check-url=unix:/run/{app}/s:/o/{app}/"]);
        for name in ["a..", "a.-_", "0", &"x".repeat(limits::APP_BYTES)] {
            let app = AppName::parse(name.as_bytes()).unwrap();
            assert_eq!(url.address_of(&app), Address::Unix(format!("/run/{name}/s").into()));
            assert!(url.request(&app).starts_with(format!("GET /o/{name}/ HTTP/1.1\r\n").as_bytes()));
        }
    }

    /// The statuses that were told, and the outcome.
    fn outcome(pieces: &[&[u8]]) -> (Vec<u16>, Result<(), CheckFault>) {
        let mut exchange = Exchange::new(Vec::new());
        let mut told = Vec::new();
        let early = pieces.iter().find_map(|piece| exchange.feed(piece, |status| told.push(status)));
        (told, early.unwrap_or_else(|| exchange.end()))
    }

    #[test]
    fn the_status_line_decides_however_the_body_ends() {
        let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        let cases = [
            ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok".to_owned(), vec![200], Ok(())),
            ("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 502 Bad\r\nContent-Length: 0\r\n\r\n".into(), vec![502], Ok(())),
            ("HTTP/1.1 302 Found\r\nLocation: /login\r\n\r\n".into(), vec![302], Ok(())),
            ("HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\ncut".into(), vec![200], Ok(())),
            (format!("{chunked}x"), vec![200], Ok(())),
            (format!("{chunked}5\r\nab"), vec![200], Ok(())),
            ("HTTP/1.0 404 Not Found\r\n\r\nnone".into(), vec![404], Ok(())),
            (String::new(), vec![], Err(CheckFault::Closed)),
            ("HTTP/1.1 200 OK\r\nContent-".into(), vec![], Err(CheckFault::Closed)),
            ("HTTP/1.1 100 Continue\r\n\r\n".into(), vec![], Err(CheckFault::Closed)),
            ("SSH-2.0-OpenSSH_9.2\r\n".into(), vec![], Err(CheckFault::Malformed)),
            ("HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n".into(), vec![], Err(CheckFault::Malformed)),
        ];
        for (bytes, told, ended) in cases {
            assert_eq!(however_cut(bytes.as_bytes(), outcome), (told, ended), "{:?}", bytes.get(..80).unwrap_or(&bytes));
        }
    }

    #[test]
    fn a_body_without_end_is_left_after_so_many_bytes() {
        let mut exchange = Exchange::new(Vec::new());
        assert_eq!(exchange.feed(b"HTTP/1.1 200 OK\r\n\r\n", |_| ()), None);
        let mut read = 0;
        while exchange.feed(&[b'x'; 1000], |_| ()).is_none() {
            read += 1000;
        }
        assert!((limits::CHECK_BODY_BYTES - 1000..limits::CHECK_BODY_BYTES).contains(&read), "{read}");
    }
}
