//! What users of a fleet feel of the module for Nginx: requests a second beside Nginx without it and beside the script of the old
//! tool's README, and how long a dead app is still asked for.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::host;
use super::support::fleet::{Host, Nginx, has, has_lua, snippet};
use super::support::{eventually, free_port, patience};
use super::table::{Table, grouped, time};

/// Of each, there and back through all ways.
const ROUNDS: usize = 8;
const DEATHS: usize = 10;
const LAST: Duration = Duration::from_millis(50);

/// The least that a choice in Lua can be: the next one of the servers.
const TURNS: &str = r"
    local servers = package.loaded.servers
    if not servers then
        servers = { turn = 0, SERVERS }
        package.loaded.servers = servers
    end
    servers.turn = servers.turn % #servers + 1
    ngx.var.target_up = servers[servers.turn]
";

/// As it stood in the README of the old tool, but with its mistakes mended: all hosts are asked, one after another, and the last one
/// where the app lives is taken.
const SCRIPT: &str = r#"
    for _, port in ipairs({ PORTS }) do
        local sock = ngx.socket.tcp()
        sock:settimeout(3000)
        if sock:connect(port[1], port[2]) then
            sock:send("GET /container-healthcheck/apps/health/" .. ngx.var.app .. " HTTP/1.0\r\n\r\n")
            local status = sock:receive("*l")
            sock:receive("*a")
            sock:close()
            if status and status:find("^HTTP/1.1 200") then
                ngx.var.target_up = port[1] .. ":" .. port[2]
            end
        end
    end
"#;

/// One way to the hosts, on a port of the upper Nginx of its own.
struct Way {
    name: &'static str,
    address: SocketAddr,
    seen: Vec<Seen>,
}

/// What wrk has seen.
#[derive(Clone, Copy)]
struct Seen {
    per_second: f64,
    late: Duration,
    /// The processor time of the upper Nginx for one request.
    cost: Duration,
}

impl Seen {
    /// The mean of both.
    fn and(self, other: Self) -> Self {
        Self {
            per_second: f64::midpoint(self.per_second, other.per_second),
            late: (self.late + other.late) / 2,
            cost: (self.cost + other.cost) / 2,
        }
    }
}

pub fn measure(table: &mut Table) {
    if !has_lua() || !has("wrk", "-v") {
        return table.lacks("a fleet", "no nginx with Lua, or no wrk here", "");
    }
    let hosts = [2, 3, 4].map(|number| Host::start(number, &["a", "quiet"]));
    let servers = hosts.each_ref().map(|host| host.address);
    let mut ways = [
        "plain proxy_pass",
        "the same with a rewrite_by_lua that takes turns",
        "route()",
        "a plain keep-alive upstream",
        "the same with a balancer_by_lua that does nothing",
        "the same with an access_by_lua, too, that does nothing",
        "balance()",
        "the old README's script",
    ]
    .map(|name| Way { name, address: SocketAddr::from((Ipv4Addr::LOCALHOST, free_port())), seen: Vec::new() });
    let http = conf(servers, &ways);
    let upper = host::elsewhere(|| Nginx::start(ways[0].address, 1, &http));
    for server in servers {
        eventually("all is known", || upper.log().contains(&format!("{server} is live")));
    }
    let worker = upper.workers()[0];
    for _ in 0..ROUNDS {
        // Each leaves some thousand closed connections behind, among which the next one has to find its ports.
        let there: Vec<_> = ways.iter().map(|way| wrk(way.address, worker)).collect();
        let back: Vec<_> = ways.iter().rev().map(|way| wrk(way.address, worker)).collect();
        for ((way, there), back) in ways.iter_mut().zip(there).zip(back.into_iter().rev()) {
            way.seen.push(there.and(back));
        }
    }
    let [plain, turns, route, kept, lua, more_lua, balance, script] = &ways;
    compare(table, plain, None, 0.0);
    // What any choice in Lua costs, whatever it knows.
    compare(table, turns, Some(plain), 0.0);
    compare(table, route, Some(plain), 0.95);
    compare(table, kept, None, 0.0);
    // What any balancer in Lua costs, whatever it does.
    compare(table, lua, Some(kept), 0.0);
    compare(table, more_lua, Some(kept), 0.0);
    compare(table, balance, Some(kept), 0.90);
    compare(table, script, Some(plain), 0.0);

    let (last, failed, of) = deaths(&hosts, route.address);
    let what = format!("a dead app is last asked for by route(), after Docker's event, worst of {DEATHS} under load");
    table.add(&what, format!("{}; {failed} of {} requests failed", time(last), grouped(of.into())), "50 ms", last <= LAST);
    let (last, failed, of) = deaths(&hosts, balance.address);
    let what = format!("GETs that failed by balance(), with {DEATHS} deaths under load");
    let measured = format!("{failed} of {}; last asked for after {}", grouped(of.into()), time(last));
    table.add(&what, measured, "0", failed == 0);
}

fn conf(servers: [SocketAddr; 3], ways: &[Way; 8]) -> String {
    let list = |each: fn(SocketAddr) -> String| servers.map(each).join(" ");
    let addresses = list(|server| format!("\"{server}\","));
    let quoted = format!("servers = {{ [\"*\"] = {{ {addresses} }} }},");
    let http = snippet(
        "openresty/http.conf",
        &[
            ("lua_package_path \"/etc/nginx/lua/?.lua;;\";\n", ""),
            ("servers = { [\"*\"] = { \"10.0.0.1:8010\", \"10.0.0.2:8010\" } },", &quoted),
        ],
    );
    let upstream = list(|server| format!("server {server};"));
    let script = SCRIPT.replace("PORTS", &list(|server| format!("{{ \"{}\", {} }},", server.ip(), server.port())));
    // All have the same headers to send, so that only the way differs.
    let guard = "access_by_lua_block {\n        require(\"container_healthcheck\").guard()\n    }";
    let by = |guarded: &str, upstream: &str| {
        snippet("openresty/location-balance.conf", &[(guard, guarded), ("container_healthcheck_apps", upstream)])
    };
    let by_script = |script: &str| snippet("openresty/location-route.conf", &[("require(\"container_healthcheck\").route()", script)]);
    let locations = [
        "location ~ ^/o/([^/]+) { set $app $1; proxy_pass http://plain; proxy_connect_timeout 3s; }".to_owned(),
        by_script(&TURNS.replace("SERVERS", &addresses)),
        snippet("openresty/location-route.conf", &[]),
        by("", "kept"),
        by("", "idle"),
        by("access_by_lua_block { local _ = 1 }", "idle"),
        snippet("openresty/location-balance.conf", &[]),
        by_script(&script),
    ];
    let each = ways.iter().zip(locations).map(|(way, location)| format!("server {{ listen {};\n{location}\n}}\n", way.address));
    format!(
        "{http}\nupstream plain {{ {upstream} }}\nupstream kept {{ {upstream} keepalive 64; }}\n\
         upstream idle {{ {upstream} balancer_by_lua_block {{ local _ = 1 }} keepalive 64; }}\n{}",
        each.collect::<String>()
    )
}

fn compare(table: &mut Table, way: &Way, with: Option<&Way>, budget: f64) {
    let middle = |mut values: Vec<f64>| {
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    let what = format!("users' requests a second, 32 connections: {}", way.name);
    let late = middle(way.seen.iter().map(|seen| seen.late.as_secs_f64()).collect());
    let speed = middle(way.seen.iter().map(|seen| seen.per_second).collect());
    let cost = middle(way.seen.iter().map(|seen| seen.cost.as_secs_f64()).collect());
    let [late, cost] = [late, cost].map(|seconds| time(Duration::from_secs_f64(seconds)));
    let figures = format!("{}, 99th percentile {late}, {cost} of CPU of the upper Nginx each", grouped(speed as u64));
    let Some(other) = with else { return table.note(&what, figures, "") };
    let pairs = || way.seen.iter().zip(&other.seen);
    let times = middle(pairs().map(|(ours, theirs)| ours.per_second / theirs.per_second).collect());
    let cpu = middle(pairs().map(|(ours, theirs)| theirs.cost.as_secs_f64() / ours.cost.as_secs_f64()).collect());
    let figures = format!("{figures}: {times:.2} times {} (by CPU {cpu:.2})", other.name);
    if budget > 0.0 {
        table.add(&what, figures, &format!("at least {budget:.2} times"), times >= budget);
    } else {
        table.note(&what, figures, "");
    }
}

/// When the dead app was last asked for, how many requests failed, and of how many.
fn deaths(hosts: &[Host; 3], address: SocketAddr) -> (Duration, u64, u32) {
    let load = start_wrk(address, "a", Duration::from_secs(1 + DEATHS as u64 / 2));
    let mut worst = Duration::ZERO;
    for number in 0..DEATHS {
        let host = &hosts[number % 3];
        eventually("it is asked for", || host.came_within(Duration::from_millis(50), "a"));
        let died_at = host.kill("a");
        eventually("it is not asked for any more", || !host.came_within(Duration::from_millis(100), "a"));
        worst = worst.max(host.came_since(died_at, "a").into_iter().max().unwrap_or_default());
        host.revive("a");
    }
    let (report, _) = read(load);
    let number =
        |before: &str| -> u64 { report.split_once(before).map_or(0, |(_, rest)| rest.split_whitespace().next().unwrap().parse().unwrap()) };
    let of = requests(&report);
    let socket_errors = report.lines().filter(|line| line.contains("Socket errors")).count() as u64;
    (worst, number("Non-2xx or 3xx responses:") + socket_errors, of)
}

fn start_wrk(address: SocketAddr, app: &str, time: Duration) -> Child {
    let mut wrk = Command::new("wrk");
    wrk.args(["-t1", "-c32", "--latency", &format!("-d{}s", time.as_secs()), &format!("http://{address}/o/{app}/")]);
    wrk.stdout(Stdio::piped()).spawn().unwrap()
}

/// A second of load through the upper Nginx with that worker.
fn wrk(address: SocketAddr, worker: u32) -> Seen {
    let before = host::processor_time(worker);
    let (report, mut seen) = read(start_wrk(address, "quiet", Duration::from_secs(1)));
    assert!(!report.contains("Non-2xx"), "{report}");
    seen.cost = host::processor_time(worker).saturating_sub(before) / requests(&report);
    seen
}

fn requests(report: &str) -> u32 {
    report.lines().find_map(|line| line.split_once(" requests in ")).unwrap().0.trim().parse().unwrap()
}

fn read(wrk: Child) -> (String, Seen) {
    let output = wrk.wait_with_output().unwrap();
    let report = String::from_utf8(output.stdout).unwrap();
    let word = |label: &str| {
        let line = report.lines().find_map(|line| line.trim().strip_prefix(label)).unwrap_or_else(|| panic!("no {label} in {report}"));
        line.trim().to_owned()
    };
    let late = word("99%");
    let at = late.find(|end: char| end.is_ascii_alphabetic()).unwrap();
    let unit = match &late[at..] {
        "us" => 1e-6,
        "ms" => 1e-3,
        _ => 1.0,
    };
    let late = Duration::from_secs_f64(late[..at].parse::<f64>().unwrap() * unit).min(patience());
    let seen = Seen { per_second: word("Requests/sec:").parse().unwrap(), late, cost: Duration::ZERO };
    (report, seen)
}
