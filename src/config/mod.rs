//! Flags and environment to a [`Config`]: one table of options makes the parser, the help, and the check of README and man page.
//!
//! Flags are those of Go's `flag` package, which the old tool used: one dash or two, `-port 4246` or `-port=4246`. A flag beats
//! the environment; the last of two equal flags wins, but for those that may be repeated. Nothing here looks at the process: the
//! iterators come from `main.rs`.
//!
//! | file | what |
//! |---|---|
//! | `flags`  | the table |
//! | `commands` | the commands |
//! | `values` | the forms of values |

mod commands;
mod flags;
mod values;

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use log::LevelFilter;

use commands::Found;
pub use commands::{COMMANDS, Errand, Form};
pub use flags::{FLAGS, Flag};

use crate::engine::{AppName, CheckSettings, DockerHealth, Policy, Settings};
use crate::limits;

/// The name of the program, and of what it owns.
pub const NAME: &str = "container-healthcheck";

/// Before the name of each flag, in capitals, to make its environment variable.
const ENVIRONMENT: &str = "CONTAINER_HEALTHCHECK_";

/// What whoever comes from there has to know.
const OLD_TOOL_DIFFERS: &str = "the options of version 1.0.2 are in use, which differed: this one listens on 127.0.0.1 and ::1 only (-bind 0.0.0.0 for \
    all addresses), answers 503 and 404 where that said 500, takes names of apps exactly, and checks apps through Nginx if -ngx-port is given";

/// Where a server listens or can be reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// An address and a port.
    Tcp(SocketAddr),
    /// The path of a Unix socket.
    Unix(PathBuf),
}

/// Where to listen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listen {
    /// The address.
    pub address: Address,
    /// Whether a host without that address is no reason to stop: `::1`, if nobody asked for it.
    pub optional: bool,
}

/// An entry of `--bind`, before `-port` is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Bind {
    Ip(IpAddr, Option<u16>),
    Unix(PathBuf),
}

/// How the app itself is asked (`--check-url`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckUrl {
    /// Where to connect.
    pub address: Address,
    /// The path, in which `{app}` stands for the app.
    pub path: String,
}

/// What the operator chose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Before each path: a slash before each part, none at the end.
    pub prefix: String,
    port: u16,
    bind: Vec<Bind>,
    /// The least level that is logged.
    pub level: LevelFilter,
    /// The folder of the log file; none: stderr.
    pub log_folder: Option<PathBuf>,
    /// Where Docker is.
    pub docker_host: Address,
    /// How long it may take.
    pub docker_timeout: Duration,
    /// How long the last facts stay good when it is gone.
    pub docker_grace: Duration,
    /// How often all containers are listed, whatever else happens.
    pub resync: Duration,
    /// Apps that are down, not unknown, when they have no container.
    pub apps: Vec<AppName>,
    /// Which of several containers decide.
    pub policy: Policy,
    /// What HEALTHCHECK means.
    pub docker_health: DockerHealth,
    /// How long a container has to be up to count.
    pub min_uptime: Duration,
    /// The port of the local Nginx through which apps are checked.
    pub nginx_port: Option<u16>,
    /// How apps are checked.
    pub check_url: Option<CheckUrl>,
    /// How often.
    pub check_interval: Duration,
    /// How long one check may take.
    pub check_timeout: Duration,
    /// Down after so many failures in a row.
    pub check_fall: u32,
    /// Up after so many successes in a row.
    pub check_rise: u32,
    /// Statuses that are failures.
    pub check_fail: Vec<RangeInclusive<u16>>,
    /// The folder of drains.
    pub drain_dir: PathBuf,
    /// Whether `command` is left empty in answers.
    pub hide_command: bool,
    /// Clients at once.
    pub max_clients: usize,
    /// How long the head of a request may take.
    pub header_timeout: Duration,
    /// How long a connection may be idle.
    pub idle_timeout: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            prefix: format!("/{NAME}"),
            port: 4246,
            bind: Vec::new(),
            level: LevelFilter::Info,
            log_folder: None,
            docker_host: Address::Unix("/var/run/docker.sock".into()),
            docker_timeout: limits::DOCKER_TIMEOUT,
            docker_grace: limits::DOCKER_GRACE,
            resync: Duration::from_secs(30),
            apps: Vec::new(),
            policy: Policy::Any,
            docker_health: DockerHealth::Respect,
            min_uptime: Duration::ZERO,
            nginx_port: None,
            check_url: None,
            check_interval: Duration::from_secs(2),
            check_timeout: limits::CHECK_TIMEOUT,
            check_fall: 2,
            check_rise: 1,
            check_fail: vec![502..=504],
            drain_dir: format!("/var/lib/{NAME}/drain").into(),
            hide_command: false,
            max_clients: limits::MAX_CLIENTS,
            header_timeout: limits::HEADER_TIMEOUT,
            idle_timeout: limits::IDLE_TIMEOUT,
        }
    }
}

impl Config {
    /// How apps are checked, if they are: through the local Nginx, unless told otherwise.
    #[must_use]
    pub fn check(&self) -> Option<CheckUrl> {
        let through_nginx = |port| {
            let address = Address::Tcp(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port));
            CheckUrl { address, path: "/o/{app}/".to_owned() }
        };
        self.check_url.clone().or_else(|| self.nginx_port.map(through_nginx))
    }

    /// What of it the engine goes by.
    #[must_use]
    pub fn settings(&self) -> Settings {
        Settings {
            docker_timeout: self.docker_timeout,
            docker_grace: self.docker_grace,
            resync: self.resync,
            policy: self.policy,
            docker_health: self.docker_health,
            min_uptime: self.min_uptime,
            apps: self.apps.clone(),
            // The others are for probes.
            watchers: self.max_clients / limits::WATCHERS_SHARE,
            check: self.check().map(|_| CheckSettings {
                interval: self.check_interval,
                timeout: self.check_timeout,
                fall: self.check_fall,
                rise: self.check_rise,
                fail: self.check_fail.clone(),
            }),
        }
    }

    /// Where to listen. Unless told otherwise on both loopback addresses: an Nginx that proxies to `localhost` tries both.
    #[must_use]
    pub fn listen(&self) -> Vec<Listen> {
        let tcp = |ip, port| Address::Tcp(SocketAddr::new(ip, port));
        if self.bind.is_empty() {
            return vec![
                Listen { address: tcp(Ipv4Addr::LOCALHOST.into(), self.port), optional: false },
                Listen { address: tcp(Ipv6Addr::LOCALHOST.into(), self.port), optional: true },
            ];
        }
        let address = |bind: &Bind| match bind {
            Bind::Ip(ip, port) => tcp(*ip, port.unwrap_or(self.port)),
            Bind::Unix(path) => Address::Unix(path.clone()),
        };
        self.bind.iter().map(|bind| Listen { address: address(bind), optional: false }).collect()
    }

    /// Where the server can be reached: where it listens first, or this host if it listens everywhere.
    #[must_use]
    pub fn server(&self) -> Address {
        match self.listen().into_iter().next().map(|listen| listen.address) {
            Some(Address::Tcp(address)) if address.ip().is_unspecified() => {
                let ip = if address.is_ipv4() { Ipv4Addr::LOCALHOST.into() } else { Ipv6Addr::LOCALHOST.into() };
                Address::Tcp(SocketAddr::new(ip, address.port()))
            }
            Some(address) => address,
            None => Address::Tcp(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), self.port)),
        }
    }
}

/// What the command line asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Serve, with warnings for the log about values of the environment that were ignored.
    Serve(Box<Config>, Vec<String>),
    /// Run an errand.
    Run(Box<Config>, Errand, Vec<String>),
    /// Print the help.
    Help,
    /// Print the version.
    Version,
}

/// What the arguments (without the program's name) and the environment ask for.
///
/// # Errors
/// One line that names the flag and says what would be right.
pub fn parse(args: impl IntoIterator<Item = String>, environment: impl Fn(&str) -> Option<String>) -> Result<Command, String> {
    let mut config = Config::default();
    let mut warnings = Vec::new();
    let mut given: Vec<&Flag> = Vec::new();
    // The environment first, so that flags overwrite it.
    let docker_host = environment("DOCKER_HOST").filter(|value| !value.is_empty());
    // It counts, and its faults with it, only if nothing more particular is given.
    let mut wrong_docker_host = None;
    if let Some(value) = &docker_host {
        let applied = apply(&mut config, find("docker-host")?, value);
        wrong_docker_host = applied.err().map(|wants| format!("DOCKER_HOST wants {wants}, not {value:?}"));
    }
    for flag in FLAGS {
        let variable = format!("{ENVIRONMENT}{}", flag.name.to_ascii_uppercase().replace('-', "_"));
        let Some(value) = environment(&variable) else { continue };
        let mut changed = config.clone();
        match apply(&mut changed, flag, &value) {
            Ok(()) => {
                config = changed;
                given.push(flag);
            }
            // Container links set such variables for their own ends (`..._PORT=tcp://...`), so this is no reason to stop.
            Err(wants) => warnings.push(format!("{variable} ignored: it wants {wants}, not {value:?}")),
        }
    }

    let mut binds = None;
    let mut found = Found::default();
    let mut args = args.into_iter();
    while let Some(arg) = args.next() {
        let Some(word) = arg.strip_prefix("--").or_else(|| arg.strip_prefix('-')).filter(|word| !word.is_empty()) else {
            found.words.push(arg);
            continue;
        };
        let (name, value) = word.split_once('=').map_or((word, None), |(name, value)| (name, Some(value.to_owned())));
        match name {
            "h" | "help" => return Ok(Command::Help),
            "version" => return Ok(Command::Version),
            _ => {}
        }
        if let Some(flag) = Found::flag(name) {
            let value = value.or_else(|| args.next()).ok_or_else(|| format!("-{flag} wants a value"))?;
            found.take(flag, &value).map_err(|wants| format!("-{flag} wants {wants}, not {value:?}"))?;
            continue;
        }
        let flag = find(name)?;
        let value = match value {
            Some(value) => value,
            None if flag.value.is_empty() => "1".to_owned(),
            None => args.next().ok_or_else(|| format!("-{name} wants a value: {}", flag.help))?,
        };
        if flag.name == "bind" && binds.is_none() {
            binds = Some(());
            config.bind.clear();
        }
        apply(&mut config, flag, &value).map_err(|wants| format!("-{name} wants {wants}, not {value:?}"))?;
        given.push(flag);
    }

    // They need no Docker.
    if let Some(errand) = found.errand()? {
        return Ok(Command::Run(Box::new(config), errand, warnings));
    }
    if let Some(wrong) = wrong_docker_host.filter(|_| !given.iter().any(|flag| flag.name == "docker-host")) {
        return Err(wrong);
    }
    // Plain text to a daemon that is meant to be spoken to over TLS would be refused by it at best.
    let tls = environment("DOCKER_TLS_VERIFY").is_some_and(|value| !value.is_empty());
    if tls && matches!(config.docker_host, Address::Tcp(_)) {
        return Err(
            "DOCKER_TLS_VERIFY is set, but TLS is not spoken: name a unix:// socket or a local proxy with -docker-host, and unset it"
                .into(),
        );
    }
    warnings.extend(is_of_the_old_tool(&given).then(|| OLD_TOOL_DIFFERS.to_owned()));
    Ok(Command::Serve(Box::new(config), warnings))
}

/// Whether somebody has replaced version 1.0.2 and kept its options: its package gave five, of which one or two may have been edited out.
fn is_of_the_old_tool(given: &[&Flag]) -> bool {
    let old = ["level", "prefix", "port", "ngx-port", "logpath"];
    given.iter().all(|flag| old.contains(&flag.name)) && old.iter().filter(|old| given.iter().any(|flag| flag.name == **old)).count() >= 3
}

fn find(name: &str) -> Result<&'static Flag, String> {
    FLAGS.iter().find(|flag| flag.name == name).ok_or_else(|| format!("unknown flag -{} (-help shows all)", name.escape_debug()))
}

fn apply(config: &mut Config, flag: &Flag, value: &str) -> Result<(), &'static str> {
    (flag.set)(config, value)
}

/// The help.
#[must_use]
pub fn help() -> String {
    let mut text = format!(
        "Usage: {NAME} [flags] [command]\n\nAnswers over HTTP whether an app's Docker container really serves.\n\n\
         Flags take one dash or two, and their value after a space or =. Each has an environment\n\
         variable, {ENVIRONMENT}PORT for -port, which a flag beats.\nTIME is 500ms, 5s, 30m, 2h, or seconds.\n\n"
    );
    text.push_str("Without a command it serves. The commands, which find the server by its -port, -prefix and -bind:\n\n");
    for form in COMMANDS {
        let head = format!("{} {}", form.name, form.args);
        let _ = writeln!(text, "  {}\n{:27}{}", head.trim_end(), "", form.help);
    }
    text.push_str("\nFlags:\n\n");
    for flag in FLAGS {
        let head = format!("-{} {}", flag.name, flag.value);
        // Writing to a string cannot fail.
        let _ = writeln!(text, "  {head:<24} {}\n{:27}(default {})", flag.help, "", flag.default);
    }
    let _ = writeln!(text, "  {:<24} print this and exit\n  {:<24} print version, commit and target, and exit", "-help", "-version");
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits;

    fn parsed(args: &[&str], environment: &[(&str, &str)]) -> Result<(Config, Vec<String>), String> {
        let variables: Vec<_> = environment.to_vec();
        let lookup = |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
        match parse(args.iter().map(ToString::to_string), lookup)? {
            Command::Serve(config, warnings) => Ok((*config, warnings)),
            other @ (Command::Help | Command::Version | Command::Run(..)) => panic!("{other:?}"),
        }
    }

    fn config(args: &[&str]) -> Config {
        parsed(args, &[]).unwrap().0
    }

    fn tcp(text: &str) -> Address {
        Address::Tcp(text.parse().unwrap())
    }

    #[test]
    fn the_old_tool_s_options_start_the_new_one() {
        let old = "-level info -prefix /container-healthcheck -port 4246 -ngx-port 8010 -logpath /var/log/container-healthcheck";
        let (config, warnings) = parsed(&old.split(' ').collect::<Vec<_>>(), &[]).unwrap();
        let want = Config { nginx_port: Some(8010), log_folder: Some("/var/log/container-healthcheck".into()), ..Config::default() };
        assert_eq!(config, want);
        assert_eq!(warnings, [OLD_TOOL_DIFFERS]);
        let differs = |args: &str| parsed(&args.split(' ').collect::<Vec<_>>(), &[]).unwrap().1.iter().any(|line| line == OLD_TOOL_DIFFERS);
        assert!(differs("-port 4246 -level debug -logpath=/var/log/x") && differs("-prefix / -ngx-port 80 -level debug -level info"));
        assert!(!differs("-port 80 -level debug") && !differs("-port 80 -port 81 -port 82"));
        assert!(!differs(&format!("{old} -bind 0.0.0.0")), "who has read it need not read it again");
    }

    #[test]
    fn one_dash_or_two_a_space_or_an_equals_sign() {
        for args in [&["-port", "80"][..], &["--port", "80"], &["-port=80"], &["--port=80"], &["-port=1", "-port=80"]] {
            assert_eq!(config(args).port, 80, "{args:?}");
        }
        assert!(config(&["-hide-command"]).hide_command);
        assert!(!config(&["-hide-command=0"]).hide_command);
        let command = |arg: &str| parse([arg.to_owned()], |_| None);
        assert_eq!(command("-help"), Ok(Command::Help));
        assert_eq!(command("--help"), Ok(Command::Help));
        assert_eq!(command("-version"), Ok(Command::Version));
    }

    #[test]
    fn addresses_to_listen_on() {
        let listen = |args: &[&str]| config(args).listen().into_iter().map(|listen| listen.address).collect::<Vec<_>>();
        assert_eq!(listen(&["-port=80"]), [tcp("127.0.0.1:80"), tcp("[::1]:80")]);
        assert_eq!(config(&[]).listen().iter().map(|listen| listen.optional).collect::<Vec<_>>(), [false, true]);
        assert_eq!(
            listen(&["-bind", "0.0.0.0", "-bind=::,[::1]:81,10.0.0.1:0", "-port=80", "-bind", "unix:/run/x.sock", "-bind=[::2]"]),
            [tcp("0.0.0.0:80"), tcp("[::]:80"), tcp("[::1]:81"), tcp("10.0.0.1:0"), Address::Unix("/run/x.sock".into()), tcp("[::2]:80")]
        );
    }

    #[test]
    fn where_docker_is() {
        let host = |value: &str| config(&["-docker-host", value]).docker_host;
        assert_eq!(host("unix:///run/podman/podman.sock"), Address::Unix("/run/podman/podman.sock".into()));
        assert_eq!(host("tcp://10.0.0.1:2375"), tcp("10.0.0.1:2375"));
        assert_eq!(host("tcp://localhost:2375/"), tcp("127.0.0.1:2375"));
        assert_eq!(host("tcp://[::1]:2375"), tcp("[::1]:2375"));
        let from = |args: &[&str], environment: &[(&str, &str)]| parsed(args, environment).map(|(config, _)| config.docker_host);
        let both = [("DOCKER_HOST", "tcp://1.1.1.1:1"), ("CONTAINER_HEALTHCHECK_DOCKER_HOST", "tcp://2.2.2.2:2")];
        assert_eq!(from(&[], &both[..1]), Ok(tcp("1.1.1.1:1")));
        assert_eq!(from(&[], &both), Ok(tcp("2.2.2.2:2")));
        assert_eq!(from(&["-docker-host=tcp://3.3.3.3:3"], &both), Ok(tcp("3.3.3.3:3")));
        assert!(
            from(&[], &[("DOCKER_HOST", "ssh://h")])
                .unwrap_err()
                .starts_with("DOCKER_HOST wants unix:///path or tcp://address:port (ssh:// is not spoken")
        );
        assert_eq!(from(&["-docker-host=unix:///x"], &[("DOCKER_HOST", "ssh://h")]), Ok(Address::Unix("/x".into())));
        assert!(from(&[], &[("DOCKER_TLS_VERIFY", "1")]).is_ok(), "a Unix socket needs no TLS");
        assert!(from(&[], &[("DOCKER_TLS_VERIFY", "1"), both[0]]).unwrap_err().contains("TLS is not spoken"));
        assert!(from(&[], &[("DOCKER_TLS_VERIFY", ""), both[0]]).is_ok());
    }

    #[test]
    fn a_flag_beats_the_environment_and_a_value_that_is_none_is_passed_over() {
        let environment = [
            ("CONTAINER_HEALTHCHECK_PORT", "tcp://172.17.0.2:4246"),
            ("CONTAINER_HEALTHCHECK_POLICY", "all"),
            ("CONTAINER_HEALTHCHECK_BIND", "::1"),
        ];
        let (config, warnings) = parsed(&[], &environment).unwrap();
        assert_eq!((config.port, config.policy), (4246, Policy::All));
        assert_eq!(warnings, [r#"CONTAINER_HEALTHCHECK_PORT ignored: it wants a port from 1 to 65535, not "tcp://172.17.0.2:4246""#]);
        let (config, _) = parsed(&["-policy=newest", "-bind=10.0.0.1", "-bind=10.0.0.2"], &environment).unwrap();
        assert_eq!(config.policy, Policy::Newest);
        assert_eq!(config.bind.len(), 2, "those of the environment are gone");
        let (config, warnings) = parsed(&[], &[("CONTAINER_HEALTHCHECK_BIND", "10.0.0.1,nonsense")]).unwrap();
        assert_eq!((config.bind.len(), warnings.len()), (0, 1), "wholly or not at all");
    }

    #[test]
    fn every_value_has_a_form() {
        let cases: &[(&str, &[&str], &[&str])] = &[
            ("prefix", &["/", "", "/a", "a", "/a/b/", "/a-b_c.d~e"], &["/a b", "/a//b", "/a?b", "/%41", "/a\u{e4}"]),
            ("port", &["1", "65535"], &["0", "65536", "-1", "http", "", " 80"]),
            (
                "bind",
                &["1.2.3.4", "::", "[::]", "1.2.3.4:0", "unix:/x"],
                &["", "localhost", "1.2.3.4:", "1.2.3.4:x", "unix:x", "unix:", "1.2.3.4,"],
            ),
            ("level", &["error", "warn", "info", "debug"], &["", "INFO", "trace", "off"]),
            ("logpath", &["/var/log", "relative"], &[""]),
            (
                "docker-host",
                &["unix:///x", "tcp://1.2.3.4:1"],
                &["", "/x", "unix://x", "unix://", "tcp://docker:2375", "tcp://1.2.3.4", "tcp://1.2.3.4:0", "ssh://h", "npipe://x"],
            ),
            ("docker-timeout", &["100ms", "5s", "30", "2h", "1m 30s", "1.5s"], &["", "0", "99ms", "25h", "5x", "-1s", "s"]),
            ("docker-grace", &["0", "0s", "24h"], &["", "never"]),
            ("resync", &["1s"], &["0"]),
            ("apps", &["a", "a,b_c"], &["", "a,,b", "a b", "a,"]),
            ("policy", &["any", "newest", "all"], &["", "one"]),
            ("docker-health", &["respect", "ignore"], &["", "yes"]),
            ("min-uptime", &["0", "3s"], &["x"]),
            ("ngx-port", &["8010"], &["0"]),
            (
                "check-url",
                &["http://127.0.0.1:8010/o/{app}/", "http://localhost/x", "http://[::1]:80", "unix:/run/{app}.sock:/x"],
                &["", "https://1.2.3.4/", "http://host/", "unix:/x", "http://1.2.3.4/a b"],
            ),
            ("check-interval", &["2s"], &["0"]),
            ("check-timeout", &["3s"], &["0"]),
            ("check-fall", &["1", "1000"], &["0", "1001", ""]),
            ("check-rise", &["1"], &["0"]),
            ("check-fail", &["404", "502-504", "404,502-504", "100-599"], &["", "99", "600", "504-502", "404,", "5xx"]),
            ("drain-dir", &["/x"], &[""]),
            ("hide-command", &["1", "0", "true", "false"], &["", "yes"]),
            ("max-clients", &["1", "65536"], &["0", "65537"]),
            ("header-timeout", &["5s"], &["0"]),
            ("idle-timeout", &["75s"], &["0"]),
        ];
        assert_eq!(cases.iter().map(|case| case.0).collect::<Vec<_>>(), FLAGS.iter().map(|flag| flag.name).collect::<Vec<_>>());
        for (name, good, bad) in cases {
            for value in *good {
                assert!(parsed(&[&format!("-{name}={value}")], &[]).is_ok(), "-{name}={value}");
            }
            for value in *bad {
                let error = parsed(&[&format!("-{name}={value}")], &[]).unwrap_err();
                assert!(error.starts_with(&format!("-{name} wants ")) && error.ends_with(&format!("not {value:?}")), "{error}");
                assert!(!error.contains('\n'));
            }
        }
    }

    #[test]
    fn what_is_no_flag_is_said_to_be_none() {
        let error = |args: &[&str]| parsed(args, &[]).unwrap_err();
        assert_eq!(error(&["-nonsense"]), "unknown flag -nonsense (-help shows all)");
        assert_eq!(error(&["-port"]), "-port wants a value: TCP port of the addresses that name none");
    }

    #[test]
    fn commands_and_their_flags() {
        let app = |name: &str| AppName::parse(name.as_bytes()).unwrap();
        let minutes = Duration::from_mins;
        let cases: &[(&[&str], Result<Errand, &str>)] = &[
            (&["check", "bk_iam"], Ok(Errand::Check(app("bk_iam"), Duration::ZERO))),
            (&["-port=80", "check", "--wait", "60s", "bk_iam"], Ok(Errand::Check(app("bk_iam"), minutes(1)))),
            (&["-wait=60", "check", "bk_iam", "-port", "80"], Ok(Errand::Check(app("bk_iam"), minutes(1)))),
            (&["status"], Ok(Errand::Status)),
            (&["drain", "all"], Ok(Errand::Drain(app("all"), String::new(), None))),
            (&["drain", "a", "--reason", "-x y", "--for", "30m"], Ok(Errand::Drain(app("a"), "-x y".into(), Some(minutes(30))))),
            (&["undrain", "a"], Ok(Errand::Undrain(app("a")))),
            (&["drains"], Ok(Errand::Drains)),
            (
                &["serve"],
                Err(r#"unknown command "serve" (there are check, status, drain, undrain, drains; none serves; -help shows more)"#),
            ),
            (&["-"], Err(r#"unknown command "-" (there are check, status, drain, undrain, drains; none serves; -help shows more)"#)),
            (&[""], Err(r#"unknown command "" (there are check, status, drain, undrain, drains; none serves; -help shows more)"#)),
            (&["check"], Err("wrong number of words: container-healthcheck check APP [-wait TIME]")),
            (&["check", "a", "b"], Err("wrong number of words: container-healthcheck check APP [-wait TIME]")),
            (&["status", "a"], Err("wrong number of words: container-healthcheck status")),
            (&["undrain", "a/b"], Err(r#"undrain wants the name of an app: letters, digits, dots, dashes and underscores, not "a/b""#)),
            (&["status", "-wait", "1s"], Err("-wait does not go with status: container-healthcheck status")),
            (&["-wait", "1s"], Err("-wait goes with a command: container-healthcheck check APP [-wait TIME]")),
            (&["check", "a", "-wait"], Err("-wait wants a value")),
            (&["check", "a", "-wait", "25h"], Err(r#"-wait wants a time from 0s to 24h, like 500ms, 5s, 30m, 2h, or seconds, not "25h""#)),
            (&["drain", "a", "-for", "1s"], Err(r#"-for wants a time from 10s to 365d, like 30m, 2h, 3d, or seconds, not "1s""#)),
            (&["drain", "a", "-nonsense"], Err("unknown flag -nonsense (-help shows all)")),
        ];
        let run = |args: &[&str], environment: &[(&str, &str)]| {
            let lookup = |name: &str| environment.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
            match parse(args.iter().map(ToString::to_string), lookup) {
                Ok(Command::Run(config, errand, _)) => Ok((*config, errand)),
                Ok(other) => panic!("{other:?}"),
                Err(wrong) => Err(wrong),
            }
        };
        for (args, want) in cases {
            assert_eq!(run(args, &[]).map(|(_, errand)| errand), want.clone().map_err(ToOwned::to_owned), "{args:?}");
        }
        assert!(run(&["drain", "a", "-reason", &"x".repeat(limits::REASON_BYTES + 1)], &[]).is_err());
        assert_eq!(limits::REASON_BYTES, 1024, "the words say so");
        assert!(run(&["status"], &[("DOCKER_HOST", "ssh://h")]).is_ok(), "commands need no Docker");
        let (config, _) = run(&["-prefix=/here", "status", "-port", "80"], &[("CONTAINER_HEALTHCHECK_DRAIN_DIR", "/there")]).unwrap();
        assert_eq!((config.prefix.as_str(), config.server(), config.drain_dir), ("/here", tcp("127.0.0.1:80"), "/there".into()));
        for (bind, server) in [
            ("0.0.0.0", tcp("127.0.0.1:4246")),
            ("[::]:7", tcp("[::1]:7")),
            ("10.0.0.1:7,::", tcp("10.0.0.1:7")),
            ("unix:/x", Address::Unix("/x".into())),
        ] {
            assert_eq!(run(&["status", "-bind", bind], &[]).unwrap().0.server(), server, "{bind}");
        }
    }

    #[test]
    fn defaults_are_what_the_table_says() {
        for flag in FLAGS {
            let spoken = match flag.name {
                // in words, since they are not one value
                "bind" | "docker-host" => continue,
                "hide-command" => "0",
                _ if flag.default.starts_with("none") => continue,
                _ => flag.default,
            };
            assert_eq!(config(&[&format!("-{}={spoken}", flag.name)]), Config::default(), "-{}", flag.name);
        }
        let help = help();
        for flag in FLAGS {
            assert!(help.contains(&format!("  -{} ", flag.name)), "{}", flag.name);
        }
        assert!(help.lines().all(|line| line.len() <= 140), "{help}");
    }
}
