//! A daemon with a directory of its own, ended with the test.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Both have `s3cret`.
pub const CLIENTS: &str = "
[client all]
secret_sha256 = 1ec1c26b50d5d3c58d9583181af8076655fe00756bf7285940ba3670f99fcba0
owners = *
locks = *
admin = yes
[client web]
secret_sha256 = 1ec1c26b50d5d3c58d9583181af8076655fe00756bf7285940ba3670f99fcba0
owners = web*
locks = web, rack-?
";

pub struct Daemon {
    child: Child,
    pub address: SocketAddr,
    pub dir: PathBuf,
    scratch: Option<tempfile::TempDir>,
}

impl Daemon {
    /// One that lets `all` and `web` in, both with `s3cret`.
    pub fn start() -> Self {
        Self::with(CLIENTS)
    }

    /// One with these sections besides `[lockd]`.
    pub fn with(sections: &str) -> Self {
        Self::with_lockd("", sections)
    }

    /// One with these keys in `[lockd]` as well.
    pub fn with_lockd(keys: &str, sections: &str) -> Self {
        let scratch = tempfile::tempdir().unwrap();
        let mut daemon = Self::in_dir(scratch.path(), keys, sections);
        daemon.scratch = Some(scratch);
        daemon
    }

    /// One whose directory is somebody else's to remove.
    pub fn in_dir(dir: &Path, keys: &str, sections: &str) -> Self {
        configure(dir, keys, sections);
        let (child, address) = spawn(dir);
        Self { child, address, dir: dir.to_path_buf(), scratch: None }
    }

    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.pid()), signal).unwrap();
    }

    pub fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).unwrap()
    }

    /// Kills it where it stands, and starts another one on what it left.
    pub fn kill_and_restart(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        let (child, address) = spawn(&self.dir);
        self.child = child;
        self.address = address;
    }

    /// What it has said on standard error, once it has ended.
    pub fn said(&mut self) -> String {
        let mut words = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut words).unwrap();
        words
    }

    /// Waits for its end.
    pub fn end(&mut self) -> ExitStatus {
        let end = Instant::now() + Duration::from_secs(15);
        while Instant::now() < end {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("the daemon does not end");
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Writes its configuration.
pub fn configure(dir: &Path, keys: &str, sections: &str) {
    let path = dir.join("lockd.ini");
    let text = format!("[lockd]\nlisten = 127.0.0.1:0\nstore = {}/store/locks.db\n{keys}\n{sections}", dir.display());
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

pub fn command(dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_patch-lockd"));
    command.arg("--config").arg(dir.join("lockd.ini")).stdin(Stdio::null());
    command
}

fn spawn(dir: &Path) -> (Child, SocketAddr) {
    let mut child = command(dir).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    // Nobody reads the rest; it is a line or two.
    let Some(address) = line.trim().strip_prefix("listening on ") else {
        let mut words = String::new();
        child.stderr.take().unwrap().read_to_string(&mut words).unwrap();
        panic!("it does not start: {words}");
    };
    (child, address.parse().unwrap())
}
