//! The log as a file: what is in it, who may read it, what becomes of it.

use super::*;
use crate::sys::clock::parse;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

struct Ground {
    _keep: tempfile::TempDir,
    dir: PathBuf,
}

impl Ground {
    fn new() -> Self {
        let keep = tempfile::tempdir().unwrap();
        let dir = keep.path().join("log");
        std::fs::create_dir(&dir).unwrap();
        Self { _keep: keep, dir }
    }

    fn path(&self) -> PathBuf {
        self.dir.join("run.log")
    }

    fn open(&self, now: &str, retention: u32) -> Result<Log> {
        let settings = LogFile { path: self.path(), level: Level::Info, retention };
        Log::open(&Paths::system(), &settings, Clock::Fixed(parse(now).unwrap()))
    }

    fn text(&self) -> String {
        std::fs::read_to_string(self.path()).unwrap()
    }

    fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(&self.dir).unwrap();
        let mut names: Vec<_> = entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

const NOW: &str = "2026-11-21T07:24:46Z";

#[test]
fn a_line_is_the_updaters_to_the_letter() {
    let ground = Ground::new();
    ground.open(NOW, 7).unwrap().say(Level::Info, "running: /etc/x/update.d/10-update");
    let line = "2026-11-21 07:24:46,000UTC - INFO - MainThread - running: /etc/x/update.d/10-update\n";
    assert_eq!(ground.text(), line);
    let at = "2026-11-21T07:24:46.900Z".parse().unwrap();
    assert_eq!(prefix(at, Level::Critical), "2026-11-21 07:24:46,900UTC - CRITICAL - MainThread - ");
}

#[test]
fn w41_each_line_of_a_message_is_a_line_of_the_log() {
    let ground = Ground::new();
    ground.open(NOW, 7).unwrap().say(Level::Error, "one\ntwo\n");
    assert_eq!(ground.text().lines().filter(|line| line.contains(" - ERROR - MainThread - ")).count(), 2);
}

#[test]
fn what_matters_less_than_the_level_is_not_written() {
    let ground = Ground::new();
    let mut log = ground.open(NOW, 7).unwrap();
    log.say(Level::Debug, "quiet");
    log.level = Level::Warning;
    log.output().take(b"quiet\n");
    assert_eq!((ground.text().as_str(), log.lost()), ("", 0));
}

#[test]
fn what_a_script_says_is_there_when_it_is_finished_and_each_second() {
    let ground = Ground::new();
    let mut log = ground.open(NOW, 7).unwrap();
    let mut output = log.output();
    output.take(b"one\ntwo");
    assert_eq!(ground.text(), "");
    output.tick();
    assert!(ground.text().ends_with(" - one\n"));
    drop(output);
    assert!(ground.text().ends_with(" - two\n"));
}

#[test]
fn w41_a_log_that_we_make_is_not_for_others_and_one_that_is_there_keeps_its_mode() {
    let ground = Ground::new();
    ground.open(NOW, 7).unwrap();
    assert_eq!(std::fs::metadata(ground.path()).unwrap().mode() & 0o777, 0o640);
    std::fs::set_permissions(ground.path(), std::fs::Permissions::from_mode(0o644)).unwrap();
    ground.open(NOW, 7).unwrap();
    assert_eq!(std::fs::metadata(ground.path()).unwrap().mode() & 0o777, 0o644);
}

#[test]
fn w41_the_log_of_yesterday_is_put_away_and_nothing_is_overwritten() {
    let ground = Ground::new();
    for hour in ["2026-11-20T22:00:00Z", "2026-11-20T23:00:00Z", NOW] {
        ground.open(hour, 7).unwrap().say(Level::Info, hour);
    }
    assert_eq!(ground.names(), ["run.log", "run.log.2026-11-20"]);
    assert_eq!(std::fs::read_to_string(ground.dir.join("run.log.2026-11-20")).unwrap().lines().count(), 2);
    std::fs::write(ground.path(), "2026-11-20 again\n").unwrap();
    ground.open(NOW, 7).unwrap();
    assert_eq!(ground.names(), ["run.log", "run.log.2026-11-20", "run.log.2026-11-20.1"]);
}

#[test]
fn w41_a_day_that_ends_in_the_middle_of_a_run_ends_its_log() {
    let ground = Ground::new();
    let mut log = ground.open("2026-11-20T23:59:59Z", 7).unwrap();
    log.say(Level::Info, "before");
    log.clock = Clock::Fixed(parse("2026-11-21T00:00:00Z").unwrap());
    log.output().take(b"after\n");
    assert_eq!(ground.names(), ["run.log", "run.log.2026-11-20"]);
    assert!(ground.text().ends_with(" - after\n") && ground.text().lines().count() == 1);
}

#[test]
fn old_logs_go_and_strangers_stay() {
    let ground = Ground::new();
    for name in ["run.log.2026-11-01", "run.log.2026-11-02", "run.log.2026-11-02.1", "run.log.old"] {
        std::fs::write(ground.dir.join(name), "").unwrap();
    }
    ground.open(NOW, 1).unwrap();
    assert_eq!(ground.names(), ["run.log", "run.log.2026-11-02", "run.log.2026-11-02.1", "run.log.old"]);
}

#[test]
fn a_torn_last_line_is_ended_first() {
    let ground = Ground::new();
    std::fs::write(ground.path(), "2026-11-21 torn").unwrap();
    ground.open(NOW, 7).unwrap().say(Level::Info, "whole");
    assert!(ground.text().starts_with("2026-11-21 torn\n2026-11-21 07:24:46,000UTC"));
}

#[test]
fn what_a_stranger_planted_is_refused() {
    let refused = |plant: &dyn Fn(&Path)| {
        let ground = Ground::new();
        std::fs::write(ground.dir.join("other"), "precious").unwrap();
        plant(&ground.path());
        let words = ground.open(NOW, 7).unwrap_err().to_string();
        assert_eq!(std::fs::read_to_string(ground.dir.join("other")).unwrap(), "precious");
        words
    };
    assert!(refused(&|path| symlink("other", path).unwrap()).contains("symbolic link"));
    assert!(refused(&|path| std::fs::hard_link(path.with_file_name("other"), path).unwrap()).contains("second name"));
    assert!(refused(&|path| nix::unistd::mkfifo(path, nix::sys::stat::Mode::S_IRWXU).unwrap()).contains("regular"));
    assert!(refused(&|path| std::fs::create_dir(path).unwrap()).contains("run.log"));
    let open = |path: &Path| {
        std::fs::write(path, "").unwrap();
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o666)).unwrap();
    };
    assert!(refused(&open).contains("mode 0666"));
}

#[test]
fn a_directory_that_a_group_may_write_is_fit_for_a_log_and_one_for_all_is_not() {
    let ground = Ground::new();
    std::fs::set_permissions(&ground.dir, std::fs::Permissions::from_mode(0o775)).unwrap();
    ground.open(NOW, 7).unwrap();
    std::fs::set_permissions(&ground.dir, std::fs::Permissions::from_mode(0o777)).unwrap();
    assert!(ground.open(NOW, 7).unwrap_err().to_string().contains("mode 0777"));
}

#[test]
fn a_log_that_cannot_be_written_stops_nobody_and_says_what_is_lost() {
    let ground = Ground::new();
    let mut log = ground.open(NOW, 7).unwrap();
    let target = log.target.as_mut().unwrap();
    let whole = std::mem::replace(&mut target.file, File::options().write(true).open("/dev/full").unwrap());
    log.say(Level::Info, "lost");
    log.output().take(b"lost\nlost\n");
    assert_eq!(log.lost(), 3);
    log.target.as_mut().unwrap().file = whole;
    log.say(Level::Info, "room again");
    assert!(ground.text().contains(" - ERROR - MainThread - 3 lines before this one"), "{}", ground.text());
    assert!(ground.text().ends_with("room again\n"));
    log.say(Level::Info, "on");
    assert_eq!((ground.text().lines().count(), log.lost()), (3, 3));
}
