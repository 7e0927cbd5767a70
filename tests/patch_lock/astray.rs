//! `patch-run` on an administrator's bad day: a configuration that is changed in the middle of a run, links where files are to be made, and
//! a terminal that users' scripts could reach.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::Command;

use patchflag::sys::user::User;

use super::bench::{Host, Said};
use super::driver::{SECTION, host, patch_run, patch_run_with, script};

const HEAD: &str = "[host]\nname = web01.example.org\n";
/// Another service than the one that has granted the lock.
const ANOTHER: &str = "[lock]\nbackend = dlm\nurl = http://127.0.0.1:1\nsecret_id = web01\nsecret_file = /etc/patch/secret\nnames = web\n";

/// A run that has failed in its update, and holds the lock.
fn failed() -> Host {
    let host = host();
    script(&host, "update.d/10-look", "exit 3");
    assert_eq!(patch_run(&host).code, 1);
    script(&host, "update.d/10-look", "echo updated >/seen");
    host
}

fn configure(host: &Host, text: &str) {
    host.write("etc/patch/config.ini", &format!("{HEAD}{text}"));
}

/// The configuration that the run began with.
fn put_back(host: &Host) {
    configure(host, &format!("[lock]\n{SECTION}"));
}

fn holds(host: &Host) -> bool {
    host.path("srv/locks/web.lock").exists()
}

#[test]
fn a_run_that_holds_a_lock_does_not_go_on_where_nobody_can_be_asked_for_it() {
    let host = failed();
    configure(&host, "[run]\nwait = no\n");
    let said = patch_run(&host);
    assert!(said.code == 2 && said.err.contains("holds lock web, and no lock is configured any more"), "{said:?}");
    assert!(!host.path("seen").exists() && host.read("var/lib/patch/run/state") == "update\n");
    put_back(&host);
    assert_eq!(patch_run(&host).code, 0);
    assert!(host.path("seen").exists() && !holds(&host));
}

#[test]
fn a_host_is_brought_back_into_service_though_the_service_cannot_be_asked_as_it_is_configured() {
    for text in [ANOTHER, ""] {
        let host = failed();
        script(&host, "post_update.d/10-start", "echo started >/started");
        host.write("var/lib/patch/run/state", "post_update\n");
        configure(&host, &format!("{text}[run]\nwait = no\nrelease_attempts = 1\n"));
        let said = patch_run(&host);
        assert!(said.code == 1 && said.err.contains("phase lock_release failed"), "{said:?}");
        assert!(host.path("started").exists() && holds(&host), "{said:?}");
        put_back(&host);
        assert_eq!(patch_run(&host).code, 0);
        assert!(!holds(&host));
    }
}

#[test]
fn what_is_abandoned_does_not_go_on_though_its_lock_cannot_be_given_back() {
    for text in [ANOTHER, ""] {
        let host = failed();
        configure(&host, &format!("{text}[run]\nwait = no\n"));
        let said = patch_run_with(&host, &["--abandon", "--reason", "mended by hand"]);
        assert!(said.code != 0 && said.out.contains("nothing of the run goes on"), "{said:?}");
        assert_eq!(host.read("var/lib/patch/run/state"), "lock_release\n");
        put_back(&host);
        assert_eq!(patch_run(&host).code, 0);
        assert!(!host.path("seen").exists() && !holds(&host), "it was given back, and nothing else was done");
    }
}

#[test]
fn state_and_log_may_lie_behind_links_of_roots_as_var_run_is_one() {
    let host = host();
    for dir in ["run", "var", "data/log"] {
        std::fs::create_dir_all(host.path(dir)).unwrap();
    }
    symlink("../run", host.path("var/run")).unwrap();
    symlink("/data/log", host.path("logs")).unwrap();
    configure(&host, &format!("[lock]\n{SECTION}state = /var/run/updater/state\nlog = /logs/run.log\n"));
    let said = patch_run(&host);
    assert_eq!(said.code, 0, "{said:?}");
    assert!(host.path("run/updater/state.run").exists() && host.read("data/log/run.log").contains("the run is done"));
}

#[test]
fn check_config_finds_what_a_start_would_refuse() {
    let host = host();
    configure(&host, &format!("{ANOTHER}[run]\nstate = /srv/open/state\n"));
    std::fs::create_dir_all(host.path("srv/open")).unwrap();
    std::fs::set_permissions(host.path("srv/open"), std::fs::Permissions::from_mode(0o777)).unwrap();
    let said = patch_run_with(&host, &["--check-config"]);
    assert!(said.code == 1 && said.out.contains("srv/open: mode 0777 lets others write"), "{said:?}");
    assert!(said.out.contains("etc/patch/secret"), "the secret is not there: {said:?}");
}

/// Whoever is in the session of root's shell can put words into its terminal, and the shell would read them.
#[test]
fn where_users_scripts_run_nobody_has_a_terminal() {
    let base = tempfile::tempdir().unwrap();
    let place = |name: &str| base.path().join(name);
    let put = |name: &str, text: &str, mode| {
        std::fs::write(place(name), text).unwrap();
        std::fs::set_permissions(place(name), std::fs::Permissions::from_mode(mode)).unwrap();
    };
    std::fs::create_dir(place("update.d")).unwrap();
    put(
        "update.d/10-look",
        "#!/bin/sh\n(: </dev/tty) 2>/dev/null && echo a terminal || echo no terminal\nexit 3\n",
        0o755,
    );
    let ask = |users: &str| -> Said {
        let api = "main_api_lockname=web\nmain_api_endpoint=http://127.0.0.1:1/api/v2/\nmain_api_secretid=a\nmain_api_secret=b\n";
        let here = base.path().display();
        put("env", &format!("{api}main_basedir={here}\nmain_log_file={here}/log\n{users}"), 0o600);
        let tool = env!("CARGO_BIN_EXE_patch-run");
        let line = format!("{tool} --cfg {here}/env --phase update");
        Command::new("script").args(["-qec", &line, "/dev/null"]).output().unwrap().into()
    };
    let said = ask("");
    assert!(said.out.contains("a terminal\r\n") && said.code == 1, "root's own scripts keep it: {said:?}");
    let said = ask(&format!("main_userscriptusers=[\"{}\"]\n", User::ourselves().name));
    assert!(said.out.contains("no terminal\r\n") && said.code == 1, "{said:?}");
}
