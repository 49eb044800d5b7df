//! What users of a fleet feel of the module for Nginx: requests a second beside Nginx without it and beside the script of the old
//! tool's README, and how long a dead app is still asked for.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::host;
use super::runner::{self, Runner};
use super::support::fleet::{Host, Nginx, has, has_lua, snippet};
use super::support::{eventually, free_port};
use super::table::{Table, grouped, time};

/// Many: one round beside another differs by several hundredths.
const ROUNDS: usize = 90;
const DEATHS: usize = 10;
const LAST: Duration = Duration::from_millis(50);

const CONNECTIONS: usize = 32;

/// The ways to the hosts, each on a port of the upper Nginx of its own.
const NAMES: [&str; 9] = [
    "plain proxy_pass",
    "the same with the server in a variable, without Lua",
    "the same with a rewrite_by_lua that takes turns",
    "route()",
    "a plain keep-alive upstream",
    "the same with a balancer_by_lua that does nothing",
    "the same with an access_by_lua, too, that does nothing",
    "balance()",
    "the old README's script",
];

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

pub fn measure(table: &mut Table) {
    if !has_lua() || !has("wrk", "-v") {
        return table.lacks("a fleet", "no nginx with Lua, or no wrk here", "");
    }
    let hosts = [2, 3, 4].map(|number| Host::start(number, &["a", "quiet"]));
    let servers = hosts.each_ref().map(|host| host.address);
    let addresses = NAMES.map(|_| SocketAddr::from((Ipv4Addr::LOCALHOST, free_port())));
    let http = conf(servers, &addresses);
    let upper = host::elsewhere(|| Nginx::start(addresses[0], 1, &http));
    for server in servers {
        eventually("all is known", || upper.log().contains(&format!("{server} is live")));
    }
    let worker = upper.workers()[0];
    let each = NAMES.into_iter().zip(addresses);
    let mut ways: Vec<_> = each.map(|(name, address)| Runner::new(name, worker, address, "/o/quiet/", CONNECTIONS)).collect();
    for number in 0..ROUNDS {
        runner::round(number, ways.iter_mut());
    }
    let [plain, by_variable, turns, route, kept, lua, more_lua, balance, script] = &ways[..] else { unreachable!() };
    compare(table, plain, None, 0.0);
    // What Nginx itself takes for a server that is chosen anew each time.
    compare(table, by_variable, Some(plain), 0.0);
    // What any choice in Lua costs, whatever it knows.
    compare(table, turns, Some(plain), 0.0);
    compare(table, route, Some(plain), 0.95);
    compare(table, kept, None, 0.0);
    // What any balancer in Lua costs, whatever it does.
    compare(table, lua, Some(kept), 0.0);
    compare(table, more_lua, Some(kept), 0.0);
    compare(table, balance, Some(kept), 0.90);
    compare(table, script, Some(plain), 0.0);

    let (last, failed, of) = deaths(&hosts, addresses[3]);
    let what = format!("a dead app is last asked for by route(), after Docker's event, worst of {DEATHS} under load");
    table.add(&what, format!("{}; {failed} of {} requests failed", time(last), grouped(of.into())), "50 ms", last <= LAST);
    let (last, failed, of) = deaths(&hosts, addresses[7]);
    let what = format!("GETs that failed by balance(), with {DEATHS} deaths under load");
    let measured = format!("{failed} of {}; last asked for after {}", grouped(of.into()), time(last));
    table.add(&what, measured, "0", failed == 0);
}

fn conf(servers: [SocketAddr; 3], ways: &[SocketAddr; 9]) -> String {
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
    let choice = "rewrite_by_lua_block {\n        require(\"container_healthcheck\").route()\n    }";
    let without = |set: &str, upstream: &str| {
        snippet("openresty/location-route.conf", &[(choice, ""), ("set $target_up \"\";", set), ("http://$target_up", upstream)])
    };
    let locations = [
        without("", "http://plain"),
        without("set $target_up $turn;", "http://$target_up"),
        by_script(&TURNS.replace("SERVERS", &addresses)),
        snippet("openresty/location-route.conf", &[]),
        by("", "kept"),
        by("", "idle"),
        by("access_by_lua_block { local _ = 1 }", "idle"),
        snippet("openresty/location-balance.conf", &[]),
        by_script(&script),
    ];
    let each = ways.iter().zip(locations).map(|(way, location)| format!("server {{ listen {way};\n{location}\n}}\n"));
    let [one, two, three] = servers;
    format!(
        "{http}\nsplit_clients $connection_requests $turn {{ 33.3% {one}; 33.3% {two}; * {three}; }}\n\
         upstream plain {{ {upstream} }}\nupstream kept {{ {upstream} keepalive 64; }}\n\
         upstream idle {{ {upstream} balancer_by_lua_block {{ local _ = 1 }} keepalive 64; }}\n{}",
        each.collect::<String>()
    )
}

fn compare(table: &mut Table, way: &Runner, with: Option<&Runner>, budget: f64) {
    let what = format!("users' requests a second, {CONNECTIONS} connections: {}", way.name);
    let (speed, late, cost) = (way.speed(), time(way.percentile(99)), time(way.cost()));
    let figures = format!("{speed}, 99th percentile {late}, {cost} of CPU of the upper Nginx each");
    let Some(other) = with else { return table.note(&what, figures, "") };
    let [low, times, high] = way.speeds_beside(other);
    let [_, cpu, _] = other.costs_beside(way);
    let figures = format!("{figures}: {times:.2} times {} (quartiles {low:.2} and {high:.2}; by CPU {cpu:.2})", other.name);
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
    let output = load.wait_with_output().unwrap();
    let report = String::from_utf8(output.stdout).unwrap();
    let number =
        |before: &str| -> u64 { report.split_once(before).map_or(0, |(_, rest)| rest.split_whitespace().next().unwrap().parse().unwrap()) };
    let of = requests(&report);
    let socket_errors = report.lines().filter(|line| line.contains("Socket errors")).count() as u64;
    (worst, number("Non-2xx or 3xx responses:") + socket_errors, of)
}

fn start_wrk(address: SocketAddr, app: &str, time: Duration) -> Child {
    let mut wrk = Command::new("wrk");
    wrk.args(["-t1", "-c32", &format!("-d{}s", time.as_secs()), &format!("http://{address}/o/{app}/")]);
    wrk.stdout(Stdio::piped()).spawn().unwrap()
}

fn requests(report: &str) -> u32 {
    report.lines().find_map(|line| line.split_once(" requests in ")).unwrap().0.trim().parse().unwrap()
}
