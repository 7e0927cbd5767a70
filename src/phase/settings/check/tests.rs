use super::*;
use crate::phase::settings::{CalledAs, load};
use std::fs;

struct Host {
    paths: Paths,
    _dir: tempfile::TempDir,
}

impl Host {
    fn new(config: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let paths = Paths::below_root(dir.path()).unwrap();
        fs::create_dir_all(paths.at("/etc/patch/run")).unwrap();
        fs::write(paths.config(), config).unwrap();
        fs::set_permissions(paths.config(), fs::Permissions::from_mode(0o644)).unwrap();
        Self { paths, _dir: dir }
    }

    fn program(&self, name: &str) {
        let path = self.paths.at(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, "").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn findings(&self) -> Vec<String> {
        let settings = load(CalledAs::PatchRun, None, &self.paths, &[]).unwrap();
        let count = |dir: &Path| fs::read_dir(dir).ok().map(Iterator::count);
        findings(&settings, &Facts::gather(&settings, &self.paths, count))
    }
}

const LOCK: &str = "[lock]\nbackend = lockd\nurl = https://x:1\nsecret_id = a\nsecret_file = /s\nnames = web\n";

#[test]
fn a_configuration_without_a_fault_is_found_to_have_none() {
    let host = Host::new(LOCK);
    for name in ["needs_update", "update", "needs_reboot"] {
        host.program(&format!("/etc/patch/run/{name}.d/10-x"));
    }
    host.program("/sbin/shutdown");
    fs::create_dir_all(host.paths.at("/var/log")).unwrap();
    assert_eq!(host.findings(), [""; 0]);
}

#[test]
fn what_will_hurt_is_found_before_it_does() {
    let host = Host::new(&format!("{LOCK}[run]\nwait = no\nlog = /srv/log/run.log\nreboot = /opt/reboot now\n"));
    for name in ["update.d", "needs_reboot.d", "pre-update.d", "needs_updates.d", "unrelated"] {
        fs::create_dir(host.paths.at("/etc/patch/run").join(name)).unwrap();
    }
    let found = host.findings();
    for words in [
        "cannot find directory /etc/patch/run/needs_update.d",
        "nothing in /etc/patch/run/needs_updates.d is run; did you mean needs_update.d?",
        "nothing in /etc/patch/run/pre-update.d is run; did you mean pre_update.d?",
        "/etc/patch/run/update.d holds no script: a run updates nothing",
        "/etc/patch/run/needs_reboot.d holds no script: every run reboots",
        "cannot find the command /opt/reboot",
        "the directory of the log /srv/log/run.log is not there",
        "a run gives up at once if the lock is busy",
    ] {
        assert_eq!(found.iter().filter(|line| line.contains(words)).count(), 1, "{words}: {found:#?}");
    }
    assert_eq!(found.len(), 8, "{found:#?}");
}

#[test]
fn w42_a_lock_that_the_updater_would_ask_for_by_another_name_is_told() {
    let host = Host::new("");
    let of = |name: &str| {
        let text = "main_api_endpoint=https://x/api/v2/\nmain_api_secretid=a\nmain_api_secret=b\n";
        fs::create_dir_all(host.paths.at("/etc/dlm_engine_updater")).unwrap();
        fs::write(host.paths.dlm_env(), format!("{text}main_api_lockname={name}\n")).unwrap();
        let settings = load(CalledAs::DlmEngineUpdater, None, &host.paths, &[]).unwrap();
        let found = findings(&settings, &Facts::gather(&settings, &host.paths, |_| None));
        found.iter().any(|line| line.contains("asks for another one"))
    };
    assert!(of("'web # all'") && of("50%") && of("web?") && !of("'web servers'") && !of("web-1_a.b"));
}

#[test]
fn a_run_without_a_lock_is_told() {
    assert!(Host::new("").findings().iter().any(|line| line.contains("no lock is configured")));
    let unnamed = Host::new(&LOCK.replace("names = web\n", "")).findings();
    assert!(unnamed.iter().filter(|line| line.contains("lock")).count() == 1, "{unnamed:#?}");
}
