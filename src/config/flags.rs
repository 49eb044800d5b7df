//! The table of options: each flag with its default, its help, and what it sets.

use std::time::Duration;

use super::Config;
use super::values::{
    TENTH, bind, check_url, clients, count, docker_health, docker_host, duration, folder, level, policy, port, prefix, put, statuses,
    switch,
};
use crate::engine::AppName;

/// One flag.
pub struct Flag {
    /// Its name, without dashes.
    pub name: &'static str,
    /// What stands for its value in the help; empty for a switch.
    pub value: &'static str,
    /// Its default, in words.
    pub default: &'static str,
    /// What it does.
    pub help: &'static str,
    /// Takes a value, or says what would be one.
    pub(super) set: fn(&mut Config, &str) -> Result<(), &'static str>,
}

/// All flags, in the order of the help.
pub const FLAGS: &[Flag] = &[
    Flag {
        name: "prefix",
        value: "PATH",
        default: "/container-healthcheck",
        help: "before each path of ours; / for none",
        set: |c, v| put(&mut c.prefix, prefix(v)),
    },
    Flag {
        name: "port",
        value: "N",
        default: "4246",
        help: "TCP port of the addresses that name none",
        set: |c, v| put(&mut c.port, port(v)),
    },
    Flag {
        name: "bind",
        value: "ADDRESS",
        default: "127.0.0.1 and ::1",
        help: "listen there: an IP address, address:port, [v6]:port or unix:/path; repeatable, or with commas",
        set: |c, v| {
            v.split(',').try_for_each(|v| {
                c.bind.push(bind(v)?);
                Ok(())
            })
        },
    },
    Flag {
        name: "level",
        value: "LEVEL",
        default: "info",
        help: "least level logged: error, warn, info or debug",
        set: |c, v| put(&mut c.level, level(v)),
    },
    Flag {
        name: "logpath",
        value: "FOLDER",
        default: "none: stderr",
        help: "append the log to container-healthcheck.log there; SIGHUP reopens it",
        set: |c, v| put(&mut c.log_folder, folder(v).map(Some)),
    },
    Flag {
        name: "docker-host",
        value: "URL",
        default: "$DOCKER_HOST, else unix:///var/run/docker.sock",
        help: "where Docker or Podman is: unix:///path or tcp://address:port",
        set: |c, v| put(&mut c.docker_host, docker_host(v)),
    },
    Flag {
        name: "docker-timeout",
        value: "TIME",
        default: "5s",
        help: "how long Docker may take, and a probe wait",
        set: |c, v| put(&mut c.docker_timeout, duration(v, TENTH)),
    },
    Flag {
        name: "docker-grace",
        value: "TIME",
        default: "60s",
        help: "how long the last facts stay good when Docker is gone",
        set: |c, v| put(&mut c.docker_grace, duration(v, Duration::ZERO)),
    },
    Flag {
        name: "resync",
        value: "TIME",
        default: "30s",
        help: "how often all containers are listed, whatever else happens",
        set: |c, v| put(&mut c.resync, duration(v, TENTH)),
    },
    Flag {
        name: "apps",
        value: "NAMES",
        default: "none",
        help: "apps that are down (503), not unknown (404), without a container; with commas",
        set: |c, v| {
            put(&mut c.apps, v.split(',').map(|v| AppName::parse(v.as_bytes()).ok_or("names of apps with commas between them")).collect())
        },
    },
    Flag {
        name: "policy",
        value: "WHICH",
        default: "any",
        help: "which of several containers must be up: any, newest or all",
        set: |c, v| put(&mut c.policy, policy(v)),
    },
    Flag {
        name: "docker-health",
        value: "HOW",
        default: "respect",
        help: "whether HEALTHCHECK counts: respect or ignore",
        set: |c, v| put(&mut c.docker_health, docker_health(v)),
    },
    Flag {
        name: "min-uptime",
        value: "TIME",
        default: "0s",
        help: "a container counts as starting for so long",
        set: |c, v| put(&mut c.min_uptime, duration(v, Duration::ZERO)),
    },
    Flag {
        name: "ngx-port",
        value: "N",
        default: "none",
        help: "check apps that are asked about through the local Nginx on this port: GET /o/{app}/",
        set: |c, v| put(&mut c.nginx_port, port(v).map(Some)),
    },
    Flag {
        name: "check-url",
        value: "URL",
        default: "none",
        help: "check them there instead: http://address:port/path or unix:/socket:/path, {app} for the name",
        set: |c, v| put(&mut c.check_url, check_url(v).map(Some)),
    },
    Flag {
        name: "check-interval",
        value: "TIME",
        default: "2s",
        help: "how often each of them is checked, in the background",
        set: |c, v| put(&mut c.check_interval, duration(v, TENTH)),
    },
    Flag {
        name: "check-timeout",
        value: "TIME",
        default: "3s",
        help: "how long one check may take, and the first probe of an app wait for it",
        set: |c, v| put(&mut c.check_timeout, duration(v, TENTH)),
    },
    Flag {
        name: "check-fall",
        value: "N",
        default: "2",
        help: "down after so many failed checks in a row",
        set: |c, v| put(&mut c.check_fall, count(v)),
    },
    Flag {
        name: "check-rise",
        value: "N",
        default: "1",
        help: "up after so many good checks in a row",
        set: |c, v| put(&mut c.check_rise, count(v)),
    },
    Flag {
        name: "check-fail",
        value: "STATUSES",
        default: "502-504",
        help: "statuses that are failures, like no answer at all; 404,502-504 on BlueKing",
        set: |c, v| put(&mut c.check_fail, statuses(v)),
    },
    Flag {
        name: "drain-dir",
        value: "FOLDER",
        default: "/var/lib/container-healthcheck/drain",
        help: "the folder of drains",
        set: |c, v| put(&mut c.drain_dir, folder(v)),
    },
    Flag {
        name: "hide-command",
        value: "",
        default: "off",
        help: "leave command empty in answers",
        set: |c, v| put(&mut c.hide_command, switch(v)),
    },
    Flag {
        name: "max-clients",
        value: "N",
        default: "1024",
        help: "clients at once; the longest idle makes room",
        set: |c, v| put(&mut c.max_clients, clients(v)),
    },
    Flag {
        name: "header-timeout",
        value: "TIME",
        default: "5s",
        help: "how long the head of a request may take",
        set: |c, v| put(&mut c.header_timeout, duration(v, TENTH)),
    },
    Flag {
        name: "idle-timeout",
        value: "TIME",
        default: "75s",
        help: "how long a connection may be idle",
        set: |c, v| put(&mut c.idle_timeout, duration(v, TENTH)),
    },
];
