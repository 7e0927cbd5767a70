use super::*;
use crate::config::locking::DlmVersion;
use crate::phase::name::Phase;
use crate::phase::settings::check::understood;
use proptest::prelude::*;

const REQUIRED: &str = "main_api_lockname=web\nmain_api_endpoint=https://dlm.example.com/api/v2/\nmain_api_secretid=id\nmain_api_secret=S3CRET\n";

fn read_in(text: &str, env: &[(&str, &str)]) -> Result<Settings> {
    let env: Vec<_> = env.iter().map(|(key, value)| ((*key).to_string(), (*value).to_string())).collect();
    super::read(text, "f.env", &env)
}

/// The required keys and one line more: line 5.
fn with(line: &str) -> Result<Settings> {
    read_in(&format!("{REQUIRED}{line}\n"), &[])
}

fn secret(settings: &Settings) -> String {
    let Service::Dlm(web, DlmVersion::V2) = &settings.lock.as_ref().unwrap().service else { panic!() };
    let Kept::Here(hidden) = &web.secret.as_ref().unwrap().kept else { panic!() };
    hidden.reveal().to_string()
}

#[test]
fn the_defaults_are_those_it_had() {
    let s = read_in(REQUIRED, &[]).unwrap();
    assert_eq!((s.dialect, s.wait, s.attempts, s.needs_update), (Dialect::Dotenv, Wait::No, None, Asking::FirstYes));
    assert_eq!((s.log.level, s.log.retention), (Level::Debug, 7));
    assert_eq!(s.log.path.to_str(), Some("/var/log/dlm_engine_updater/dlm_engine_updater.log"));
    assert_eq!((s.release.attempts, s.release.backoff), (10, Backoff { base: SECOND, max: 30 * SECOND }));
    assert_eq!((s.unreleased, s.users.len(), s.reboot.clone()), (Unreleased::Kept, 0, Reboot::Scripts));
    assert_eq!(s.state.to_str(), Some("/etc/dlm_engine_updater/state"));
    assert_eq!(s.local_lock.to_str(), Some("/etc/dlm_engine_updater/lock"));
    assert_eq!(s.dirs.get(Phase::Reboot).unwrap().path.to_str(), Some("/etc/dlm_engine_updater/reboot.d"));
    assert!(!s.dirs.base.as_ref().unwrap().named && s.warnings.is_empty(), "{:?}", s.warnings);
    let lock = s.lock.clone().unwrap();
    assert_eq!(lock.backoff, Backoff { base: 10 * SECOND, max: 120 * SECOND });
    assert!(lock.owner.is_none() && lock.names.unwrap().iter().count() == 1);
    assert_eq!(secret(&s), "S3CRET");
}

#[test]
fn every_key_is_read() {
    let s = with(
        "main_wait=t\nmain_waitmax=60\nMAIN_AcquireAttempts=5\nmain_acquirebackoffbase=0.5\nmain_acquirebackoffmax=2\n\
         main_releaseattempts=3.0\nmain_releasebackoffbase=2\nmain_releasebackoffmax=1e1\nmain_resetstateonreleasefailure=on\n\
         main_userscriptusers=[\"app\",\"db\"]\nmain_basedir=/srv/u\nmain_log_level=ERROR\nmain_log_retention=3\nmain_log_file=/l\n\
         main_api_ca=/ca.pem",
    )
    .unwrap();
    assert_eq!((s.wait, s.attempts), (Wait::UpTo(60 * SECOND), Some(5)));
    let lock = s.lock.as_ref().unwrap();
    assert_eq!(lock.backoff, Backoff { base: SECOND / 2, max: 2 * SECOND });
    assert_eq!(s.release, Tries { attempts: 3, backoff: Backoff { base: 2 * SECOND, max: 10 * SECOND } });
    assert_eq!((s.unreleased, s.users.join("+")), (Unreleased::Forgotten, "app+db".into()));
    assert_eq!((s.log.level, s.log.retention, s.log.path.to_str()), (Level::Error, 3, Some("/l")));
    assert_eq!(s.dirs.get(Phase::Update).unwrap().path.to_str(), Some("/srv/u/update.d"));
    assert!(s.dirs.base.as_ref().unwrap().named && s.warnings.is_empty(), "{:?}", s.warnings);
}

#[test]
fn the_environment_overrides_the_file_in_any_case_of_its_letters() {
    let s = read_in(REQUIRED, &[("MAIN_WAIT", "yes"), ("Main_Api_LockName", "db"), ("HOME", "/root")]).unwrap();
    assert_eq!((s.wait, s.lock_name.as_str()), (Wait::UpTo(3600 * SECOND), "db"));
    let env = [
        ("MAIN_API_LOCKNAME", "web"),
        ("MAIN_API_ENDPOINT", "https://x/api/v2/"),
        ("MAIN_API_SECRETID", "i"),
        ("MAIN_API_SECRET", "a${HOME}"),
    ];
    assert_eq!(secret(&read_in("", &env).unwrap()), "a${HOME}");
    let words = read_in(REQUIRED, &[("MAIN_WAIT", "")]).unwrap_err().to_string();
    assert!(words.starts_with("environment: main_wait: "), "{words}");
}

#[test]
fn w08_locking_cannot_be_switched_off_from_the_environment() {
    let s = read_in(REQUIRED, &[("MAIN_API_NOOP", "true")]).unwrap();
    assert!(
        s.lock.is_some() && s.warnings[0].starts_with("environment: MAIN_API_NOOP is not read"),
        "{:?}",
        s.warnings
    );
    let s = with("main_api_noop=true").unwrap();
    assert!(s.lock.is_none() && s.lock_name == "web", "scripts are told the name all the same");
    assert!(s.warnings[0].starts_with("f.env:5: main_api_noop: "), "{:?}", s.warnings);
}

/// W43: `${..}` in secrets is expanded, misspelt `main_*` keys are ignored.
#[test]
fn w43_a_secret_is_not_expanded_and_strangers_are_named() {
    let text = REQUIRED.replace("S3CRET", "\"S3${HOME}CRET\"");
    let s = read_in(&text, &[("HOME", "/root")]).unwrap();
    assert_eq!(secret(&s), "S3${HOME}CRET");
    assert!(
        s.warnings[0].starts_with("f.env:4: main_api_secret: ") && !s.warnings[0].contains("S3"),
        "{:?}",
        s.warnings
    );
    let s = read_in(&REQUIRED.replace("=web", "=${GROUP:-db}"), &[]).unwrap();
    assert_eq!(s.lock_name, "db");
    let s = with("main_wiat=true\nplugin_x_enabled=true\nother=1\nmain_wait\n=5").unwrap();
    assert_eq!(s.warnings.len(), 5, "{:?}", s.warnings);
    assert_eq!(s.warnings[1], "f.env:5: unknown key main_wiat; did you mean main_wait? (it is not read)");
    assert!(s.warnings[2].contains("plugin_x_enabled: Python plugins are not loaded"));
    let s = read_in(REQUIRED, &[("MAIN_API_LOKNAME", "x")]).unwrap();
    assert!(s.warnings[0].contains("did you mean main_api_lockname?"));
}

#[test]
fn several_keys_in_one_are_refused() {
    for line in ["main={\"wait\":true}", "MAIN_API={}", "main_log"] {
        let words = with(line).unwrap_err().to_string();
        assert!(words.starts_with("f.env:5: main") && words.contains("line of its own"), "{words}");
    }
}

#[test]
fn a_required_key_that_is_missing_or_empty_is_named() {
    for line in REQUIRED.lines() {
        let key = line.split('=').next().unwrap();
        for text in [REQUIRED.replace(line, ""), REQUIRED.replace(line, &format!("{key}="))] {
            assert_eq!(read_in(&text, &[]).unwrap_err().to_string(), format!("f.env: {key} is required; set it"));
        }
    }
}

/// W43: bad values end in tracebacks.
#[test]
fn w43_a_wrong_value_is_named_with_file_line_and_key() {
    for (line, word) in [
        ("main_wait=maybe", "neither"),
        ("main_wait=", "neither"),
        ("main_waitmax=1.5", "whole number"),
        ("main_waitmax=.0", "whole number"),
        ("main_waitmax=-1", "0 or more"),
        ("main_acquireattempts=-1", "0 or more"),
        ("main_acquirebackoffbase=0", "more than 0"),
        ("main_acquirebackoffmax=x", "number of seconds"),
        ("main_releaseattempts=0", "1 or more"),
        ("main_releasebackoffbase=-1", "more than 0"),
        ("main_releasebackoffmax=inf", "more than 0"),
        ("main_resetstateonreleasefailure=2", "neither"),
        ("main_userscriptusers=a,b", "JSON list"),
        ("main_userscriptusers=[1]", "JSON list"),
        ("main_basedir=etc", "absolute"),
        ("main_basedir=", "absolute"),
        ("main_log_file=u.log", "absolute"),
        ("main_log_level=debug", "none of"),
        ("main_log_retention=many", "whole number"),
        ("main_api_ca=ca.pem", "absolute"),
        ("main_api_noop=maybe", "neither"),
        ("main_api_lockname=a/b", "slash"),
        ("main_api_endpoint=https://x/api/v2", "/api/v2/"),
        ("main_api_endpoint=https://x/api/v1/", "/api/v2/"),
        ("main_api_secretid='a b'", "character"),
    ] {
        let words = with(line).unwrap_err().to_string();
        let key = line.split('=').next().unwrap();
        assert!(words.starts_with(&format!("f.env:5: {key}: ")) && words.contains(word), "{words}");
    }
}

#[test]
fn what_was_understood_has_every_key_and_no_secret() {
    let s = read_in(REQUIRED, &[]).unwrap();
    let shown: Vec<_> = understood(&s).into_iter().map(|row| row.key).collect();
    assert_eq!(shown.len(), keys::KEYS.len() + 1);
    assert!(keys::KEYS.iter().chain(&[USERS]).all(|key| shown.contains(key)));
    assert!(!format!("{s:?}{:?}", understood(&s)).contains("S3CRET"));
}

proptest! {
    #[test]
    fn no_text_upsets_it(text in "[a-z_=#'\" \n${}\\\\]{0,80}") {
        let _ = read_in(&format!("{REQUIRED}{text}"), &[("A", "b")]);
    }
}
