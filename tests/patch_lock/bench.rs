//! Hosts for the tests of `patch-lock`: roots of their own, and the real binary run on them.

use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};

/// A host: a root below which `patch-lock` works.
pub struct Host {
    keep: tempfile::TempDir,
}

/// How a call ended.
#[derive(Debug)]
pub struct Said {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl From<Output> for Said {
    fn from(output: Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self { code: output.status.code().unwrap_or(-1), out: text(&output.stdout), err: text(&output.stderr) }
    }
}

impl Host {
    /// A host with a name, a machine id and the `[lock]` section that follows.
    pub fn new(name: &str, digit: char, section: &str) -> Self {
        let host = Self { keep: tempfile::tempdir().unwrap() };
        host.write("etc/machine-id", &digit.to_string().repeat(32));
        host.write("proc/sys/kernel/random/boot_id", "0a1b-2c\n");
        host.write("proc/1/stat", &format!("1 (init) S {}4711 1 2 3\n", "0 ".repeat(18)));
        host.write("proc/uptime", "100.00 0\n");
        host.write("proc/cmdline", "quiet\n");
        host.configure(name, section);
        host
    }

    pub fn configure(&self, name: &str, section: &str) {
        self.write("etc/patch/config.ini", &format!("[host]\nname = {name}\n[lock]\n{section}"));
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.keep.path().join(name)
    }

    pub fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    }

    /// A file that only root may read.
    pub fn write_secret(&self, name: &str, text: &str) {
        self.write(name, text);
        std::fs::set_permissions(self.path(name), std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    }

    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_patch-lock"));
        command.arg("--root").arg(self.keep.path()).args(args);
        command
    }

    pub fn run(&self, args: &[&str]) -> Said {
        self.command(args).stdin(Stdio::null()).output().unwrap().into()
    }

    /// Starts it with the signals of a login: whoever runs the tests may have ignored some, as nohup(1) does.
    pub fn start(&self, args: &[&str]) -> Child {
        let mut command = Command::new("env");
        command.args(["--default-signal=HUP,INT,TERM", env!("CARGO_BIN_EXE_patch-lock"), "--root"]);
        command.arg(self.keep.path()).args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().unwrap()
    }

    /// What is remembered of locks taken by hand.
    pub fn grants(&self) -> String {
        self.read("var/lib/patch/grants")
    }
}

/// Sends a signal to one process that this test started.
pub fn signal(child: &Child, signal: nix::sys::signal::Signal) {
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(i32::try_from(child.id()).unwrap()), signal).unwrap();
}

/// Waits until something holds, for at most ten seconds.
pub fn until(what: &str, holds: impl Fn() -> bool) {
    let end = std::time::Instant::now() + std::time::Duration::from_secs(10);
    while !holds() {
        assert!(std::time::Instant::now() < end, "never: {what}");
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
}
