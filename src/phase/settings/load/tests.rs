use super::*;
use crate::phase::settings::Reboot;
use crate::phase::settings::missing::missing_dirs;
use std::fs;

const DOTENV: &str =
    "main_api_lockname=web\nmain_api_endpoint=https://x/api/v2/\nmain_api_secretid=id\nmain_api_secret=S3CRET\n";
const INI: &str = "[main]\nlog = /l\nlog_level = INFO\nlog_retention = 30\nlock = /k\nstate = /s\nendpoint = https://x/api/v2/\n\
    secret_id = id\nsecret = S3CRET\nlock_name = web\nneeds_update.d = /d/needs_update.d\npre_update.d = /d/pre_update.d\n\
    update.d = /d/update.d\nneeds_reboot.d = /d/needs_reboot.d\npost_update.d = /d/post_update.d\next_notify.d = /d/ext_notify.d\n\
    reboot_cmd = reboot\n";

struct Host {
    paths: Paths,
    _dir: tempfile::TempDir,
}

impl Host {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self { paths: Paths::below_root(dir.path()).unwrap(), _dir: dir }
    }

    fn put(&self, name: &str, text: &str, mode: u32) -> PathBuf {
        let path = self.paths.at(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path
    }

    fn load(&self, called_as: CalledAs) -> Result<Settings> {
        load(called_as, None, &self.paths, &[])
    }
}

#[test]
fn each_name_has_its_file_and_the_dotenv_comes_first() {
    let host = Host::new();
    assert_eq!(host.load(CalledAs::PatchRun).unwrap().dialect, Dialect::Ours);
    let words = host.load(CalledAs::DlmEngineUpdater).unwrap_err().to_string();
    assert!(words.contains("/.env nor ") && words.contains("config.ini"), "{words}");
    assert!(host.load(CalledAs::ForemanDlmUpdater).is_err());
    host.put("/etc/dlm_engine_updater/config.ini", INI, 0o600);
    let settings = host.load(CalledAs::DlmEngineUpdater).unwrap();
    assert_eq!((settings.dialect, settings.reboot), (Dialect::DlmIni, Reboot::Command(vec!["reboot".into()])));
    let file = host.put("/etc/dlm_engine_updater/.env", DOTENV, 0o600);
    let settings = host.load(CalledAs::DlmEngineUpdater).unwrap();
    assert_eq!((settings.dialect, &settings.file, settings.warnings.len()), (Dialect::Dotenv, &file, 0));
    let same = load(CalledAs::PatchRun, Some(&file), &host.paths, &[]).unwrap();
    assert_eq!(same.dialect, Dialect::Dotenv, "the text decides, not the name");
}

#[test]
fn the_updater_can_be_told_everything_by_its_environment() {
    let host = Host::new();
    let env: Vec<_> = DOTENV.lines().filter_map(|line| line.split_once('=')).collect();
    let env: Vec<_> = env.into_iter().map(|(key, value)| (key.to_uppercase(), value.to_string())).collect();
    assert_eq!(load(CalledAs::DlmEngineUpdater, None, &host.paths, &env).unwrap().lock_name, "web");
}

/// W43: the file mode of the secret is never checked.
#[test]
fn w43_a_secret_that_others_may_read_is_told() {
    let host = Host::new();
    let file = host.put("/etc/dlm_engine_updater/.env", DOTENV, 0o644);
    let warnings = host.load(CalledAs::DlmEngineUpdater).unwrap().warnings;
    assert!(warnings[0].ends_with(&format!("chmod 600 {}", file.display())), "{warnings:?}");
    host.put("/etc/patch/config.ini", "[run]\n", 0o644);
    assert!(host.load(CalledAs::PatchRun).unwrap().warnings.is_empty(), "there is no secret in it");
}

#[test]
fn a_file_that_a_stranger_could_have_made_is_refused() {
    let host = Host::new();
    let file = host.put("/etc/dlm_engine_updater/.env", DOTENV, 0o666);
    let words = host.load(CalledAs::DlmEngineUpdater).unwrap_err().to_string();
    assert!(words.starts_with("refusing ") && words.contains("chmod go-w"), "{words}");
    let link = file.with_file_name("link");
    std::os::unix::fs::symlink(&file, &link).unwrap();
    for path in [link.as_path(), Path::new("/nonexistent/.env"), Path::new("/etc"), Path::new("/dev/null")] {
        let error = load(CalledAs::DlmEngineUpdater, Some(path), &host.paths, &[]).unwrap_err();
        assert!(matches!(error, Error::Usage(_)), "{error}");
    }
    host.put("/etc/dlm_engine_updater/.env", &"#".repeat((1 << 20) + 1), 0o600);
    assert!(host.load(CalledAs::DlmEngineUpdater).unwrap_err().to_string().contains("larger"));
    fs::write(&file, b"main_api_secret=\xff\n").unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    assert!(host.load(CalledAs::DlmEngineUpdater).unwrap_err().to_string().contains("not UTF-8"));
}

#[test]
fn a_failure_directory_beside_the_file_is_told_of() {
    let host = Host::new();
    let file = host.put("/etc/dlm_engine_updater/config.ini", INI, 0o600);
    fs::create_dir(file.with_file_name("on_failure.d")).unwrap();
    let warnings = host.load(CalledAs::DlmEngineUpdater).unwrap().warnings;
    assert!(warnings[0].contains("on_failure.d is not set"), "{warnings:?}");
}

#[test]
fn the_tool_is_known_by_the_last_part_of_its_name() {
    for (name, called_as) in [
        ("/usr/sbin/dlm_engine_updater", CalledAs::DlmEngineUpdater),
        ("foreman_dlm_updater", CalledAs::ForemanDlmUpdater),
        ("./patch-run", CalledAs::PatchRun),
        ("", CalledAs::PatchRun),
    ] {
        assert_eq!(CalledAs::of(OsStr::new(name)), called_as, "{name}");
    }
}

/// W26: a missing or misspelt directory counts as "no scripts".
#[test]
fn w26_a_directory_that_is_named_and_missing_is_an_error() {
    let host = Host::new();
    host.put("/etc/dlm_engine_updater/config.ini", INI, 0o600);
    let settings = host.load(CalledAs::DlmEngineUpdater).unwrap();
    let found = missing_dirs(&settings, &host.paths);
    assert_eq!((found.errors.len(), found.warnings.len()), (6, 0));
    for name in ["needs_update.d", "pre_update.d", "update.d", "needs_reboot.d", "post_update.d"] {
        fs::create_dir_all(host.paths.at("/d").join(name)).unwrap();
    }
    fs::write(host.paths.at("/d/ext_notify.d"), "").unwrap();
    let found = missing_dirs(&settings, &host.paths);
    assert!(found.errors.len() == 1 && found.errors[0].contains("/d/ext_notify.d"), "{found:?}");
}

#[test]
fn w26_a_default_directory_of_the_dotenv_is_missed_and_a_named_base_must_be_there() {
    let host = Host::new();
    host.put("/etc/dlm_engine_updater/.env", DOTENV, 0o600);
    fs::create_dir(host.paths.at("/etc/dlm_engine_updater/update.d")).unwrap();
    let found = missing_dirs(&host.load(CalledAs::DlmEngineUpdater).unwrap(), &host.paths);
    assert_eq!((found.errors.len(), found.warnings.len()), (0, 7), "{found:?}");
    host.put("/etc/dlm_engine_updater/.env", &format!("{DOTENV}main_basedir=/srv/u\n"), 0o600);
    let found = missing_dirs(&host.load(CalledAs::DlmEngineUpdater).unwrap(), &host.paths);
    assert!(found.errors.len() == 1 && found.errors[0].contains("/srv/u"), "{found:?}");
}

#[test]
fn w26_ours_cannot_do_without_a_question_and_an_update() {
    let host = Host::new();
    let settings = host.load(CalledAs::PatchRun).unwrap();
    assert_eq!(missing_dirs(&settings, &host.paths).errors.len(), 1, "the directory of them all");
    fs::create_dir_all(host.paths.at("/etc/patch/run/update.d")).unwrap();
    let found = missing_dirs(&settings, &host.paths);
    assert!(found.errors.len() == 1 && found.errors[0].contains("needs_update.d"), "{found:?}");
    assert!(found.warnings.is_empty());
}
