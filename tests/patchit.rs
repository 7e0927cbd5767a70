//! `patchit(8)` at moments and in boots of one's choice: the real binary below another root, which it never reboots.
//!
//! What happens on hosts that really boot is proved by
//! `tests/chain`; here is the clock.

#![allow(clippy::unwrap_used)] // a test that cannot go on has failed, and says why

#[path = "patchit/driver.rs"]
mod driver;
#[path = "patchit/lock.rs"]
mod lock;
#[path = "patchit/root.rs"]
mod root;

use std::fs;
use std::process::Command;

use patchflag::flag::record::Draft;
use patchflag::flag::state::State;
use patchflag::sys::clock;

use root::{Boot, INSTALL_DIR, ORDERED, RUN, Root, STAGED, THIS_BOOT};

#[test]
fn a_window_is_open_from_its_first_minute_to_before_its_last() {
    let root = Root::staged("window = 22:00-05:00", "");
    for (now, open) in
        [("21:59:59", false), ("22:00:00", true), ("23:59:59", true), ("04:59:59", true), ("05:00:00", false)]
    {
        let said = root.explains(&format!("2026-11-21T{now}Z"));
        assert_eq!(said.contains("would order the maintenance boot"), open, "{now}: {said}");
        assert_eq!(said.contains("window 22:00-05:00"), !open, "{now}: {said}");
    }
    root.tick("2026-11-21T21:59:59Z");
    assert_eq!(root.states(), [""; 0]);
    assert!(root.tick("2026-11-21T22:00:00Z").contains("would reboot"));
    assert_eq!(root.states(), ["ordered"]);
    assert_eq!(root.inittab(), "id:1:initdefault: # patchflag: was 2\n");
}

#[test]
fn not_before_is_kept_to_the_second() {
    let root = Root::staged("", "not_before=2026-11-21T03:00:00+01:00\n");
    root.tick("2026-11-21T01:59:59Z");
    assert_eq!(root.states(), [""; 0]);
    root.tick("2026-11-21T02:00:00Z");
    assert_eq!(root.states(), ["ordered"]);
}

#[test]
fn not_after_ends_a_run_that_waits_with_a_mail_and_no_failure() {
    let root = Root::staged("after = dump", "not_after=2026-11-21T06:00:00Z\n");
    root.tick("2026-11-21T05:59:59Z");
    assert_eq!((root.states().len(), root.mails()), (0, 0));
    root.tick("2026-11-21T06:00:00Z");
    assert_eq!((root.states(), root.mails()), (["expiring", "ending", "ended"].map(String::from).to_vec(), 1));
    assert!(!root.0.path().join("etc/patchfailed").is_symlink());
}

#[test]
fn an_order_that_no_boot_has_followed_fails_after_its_time_and_not_before() {
    let root = Root::ordered("boot_wait = 15m", THIS_BOOT);
    root.tick("2026-11-21T02:14:59Z");
    assert_eq!(root.states(), ["ordered"]);
    assert!(root.explains("2026-11-21T02:15:00Z").contains("no boot followed the order"));
    assert_eq!(root.patchit("2026-11-21T02:15:00Z", Boot::Normal, &["--finish"]).status.code(), Some(1));
    root.assert_failed("no boot followed the order");
}

#[test]
fn an_order_is_not_waited_for_for_ever_by_a_clock_that_was_set_back() {
    let root = Root::ordered("boot_wait = 15m", THIS_BOOT);
    root.patchit("2026-11-20T02:00:00Z", Boot::Normal, &["--finish"]);
    root.assert_failed("no boot followed the order");
}

#[test]
fn a_normal_boot_after_the_order_fails_the_run_at_once() {
    let root = Root::ordered("", "other/1");
    root.patchit("2026-11-21T02:00:30Z", Boot::Normal, &["--finish"]);
    root.assert_failed("not into the maintenance boot");
}

#[test]
fn a_maintenance_boot_follows_no_order_that_is_too_old_or_of_the_future() {
    for (now, because) in [
        ("2026-11-21T03:00:01Z", "older than an hour"),
        ("2026-11-21T01:59:59Z", "set the clock"),
        ("2000-01-01T00:00:00Z", "set the clock"),
    ] {
        let root = Root::ordered("", "other/1");
        let done = root.patchit(now, Boot::Maintenance, &[]);
        assert_eq!(done.status.code(), Some(1), "{done:?}");
        assert!(String::from_utf8_lossy(&done.stdout).contains("would reboot"), "{done:?}");
        root.assert_failed(because);
    }
}

#[test]
fn a_maintenance_boot_in_the_boot_that_gave_the_order_installs_nothing() {
    let root = Root::ordered("", THIS_BOOT);
    root.patchit("2026-11-21T02:00:30Z", Boot::Maintenance, &[]);
    root.assert_failed("not booted since the order");
}

#[test]
fn a_word_on_the_kernels_command_line_keeps_every_file_as_it_is() {
    for word in ["patchit=off", "single", "emergency", "rescue"] {
        let root = Root::ordered("", "other/1");
        root.write("proc/cmdline", &format!("ro {word} quiet\n"));
        let before = root.listing();
        for boot in [Boot::Maintenance, Boot::Normal] {
            assert!(root.patchit("2026-11-21T02:01:00Z", boot, &[]).status.success());
        }
        assert_eq!(root.listing(), before, "{word}");
    }
}

#[test]
fn a_configuration_that_cannot_be_read_still_takes_the_order_back() {
    let root = Root::ordered("no_such_key = 1", "other/1");
    let done = root.patchit("2026-11-21T02:01:00Z", Boot::Maintenance, &[]);
    assert_eq!(done.status.code(), Some(2), "{done:?}");
    assert_eq!((root.inittab().as_str(), root.states().len()), ("id:2:initdefault:\n", 1));
}

#[test]
fn an_order_without_any_flag_is_taken_back() {
    let root = Root::new("");
    root.write("etc/inittab", "id:1:initdefault: # patchflag: was 2\n");
    root.tick("2026-11-21T02:00:00Z");
    assert_eq!((root.inittab().as_str(), root.mails()), ("id:2:initdefault:\n", 0));
}

#[test]
fn explain_says_what_an_armed_host_waits_for() {
    let root = Root::new("");
    root.write("etc/patchflag", "");
    let said = root.explains("2026-11-21T02:00:00Z");
    assert!(said.contains("waits for grab-patch"), "{said}");
}

#[test]
fn an_order_for_another_cluster_than_the_staged_one_is_not_followed() {
    let root = Root::staged("", "cluster=B\n");
    root.record(STAGED, &Draft::state(State::Staged).field("cluster", "A"));
    for args in [&[][..], &["--finish"]] {
        let done = root.patchit("2026-11-21T02:00:00Z", Boot::Normal, args);
        assert_eq!(done.status.code(), Some(2), "{done:?}");
    }
    assert_eq!((root.states().len(), root.mails()), (1, 1));
    assert_eq!(root.inittab(), "id:2:initdefault:\n");
}

#[test]
fn an_order_that_init_does_not_take_fails_the_run_with_its_own_reason() {
    let root = Root::staged("", "");
    let inittab = root.0.path().join("etc/inittab");
    // Nothing can be written beside it: its draft's name is a directory's.
    fs::create_dir_all(root.0.path().join("etc/.inittab.draft/full")).unwrap();
    let done = root.patchit("2026-11-21T02:00:00Z", Boot::Normal, &[]);
    assert_eq!(done.status.code(), Some(1), "{done:?}");
    assert_eq!(fs::read_to_string(inittab).unwrap(), "id:2:initdefault:\n");
    root.assert_failed(".inittab.draft");
}

#[test]
fn what_was_staged_and_is_gone_or_another_fails_before_a_boot_is_spent_on_it() {
    let gone: fn(&Root) = |root| fs::remove_dir_all(root.0.path().join(&INSTALL_DIR[1..])).unwrap();
    let other: fn(&Root) = |root| drop(root.stage(2));
    for (spoil, because) in [(gone, INSTALL_DIR), (other, "is not the one that was staged")] {
        let root = Root::staged("", "");
        spoil(&root);
        let done = root.patchit("2026-11-21T02:00:00Z", Boot::Normal, &[]);
        assert_eq!(done.status.code(), Some(1), "{done:?}");
        assert!(!root.log().contains("state=ordered"), "{}", root.log());
        root.assert_failed(because);
    }
}

#[test]
fn a_host_whose_journal_is_gone_or_another_run_s_is_not_confirmed_and_is_told() {
    for foreign in [false, true] {
        let root = Root::new("");
        let text = format!("run={RUN}\ncluster=C\nboot=other/1\nlevel=2\nlog=patchlog.261120\nreboot=ours\n");
        root.write("etc/patchdone", &text);
        let stranger = Draft::state(State::Installed).line(clock::parse(STAGED).unwrap(), "test", 7, "OTHER") + "\n";
        if foreign {
            root.write("etc/patchlog.261120", &stranger);
        }
        let done = root.patchit("2026-11-21T02:00:00Z", Boot::Normal, &["--finish"]);
        assert_eq!(done.status.code(), Some(1), "{done:?}");
        let log = root.log();
        assert!(log.contains("verdict=bad") && log.contains("patchlog.261120"), "{log}");
        assert!(!root.0.path().join("etc/patchdone").exists());
        assert_eq!(fs::read_link(root.0.path().join("etc/patchfailed")).unwrap().to_str(), Some("patchlog.261121"));
        assert_eq!(root.mails(), 1);
        if foreign {
            assert_eq!(fs::read_to_string(root.0.path().join("etc/patchlog.261120")).unwrap(), stranger);
        }
        assert_eq!(root.tick("2026-11-21T02:05:00Z"), "");
    }
}

#[test]
fn a_repair_that_was_cut_short_twice_is_left_to_people() {
    let root = Root::ordered("", "other/1");
    fs::remove_file(root.0.path().join("etc/patchflag")).unwrap();
    root.write("etc/inittab", "id:2:initdefault:\n");
    for draft in [Draft::state(State::Starting), Draft::state(State::Installing), Draft::note("").field("repair", "2")]
    {
        root.record(ORDERED, &draft);
    }
    let done = root.patchit("2026-11-21T02:05:00Z", Boot::Normal, &["--finish"]);
    assert_eq!(done.status.code(), Some(1), "{done:?}");
    assert!(root.log().contains("each attempt was cut short"), "{}", root.log());
    assert!(!root.log().contains("repair=3"), "{}", root.log());
    assert_eq!((root.states().last().map(String::as_str), root.mails()), (Some("failed"), 1));
}

#[test]
fn a_stage_beside_an_unfit_flag_is_not_run_and_mailed_once() {
    let root = Root::staged("", "colour=blue\n");
    let before = root.log();
    for _ in 0..2 {
        let mut command = Command::new(env!("CARGO_BIN_EXE_patch-stage"));
        command.arg("--root").arg(root.0.path()).args(["--now", ORDERED, "dump", "--", "true"]);
        let done = command.output().unwrap();
        assert_eq!(done.status.code(), Some(2), "{done:?}");
        assert!(String::from_utf8_lossy(&done.stderr).contains("unknown key colour"), "{done:?}");
    }
    assert_eq!((root.log(), root.mails()), (before, 1));
}

#[test]
fn the_machines_own_root_is_no_other_root() {
    let done = Command::new(env!("CARGO_BIN_EXE_patchit")).args(["--root", "/", "--finish"]).output().unwrap();
    assert_eq!(done.status.code(), Some(2), "{done:?}");
    assert!(String::from_utf8_lossy(&done.stderr).contains("this machine itself"), "{done:?}");
}

#[test]
fn output_that_is_lost_is_a_failure_and_a_reader_that_has_enough_is_none() {
    let root = Root::staged("", "");
    let full = fs::File::options().write(true).open("/dev/full").unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_patch-status"));
    let command = command.arg("--root").arg(root.0.path()).arg("--json");
    let done = command.stdout(full).stderr(std::process::Stdio::piped()).spawn().unwrap().wait_with_output().unwrap();
    assert_eq!(done.status.code(), Some(1), "{done:?}");
    assert!(String::from_utf8_lossy(&done.stderr).contains("standard output"), "{done:?}");
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    assert_eq!(command.stdout(writer).status().unwrap().code(), Some(0));
}
