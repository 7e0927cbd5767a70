//! A host in a directory, a relay, an authority: what the tests of `patch-mail` stand on.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use serde_json::Value;

const TOOL: &str = env!("CARGO_BIN_EXE_patch-mail");
const HERE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/mail");
/// When everything happens, unless a test says otherwise.
const NOW: &str = "2026-11-21T02:00:07Z";

/// A host: a root directory of its own.
pub struct Host {
    root: tempfile::TempDir,
}

/// How a run of the tool ended.
#[derive(Debug)]
pub struct Done {
    pub code: i32,
    pub out: String,
    pub err: String,
}

fn done(output: std::process::Output) -> Done {
    Done {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

impl Host {
    pub fn new() -> Self {
        let host = Self { root: tempfile::tempdir().unwrap() };
        host.write("etc/os-release", "ID=debian\nVERSION_ID=12\n");
        host.write("var/keep", "");
        host
    }

    pub fn path(&self, name: &str) -> String {
        self.root.path().join(name).display().to_string()
    }

    pub fn write(&self, name: &str, text: &str) {
        let path = self.root.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    pub fn configure(&self, relay: &Relay, more: &str) {
        self.configure_port(relay.port, more);
    }

    pub fn configure_port(&self, port: u16, more: &str) {
        let text =
            format!("[host]\nname = web01\n[mail]\nto = root, ops@example.org\nrelay = 127.0.0.1:{port}\n{more}");
        self.write("etc/patch/config.ini", &text);
    }

    /// Writes password and authority; gives the lines of the configuration.
    pub fn login(&self, password: &str, ca: &Authority) -> String {
        self.write("etc/patch/mail.password", password);
        let file = self.root.path().join("etc/patch/mail.password");
        std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o600)).unwrap();
        std::fs::copy(ca.file("ca.pem"), self.path("etc/patch/ca.pem")).unwrap();
        "user = fleet\npassword_file = /etc/patch/mail.password\nca_file = /etc/patch/ca.pem\n".into()
    }

    fn tool(&self, args: &[&str]) -> Command {
        let mut command = Command::new(TOOL);
        command.arg("--root").arg(self.root.path());
        if !args.contains(&"--now") {
            command.args(["--now", NOW]);
        }
        command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    pub fn run(&self, args: &[&str]) -> Done {
        done(self.tool(args).stdin(Stdio::null()).output().unwrap())
    }

    pub fn spawn_send(&self, args: &[&str], body: &str) -> Child {
        feed(&mut self.tool(&[&["send"], args].concat()), body)
    }

    pub fn send(&self, args: &[&str], body: &str) -> Done {
        done(self.spawn_send(args, body).wait_with_output().unwrap())
    }

    pub fn deliver(&self, now: &str) -> Done {
        self.run(&["--now", now, "deliver"])
    }

    pub fn list(&self) -> Done {
        self.run(&["list"])
    }

    pub fn json_list(&self) -> Value {
        serde_json::from_str(&self.run(&["list", "--json"]).out).unwrap()
    }

    pub fn hours_later(hours: u32) -> String {
        let (day, hour) = (21 + hours / 24, hours % 24);
        format!("2026-11-{day:02}T{hour:02}:30:00Z")
    }

    pub fn folder(&self, name: &str) -> Vec<String> {
        let Ok(entries) = std::fs::read_dir(self.root.path().join("var/spool/patch").join(name)) else {
            return Vec::new();
        };
        let mut names: Vec<String> =
            entries.map(|e| e.unwrap().file_name().into_string().unwrap()).filter(|n| !n.starts_with('.')).collect();
        names.sort();
        names
    }

    pub fn forget(&self) {
        let _ = std::fs::remove_dir_all(self.root.path().join("var/spool"));
    }

    /// Runs a script that may mount: `$R` is the root, `$M` the tool.
    pub fn in_mount_namespace(&self, script: &str) -> Done {
        let mut command = Command::new("unshare");
        command.args(["--mount", "--propagation", "private", "sh", "-c", script]);
        command.env("R", self.root.path()).env("M", TOOL).stdin(Stdio::null());
        done(command.output().unwrap())
    }

    /// Keeps the spool as it is now for [`Host::restore`].
    pub fn save(&self) {
        run(Command::new("cp")
            .arg("-a")
            .arg(self.root.path().join("var/spool"))
            .arg(self.root.path().join("var/saved")));
    }

    pub fn restore(&self) {
        self.forget();
        run(Command::new("cp")
            .arg("-a")
            .arg(self.root.path().join("var/saved"))
            .arg(self.root.path().join("var/spool")));
    }

    /// Kills the tool at every call of these kinds in turn, and looks after each at what is left.
    pub fn kill_everywhere(
        &self,
        calls: &[&str],
        args: &[&str],
        before: &mut dyn FnMut(),
        after: &mut dyn FnMut(&str),
    ) -> usize {
        let mut points = 0;
        for call in calls {
            for nth in 1.. {
                before();
                if !self.killed_at(call, nth, args) {
                    after(&format!("not killed: {call} has fewer than {nth}"));
                    break;
                }
                after(&format!("killed at {call} {nth}"));
                points += 1;
            }
        }
        points
    }

    fn killed_at(&self, call: &str, nth: usize, args: &[&str]) -> bool {
        let mut command = Command::new("strace");
        let inject = format!("inject={call}:signal=KILL:when={nth}");
        command.args(["-f", "-qq", "-o", "/dev/null", "-e", &format!("trace={call}"), "-e", &inject, TOOL]);
        command.arg("--root").arg(self.root.path());
        if !args.contains(&"--now") {
            command.args(["--now", NOW]);
        }
        command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let output = feed(&mut command, "b").wait_with_output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!text.contains("strace:"), "{text}");
        output.status.signal() == Some(9) || output.status.code() == Some(137)
    }
}

fn feed(command: &mut Command, body: &str) -> Child {
    let mut child = command.spawn().unwrap();
    // It may be gone before it has read all.
    let _ = child.stdin.take().unwrap().write_all(body.as_bytes());
    child
}

/// How a relay protects its connections.
#[derive(Clone, Copy)]
pub enum Tls<'a> {
    None,
    Starttls(&'a Authority),
    Implicit(&'a Authority),
}

/// A running relay. It ends with the test.
pub struct Relay {
    child: Child,
    pub port: u16,
    pub tls: &'static str,
    dir: tempfile::TempDir,
}

impl Relay {
    pub fn start(args: &[&str], tls: Tls) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (name, ca) = match tls {
            Tls::None => ("none", None),
            Tls::Starttls(ca) => ("starttls", Some(ca)),
            Tls::Implicit(ca) => ("implicit", Some(ca)),
        };
        let mut command = Command::new(python());
        command.arg(format!("{HERE}/relay.py")).arg("--dir").arg(dir.path()).args(["--tls", name]).args(args);
        if let Some(ca) = ca {
            command.arg("--cert").arg(ca.file("server.pem")).arg("--key").arg(ca.file("server.key"));
        }
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let port = line.trim().parse().expect("the relay did not start");
        Self { child, port, tls: name, dir }
    }

    /// Ends it, and frees its port for another.
    pub fn stop(&mut self) -> u16 {
        self.end();
        self.port
    }

    fn end(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    pub fn mails(&self) -> Vec<Mail> {
        let mut files: Vec<PathBuf> = std::fs::read_dir(self.dir.path()).unwrap().map(|e| e.unwrap().path()).collect();
        files.retain(|path| path.extension().is_some_and(|e| e == "eml"));
        files.sort();
        files.iter().map(|path| Mail::read(path)).collect()
    }

    /// The Message-IDs of what has come since the last call.
    pub fn take_ids(&self) -> Vec<String> {
        let mut ids = Vec::new();
        for entry in std::fs::read_dir(self.dir.path()).unwrap() {
            let path = entry.unwrap().path();
            let text = String::from_utf8(std::fs::read(&path).unwrap()).unwrap();
            std::fs::remove_file(&path).unwrap();
            ids.extend(text.lines().find_map(|line| line.strip_prefix("Message-ID: ")).map(str::to_string));
        }
        ids.sort();
        ids
    }

    pub fn only(&self) -> Mail {
        let mut mails = self.mails();
        assert_eq!(mails.len(), 1);
        mails.remove(0)
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.end();
    }
}

/// A mail as Python's email package reads it.
pub struct Mail(Value);

impl Mail {
    fn read(path: &Path) -> Self {
        let output = Command::new(python()).arg(format!("{HERE}/read.py")).arg(path).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Self(serde_json::from_slice(&output.stdout).unwrap())
    }

    fn all(&self, name: &str) -> Vec<String> {
        let headers = self.0["headers"].as_array().unwrap();
        headers.iter().filter(|h| h[0] == name).map(|h| h[1].as_str().unwrap().to_string()).collect()
    }

    pub fn header(&self, name: &str) -> String {
        let mut found = self.all(name);
        assert_eq!(found.len(), 1, "{name} in {}", self.0);
        found.remove(0)
    }

    pub fn has(&self, name: &str) -> bool {
        !self.all(name).is_empty()
    }

    pub fn body(&self) -> String {
        self.0["body"].as_str().unwrap().to_string()
    }

    pub fn file(&self, name: &str) -> (String, String) {
        let file = &self.0["files"][name];
        (file[0].as_str().unwrap().to_string(), file[1].as_str().unwrap().to_string())
    }

    pub fn defects(&self) -> Vec<Value> {
        self.0["defects"].as_array().unwrap().clone()
    }
}

/// An authority and a server certificate of its for 127.0.0.1.
pub struct Authority {
    dir: tempfile::TempDir,
}

impl Authority {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        // Two authorities of one name would be told apart by their signatures only.
        let name = format!("/CN=authority {}", dir.path().display()).replace("/tmp/", "");
        let script = "set -e
            openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key -out ca.pem -days 2 \
              -subj \"$NAME\" -addext basicConstraints=critical,CA:TRUE -addext keyUsage=keyCertSign
            openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout server.key -out server.csr -subj /CN=relay
            printf 'subjectAltName=IP:127.0.0.1,DNS:localhost\\nbasicConstraints=CA:FALSE\\n' >ext
            openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile ext -out server.pem";
        let output =
            Command::new("sh").args(["-c", script]).env("NAME", name).current_dir(dir.path()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Self { dir }
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }
}

/// As `read.py` shows a binary file.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

/// The interpreter that has aiosmtpd.
fn python() -> &'static Path {
    static PYTHON: OnceLock<PathBuf> = OnceLock::new();
    PYTHON.get_or_init(|| {
        if let Some(named) = std::env::var_os("PATCHFLAG_PYTHON") {
            return PathBuf::from(named);
        }
        let venv = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap().join("venv");
        let python = venv.join("bin/python");
        let works = |python: &Path| {
            Command::new(python).args(["-c", "import aiosmtpd"]).output().is_ok_and(|output| output.status.success())
        };
        if !works(&python) {
            run(Command::new("python3").args(["-m", "venv"]).arg(&venv));
            run(Command::new(&python).args(["-m", "pip", "install", "--quiet", "aiosmtpd"]));
        }
        python
    })
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}
