use super::*;
use crate::config::locking::DlmVersion;
use crate::phase::name::Phase;
use crate::phase::settings::Level;
use crate::phase::settings::check::understood;
use proptest::prelude::*;

const WHOLE: &str = "[main]\nlog = /var/log/u.log\nlog_level = INFO\nlog_retention = 30\nlock = /run/u.lock\nstate = /var/lib/u/state\n\
    endpoint = https://dlm.example.com/api/v2/\nsecret_id = id\nsecret = S3CRET\nlock_name = web\n\
    needs_update.d = /etc/u/needs_update.d/\npre_update.d = /etc/u/pre_update.d/\nupdate.d = /etc/u/update.d/\n\
    needs_reboot.d = /etc/u/needs_reboot.d/\npost_update.d = /etc/u/post_update.d/\next_notify.d = /etc/u/ext_notify.d/\n\
    reboot_cmd = /usr/sbin/shutdown -r now\n";

fn read(text: &str) -> Result<Settings> {
    super::read(&Ini::parse(text, "f.ini").unwrap())
}

/// The whole text with one line more, at the end: line 18.
fn with(line: &str) -> Result<Settings> {
    read(&format!("{WHOLE}{line}\n"))
}

/// The whole text with another value of a key.
fn instead(key: &str, value: &str) -> Result<Settings> {
    let line = WHOLE.lines().find(|line| line.starts_with(&format!("{key} = "))).unwrap();
    read(&WHOLE.replace(&format!("{line}\n"), &format!("{key} = {value}\n")))
}

fn secret(settings: &Settings) -> String {
    let Service::Dlm(web, _) = &settings.lock.as_ref().unwrap().service else { panic!() };
    let Kept::Here(hidden) = &web.secret.as_ref().unwrap().kept else { panic!() };
    hidden.reveal().to_string()
}

/// W15: its own example has arguments in `reboot_cmd`.
#[test]
fn w15_the_example_of_its_own_page_is_understood() {
    let s = with(
        "on_failure.d = /etc/u/on_failure.d/\nwait = true\nwait_max = 60\nca = /ca.pem\nuser_script_users = app,db",
    )
    .unwrap();
    assert_eq!(s.reboot, Reboot::Command(["/usr/sbin/shutdown", "-r", "now"].map(str::to_string).to_vec()));
    assert_eq!((s.dialect, s.wait, s.needs_update), (Dialect::DlmIni, Wait::UpTo(60 * SECOND), Asking::All));
    assert_eq!((s.log.level, s.log.retention, s.users.join("+")), (Level::Info, 30, "app+db".into()));
    assert_eq!((s.state.to_str(), s.local_lock.to_str()), (Some("/var/lib/u/state"), Some("/run/u.lock")));
    assert!(s.dirs.on_failure.as_ref().unwrap().named && s.dirs.get(Phase::NeedsReboot).unwrap().named);
    assert!(s.warnings.is_empty(), "{:?}", s.warnings);
    assert_eq!(secret(&s), "S3CRET");
}

#[test]
fn the_defaults_are_those_it_had() {
    let s = read(WHOLE).unwrap();
    assert_eq!((s.wait, s.attempts, s.release.attempts), (Wait::No, None, 10));
    assert!(s.dirs.on_failure.is_none() && s.users.is_empty() && s.timeout.is_none());
    assert_eq!(with("wait = on").unwrap().wait, Wait::UpTo(3600 * SECOND));
}

#[test]
fn every_other_key_is_required() {
    for line in WHOLE.lines().skip(1) {
        let key = line.split(' ').next().unwrap();
        let words = read(&WHOLE.replace(&format!("{line}\n"), "")).unwrap_err().to_string();
        assert_eq!(words, format!("f.ini:1: section [main] lacks {key} ="));
    }
}

#[test]
fn the_endpoint_selects_the_version() {
    let version = |endpoint| match instead("endpoint", endpoint).unwrap().lock.unwrap().service {
        Service::Dlm(_, version) => version,
        other => panic!("{other:?}"),
    };
    assert_eq!(version("https://x/api/v1/"), DlmVersion::V1);
    assert_eq!(version("https://x/proxy/api/v2/"), DlmVersion::V2);
}

#[test]
fn values_are_read_as_configparser_reads_them() {
    assert_eq!(secret(&instead("secret", "abc #x").unwrap()), "abc #x");
    assert_eq!(secret(&instead("secret", "\"abc\"").unwrap()), "\"abc\"");
    assert_eq!(secret(&instead("secret", "a%%b").unwrap()), "a%b");
    assert_eq!(secret(&instead("secret", "%(secret_id)s-x").unwrap()), "id-x");
    assert_eq!(secret(&read(&WHOLE.replace("secret = ", "SECRET: ")).unwrap()), "S3CRET");
    assert_eq!(
        secret(&read(&format!("[DEFAULT]\nsecret = d\n{}", WHOLE.replace("secret = S3CRET\n", ""))).unwrap()),
        "d"
    );
    let words = instead("secret", "S3%CRET").unwrap_err().to_string();
    assert!(words.starts_with("f.ini:9: ") && words.contains("write %%") && !words.contains("CRET"), "{words}");
    assert!(Ini::parse(&format!("{WHOLE}log = /x\n"), "f").is_err(), "a key that is there twice");
    assert!(Ini::parse(&format!("{WHOLE}wait\n"), "f").is_err(), "a key without a value");
}

/// W43: bad values end in tracebacks.
#[test]
fn w43_a_wrong_value_is_named_with_file_line_and_key() {
    for (key, value, word) in [
        ("log", "u.log", "absolute"),
        ("log_level", "loud", "none of"),
        ("log_retention", "many", "whole number"),
        ("log_retention", "7 # days", "whole number"),
        ("lock", "", "empty"),
        ("state", "state", "absolute"),
        ("endpoint", "https://x/api/v2", "/api/v2/"),
        ("endpoint", "https://u:S3CRET@x/api/v2/", "password"),
        ("secret_id", "a b", "character"),
        ("lock_name", "a/b", "slash"),
        ("update.d", "update.d", "absolute"),
        ("reboot_cmd", "sync; reboot | cat", "shell"),
        ("reboot_cmd", "\"", "quote"),
    ] {
        let words = instead(key, value).unwrap_err().to_string();
        let line = 1 + WHOLE.lines().position(|line| line.starts_with(&format!("{key} = "))).unwrap();
        assert!(words.starts_with(&format!("f.ini:{line}: {key}: ")) && words.contains(word), "{words}");
        assert!(!words.contains("S3CRET"), "{words}");
    }
    for (line, word) in [
        ("wait = 2", "neither"),
        ("wait = true # yes", "neither"),
        ("wait =", "empty"),
        ("wait_max = -1", "0 or more"),
        ("wait_max = 1.5", "whole number"),
        ("on_failure.d = on_failure.d", "absolute"),
        ("ca = ca.pem", "absolute"),
    ] {
        let words = with(line).unwrap_err().to_string();
        let key = line.split(' ').next().unwrap();
        assert!(words.starts_with(&format!("f.ini:18: {key}: ")) && words.contains(word), "{words}");
    }
}

/// W43: misspelt keys are ignored.
#[test]
fn w43_what_is_not_read_is_named_with_the_nearest_key() {
    let s = with("wiat_max = 5\n[scripts]\nupdate.d = /x").unwrap();
    assert_eq!(s.warnings.len(), 2);
    assert_eq!(s.warnings[0], "f.ini:18: unknown key wiat_max in [main]; did you mean wait_max? (it is not read)");
    assert!(s.warnings[1].starts_with("f.ini:19: section [scripts] is not read"), "{:?}", s.warnings);
    let s = instead("endpoint", "http://dlm.example.com/api/v2/").unwrap();
    assert!(s.warnings[0].starts_with("f.ini:7: endpoint: http://"), "{:?}", s.warnings);
    assert!(instead("endpoint", "http://127.0.0.1:8080/api/v2/").unwrap().warnings.is_empty());
}

#[test]
fn what_was_understood_has_every_key_and_no_secret() {
    let s = read(WHOLE).unwrap();
    let shown = understood(&s);
    for line in WHOLE.lines().skip(1) {
        let (key, value) = line.split_once(" = ").unwrap();
        let found = shown.iter().find(|row| row.key == key).unwrap();
        let expected = if key == "secret" { "set, 6 characters" } else { value };
        assert_eq!(found.value, expected, "{key}");
    }
    assert!(!format!("{s:?}{shown:?}").contains("S3CRET"));
}

proptest! {
    #[test]
    fn no_value_upsets_it(key in 0_usize..16, value in "[^\n\r]{0,30}") {
        let line = WHOLE.lines().nth(key + 1).unwrap();
        let (name, _) = line.split_once(" = ").unwrap();
        if let Ok(ini) = Ini::parse(&WHOLE.replace(line, &format!("{name} = {value}")), "f") {
            let _ = super::read(&ini);
        }
    }
}
