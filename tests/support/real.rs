//! A real Docker: its CLI, an image, containers, and a dockerd of our own.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};
use std::{fs, thread};

use super::{Folder, eventually, is_there, skipped};

/// Statically linked, so that it is all that an image needs.
pub const BUSYBOX: &str = "/bin/busybox";

/// Runs the Docker CLI; gives what it printed.
pub fn docker(args: &[&str]) -> String {
    let output = Command::new("docker").args(args).output().unwrap();
    assert!(output.status.success(), "docker {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
}

/// An archive in that folder with all that an image needs.
pub fn busybox(folder: &Folder) -> String {
    let bin = folder.join("root/bin");
    fs::create_dir_all(&bin).unwrap();
    fs::copy(BUSYBOX, bin.join("busybox")).unwrap();
    for applet in ["sh", "sleep", "cat", "kill", "true", "false", "test", "touch", "rm"] {
        symlink("busybox", bin.join(applet)).unwrap();
    }
    let tar = folder.join("image.tar");
    assert!(Command::new("tar").arg("-C").arg(folder.join("root")).arg("-cf").arg(&tar).arg(".").status().unwrap().success());
    tar.display().to_string()
}

/// An image of nothing but busybox, as long as a test needs it.
pub struct Image(pub String);

impl Image {
    /// One for all tests that run at the same time.
    pub fn get() -> Arc<Self> {
        static SHARED: Mutex<Weak<Image>> = Mutex::new(Weak::new());
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let mut shared = SHARED.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(image) = shared.upgrade() {
            return image;
        }
        let name = format!("container-healthcheck-test:{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let folder = Folder::new();
        docker(&["import", "--change", "ENV PATH=/bin", &busybox(&folder), &name]);
        let image = Arc::new(Self(name));
        *shared = Arc::downgrade(&image);
        image
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        let _ = Command::new("docker").args(["rmi", "-f", &self.0]).stdout(Stdio::null()).stderr(Stdio::null()).status();
    }
}

/// A container, which goes with its owner whatever it is called by then.
pub struct Container {
    pub id: String,
}

impl Container {
    pub fn run(name: &str, args: &[&str], image: &Image, command: &[&str]) -> Self {
        Self::make(&["run", "-d"], name, args, image, command)
    }

    pub fn create(name: &str, image: &Image, command: &[&str]) -> Self {
        Self::make(&["create"], name, &[], image, command)
    }

    pub fn make(how: &[&str], name: &str, args: &[&str], image: &Image, command: &[&str]) -> Self {
        Self { id: docker(&[how, &["--network", "none", "--name", name], args, &[&image.0], command].concat()) }
    }

    /// One thing that `docker inspect` says of it.
    pub fn inspect(&self, format: &str) -> String {
        docker(&["inspect", "--format", format, &self.id])
    }

    /// What `docker ps` says of it.
    pub fn listed(&self, format: &str) -> String {
        docker(&["ps", "-a", "--no-trunc", "--filter", &format!("id={}", self.id), "--format", format])
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        let _ = Command::new("docker").args(["rm", "-f", &self.id]).stdout(Stdio::null()).stderr(Stdio::null()).status();
    }
}

/// Whether it becomes so.
pub fn for_a_while(mut is_so: impl FnMut() -> bool) -> Option<()> {
    let until = Instant::now() + super::patience();
    while Instant::now() < until {
        if is_so() {
            return Some(());
        }
        thread::sleep(Duration::from_millis(20));
    }
    None
}

/// What is missing for a test with the dockerd of this host.
pub fn missing() -> Option<&'static str> {
    if !Command::new("docker").arg("version").output().is_ok_and(|output| output.status.success()) {
        return Some("`docker version` fails, so there is no dockerd to ask");
    }
    (!Path::new(BUSYBOX).exists()).then_some("there is no /bin/busybox to make an image of (package busybox-static)")
}

pub fn is_possible(missing: Option<&str>) -> bool {
    missing.is_none_or(skipped)
}

/// A dockerd of our own, which may be treated badly.
pub struct Dockerd {
    folder: Folder,
    child: Child,
    /// Holds its mounts and its network from one life to the next, if it keeps anything.
    holder: Option<Child>,
    args: Vec<&'static str>,
}

impl Dockerd {
    /// None if there cannot be one.
    pub fn start() -> Option<Self> {
        Self::start_with(false, Vec::new())
    }

    /// One that keeps its containers from one life to the next, as far as these arguments let it.
    pub fn keeping(args: &[&'static str]) -> Option<Self> {
        Self::start_with(true, args.to_vec())
    }

    fn start_with(keeps: bool, args: Vec<&'static str>) -> Option<Self> {
        let is_root = Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout == b"0\n");
        let is_possible = (is_root || skipped("a dockerd of our own needs root"))
            && ["docker", "dockerd", "unshare", "nsenter"].into_iter().all(is_there)
            && (Path::new(BUSYBOX).exists() || skipped("there is no busybox"));
        if !is_possible {
            return None;
        }
        let folder = Folder::new();
        let holder = keeps.then(|| {
            let holder = Command::new("unshare").args(["--mount", "--net", "sleep", "10000"]).spawn().unwrap();
            let name = || fs::read_to_string(format!("/proc/{}/comm", holder.id())).unwrap();
            eventually("it has namespaces of its own", || name() == "sleep\n");
            holder
        });
        let child = Self::spawn(&folder, holder.as_ref(), &args);
        let dockerd = Self { folder, child, holder, args };
        dockerd.answers();
        Some(dockerd)
    }

    fn spawn(folder: &Folder, holder: Option<&Child>, args: &[&str]) -> Child {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        // Unless it keeps what is left from one life to the next, what a killed one left behind is in nobody's way.
        let life = if holder.is_some() { 0 } else { COUNT.fetch_add(1, Ordering::Relaxed) + 1 };
        let own = |name: &str| folder.join(&format!("{name}{life}"));
        // Where it shares containerd with the dockerd of this host, it has namespaces of its own there.
        let namespace = folder.path().file_name().unwrap().display().to_string() + &format!("-{life}");
        // Its mounts and its network end with it, or with who holds them.
        let mut command = Command::new(if holder.is_some() { "nsenter" } else { "unshare" });
        command.args(holder.map(|holder| format!("--target={}", holder.id())));
        command
            .args(["--mount", "--net", "dockerd", "--bridge=none", "--iptables=false", "--ip-forward=false", "--storage-driver=vfs"])
            .args(args)
            .arg(format!("--host=unix://{}", folder.join("docker.sock").display()))
            .arg(format!("--containerd-namespace={namespace}"))
            .arg(format!("--containerd-plugins-namespace={namespace}-plugins"))
            .arg("--data-root")
            .arg(own("data"))
            .arg("--exec-root")
            .arg(own("exec"))
            .arg("--pidfile")
            .arg(own("pid"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::options().append(true).create(true).open(folder.join("log")).unwrap())
            .spawn()
            .unwrap()
    }

    pub fn socket(&self) -> PathBuf {
        self.folder.join("docker.sock")
    }

    /// Runs the Docker CLI with it; gives what it printed.
    pub fn docker(&self, args: &[&str]) -> String {
        let host = format!("unix://{}", self.socket().display());
        docker(&[&["--host", &host], args].concat())
    }

    /// Makes an image of busybox.
    pub fn import(&self, name: &str) {
        self.docker(&["import", "--change", "ENV PATH=/bin", &busybox(&self.folder), name]);
    }

    /// Waits until it answers.
    fn answers(&self) {
        let socket = format!("unix://{}", self.socket().display());
        let answers = || Command::new("docker").args(["--host", &socket, "version"]).output().unwrap().status.success();
        let log = || fs::read_to_string(self.folder.join("log")).unwrap_or_default();
        for_a_while(answers).unwrap_or_else(|| panic!("this dockerd never answers: {}", log()));
    }

    /// Sends it a signal, and waits until it has obeyed.
    pub fn signal(&mut self, name: &str) {
        assert!(Command::new("kill").arg(format!("-{name}")).arg(self.child.id().to_string()).status().unwrap().success());
        match name {
            // Its threads stop one after the other.
            "STOP" => eventually("dockerd stands still", || {
                let tasks = fs::read_dir(format!("/proc/{}/task", self.child.id())).unwrap();
                let states = tasks.filter_map(|task| fs::read_to_string(task.unwrap().path().join("stat")).ok());
                states.into_iter().all(|stat| stat.rsplit_once(')').is_some_and(|(_, state)| state.starts_with(" T")))
            }),
            "CONT" => {}
            _ => _ = self.child.wait().unwrap(),
        }
    }

    pub fn restart(&mut self) {
        // Where nobody reaps orphans, the containerd of a dockerd that was killed looks alive to the next one by its number.
        let _ = fs::remove_file(self.folder.join("exec0/containerd/containerd.pid"));
        self.child = Self::spawn(&self.folder, self.holder.as_ref(), &self.args);
        self.answers();
    }

    /// Removes its containers if it still can, which with live-restore would outlive it.
    fn remove_all(&self) {
        let host = format!("unix://{}", self.socket().display());
        let docker = |args: &[&str]| Command::new("docker").args(["--host", &host]).args(args).stderr(Stdio::null()).output();
        if let Ok(ids) = docker(&["ps", "-aq"]) {
            let ids = String::from_utf8_lossy(&ids.stdout).into_owned();
            let _ = docker(&[&["rm", "-f"], &ids.split_whitespace().collect::<Vec<_>>()[..]].concat());
        }
    }

    /// Ends what it has started and left behind: all that has its folder among its arguments, and the children of those, which are
    /// the processes of its containers.
    fn clear(&self) {
        let folder = format!("{}/", self.folder.path().display());
        let pids = || fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
        let is_own = |pid: &u32| fs::read_to_string(format!("/proc/{pid}/cmdline")).is_ok_and(|words| words.contains(&folder));
        let parent = |pid: &u32| -> Option<u32> {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
            stat.rsplit_once(") ")?.1.split(' ').nth(1)?.parse().ok()
        };
        let own: Vec<u32> = pids().filter(is_own).collect();
        let children = pids().filter(|pid| parent(pid).is_some_and(|parent| own.contains(&parent)));
        for pid in children.chain(own.iter().copied()) {
            let _ = Command::new("kill").args(["-9", &pid.to_string()]).stderr(Stdio::null()).status();
        }
    }
}

impl Drop for Dockerd {
    fn drop(&mut self) {
        if self.holder.is_some() {
            self.remove_all();
        }
        self.end();
        self.clear();
        if let Some(holder) = &mut self.holder {
            let _ = holder.kill();
            let _ = holder.wait();
        }
    }
}

impl Dockerd {
    fn end(&mut self) {
        // In good order first, so that the containerd which it started ends too.
        for (name, patience) in [("CONT", Duration::ZERO), ("TERM", Duration::from_secs(15)), ("KILL", Duration::from_secs(5))] {
            let _ = Command::new("kill").arg(format!("-{name}")).arg(self.child.id().to_string()).stderr(Stdio::null()).status();
            let until = Instant::now() + patience;
            while Instant::now() < until {
                if matches!(self.child.try_wait(), Ok(Some(_))) {
                    return;
                }
                thread::sleep(Duration::from_millis(10));
            }
        }
    }
}
