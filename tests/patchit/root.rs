//! A bare sysvinit host as far as patchit looks at one, below a root of its own.

use std::fs;
use std::process::{Command, Output};

use patchflag::cluster::digest;
use patchflag::cluster::manifest::{Cluster, FORMAT, FileEntry, Kind};
use patchflag::cluster::signature::{self, Signer};
use patchflag::cluster::tree;
use patchflag::flag::record::Draft;
use patchflag::flag::state::State;
use patchflag::sys::clock;

pub const RUN: &str = "20261121T014000Z.7";
pub const THIS_BOOT: &str = "this/100";
pub const STAGED: &str = "2026-11-21T01:40:05Z";
pub const ID: &str = "20261121T013000Z";
pub const RELEASE: &str = "debian-12/amd64";
pub const INSTALL_DIR: &str = "/var/lib/patch/web/20261121T013000Z";
pub const ORDERED: &str = "2026-11-21T02:00:00Z";

/// Which boot patchit finds itself in, as init tells it.
#[derive(Clone, Copy)]
pub enum Boot {
    /// At level 2.
    Normal,
    /// At level 1, straight from the boot loader.
    Maintenance,
}

pub struct Root(pub tempfile::TempDir);

impl Root {
    /// Idle, at the normal level, with this much in section [patchit].
    pub fn new(patchit: &str) -> Self {
        let root = Self(tempfile::tempdir().unwrap());
        root.write("etc/patch/config.ini", &format!("[patchit]\n{patchit}\n"));
        root.write("etc/inittab", "id:2:initdefault:\n");
        root.write("etc/hostname", "web01\n");
        root.write("sbin/init", "");
        root.write("proc/cmdline", "ro quiet\n");
        root.write("proc/uptime", "1000.00 1.00\n");
        root.write("proc/1/stat", "1 (init) S 0 1 1 0 -1 4194560 1 1 1 1 1 1 1 1 20 0 1 0 100 1 1\n");
        root.write("proc/sys/kernel/random/boot_id", "this\n");
        root.write("proc/sys/kernel/osrelease", "6.1.0-1-amd64\n");
        for folder in ["etc/rc2.d", "run", "var/spool", "var/lib"] {
            fs::create_dir_all(root.0.path().join(folder)).unwrap();
        }
        root
    }

    /// The same, armed and staged.
    pub fn staged(patchit: &str, flag: &str) -> Self {
        let root = Self::new(patchit);
        root.write("etc/patchflag", flag);
        root.record(STAGED, &Draft::state(State::Fetching));
        let sha256 = root.stage(1);
        let staged = Draft::state(State::Staged).field("install_dir", INSTALL_DIR).field("sha256", sha256);
        root.record(STAGED, &staged);
        root
    }

    /// The signed list of a cluster, as grab-patch has put it there; returns its digest.
    pub fn stage(&self, sequence: u64) -> String {
        let at = |name: &str| self.0.path().join(name);
        let (secret, now) = (at("secret.key"), clock::parse(STAGED).unwrap());
        if !secret.exists() {
            signature::generate(&secret, &at("etc/patch/patchflag.pub")).unwrap();
        }
        let nothing = digest::of_bytes(b"");
        let file = FileEntry { path: "web.tar.gz".into(), size: 0, sha256: nothing.sha256, md5: nothing.md5 };
        let cluster = Cluster {
            format: FORMAT,
            name: "test".into(),
            id: ID.into(),
            sequence,
            expires: "2099-01-01T00:00:00Z".into(),
            release: RELEASE.into(),
            kind: Kind::Script,
            program: Some("install_cluster".into()),
            files: vec![file],
            advisories: Vec::new(),
        };
        let bytes = cluster.to_bytes().unwrap();
        let signed = Signer::load(&secret).unwrap().sign(&bytes, &tree::manifest(RELEASE, ID), now).unwrap();
        self.write(&format!("{INSTALL_DIR}/{}", tree::MANIFEST)[1..], std::str::from_utf8(&bytes).unwrap());
        self.write(&format!("{INSTALL_DIR}/{}", tree::signature(tree::MANIFEST))[1..], &signed);
        digest::of_bytes(&bytes).sha256
    }

    /// The same, with a maintenance boot ordered in this boot or in another one.
    pub fn ordered(patchit: &str, boot: &str) -> Self {
        let root = Self::staged(patchit, "");
        root.record(ORDERED, &Draft::state(State::Ordered).field("boot", boot).field("level", "2"));
        root.write("etc/inittab", "id:1:initdefault: # patchflag: was 2\n");
        root
    }

    pub fn write(&self, name: &str, text: &str) {
        let path = self.0.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    pub fn record(&self, time: &str, draft: &Draft) {
        let log = fs::read_to_string(self.0.path().join("etc/patchlog")).unwrap_or_default();
        let line = draft.line(clock::parse(time).unwrap(), "test", 7, RUN);
        self.write("etc/patchlog", &format!("{log}{line}\n"));
    }

    pub fn patchit(&self, now: &str, boot: Boot, args: &[&str]) -> Output {
        let (previous, level) = match boot {
            Boot::Normal => ("N", "2"),
            Boot::Maintenance => ("N", "1"),
        };
        let mut command = Command::new(env!("CARGO_BIN_EXE_patchit"));
        command.arg("--root").arg(self.0.path()).args(["--now", now]).args(args);
        let command = command.env_clear().env("PREVLEVEL", previous).env("RUNLEVEL", level).env("TZ", "UTC");
        command.output().unwrap()
    }

    /// A tick at this moment at the normal level; it must not fail.
    pub fn tick(&self, now: &str) -> String {
        let done = self.patchit(now, Boot::Normal, &[]);
        assert!(done.status.success(), "{done:?}");
        String::from_utf8(done.stdout).unwrap()
    }

    /// What `--explain` says at this moment; it changes nothing.
    pub fn explains(&self, now: &str) -> String {
        let before = self.listing();
        let done = self.patchit(now, Boot::Normal, &["--explain"]);
        assert_eq!(self.listing(), before, "--explain has changed something");
        String::from_utf8(done.stdout).unwrap()
    }

    /// Every file below the root with its text, but for the host lock: that is taken before anything is read.
    pub fn listing(&self) -> Vec<(String, String)> {
        let files = walkdir::WalkDir::new(self.0.path()).sort_by_file_name().into_iter().map(Result::unwrap);
        let files = files.filter(|entry| entry.file_type().is_file() && !entry.path().ends_with("run/patch/lock"));
        files.map(|entry| (entry.path().display().to_string(), fs::read_to_string(entry.path()).unwrap())).collect()
    }

    /// The journal, dated or not.
    pub fn log(&self) -> String {
        let read = |name: &str| fs::read_to_string(self.0.path().join(name));
        read("etc/patchlog").or_else(|_| read("etc/patchlog.261121")).unwrap()
    }

    /// The states that the journal has reached since `staged`.
    pub fn states(&self) -> Vec<String> {
        let log = self.log();
        let words = log.split_whitespace().filter_map(|word| word.strip_prefix("state="));
        words.skip(2).map(str::to_string).collect()
    }

    pub fn inittab(&self) -> String {
        fs::read_to_string(self.0.path().join("etc/inittab")).unwrap()
    }

    pub fn mails(&self) -> usize {
        fs::read_dir(self.0.path().join("var/spool/patch/queue")).map_or(0, Iterator::count)
    }

    /// The run is over, it failed, and nothing was installed; init has its own level back.
    pub fn assert_failed(&self, because: &str) {
        assert_eq!(self.states().iter().rev().take(2).collect::<Vec<_>>(), ["failed", "failing"], "{}", self.log());
        assert!(!self.log().contains("state=installing"), "{}", self.log());
        assert!(self.log().contains(because), "{}", self.log());
        assert_eq!(self.inittab(), "id:2:initdefault:\n");
        assert!(!self.0.path().join("etc/patchflag").exists());
        assert_eq!(self.mails(), 1);
    }
}
