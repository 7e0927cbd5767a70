//! A patch server of one's own for a test, and the checker that says whether its tree is whole.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use patchflag::cluster::manifest::Cluster;
use patchflag::cluster::pointer::Pointer;
use patchflag::cluster::signature::Verifier;
use patchflag::cluster::{digest, tree};

pub const RELEASE: &str = "debian-12/amd64";

pub struct Site {
    pub dir: tempfile::TempDir,
}

impl Site {
    /// With a key, an empty tree and one section for [`RELEASE`].
    pub fn new(section: &str) -> Self {
        let site = Self { dir: tempfile::tempdir().unwrap() };
        fs::create_dir(site.tree()).unwrap();
        site.configure("", section);
        site.ok(&["keygen"]);
        site
    }

    pub fn configure(&self, pull: &str, section: &str) {
        let (tree, key) = (self.tree(), self.at("patch.key"));
        let text = format!(
            "[pull]\ntree = {}\nsecret_key = {}\n{pull}\n[cluster {RELEASE}]\n{section}\n",
            tree.display(),
            key.display()
        );
        fs::write(self.at("config.ini"), text).unwrap();
    }

    pub fn at(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn tree(&self) -> PathBuf {
        self.at("tree")
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pull-cluster"));
        command
            .arg("--config")
            .arg(self.at("config.ini"))
            .args(args)
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/bin");
        command
    }

    pub fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    /// Runs it, expects success, and gives what it printed.
    pub fn ok(&self, args: &[&str]) -> String {
        let done = self.run(args);
        assert!(done.status.success(), "{args:?}: {done:?}");
        String::from_utf8(done.stdout).unwrap().trim().to_string()
    }

    /// Runs it, expects this exit code, and gives what it complained.
    pub fn fails(&self, code: i32, args: &[&str]) -> String {
        let done = self.run(args);
        assert_eq!(done.status.code(), Some(code), "{args:?}: {done:?}");
        String::from_utf8(done.stderr).unwrap().trim().to_string()
    }

    pub fn pointer(&self, level: &str) -> Option<Pointer> {
        let bytes = fs::read(self.tree().join(RELEASE).join(level)).ok()?;
        Some(Pointer::parse(&bytes, level).unwrap())
    }

    /// Whether every pointer is signed and names a cluster that is signed and whole, and every cluster that can be seen is.
    pub fn is_whole(&self) -> Result<(), String> {
        let verifier = Verifier::load(&self.at("patch.pub")).map_err(|why| why.to_string())?;
        let signed = |relative: &str| -> Result<Vec<u8>, String> {
            let read = |path: &str| fs::read(self.tree().join(path)).map_err(|why| format!("{path}: {why}"));
            let bytes = read(relative)?;
            verifier.verify(&bytes, &read(&tree::signature(relative))?, relative).map_err(|why| why.to_string())?;
            Ok(bytes)
        };
        let clusters = fs::read_dir(self.tree().join(RELEASE).join("clusters")).map(Iterator::collect::<Vec<_>>);
        for entry in clusters.unwrap_or_default() {
            let id = entry.unwrap().file_name().into_string().unwrap();
            if id.starts_with('.') {
                continue;
            }
            let cluster = Cluster::parse(&signed(&tree::manifest(RELEASE, &id))?).map_err(|why| why.to_string())?;
            for file in cluster.files {
                let pooled = fs::File::open(self.tree().join(tree::pool(&file.sha256)));
                let found = pooled.and_then(digest::of).map_err(|why| format!("{}: {why}", file.path))?;
                if (found.size, &found.sha256, &found.md5) != (file.size, &file.sha256, &file.md5) {
                    return Err(format!("{} of {id} is damaged", file.path));
                }
            }
        }
        for level in ["development", "production"] {
            let relative = format!("{RELEASE}/{level}");
            if self.tree().join(&relative).exists() {
                let pointer = Pointer::parse(&signed(&relative)?, level).map_err(|why| why.to_string())?;
                let bytes = signed(&tree::manifest(RELEASE, &pointer.id))?;
                let cluster = Cluster::parse(&bytes).map_err(|why| why.to_string())?;
                if digest::of_bytes(&bytes).sha256 != pointer.sha256 || cluster.sequence != pointer.sequence {
                    return Err(format!("{relative} and its cluster are mixed"));
                }
            }
        }
        Ok(())
    }

    /// Whether minisign itself accepts a file of the tree.
    pub fn minisign_accepts(&self, relative: &str) -> bool {
        let mut minisign = Command::new("minisign");
        minisign.arg("-Vqm").arg(self.tree().join(relative)).arg("-p").arg(self.at("patch.pub"));
        minisign.status().unwrap().success()
    }

    /// The files of the pool.
    pub fn pool(&self) -> Vec<PathBuf> {
        let files = walkdir::WalkDir::new(self.tree().join("pool")).into_iter().filter_map(Result::ok);
        files.filter(|entry| entry.file_type().is_file()).map(walkdir::DirEntry::into_path).collect()
    }
}

/// Runs a shell script; it must succeed.
pub fn sh(dir: &Path, script: &str) {
    let done = Command::new("sh").args(["-euc", script]).current_dir(dir).output().unwrap();
    assert!(done.status.success(), "{script}: {}", String::from_utf8_lossy(&done.stderr));
}

/// A web server of Python's over a directory.
pub struct Web {
    child: Child,
    pub url: String,
}

impl Web {
    pub fn serve(dir: &Path) -> Self {
        let mut child = Command::new("python3")
            .args(["-u", "-m", "http.server", "0", "--bind", "127.0.0.1"])
            .current_dir(dir)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let port = line.split("port ").nth(1).unwrap().split(' ').next().unwrap();
        Self { url: format!("http://127.0.0.1:{port}"), child }
    }
}

impl Drop for Web {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
