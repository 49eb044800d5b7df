//! Probes of a live view, beside a bare epoll loop and nginx.

use super::host::{self, QUIET};
use super::load;
use super::rivals::Rival;
use super::runner::{self, Runner};
use super::table::{Table, time};

/// The number of connections that the budgets are about.
const MANY: usize = 32;

pub fn measure(table: &mut Table) {
    let path = host::path(7);
    let (_docker, daemon) = host::start(62, "Up 5 days", true, &QUIET);
    let answer = load::ask(&mut daemon.connect().stream(), &load::request(&path));
    let body = answer.len() - answer.windows(4).position(|four| four == b"\r\n\r\n").unwrap() - 4;
    let bare = host::elsewhere(|| Rival::bare(&answer));
    let nginx = host::elsewhere(|| Rival::nginx(body));
    for (connections, rounds) in [(MANY, 31), (1, 7), (256, 7)] {
        let mut ours = Runner::new("ours", daemon.pid(), daemon.address(), &path, connections);
        // A request with a query is not known by its bytes, but read each time.
        let mut read = Runner::new("ours, each request read", daemon.pid(), daemon.address(), &format!("{path}?x"), connections);
        let mut bare = Runner::new("a bare loop", bare.pid(), bare.address, &path, connections);
        let mut nginx = nginx.as_ref().map(|nginx| Runner::new("nginx", nginx.pid(), nginx.address, &path, connections));
        for number in 0..rounds {
            runner::round(number, [&mut ours, &mut read, &mut bare].into_iter().chain(&mut nginx));
        }
        for runner in [&ours, &read, &bare].into_iter().chain(&nginx) {
            let (cost, speed) = (time(runner.cost()), runner.speed());
            println!("  {connections} connections, {}: {cost} of CPU, {speed} a second, {}", runner.name, runner.latency());
        }
        if connections == MANY {
            judge(table, &ours, &bare, nginx.as_ref());
            table.note("CPU of a live probe whose request has not come before", beside(&read, &bare).1, "");
            table.note("live probes a second, 32 connections: the load is at its limit, the server is not", ours.speed(), "");
        }
        if connections == 1 {
            table.note("a live probe as its client sees it, one connection", ours.latency(), "");
        }
    }
}

fn judge(table: &mut Table, ours: &Runner, bare: &Runner, nginx: Option<&Runner>) {
    const BARE: f64 = 1.10;
    let (times, words) = beside(ours, bare);
    let what = format!("CPU of a live probe, {MANY} connections, beside a bare epoll loop");
    table.add(&what, format!("{}, {words}", time(ours.cost())), &format!("at most {BARE:.2} times"), times <= BARE);
    let (what, budget) = ("the same beside nginx's `return 200`", "less than 1.00 times");
    match nginx.map(|nginx| beside(ours, nginx)) {
        Some((times, words)) => table.add(what, words, budget, times < 1.0),
        None => table.lacks(what, "no nginx here", budget),
    }
}

/// How many times the other's cost ours is, as a figure and in words.
fn beside(ours: &Runner, other: &Runner) -> (f64, String) {
    let [low, middle, high] = ours.costs_beside(other);
    (middle, format!("{middle:.2} times its {} (quartiles {low:.2} and {high:.2})", time(other.cost())))
}
