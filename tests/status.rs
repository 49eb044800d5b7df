//! `P/status`: one page for people.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::disallowed_methods, reason = "a test may stop, and lives in the world")]
#![allow(clippy::disallowed_types, reason = "a test may stop, and lives in the world")]

mod support;

use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};

use support::{Answer, Daemon, FakeDocker, Folder, PREFIX, container, eventually, live};

fn page(daemon: &Daemon) -> Answer {
    let answer = daemon.get(&format!("{PREFIX}/status"));
    assert_eq!((answer.status, answer.field("content-type")), (200, Some("text/html; charset=utf-8")));
    answer
}

/// Between the tags of that name.
fn inside<'a>(body: &'a str, tag: &str) -> &'a str {
    body.split_once(&format!("<{tag}>")).unwrap().1.split_once(&format!("</{tag}>")).unwrap().0
}

#[test]
fn every_app_is_there_and_what_is_wrong_comes_first() {
    let drains = Folder::new();
    fs::write(drains.join("c"), "reason: deploy <2>\n").unwrap();
    let folder = drains.path().display().to_string();
    let (docker, daemon) = live(
        vec![container("a-1", "running", "Up"), container("b-1", "exited", "Exited (3) 2 days ago"), container("c-1", "running", "Up")],
        &["-apps=d", "-drain-dir", &folder],
    );
    let body = page(&daemon).body;
    let at = |text: &str| body.find(text).unwrap_or_else(|| panic!("no {text} in {body}"));
    assert!(at("<td>b<td>") < at("<td>c<td>") && at("<td>c<td>") < at("<td>d<td>") && at("<td>d<td>") < at("<td>a<td>"));
    at("Docker <b class=\"w s up\">live</b>");
    at("<title>3/4 ");
    at("<i class=w>not up</i> <b>3</b>");
    at(
        "<td>b<td><b class=\"w s down\">down</b> <i class=w>exited</i> <bdi>b-1 is exited: Exited (3) 2 days ago</bdi><td><time>2024-03-08T06:08:39Z</time><td><i class=\"w p\">containers</i> 1<",
    );
    at("<td>c<td><b class=\"w s drained\">drained</b> <bdi>c is drained: deploy &lt;2&gt;</bdi>");
    at(
        "<td>d<td><b class=\"w s down\">down</b> <i class=w>no-container</i> <bdi>no container is named d or d-&lt;digits&gt;, or labelled d</bdi>",
    );
    at("<td>a<td><b class=\"w s up\">up</b><td>");
    fs::write(drains.join("all"), "").unwrap();
    eventually("the host is drained", || page(&daemon).body.contains("drained</b> <bdi>this host is drained</bdi></p>"));
    docker.event("die", "a-1", "\"exitCode\":\"1\"");
    let mut client = daemon.connect();
    for method in ["HEAD", "OPTIONS"] {
        client.send(&format!("{method} {PREFIX}/status HTTP/1.1\r\nHost: h\r\n\r\n"));
        let answer = client.answer_to(method).unwrap();
        assert_eq!((answer.status, answer.body.as_str()), (200, ""));
    }
    client.send(&format!("POST {PREFIX}/status HTTP/1.1\r\nHost: h\r\n\r\n"));
    assert_eq!(client.answer().status, 405);
}

#[test]
fn what_docker_says_is_no_markup() {
    let hostile = "Exited <script>alert(1)</script><img src=x onerror=alert('1')>&amp;";
    let (_docker, daemon) = live(vec![container("a-1", "exited", hostile)], &[]);
    let body = page(&daemon).body;
    assert!(body.contains(
        "a-1 is exited: Exited &lt;script&gt;alert(1)&lt;/script&gt;&lt;img src=x onerror=alert(&#39;1&#39;)&gt;&amp;amp;</bdi>"
    ));
    assert_eq!((body.matches("<script").count(), body.matches("<img").count()), (1, 0));
}

#[test]
fn only_its_own_script_and_style_may_run() {
    let (_docker, daemon) = live(vec![], &[]);
    let answer = page(&daemon);
    let policy = answer.field("content-security-policy").unwrap();
    for (tag, directive) in [("script", "script-src"), ("style", "style-src")] {
        let want = format!("{directive} 'sha256-{}'", sha256(inside(&answer.body, tag)));
        assert!(policy.contains(&want), "page.rs should say {want}");
    }
    assert!(policy.starts_with("default-src 'none'; ") && !policy.contains("unsafe"));
    for elsewhere in ["http:", "https:", "src=", "href=", "@import", "url("] {
        assert!(!answer.body.contains(elsewhere), "{elsewhere}");
    }
}

/// In base64, as a policy has it.
fn sha256(text: &str) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut program = Command::new("sha256sum").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    program.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let hex = String::from_utf8(program.wait_with_output().unwrap().stdout).unwrap();
    let bytes: Vec<u32> = (0..32).map(|at| u32::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap()).collect();
    let digits = |three: &[u32]| {
        let bits = (0..3).fold(0, |bits, at| bits << 8 | three.get(at).copied().unwrap_or_default());
        let digit = |at: usize| if at <= three.len() { char::from(DIGITS[(bits >> (18 - 6 * at) & 63) as usize]) } else { '=' };
        (0..4).map(digit).collect::<String>()
    };
    bytes.chunks(3).map(digits).collect()
}

#[test]
fn none_and_two_hundred() {
    let (docker, daemon) = live(vec![], &["-resync=200ms"]);
    assert!(page(&daemon).body.contains("No app is known here."));
    docker.holds((0..200).map(|number| container(&format!("app{number:03}-1"), "running", "Up")).collect());
    eventually("they are all there", || page(&daemon).body.matches("<tr><td>").count() == 200);
    assert!(page(&daemon).body.contains("<td>app199<td>"));
}

#[test]
fn when_docker_is_gone_it_is_said_once() {
    let (docker, daemon) = live(vec![container("a", "running", "Up"), container("b", "running", "Up")], &["-docker-timeout=1s"]);
    docker.vanish();
    docker.drop_listeners();
    eventually("it is known", || page(&daemon).body.contains("Docker <b class=\"w s down\">down</b>"));
    let body = page(&daemon).body;
    assert_eq!(body.matches("no such file (is Docker installed and running?)").count(), 1, "{body}");
    assert_eq!(body.matches("<b class=\"w s unknown\">unknown</b> <i class=w>docker-unreachable</i>").count(), 2);
}

/// Needs a browser, which is too large to be had everywhere: it is no gap in CI.
#[test]
fn an_open_page_follows_a_change_by_itself() {
    if !Command::new("chromium").arg("--version").output().is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: there is no chromium here");
        return;
    }
    let docker = FakeDocker::hung();
    docker.holds(vec![container("a-1", "running", "Up")]);
    docker.open_stream();
    let mut daemon = Daemon::start(&docker.path(), &[]);
    daemon.is("live");
    let profile = Folder::new();
    let browser = Command::new("chromium")
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--dump-dom", "--virtual-time-budget=1000", "--lang=en"])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .arg(format!("http://{}{PREFIX}/status", daemon.address()))
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    eventually("its script waits for a change", || daemon.counter("watchers") == 1);
    docker.event("die", "a-1", "\"exitCode\":\"1\"");
    eventually("it is asked for again", || daemon.counter("http_requests_total{path=\"status\",code=\"200\"}") == 2);
    eventually("its script waits for the next change", || daemon.counter("watchers") == 1);
    daemon.signal("TERM");
    assert!(daemon.wait().success());
    let dom = String::from_utf8(browser.wait_with_output().unwrap().stdout).unwrap();
    assert!(dom.contains(">exited</i>") && dom.contains("<title>1/1 "), "{dom}");
    assert!(!dom.contains("hidden=\"\""), "it says that nobody answers any more: {dom}");
}
