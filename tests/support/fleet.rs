//! A fleet: hosts with an Nginx, a daemon and a scripted Docker each, and an Nginx or `HAProxy` before them.

use std::fmt::Write as _;
use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, SystemTime};

use super::{Client, Daemon, FakeDocker, Folder, container, eventually, free_port, live, skipped};

const MODULES: [&str; 2] = ["/usr/lib/nginx/modules/ndk_http_module.so", "/usr/lib/nginx/modules/ngx_http_lua_module.so"];

/// Where the files are that are shipped.
pub fn packaged(path: &str) -> String {
    format!("{}/packaging/{path}", env!("CARGO_MANIFEST_DIR"))
}

/// A shipped file, with what a reader would fill in filled in. All that is to be replaced must be there.
pub fn snippet(path: &str, filled_in: &[(&str, &str)]) -> String {
    let text = fs::read_to_string(packaged(path)).unwrap();
    filled_in.iter().fold(text, |text, (from, to)| {
        assert!(text.contains(from), "there is no {from} in {path}");
        text.replace(from, to)
    })
}

/// Whether that program is there, asked in its own way; if not, the test is skipped.
pub fn has(program: &str, version: &str) -> bool {
    // What wrk gives for its version is a failure.
    let there = Command::new(program).arg(version).stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok();
    there || skipped(&format!("there is no {program} here"))
}

/// Whether there is an Nginx with Lua.
pub fn has_lua() -> bool {
    has("nginx", "-v") && (MODULES.iter().all(|module| Path::new(module).exists()) || skipped("there is no libnginx-mod-http-lua here"))
}

/// A program that is asked to end, with all its workers, with its owner.
pub struct Process(Child);

impl Process {
    pub fn start(command: &mut Command) -> Self {
        Self(command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap())
    }

    pub fn pid(&self) -> u32 {
        self.0.id()
    }

    pub fn signal(&self, name: &str) {
        assert!(Command::new("kill").arg(format!("-{name}")).arg(self.pid().to_string()).status().unwrap().success());
    }

    /// The processes that it has started and that have not ended.
    pub fn children(&self) -> Vec<u32> {
        let path = format!("/proc/{0}/task/{0}/children", self.pid());
        fs::read_to_string(path).unwrap().split_whitespace().map(|pid| pid.parse().unwrap()).collect()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Killed outright it would leave its workers behind.
        let _ = Command::new("kill").arg(self.pid().to_string()).status();
        for _ in 0..1000 {
            if self.0.try_wait().is_ok_and(|status| status.is_some()) {
                return;
            }
            thread::sleep(Duration::from_millis(5));
        }
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// An Nginx. What its configuration calls `{folder}` is a folder of its own.
pub struct Nginx {
    process: Option<Process>,
    folder: Folder,
}

impl Nginx {
    /// One that listens on that address, with so many workers, and with this inside of `http`.
    pub fn start(address: SocketAddr, workers: u32, http: &str) -> Self {
        let mut nginx = Self { process: None, folder: Folder::new() };
        nginx.configure(workers, http);
        nginx.run(address);
        nginx
    }

    fn command(&self) -> Command {
        let mut command = Command::new("nginx");
        command.arg("-c").arg(self.folder.join("nginx.conf")).arg("-p").arg(self.folder.path()).stderr(Stdio::null());
        command
    }

    /// Runs it, if it does not run.
    pub fn run(&mut self, address: SocketAddr) {
        self.process = Some(Process::start(&mut self.command()));
        eventually("nginx listens", || {
            let alive = self.process.as_mut().unwrap().0.try_wait().unwrap().is_none();
            assert!(alive, "nginx has ended: {}", self.log());
            TcpStream::connect(address).is_ok()
        });
    }

    pub fn stop(&mut self) {
        self.process = None;
    }

    /// Writes its configuration.
    pub fn configure(&self, workers: u32, http: &str) {
        let at = self.folder.path().display();
        let mut conf = MODULES.map(|module| format!("load_module {module};\n")).concat();
        write!(
            conf,
            "user root; daemon off; worker_processes {workers}; pid {at}/pid; error_log {at}/error.log notice;\n\
             events {{ worker_connections 4096; }}\n\
             http {{\n\
             access_log off; keepalive_requests 1000000000; default_type text/plain;\n\
             lua_package_path \"{}\";\n",
            packaged("openresty/?.lua;;")
        )
        .unwrap();
        for kind in ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"] {
            writeln!(conf, "{kind}_temp_path {at}/{kind};").unwrap();
        }
        conf += &http.replace("{folder}", &at.to_string());
        conf += "\n}\n";
        fs::write(self.folder.join("nginx.conf"), conf).unwrap();
    }

    /// Whether it takes this configuration; its own words if not.
    pub fn check(http: &str) -> Result<(), String> {
        let nginx = Self { process: None, folder: Folder::new() };
        nginx.configure(1, http);
        let output = nginx.command().arg("-t").stderr(Stdio::piped()).output().unwrap();
        if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
    }

    /// Loads its configuration anew.
    pub fn reload(&self) {
        self.process.as_ref().unwrap().signal("HUP");
    }

    pub fn workers(&self) -> Vec<u32> {
        self.process.as_ref().unwrap().children()
    }

    /// Its log of errors.
    pub fn log(&self) -> String {
        let bytes = fs::read(self.folder.join("error.log")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    pub fn folder(&self) -> &Folder {
        &self.folder
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("log of nginx:\n{}", self.log());
        }
    }
}

/// A host of apps: its Nginx answers for an app with the host's address, or with 502 when the app is dead. It logs the requests of all
/// apps but `quiet`.
pub struct Host {
    pub address: SocketAddr,
    pub docker: FakeDocker,
    pub daemon: Option<Daemon>,
    pub nginx: Nginx,
}

impl Host {
    /// The host of that number, which has these containers (`a`), some of which do not run (`-a`).
    pub fn start(number: u8, apps: &[&str]) -> Self {
        Self::start_with(number, apps, &[])
    }

    /// The same, with arguments for its daemon.
    pub fn start_with(number: u8, apps: &[&str], args: &[&str]) -> Self {
        let containers = apps.iter().map(|app| match app.strip_prefix('-') {
            Some(app) => container(app, "exited", "Exited (1) 2 days ago"),
            None => container(app, "running", "Up 3 minutes"),
        });
        let (docker, daemon) = live(containers.collect(), args);
        let (address, nginx) = Self::nginx_before(number, daemon.address());
        let host = Self { address, docker, daemon: Some(daemon), nginx };
        for app in apps.iter().filter_map(|app| app.strip_prefix('-')) {
            host.stop(app);
        }
        host
    }

    /// The Nginx of the host of that number, and its address.
    pub fn nginx_before(number: u8, daemon: SocketAddr) -> (SocketAddr, Nginx) {
        let address = SocketAddr::from(([127, 0, 0, number], free_port()));
        (address, Nginx::start(address, 1, &Self::conf(address, daemon)))
    }

    fn conf(address: SocketAddr, daemon: SocketAddr) -> String {
        let checker = snippet("nginx/appo.conf", &[("127.0.0.1:4246", &daemon.to_string()), ("allow 10.0.0.10;", "allow 127.0.0.1;")]);
        format!(
            "log_format times '$msec $status $uri';\n\
             map $uri $is_logged {{ default 1; ~^/o/quiet 0; }}\n\
             server {{\n\
             listen {address};\n\
             access_log {{folder}}/access.log times if=$is_logged;\n\
             location ~ ^/o/([^/]+) {{ if (-f {{folder}}/dead/$1) {{ return 502; }} return 200 {}; }}\n\
             {checker}\n}}",
            address.ip()
        )
    }

    fn grave(&self, app: &str) -> std::path::PathBuf {
        let folder = self.nginx.folder().join("dead");
        fs::create_dir_all(&folder).unwrap();
        folder.join(app)
    }

    /// The app serves no more, and nobody says so.
    pub fn stop(&self, app: &str) {
        fs::write(self.grave(app), "").unwrap();
    }

    /// The app's container dies. Gives when Docker said so.
    pub fn kill(&self, app: &str) -> SystemTime {
        self.stop(app);
        let now = SystemTime::now();
        self.docker.event("die", app, r#""exitCode":"137""#);
        now
    }

    /// The app serves again, and nobody says so.
    pub fn revive_quietly(&self, app: &str) {
        let _ = fs::remove_file(self.grave(app));
    }

    /// The app's container is started again.
    pub fn revive(&self, app: &str) {
        self.revive_quietly(app);
        self.docker.event("start", app, "");
    }

    /// Whether that app was asked for that lately.
    pub fn came_within(&self, lately: Duration, app: &str) -> bool {
        !self.came_since(SystemTime::now() - lately, app).is_empty()
    }

    /// The times of the requests for that app that have come since then, as its Nginx logged them: in whole milliseconds.
    pub fn came_since(&self, then: SystemTime, app: &str) -> Vec<Duration> {
        let log = fs::read_to_string(self.nginx.folder().join("access.log")).unwrap();
        let of_app = log.lines().filter(|line| line.split("/o/").nth(1).is_some_and(|rest| rest.split('/').next() == Some(app)));
        let times = of_app.map(|line| Duration::from_secs_f64(line.split(' ').next().unwrap().parse().unwrap()));
        times.filter_map(|time| (SystemTime::UNIX_EPOCH + time).duration_since(then).ok()).collect()
    }
}

/// What became of one request of a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// 0: the connection was closed without an answer.
    pub status: u16,
    pub body: String,
}

/// One request of a user: a connection of its own, so that no connection is closed under it.
pub fn visit(address: SocketAddr, path: &str) -> Outcome {
    let mut client = Client::new(TcpStream::connect(address).unwrap());
    client.send(&format!("GET {path} HTTP/1.1\r\nHost: paas\r\nConnection: close\r\n\r\n"));
    let answer = client.answer_to("GET");
    let (status, body) = answer.map_or((0, String::new()), |answer| (answer.status, answer.body));
    Outcome { status, body }
}

/// Users who ask all the while.
pub struct Users {
    is_over: Arc<AtomicBool>,
    threads: Vec<JoinHandle<Vec<Outcome>>>,
}

impl Users {
    pub fn start(count: usize, address: SocketAddr, path: &str) -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let threads: Vec<_> = (0..count)
            .map(|_| {
                let (is_over, path) = (Arc::clone(&is_over), path.to_owned());
                thread::spawn(move || {
                    let mut outcomes = Vec::new();
                    while !is_over.load(Ordering::Relaxed) {
                        outcomes.push(visit(address, &path));
                        // So that a run does not use up the ports of the machine.
                        thread::sleep(Duration::from_millis(3));
                    }
                    outcomes
                })
            })
            .collect();
        Self { is_over, threads }
    }

    /// What became of all their requests.
    pub fn stop(self) -> Vec<Outcome> {
        self.is_over.store(true, Ordering::Relaxed);
        self.threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    }
}
