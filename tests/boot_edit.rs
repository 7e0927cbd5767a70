//! The trigger of the maintenance boot survives a kill and an error at every system call: what stands on disk is always the old
//! state or the new one, and undoing it always leads back.
//!
//! The change is made by this test binary itself, started again below strace(1), which kills it at the Nth call.

#![allow(clippy::unwrap_used)]

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};

use patchflag::boot::init::{self, Trigger};
use patchflag::paths::Paths;

const PLAIN: &str = "# default\nid:3:initdefault:\nsi::sysinit:/etc/init.d/rcS\n";
const ORDERED: &str = "# default\nid:1:initdefault: # patchflag: was 3\nsi::sysinit:/etc/init.d/rcS\n";
/// Every call by which the library changes something on disk.
const CALLS: [&str; 8] = ["openat", "write", "fchown", "fchmod", "fsync", "/^rename", "unlinkat", "symlinkat"];
/// Names the root to work on; only the process that is traced has it.
const ROOT: &str = "PATCHFLAG_TEST_ROOT";

struct Root {
    dir: tempfile::TempDir,
}

impl Root {
    fn sysvinit(inittab: &str) -> Self {
        let root = Self::bare();
        std::fs::write(root.at("sbin/init"), "").unwrap();
        std::fs::write(root.at("etc/inittab"), inittab).unwrap();
        std::fs::set_permissions(root.at("etc/inittab"), std::fs::Permissions::from_mode(0o640)).unwrap();
        std::os::unix::fs::chown(root.at("etc/inittab"), None, Some(4)).unwrap();
        root
    }

    fn systemd() -> Self {
        let root = Self::bare();
        std::fs::create_dir_all(root.at("run/systemd/system")).unwrap();
        root
    }

    fn bare() -> Self {
        let dir = tempfile::tempdir().unwrap();
        for folder in ["etc", "sbin", "var/lib"] {
            std::fs::create_dir_all(dir.path().join(folder)).unwrap();
        }
        Self { dir }
    }

    fn at(&self, path: &str) -> PathBuf {
        self.dir.path().join(path)
    }

    fn paths(&self) -> Paths {
        Paths::below_root(self.dir.path()).unwrap()
    }

    /// Runs one of the children below with `inject` done to the Nth call; the paths are those that the library works on.
    fn run(&self, child: &str, inject: &str) -> ExitStatus {
        let mut strace = Command::new("strace");
        strace.args(["-f", "-qq", "-o", "/dev/null", "-e", inject]);
        for path in [
            "",
            "etc",
            "etc/inittab",
            "etc/.inittab.draft",
            "var",
            "var/lib",
            "var/lib/patch",
            "var/lib/patch/system-update",
            "var/lib/patch/system-update/.patchflag.draft",
            "system-update",
        ] {
            strace.arg("-P").arg(self.at(path).to_string_lossy().trim_end_matches('/'));
        }
        let ours = std::env::current_exe().unwrap();
        let output = strace
            .arg(ours)
            .args(["--ignored", "--exact", child, "--test-threads=1"])
            .env(ROOT, self.dir.path())
            .output()
            .expect("cannot run strace: apt-get install strace");
        output.status
    }

    /// Kills the child at every call that there is, and looks at what is left each time; returns how often it was killed.
    fn killed_everywhere(make: impl Fn() -> Self, child: &str, look: impl Fn(&Self)) -> usize {
        let mut kills = 0;
        for call in CALLS {
            for number in 1.. {
                let root = make();
                if root.run(child, &format!("inject={call}:signal=KILL:when={number}")).success() {
                    break;
                }
                kills += 1;
                look(&root);
            }
        }
        kills
    }
}

fn inittab(root: &Root) -> String {
    let stat = std::fs::metadata(root.at("etc/inittab")).unwrap();
    assert_eq!((stat.mode() & 0o7777, stat.gid()), (0o640, 4), "mode and owner are kept");
    std::fs::read_to_string(root.at("etc/inittab")).unwrap()
}

fn is_old_or_new(root: &Root) {
    let text = inittab(root);
    assert!(text == PLAIN || text == ORDERED, "{text:?}");
    init::open(&root.paths()).undo().unwrap();
    assert_eq!(inittab(root), PLAIN);
}

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Not a test: what the traced process does.
#[test]
#[ignore = "started by the other tests, below strace"]
fn child_orders() {
    if let Ok(root) = std::env::var(ROOT) {
        init::open(&Paths::below_root(Path::new(&root)).unwrap()).order().unwrap();
    }
}

/// Not a test: what the traced process does.
#[test]
#[ignore = "started by the other tests, below strace"]
fn child_undoes() {
    if let Ok(root) = std::env::var(ROOT) {
        init::open(&Paths::below_root(Path::new(&root)).unwrap()).undo().unwrap();
    }
}

#[test]
fn an_order_killed_anywhere_leaves_the_old_inittab_or_the_new_one() {
    let kills = Root::killed_everywhere(|| Root::sysvinit(PLAIN), "child_orders", is_old_or_new);
    assert!(kills >= 6, "only {kills} places to be killed at were found");
}

#[test]
fn an_undo_killed_anywhere_leaves_the_old_inittab_or_the_new_one() {
    let kills = Root::killed_everywhere(|| Root::sysvinit(ORDERED), "child_undoes", is_old_or_new);
    assert!(kills >= 6, "only {kills} places to be killed at were found");
}

#[test]
fn a_draft_that_a_kill_left_is_gone_after_the_next_order() {
    let root = Root::sysvinit(PLAIN);
    assert!(!root.run("child_orders", "inject=/^rename:signal=KILL:when=1").success());
    init::open(&root.paths()).order().unwrap();
    assert_eq!(inittab(&root), ORDERED);
    assert_eq!(names(&root.at("etc")), ["inittab"]);
}

#[test]
fn an_order_that_meets_a_full_or_broken_disk_changes_nothing_and_says_so() {
    for inject in ["write:error=ENOSPC:when=1", "fsync:error=EIO:when=1", "/^rename:error=EROFS:when=1"] {
        let root = Root::sysvinit(PLAIN);
        assert!(!root.run("child_orders", &format!("inject={inject}")).success(), "{inject}");
        assert_eq!(inittab(&root), PLAIN, "{inject}");
        assert_eq!(names(&root.at("etc")), ["inittab"], "{inject}");
    }
}

#[test]
fn a_link_that_stands_always_leads_to_our_sign() {
    let kills = Root::killed_everywhere(Root::systemd, "child_orders", |root| {
        match init::open(&root.paths()).trigger().unwrap() {
            Trigger::Up => assert!(root.at("var/lib/patch/system-update/patchflag").is_file()),
            other => assert_eq!(other, Trigger::Down),
        }
        init::open(&root.paths()).order().unwrap();
        assert_eq!(init::open(&root.paths()).trigger().unwrap(), Trigger::Up);
        assert!(init::open(&root.paths()).undo().unwrap());
        assert_eq!(init::open(&root.paths()).trigger().unwrap(), Trigger::Down);
    });
    assert!(kills >= 6, "only {kills} places to be killed at were found");
}

/// Not a test: prints what the library says of the host it runs on.
#[test]
#[ignore = "for a look at a real host: --ignored --exact probe --nocapture"]
fn probe() {
    let paths = Paths::system();
    let init = init::open(&paths);
    let level = (init.kind(), init.level(), init.trigger(), init.normal_level());
    let identity = patchflag::boot::identity::BootIdentity::current(&paths);
    let uptime = patchflag::boot::identity::uptime(&paths);
    patchflag::exit::out(format!("{level:?} {identity:?} {uptime:?} {:?}", patchflag::boot::hatch::read(&paths)));
    patchflag::exit::out(format!("{:?}", init.services().map(|services| services.to_string())));
}
