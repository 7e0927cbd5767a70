//! Golden mails, one a kind, in `tests/golden/mail`. `PATCHFLAG_BLESS=1` writes them anew: read the difference.

use super::*;
use proptest::prelude::*;

fn at(text: &str) -> Moment {
    clock::parse(text).unwrap()
}

fn change(package: &str, old: Option<&str>, new: Option<&str>) -> Change {
    Change { package: package.into(), old: old.map(Into::into), new: new.map(Into::into) }
}

fn report(kind: Kind) -> Report {
    let mut report = Report::new(kind, "web01");
    report.run = Some("20261121T020007Z-812".into());
    report.by = Some("alice".into());
    report.reason = Some("monthly round".into());
    report.cluster = Some("debian-12 of 2026-11-18".into());
    report.times = vec![("ordered".into(), at("2026-11-21T02:00:07Z"))];
    report.journal = b"time=2026-11-21T02:00:07Z state=staged\n".to_vec();
    report
}

fn patched(kind: Kind) -> Report {
    let mut report = report(kind);
    report.reboots = 2;
    report.changes = vec![
        change("libssl3", Some("3.0.14-1~deb12u2"), Some("3.0.15-1~deb12u1")),
        change("linux-image-amd64", Some("6.1.106-3"), Some("6.1.112-1")),
        change("linux-image-6.1.0-26-amd64", None, Some("6.1.112-1")),
        change(
            "a-package-with-quite-a-long-name-indeed",
            Some("1:2.3.4+really2.3.3-5~deb12u1"),
            Some("1:2.3.4+really2.3.4-1~deb12u2"),
        ),
        change("obsolete", Some("1.0"), None),
    ];
    report.kept = vec!["/etc/ssh/sshd_config (new one: /etc/ssh/sshd_config.dpkg-dist)".into()];
    report.times.push(("maintenance boot".into(), at("2026-11-21T02:01:12Z")));
    report.times.push(("back at the normal level".into(), at("2026-11-21T02:06:40Z")));
    report
}

fn broken(kind: Kind) -> Report {
    let mut report = report(kind);
    report.during = Some("installing".into());
    report.cause =
        Some("the installer ended with exit code 100: E: Sub-process /usr/bin/dpkg returned an error code (1)".into());
    report.tail = vec![
        "Setting up libssl3 (3.0.15-1~deb12u1) ...".into(),
        "dpkg: error processing package libssl3:amd64 (--configure): \u{1b}[31minstalled post-installation script returned 1\u{1b}[0m".into(),
    ];
    report
}

fn golden(name: &str, report: &Report) {
    let message = report.message(at("2026-11-21T02:10:00Z"));
    let text = format!("Subject: {}\nId: {}\n\n{}", message.subject, message.id, message.body);
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/mail").join(name);
    if std::env::var_os("PATCHFLAG_BLESS").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    assert_eq!(std::fs::read_to_string(&path).unwrap(), text, "{}", path.display());
}

#[test]
fn a_patched_host_says_so_with_its_packages() {
    golden("patched.txt", &patched(Kind::Patched));
}

#[test]
fn a_lock_that_is_still_held_is_in_the_subject() {
    golden("patched-lock-held.txt", &patched(Kind::PatchedLockHeld));
}

#[test]
fn a_failure_says_what_to_do_before_it_says_more() {
    golden("failed.txt", &broken(Kind::Failed));
}

#[test]
fn an_interruption_asks_for_a_look_at_the_packages() {
    let mut report = broken(Kind::Interrupted);
    report.cause = Some("the host went down while the installer ran".into());
    golden("interrupted.txt", &report);
}

#[test]
fn a_host_that_did_not_come_back_names_what_failed() {
    let mut report = patched(Kind::NotConfirmed);
    report.cause = Some("nginx.service failed, and it worked before".into());
    report.next = vec!["Look at the service: systemctl status nginx.service".into()];
    golden("not-confirmed.txt", &report);
}

#[test]
fn a_run_that_was_called_off_changed_nothing() {
    golden("called-off.txt", &report(Kind::CalledOff));
}

#[test]
fn an_expired_run_changed_nothing() {
    let mut report = report(Kind::Expired);
    report.cause = Some("the lock web was held by web02 until not_after (2026-11-21 05:00)".into());
    golden("expired.txt", &report);
}

#[test]
fn a_service_that_cannot_be_reached_is_named() {
    let mut report = report(Kind::Unreachable);
    report.cause = Some("cannot reach https://patch.example.org: connection refused".into());
    golden("unreachable.txt", &report);
}

#[test]
fn wrong_configuration_is_told_once_a_day() {
    let mut report = Report::new(Kind::Configuration, "web01");
    report.cause = Some("/etc/patch/config.ini:3: unknown key soack in [patchit]; did you mean soak?".into());
    golden("configuration.txt", &report);
}

#[test]
fn a_run_has_one_id_however_it_ends() {
    let ids: Vec<String> =
        [Kind::Patched, Kind::Failed, Kind::CalledOff].map(|kind| report(kind).id(at("2026-11-21T02:10:00Z"))).to_vec();
    assert!(ids.iter().all(|id| id == "20261121T020007Z-812"), "{ids:?}");
}

#[test]
fn of_a_huge_journal_the_end_is_attached_in_whole_lines() {
    let mut report = report(Kind::Failed);
    report.journal = "state=staged msg=x\n".repeat(100_000).into_bytes();
    let bytes = report.message(at("2026-11-21T02:10:00Z")).attachments.remove(0).bytes;
    assert!(bytes.len() < JOURNAL + 100);
    let text = String::from_utf8(bytes).unwrap();
    assert!(text.starts_with('[') && text.lines().skip(1).all(|line| line == "state=staged msg=x"));
}

proptest! {
    #[test]
    fn no_run_id_keeps_a_mail_from_being_spooled(run in any::<String>()) {
        for kind in [Kind::Failed, Kind::Unreachable, Kind::Configuration] {
            let report = Report { run: Some(run.clone()), ..Report::new(kind, "web01") };
            prop_assert!(is_plain_name(&report.id(at("2026-11-21T02:10:00Z"))));
        }
    }

    #[test]
    fn no_words_can_move_a_cursor_or_add_a_line(cause in any::<String>(), tail in any::<Vec<String>>(), host in any::<String>()) {
        let mut report = report(Kind::Failed);
        report.cause = Some(cause);
        report.tail = tail;
        report.host = host;
        let message = report.message(at("2026-11-21T02:10:00Z"));
        prop_assert!(!message.subject.contains(|c: char| c.is_control()));
        prop_assert!(!message.body.contains(|c: char| c.is_control() && c != '\n'));
        prop_assert!(message.subject.starts_with("[patchflag] "));
    }
}
