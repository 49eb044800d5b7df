//! The forms that values of flags have: each takes a text, or says in words what would be right.

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use log::LevelFilter;

use super::{Address, Bind, CheckUrl};
use crate::duration;
use crate::engine::{DockerHealth, Policy};
use crate::limits;

/// The longest path that fits the address of a Unix socket, in bytes (unix(7), its closing NUL aside).
pub(super) const SOCKET_PATH_BYTES: usize = 107;

/// The least of most durations: shorter would be a mistake of unit.
pub(super) const TENTH: Duration = Duration::from_millis(100);
/// The greatest: longer would be one too.
pub(super) const DAY: Duration = Duration::from_hours(24);

pub(super) fn put<T>(place: &mut T, value: Result<T, &'static str>) -> Result<(), &'static str> {
    *place = value?;
    Ok(())
}

pub(super) fn prefix(value: &str) -> Result<String, &'static str> {
    let path = value.trim_matches('/');
    let sound =
        path.split('/').all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-~".contains(&byte)));
    match path {
        "" => Ok(String::new()),
        _ if sound => Ok(format!("/{path}")),
        _ => Err("a path of letters, digits, dots, dashes, underscores and tildes, like /container-healthcheck"),
    }
}

pub(super) fn port(value: &str) -> Result<u16, &'static str> {
    value.parse().ok().filter(|&port| port > 0).ok_or("a port from 1 to 65535")
}

pub(super) fn bind(value: &str) -> Result<Bind, &'static str> {
    const WANTS: &str = "an IP address (names are not looked up), address:port, [v6]:port or unix:/path";
    if let Some(path) = value.strip_prefix("unix:") {
        return socket_path(path).map(Bind::Unix).ok_or("unix: and an absolute path of at most 107 bytes");
    }
    if let Ok(address) = value.parse::<SocketAddr>() {
        return Ok(Bind::Ip(address.ip(), Some(address.port())));
    }
    let ip = value.strip_prefix('[').and_then(|value| value.strip_suffix(']')).unwrap_or(value);
    ip.parse().map(|ip| Bind::Ip(ip, None)).map_err(|_| WANTS)
}

pub(super) fn socket_path(path: &str) -> Option<PathBuf> {
    (path.starts_with('/') && path.len() <= SOCKET_PATH_BYTES && !path.contains('\0')).then(|| path.into())
}

pub(super) fn level(value: &str) -> Result<LevelFilter, &'static str> {
    match value {
        "error" => Ok(LevelFilter::Error),
        "warn" => Ok(LevelFilter::Warn),
        "info" => Ok(LevelFilter::Info),
        "debug" => Ok(LevelFilter::Debug),
        _ => Err("error, warn, info or debug"),
    }
}

pub(super) fn folder(value: &str) -> Result<PathBuf, &'static str> {
    if value.is_empty() { Err("the path of a folder") } else { Ok(value.into()) }
}

pub(super) fn docker_host(value: &str) -> Result<Address, &'static str> {
    const WANTS: &str = "unix:///path, or tcp://address:port with an IP address or localhost";
    if let Some(path) = value.strip_prefix("unix://") {
        return socket_path(path)
            .map(Address::Unix)
            .ok_or("unix:// and an absolute path of at most 107 bytes, like unix:///var/run/docker.sock");
    }
    if value.starts_with("ssh://") {
        return Err("unix:///path or tcp://address:port (ssh:// is not spoken: forward the socket with ssh -L and name it)");
    }
    let address = value.strip_prefix("tcp://").map(|address| address.trim_end_matches('/')).ok_or(WANTS)?;
    // No name service in a static binary, but everybody writes this one.
    let address = address.replace("localhost:", "127.0.0.1:");
    address.parse().ok().filter(|address: &SocketAddr| address.port() > 0).map(Address::Tcp).ok_or(WANTS)
}

pub(super) fn check_url(value: &str) -> Result<CheckUrl, &'static str> {
    const WANTS: &str = "http://address:port/path or unix:/socket:/path, with {app} for the app's name";
    let (address, path) = if let Some(rest) = value.strip_prefix("unix:") {
        let (socket, path) = rest.split_at(rest.find(":/").ok_or(WANTS)?);
        (Address::Unix(socket_path(socket).ok_or(WANTS)?), path.get(1..).unwrap_or_default())
    } else {
        let rest = value.strip_prefix("http://").ok_or(WANTS)?;
        let (address, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let address = address.replace("localhost", "127.0.0.1");
        let address = address.parse().or_else(|_| format!("{address}:80").parse()).map_err(|_| WANTS)?;
        (Address::Tcp(address), if path.is_empty() { "/" } else { path })
    };
    let sound = path.starts_with('/') && path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#');
    if sound { Ok(CheckUrl { address, path: path.to_owned() }) } else { Err(WANTS) }
}

/// How long a drain may last. A shorter one would be over before anybody has seen it.
pub(super) fn span(value: &str) -> Result<Duration, &'static str> {
    let range = Duration::from_secs(10)..=DAY * 365;
    duration::parse(value).filter(|span| range.contains(span)).ok_or("a time from 10s to 365d, like 30m, 2h, 3d, or seconds")
}

pub(super) fn reason(value: &str) -> Result<String, &'static str> {
    if value.len() <= limits::REASON_BYTES { Ok(value.to_owned()) } else { Err("a text of at most 1024 bytes") }
}

pub(super) fn duration(value: &str, least: Duration) -> Result<Duration, &'static str> {
    duration::parse(value).filter(|duration| (least..=DAY).contains(duration)).ok_or(if least.is_zero() {
        "a time from 0s to 24h, like 500ms, 5s, 30m, 2h, or seconds"
    } else {
        "a time from 100ms to 24h, like 500ms, 5s, 30m, 2h, or seconds"
    })
}

pub(super) fn policy(value: &str) -> Result<Policy, &'static str> {
    match value {
        "any" => Ok(Policy::Any),
        "newest" => Ok(Policy::Newest),
        "all" => Ok(Policy::All),
        _ => Err("any, newest or all"),
    }
}

pub(super) fn docker_health(value: &str) -> Result<DockerHealth, &'static str> {
    match value {
        "respect" => Ok(DockerHealth::Respect),
        "ignore" => Ok(DockerHealth::Ignore),
        _ => Err("respect or ignore"),
    }
}

pub(super) fn count(value: &str) -> Result<u32, &'static str> {
    value.parse().ok().filter(|count| (1..=1000).contains(count)).ok_or("a number from 1 to 1000")
}

pub(super) fn clients(value: &str) -> Result<usize, &'static str> {
    value.parse().ok().filter(|count| (1..=65536).contains(count)).ok_or("a number from 1 to 65536")
}

pub(super) fn statuses(value: &str) -> Result<Vec<RangeInclusive<u16>>, &'static str> {
    let range = |part: &str| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (first.parse().ok()?, last.parse().ok()?);
        (100 <= first && first <= last && last <= 599).then_some(first..=last)
    };
    value.split(',').map(|part| range(part).ok_or("statuses and ranges from 100 to 599, like 404,502-504")).collect()
}

pub(super) fn switch(value: &str) -> Result<bool, &'static str> {
    match value {
        "1" | "true" => Ok(true),
        "0" | "false" => Ok(false),
        _ => Err("1 or 0"),
    }
}
