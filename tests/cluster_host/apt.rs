//! Clusters of packages.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use patchflag::cluster::digest;
use patchflag::cluster::fetch::{self, Asker, RealTime, Retry, Server};
use patchflag::cluster::install::{self, policy};
use patchflag::cluster::manifest::Kind;
use patchflag::cluster::pointer::Pointer;
use patchflag::cluster::signature::{self, Signer, Verifier};
use patchflag::cluster::transport::Transport;
use patchflag::cluster::tree::{self, Level};
use patchflag::error::Error;
use patchflag::host::Host as Identity;
use patchflag::sys::clock;
use patchflag::sys::process::Ended;

use crate::root::{Host, Staged, cluster, eventually, in_a_root, lines, package, run, when_configured};

/// Set in the process that is to be killed.
const ROLE: &str = "PATCHFLAG_TEST_ROLE";
const HANG: &str = "echo waiting >/root/hangs; sleep 600";

#[test]
fn an_upgrade_is_planned_done_and_told_with_old_and_new_versions() {
    in_a_root("apt::an_upgrade_is_planned_done_and_told_with_old_and_new_versions", |host| {
        host.has(&[package("aaa", "1.0"), package("bbb", "1:1.0"), package("same", "3")]);
        let packages =
            [package("aaa", "2.0+x~1"), package("bbb", "1:1.1"), package("same", "3"), package("stranger", "1")];
        let staged = host.staged(&packages);
        let needed = install::needed_files(&host.paths, &staged.dir, &staged.cluster).unwrap();
        let expected = ["Packages", "packages/aaa_2.0+x~1_all.deb", "packages/bbb_1%3a1.1_all.deb"];
        assert_eq!(needed, expected, "only what this host installs is fetched");

        let plan = host.dry_run(&staged).unwrap();
        let upgrades = ["aaa 1.0 -> 2.0+x~1", "bbb 1:1.0 -> 1:1.1"];
        assert_eq!(lines(&plan.changes), upgrades);
        assert_eq!(plan.files, expected);
        assert_eq!(host.version("aaa"), "1.0", "a dry run changes nothing");

        let outcome = host.install(&staged).unwrap();
        assert!(outcome.is_success() && !outcome.repaired && outcome.notes.is_empty());
        assert_eq!(lines(&outcome.changes), upgrades);
        assert_eq!(host.version("stranger"), "", "nothing is added");
        let again = host.install(&staged).unwrap();
        assert!(again.is_success() && again.changes.is_empty());
    });
}

/// A server's tree on the host's own disk, with this cluster for both levels.
fn published(host: &Host, staged: &Staged) -> Verifier {
    let keys = host.paths.at("/root/keys");
    signature::generate(&keys.join("k.key"), &keys.join("k.pub")).unwrap();
    let signer = Signer::load(&keys.join("k.key")).unwrap();
    let publish = |path: &str, bytes: &[u8]| {
        host.write(&format!("/srv/{path}"), std::str::from_utf8(bytes).unwrap());
        let minisig = signer.sign(bytes, path, clock::now()).unwrap();
        host.write(&format!("/srv/{}", tree::signature(path)), &minisig);
    };
    let (release, manifest) = (&staged.cluster.release, staged.cluster.to_bytes().unwrap());
    let sha256 = digest::of_bytes(&manifest).sha256;
    let pointer = Pointer { id: staged.cluster.id.clone(), sequence: staged.cluster.sequence, sha256 };
    publish(tree::HOST_TYPE, b"* production /var/lib/patch/fetched\n");
    publish(&tree::manifest(release, &pointer.id), &manifest);
    publish(&tree::pointer(release, Level::Production), pointer.to_string().as_bytes());
    for file in &staged.cluster.files {
        let place = host.paths.at("/srv").join(tree::pool(&file.sha256));
        std::fs::create_dir_all(place.parent().unwrap()).unwrap();
        std::fs::copy(staged.dir.join(&file.path), place).unwrap();
    }
    signer.verifier().unwrap()
}

#[test]
fn only_the_packages_that_this_host_needs_are_fetched_and_then_installed_without_the_server() {
    let name = "apt::only_the_packages_that_this_host_needs_are_fetched_and_then_installed_without_the_server";
    in_a_root(name, |host| {
        host.has(&[package("aaa", "1.0")]);
        let made = host.staged(&[package("aaa", "2.0"), package("stranger", "1")]);
        let verifier = published(&host, &made);
        std::fs::remove_dir_all(host.paths.at("/var/lib/patch/web")).unwrap();
        let transport = Transport::new("/srv", None, &host.paths).unwrap();
        let retry = Retry { time: Duration::ZERO, seed: 1, clock: &RealTime::start() };
        let server = Server { transport: &transport, verifier: &verifier, retry: &retry };
        let base = Path::new("/var/lib/patch");
        let this = Identity { name: "web01".into(), os: "debian-12".into(), arch: "amd64".into() };
        let asker = Asker { paths: &host.paths, host: &this, base, now: clock::now(), wanted: None };

        let found = fetch::find(&server, &asker).unwrap();
        let dir = host.paths.at(fetch::download(&found, &server, &host.paths).unwrap());
        let fetched: Vec<_> =
            std::fs::read_dir(dir.join("packages")).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(fetched, ["aaa_2.0_all.deb"]);
        std::fs::remove_dir_all(host.paths.at("/srv")).unwrap();

        let (cluster, _) = fetch::staged(&dir, &verifier).unwrap();
        let staged = Staged { dir, cluster };
        assert_eq!(lines(&host.dry_run(&staged).unwrap().changes), ["aaa 1.0 -> 2.0"]);
        assert!(host.install(&staged).unwrap().is_success());
        // What came to be needed since then is missing, and that is said before anything is done.
        host.has(&[package("stranger", "0")]);
        assert!(host.install(&staged).unwrap_err().to_string().contains("stage the cluster again"));
    });
}

#[test]
fn a_package_that_fails_is_repaired_once_and_the_failure_stays_one() {
    in_a_root("apt::a_package_that_fails_is_repaired_once_and_the_failure_stays_one", |host| {
        host.has(&[package("aaa", "1.0"), package("bbb", "1.0")]);
        let count = "echo once >>/root/tries";
        let fails = |then: &str| when_configured(&format!("{count}\n{then}"));
        let staged = host.staged(&[package("aaa", "2.0").control("postinst", &fails("exit 1")), package("bbb", "2.0")]);
        let outcome = host.install(&staged).unwrap();
        assert_eq!(outcome.ended, Ended::Code(100));
        assert!(!outcome.is_success() && !outcome.repaired);
        assert!(outcome.problem.unwrap().contains("(aaa)"));
        assert_eq!(lines(&outcome.changes), ["aaa 1.0 -> 2.0", "bbb 1.0 -> 2.0"]);
        // The installation, dpkg --configure -a, and apt-get -f install, which asks dpkg again.
        assert!((2..=3).contains(&host.read("/root/tries").lines().count()));

        let mended = host.repair(&staged).unwrap();
        assert!(!mended.is_success(), "what cannot be repaired stays broken");
        host.script("/var/lib/dpkg/info/aaa.postinst", "#!/bin/sh\n");
        let mended = host.repair(&staged).unwrap();
        assert!(mended.is_success() && mended.repaired);
        assert_eq!(lines(&mended.changes), ["aaa 1.0 -> 2.0", "bbb 1.0 -> 2.0"], "since the installation began");
    });
}

#[test]
fn a_package_that_fails_only_once_is_whole_after_the_repair() {
    in_a_root("apt::a_package_that_fails_only_once_is_whole_after_the_repair", |host| {
        host.has(&[package("aaa", "1.0")]);
        let postinst = when_configured("[ -e /root/tried ] || { touch /root/tried; exit 1; }");
        let outcome = host.install(&host.staged(&[package("aaa", "2.0").control("postinst", &postinst)])).unwrap();
        assert!(!outcome.is_success() && outcome.repaired && outcome.problem.is_none());
    });
}

#[test]
fn a_package_that_hangs_is_ended_at_the_deadline() {
    in_a_root("apt::a_package_that_hangs_is_ended_at_the_deadline", |host| {
        host.has(&[package("aaa", "1.0")]);
        let postinst = when_configured(&format!("trap '' TERM; [ -e /root/hangs ] || {{ {HANG}; }}"));
        let staged = host.staged(&[package("aaa", "2.0").control("postinst", &postinst)]);
        let start = Instant::now();
        let outcome = host.install_within(&staged, Duration::from_secs(15)).unwrap();
        assert_eq!(outcome.ended, Ended::Deadline);
        assert!(outcome.repaired, "it hangs only once");
        assert!(start.elapsed() < Duration::from_mins(1));
        assert!(!host.is_there("/usr/sbin/policy-rc.d"));
    });
}

#[test]
fn a_package_that_asks_gets_no_answer_and_does_not_hang() {
    in_a_root("apt::a_package_that_asks_gets_no_answer_and_does_not_hang", |host| {
        host.has(&[package("aaa", "1.0"), package("bbb", "1.0")]);
        let read = when_configured("if read answer; then echo \"$answer\" >/root/answer; fi; [ ! -t 0 ]");
        let ask = ". /usr/share/debconf/confmodule\ndb_input critical bbb/q || true\ndb_go\ndb_get bbb/q\n\
            echo \"$RET\" >/root/debconf";
        let templates = "Template: bbb/q\nType: string\nDefault: usual\nDescription: which?\n";
        let asks = package("bbb", "2.0").control("postinst", &when_configured(ask)).control("templates", templates);
        let outcome = host.install(&host.staged(&[package("aaa", "2.0").control("postinst", &read), asks])).unwrap();
        assert!(outcome.is_success());
        assert!(!host.is_there("/root/answer"));
        assert_eq!(host.read("/root/debconf"), "usual\n");
    });
}

#[test]
fn a_configuration_file_that_was_changed_here_is_kept_and_named() {
    in_a_root("apt::a_configuration_file_that_was_changed_here_is_kept_and_named", |host| {
        let with = |version: &str, a: &str| {
            let file = package("aaa", version).file("etc/aaa.conf", a.as_bytes()).file("etc/same.conf", a.as_bytes());
            file.control("conffiles", "/etc/aaa.conf\n/etc/same.conf\n")
        };
        host.has(&[with("1.0", "first\n")]);
        host.write("/etc/aaa.conf", "ours\n");
        // An administrator who wants the packages' files by default is not asked to forget it.
        host.write("/etc/apt/apt.conf.d/99local", "Dpkg::Options { \"--force-confnew\"; };\n");
        let outcome = host.install(&host.staged(&[with("2.0", "second\n")])).unwrap();
        assert!(outcome.is_success());
        assert_eq!(outcome.kept, ["/etc/aaa.conf"]);
        assert_eq!(host.read("/etc/aaa.conf"), "ours\n");
        assert_eq!(host.read("/etc/aaa.conf.dpkg-dist"), "second\n");
        assert_eq!(host.read("/etc/same.conf"), "second\n", "one that was not changed here follows its package");
    });
}

#[test]
fn a_plan_that_removes_a_package_is_refused_by_name() {
    in_a_root("apt::a_plan_that_removes_a_package_is_refused_by_name", |host| {
        host.has(&[package("aaa", "1.0"), package("bbb", "1.0"), package("ccc", "1.0").field("Depends: bbb")]);
        let staged = host.staged(&[package("aaa", "2.0")
            .field("Conflicts: bbb\nReplaces: bbb")
            .field("Breaks: bbb")
            .field("Provides: bbb")]);
        for result in [host.dry_run(&staged).map(drop), host.install(&staged).map(drop)] {
            let words = result.unwrap_err().to_string();
            assert!(words.contains("would remove bbb"), "{words}");
        }
        assert_eq!((host.version("aaa"), host.version("bbb")), ("1.0".into(), "1.0".into()));
    });
}

#[test]
fn what_is_held_and_what_is_ourselves_stays() {
    in_a_root("apt::what_is_held_and_what_is_ourselves_stays", |host| {
        host.has(&[package("aaa", "1.0"), package("bbb", "1.0"), package("ccc", "1.0"), package("patchflag", "1.0")]);
        run(host.command("apt-mark").args(["hold", "bbb"]));
        host.write("/etc/apt/preferences", "Package: ccc patchflag\nPin: version 1.*\nPin-Priority: 1001\n");
        let all = ["aaa", "bbb", "ccc", "patchflag"].map(|name| package(name, "2.0"));
        let outcome = host.install(&host.staged(&all)).unwrap();
        assert!(outcome.is_success());
        assert_eq!(lines(&outcome.changes), ["aaa 1.0 -> 2.0"]);
        assert_eq!(host.version("patchflag"), "1.0");
    });
}

#[test]
fn an_apt_conf_of_the_hosts_own_neither_stops_us_nor_makes_us_believe_that_all_was_done() {
    let name = "apt::an_apt_conf_of_the_hosts_own_neither_stops_us_nor_makes_us_believe_that_all_was_done";
    in_a_root(name, |host| {
        host.has(&[package("aaa", "1.0")]);
        let staged = host.staged(&[package("aaa", "2.0").field("Recommends: bbb"), package("bbb", "1.0")]);
        let conf = "/etc/apt/apt.conf.d/99local";
        host.write(
            conf,
            "APT::Default-Release \"stable\";\nAPT::Install-Recommends \"true\";\nAPT::Get::Download-Only \"true\";\n",
        );
        let outcome = host.install(&staged).unwrap();
        assert!(outcome.ended == Ended::Code(0) && !outcome.is_success());
        assert!(outcome.problem.unwrap().contains("aaa 1.0 -> 2.0"));
        host.write(conf, "APT::Default-Release \"stable\";\nAPT::Install-Recommends \"true\";\n");
        let outcome = host.install(&staged).unwrap();
        assert!(outcome.is_success());
        assert_eq!(lines(&outcome.changes), ["aaa 1.0 -> 2.0"]);
    });
}

#[test]
fn a_dependency_that_the_cluster_lacks_is_said_beforehand() {
    in_a_root("apt::a_dependency_that_the_cluster_lacks_is_said_beforehand", |host| {
        host.has(&[package("aaa", "1.0"), package("bbb", "1.0").field("Depends: aaa")]);
        let staged = host.staged(&[package("aaa", "2.0").field("Depends: missing (>= 2)")]);
        let plan = host.dry_run(&staged).unwrap();
        assert_eq!((plan.changes, plan.kept_back), (vec![], vec!["aaa".to_string()]));
        assert!(host.install(&staged).unwrap().notes[0].contains("kept back aaa"));
    });
}

fn service(host: &Host) -> Staged {
    host.script(
        "/etc/init.d/svc",
        "#!/bin/sh\n### BEGIN INIT INFO\n# Provides: svc\n# Default-Start: 2\n# Default-Stop:\n\
        # Required-Start:\n# Required-Stop:\n### END INIT INFO\necho $1 >>/root/svc\n",
    );
    run(host.command("update-rc.d").args(["svc", "defaults"]));
    let postinst = when_configured("invoke-rc.d svc restart || true");
    host.staged(&[package("svc", "2.0").control("postinst", &postinst)])
}

#[test]
fn no_service_is_started_and_a_policy_of_the_hosts_own_comes_back() {
    in_a_root("apt::no_service_is_started_and_a_policy_of_the_hosts_own_comes_back", |host| {
        host.has(&[package("svc", "1.0")]);
        let staged = service(&host);
        host.script("/usr/sbin/policy-rc.d", "#!/bin/sh\nexit 0\n");
        run(host.command("invoke-rc.d").args(["svc", "restart"]));
        assert_eq!(host.read("/root/svc"), "restart\n", "by the host's own policy it would be");
        assert!(host.install(&staged).unwrap().is_success());
        assert_eq!(host.read("/root/svc"), "restart\n", "started by the installation");
        assert_eq!(host.read("/usr/sbin/policy-rc.d"), "#!/bin/sh\nexit 0\n");
        assert!(!host.is_there("/usr/sbin/policy-rc.d.patchflag-aside"));
    });
}

/// Whether what the killed process had started dies with it, or goes on.
#[derive(Clone, Copy, PartialEq)]
enum Its {
    ChildrenDie,
    ChildrenGoOn,
}

/// Installs in a process of its own, which is killed in the middle of a postinst.
fn killed_in_the_middle(host: &Host, test: &str, its: Its) {
    let mut ours = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(ROLE, "install")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    eventually("the postinst", || host.is_there("/root/hangs"));
    // Each child was started by one of its threads, and leads a group of its own.
    let threads = std::fs::read_dir(format!("/proc/{}/task", ours.id())).unwrap();
    let children = |task: std::fs::DirEntry| std::fs::read_to_string(task.path().join("children")).unwrap();
    let groups: Vec<String> = threads.map(|task| children(task.unwrap())).collect();
    ours.kill().unwrap();
    ours.wait().unwrap();
    let groups: Vec<&str> = groups.iter().flat_map(|groups| groups.split_whitespace()).collect();
    assert_eq!(groups.len(), 1);
    if its == Its::ChildrenDie {
        run(Command::new("kill").args(["-9", "--", &format!("-{}", groups[0])]));
    }
}

/// The part of the process that is killed.
fn install_and_be_killed(host: &Host, debs: &[&str]) {
    let dir = host.staged_dir();
    let mut files = vec!["Packages".to_string()];
    files.extend(debs.iter().map(|deb| format!("packages/{deb}")));
    let cluster = cluster(&dir, Kind::Apt, &files);
    host.install(&Staged { dir, cluster }).unwrap();
}

#[test]
fn after_a_kill_in_the_middle_the_database_is_repaired_and_the_policy_goes() {
    let name = "apt::after_a_kill_in_the_middle_the_database_is_repaired_and_the_policy_goes";
    in_a_root(name, |host| {
        let postinst = when_configured(&format!("[ -e /root/hangs ] || {{ {HANG}; }}"));
        if std::env::var_os(ROLE).is_some() {
            return install_and_be_killed(&host, &["aaa_2.0_all.deb", "bbb_2.0_all.deb"]);
        }
        host.has(&[package("aaa", "1.0"), package("bbb", "1.0")]);
        host.script("/usr/sbin/policy-rc.d", "#!/bin/sh\nexit 0\n");
        let aaa = package("aaa", "2.0").control("postinst", &postinst);
        let staged = host.staged(&[aaa, package("bbb", "2.0")]);
        killed_in_the_middle(&host, name, Its::ChildrenDie);
        assert!(host.read("/usr/sbin/policy-rc.d").contains("patchflag"));
        assert!(install::database_is_sound(&host.paths).is_err());

        policy::undo(&host.paths).unwrap();
        assert_eq!(host.read("/usr/sbin/policy-rc.d"), "#!/bin/sh\nexit 0\n");
        let outcome = host.repair(&staged).unwrap();
        assert!(outcome.is_success() && outcome.repaired);
        assert_eq!(host.version("aaa"), "2.0");
        assert!(lines(&outcome.changes).contains(&"aaa 1.0 -> 2.0".to_string()));
        assert_eq!(host.read("/usr/sbin/policy-rc.d"), "#!/bin/sh\nexit 0\n");
    });
}

#[test]
fn an_apt_that_outlived_us_is_waited_for() {
    let name = "apt::an_apt_that_outlived_us_is_waited_for";
    in_a_root(name, |host| {
        let postinst = when_configured("echo waiting >/root/hangs; sleep 4");
        if std::env::var_os(ROLE).is_some() {
            return install_and_be_killed(&host, &["aaa_2.0_all.deb"]);
        }
        host.has(&[package("aaa", "1.0")]);
        let staged = host.staged(&[package("aaa", "2.0").control("postinst", &postinst)]);
        killed_in_the_middle(&host, name, Its::ChildrenGoOn);
        let outcome = host.repair(&staged).unwrap();
        assert!(outcome.is_success());
        assert_eq!(lines(&outcome.changes), ["aaa 1.0 -> 2.0"]);
    });
}

#[test]
fn a_full_disk_is_a_failure_that_leaves_the_old_package() {
    in_a_root("apt::a_full_disk_is_a_failure_that_leaves_the_old_package", |host| {
        host.has(&[package("aaa", "1.0")]);
        let staged = host.staged(&[package("aaa", "2.0").file("usr/share/aaa/big", &vec![7; 20 << 20])]);
        assert!(host.dry_run(&staged).unwrap().needs > 20 << 20);
        let _ = Command::new("dd")
            .args(["if=/dev/zero", "bs=1M", "count=4000"])
            .arg(format!("of={}", host.paths.at("/fill").display()))
            .output();
        run(Command::new("truncate").args(["-s", "-8M"]).arg(host.paths.at("/fill")));
        let outcome = host.install(&staged).unwrap();
        assert!(!outcome.is_success());
        assert_eq!(host.version("aaa"), "1.0");
        assert!(!host.is_there("/usr/sbin/policy-rc.d"));
        std::fs::remove_file(host.paths.at("/fill")).unwrap();
        assert!(host.repair(&staged).unwrap().is_success());
    });
}

#[test]
fn a_package_that_was_changed_after_staging_is_refused_and_nothing_happens() {
    in_a_root("apt::a_package_that_was_changed_after_staging_is_refused_and_nothing_happens", |host| {
        host.has(&[package("aaa", "1.0")]);
        let staged = host.staged(&[package("aaa", "2.0")]);
        host.dry_run(&staged).unwrap();
        let deb = staged.dir.join("packages/aaa_2.0_all.deb");
        let whole = std::fs::read(&deb).unwrap();
        let spoil: [&dyn Fn(); 4] = [
            &|| std::fs::write(&deb, [&whole[..], b"x"].concat()).unwrap(),
            &|| {
                let mut other = whole.clone();
                other[200] ^= 1;
                std::fs::write(&deb, other).unwrap();
            },
            &|| std::fs::remove_file(&deb).unwrap(),
            &|| std::os::unix::fs::symlink("/root/aaa_1.0_all.deb", &deb).unwrap(),
        ];
        for spoil in spoil {
            spoil();
            let error = host.install(&staged).unwrap_err();
            assert!(matches!(error, Error::Refused { .. }), "{error}");
            assert_eq!(host.version("aaa"), "1.0");
            assert!(!host.is_there("/usr/sbin/policy-rc.d"));
        }
    });
}

#[test]
fn an_index_that_lies_is_believed_in_nothing() {
    in_a_root("apt::an_index_that_lies_is_believed_in_nothing", |host| {
        host.has(&[package("aaa", "1.0")]);
        let mut staged = host.staged(&[package("aaa", "2.0")]);
        staged.edit_index(|text| text.replace("Version: 2.0", "Version: 3.0"));
        assert!(matches!(host.dry_run(&staged), Err(Error::Refused { .. })), "the index itself is signed");
        staged.edit_index(|text| text.replace("Version: 3.0", "Version: 2.0").replace("SHA256: ", "SHA256: 00"));
        staged.sign();
        assert!(!host.install(&staged).is_ok_and(|outcome| outcome.is_success()));
        assert_eq!(host.version("aaa"), "1.0");
        staged.edit_index(|text| text.replace("packages/aaa_2.0", "packages/../../../../../root/aaa_2.0"));
        staged.sign();
        assert!(host.dry_run(&staged).is_err());
    });
}

#[test]
fn a_sound_database_is_sound_and_a_broken_one_says_what_to_do() {
    in_a_root("apt::a_sound_database_is_sound_and_a_broken_one_says_what_to_do", |host| {
        install::database_is_sound(&host.paths).unwrap();
        host.has(&[package("bbb", "1.0")]);
        let words = |host: &Host| install::database_is_sound(&host.paths).unwrap_err().to_string();
        let deb = host.staged(&[package("ccc", "1.0").field("Depends: nowhere")]);
        let inside = host.paths.inside(&deb.dir.join("packages/ccc_1.0_all.deb"));
        assert!(!host.command("dpkg").arg("-i").arg(inside).output().unwrap().status.success());
        assert!(words(&host).contains("ccc") && words(&host).contains("dpkg --configure -a"), "{}", words(&host));
        run(host.command("dpkg").args(["--force-depends", "--configure", "ccc"]));
        assert!(words(&host).contains("apt-get -f install"), "{}", words(&host));
    });
}
