//! A directory of modules with its manifest, and the tool at work on it.

use std::fmt::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

pub struct Bench {
    scratch: tempfile::TempDir,
}

impl Bench {
    /// Modules that a manifest names; nothing is there but it.
    pub fn new(manifest: &str) -> Self {
        let bench = Self { scratch: tempfile::tempdir().unwrap() };
        std::fs::create_dir(bench.dir()).unwrap();
        std::fs::write(bench.path("manifest.json"), manifest).unwrap();
        let at = |name: &str| bench.scratch.path().join(name).display().to_string();
        let config = format!("[modules]\ndir = {}\nstate = {}\nlog = {}\n", at("modules"), at("state"), at("log"));
        std::fs::write(bench.scratch.path().join("config.ini"), config).unwrap();
        bench
    }

    /// Modules with a program each that says its name into the file `ran`, and a manifest without checksums. `fields` is what the
    /// manifest says of each besides its name.
    pub fn of(modules: &[(&str, &str)]) -> Self {
        let mut list = String::new();
        for (name, fields) in modules {
            let comma = if fields.is_empty() { "" } else { ", " };
            write!(list, "{}    {{\"name\": \"{name}\"{comma}{fields}}}", if list.is_empty() { "" } else { ",\n" })
                .unwrap();
        }
        let bench = Self::new(&format!("{{\n  \"updates\": [\n{list}\n  ]\n}}\n"));
        for (name, _) in modules {
            bench.program(name, &format!("echo {name} >> {}", bench.ran().display()));
        }
        bench
    }

    pub fn dir(&self) -> PathBuf {
        self.scratch.path().join("modules")
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir().join(name)
    }

    pub fn state(&self, name: &str) -> PathBuf {
        self.scratch.path().join("state").join(name)
    }

    pub fn log(&self, name: &str) -> PathBuf {
        self.scratch.path().join("log").join(format!("{name}.log"))
    }

    pub fn ran(&self) -> PathBuf {
        self.scratch.path().join("ran")
    }

    /// What ran, in order.
    pub fn who_ran(&self) -> Vec<String> {
        std::fs::read_to_string(self.ran()).unwrap_or_default().lines().map(String::from).collect()
    }

    /// Adds a line to the configuration.
    pub fn configure(&self, line: &str) {
        let path = self.scratch.path().join("config.ini");
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(path, format!("{text}{line}\n")).unwrap();
    }

    /// The program of a module.
    pub fn program(&self, module: &str, body: &str) {
        std::fs::create_dir_all(self.path(module)).unwrap();
        executable(&self.path(&format!("{module}/index")), &format!("#!/bin/sh\n{body}\n"));
    }

    pub fn manifest(&self) -> String {
        std::fs::read_to_string(self.path("manifest.json")).unwrap()
    }

    pub fn write_manifest(&self, text: &str) {
        std::fs::write(self.path("manifest.json"), text).unwrap();
    }

    /// git in the modules' directory, with nobody's own configuration; it must succeed.
    pub fn git(&self, args: &[&str]) -> String {
        let mut command = Command::new("git");
        for (key, value) in [("user.name", "t"), ("user.email", "t@example.org"), ("init.defaultBranch", "main")] {
            command.arg("-c").arg(format!("{key}={value}"));
        }
        command.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_SYSTEM", "/dev/null").current_dir(self.dir());
        let done = command.args(args).output().unwrap();
        assert!(done.status.success(), "{args:?}: {done:?}");
        String::from_utf8_lossy(&done.stdout).into_owned()
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_patch-modules"));
        command.arg("--config").arg(self.scratch.path().join("config.ini")).args(args);
        command
    }

    pub fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    /// Runs it; its code, and what it said on both outputs.
    pub fn says(&self, args: &[&str]) -> (i32, String) {
        let done = self.run(args);
        let words = String::from_utf8_lossy(&done.stdout).into_owned() + &String::from_utf8_lossy(&done.stderr);
        (done.status.code().unwrap_or(-1), words)
    }

    /// Runs it; it must succeed.
    pub fn well(&self, args: &[&str]) -> String {
        let (code, words) = self.says(args);
        assert_eq!(code, 0, "{args:?}: {words}");
        words
    }

    /// Runs it; it must end with this code and these words.
    pub fn fails(&self, args: &[&str], code: i32, expected: &str) -> String {
        let (is, words) = self.says(args);
        assert_eq!(is, code, "{args:?}: {words}");
        assert!(words.contains(expected), "{args:?}: {words}");
        words
    }
}

pub fn executable(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}
