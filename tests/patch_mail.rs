//! `patch-mail(8)`, the real binary against a real SMTP server with TLS and logins, a full disk, and kills at every step.
//!
//! Python with aiosmtpd is taken from `PATCHFLAG_PYTHON`, else from a venv below `target/` that is made when it is missing. A
//! check that cannot run fails.

#![allow(clippy::unwrap_used, clippy::print_stdout)] // a test that cannot go on fails, and says how much it has tried

#[path = "mail/bench.rs"]
mod bench;

use std::time::{Duration, Instant};

use bench::{Authority, Host, Relay, Tls};

const BODY: &str = "All well on web01.\nGrüße\n";

#[test]
fn a_mail_arrives_by_starttls_with_a_login_and_reads_as_it_was_written() {
    let (host, ca) = (Host::new(), Authority::new());
    let relay = Relay::start(&["--password", "s3cret"], Tls::Starttls(&ca));
    host.configure(&relay, &format!("tls = starttls\n{}", host.login("s3cret\nsecond line\n", &ca)));
    let journal = "time=2026-11-21T02:00:07Z run=r1 state=staged msg=\"Größe\"\n".repeat(200);
    host.write("etc/patchlog", &journal);
    let log = host.path("etc/patchlog");
    let sent = host.send(&["--subject", "web01 patched: 9 packages – ok", "--id", "run1", "--attach", &log], BODY);
    assert_eq!((sent.code, sent.out.as_str(), sent.err.as_str()), (0, "", ""), "cron makes no mail of it");
    let mail = relay.only();
    assert_eq!(mail.header("X-Test-Tls"), "True");
    assert_eq!(mail.header("X-Test-Login"), "True");
    assert_eq!(mail.header("X-Test-To"), "root@web01 ops@example.org");
    assert_eq!(mail.header("Subject"), "web01 patched: 9 packages – ok");
    assert_eq!(mail.header("Message-ID"), "<run1@web01>");
    assert_eq!(mail.header("Auto-Submitted"), "auto-generated");
    assert_eq!(mail.header("Precedence"), "bulk");
    assert_eq!(mail.header("List-Id"), "<patchflag.web01>");
    assert_eq!(mail.header("Date"), "Sat, 21 Nov 2026 02:00:07 +0000");
    assert_eq!(mail.body(), BODY);
    assert_eq!(mail.file("patchlog"), ("text/plain".to_string(), journal));
    assert!(mail.defects().is_empty(), "{:?}", mail.defects());
    assert_eq!(host.folder("sent"), ["run1"]);
}

#[test]
fn a_mail_arrives_by_tls_from_the_first_byte_and_a_binary_file_is_exact() {
    let (host, ca) = (Host::new(), Authority::new());
    let relay = Relay::start(&["--password", "s3cret"], Tls::Implicit(&ca));
    host.configure(&relay, &format!("tls = implicit\n{}", host.login("s3cret", &ca)));
    let bytes: Vec<u8> = (0..=255).cycle().take(5000).collect();
    std::fs::write(host.path("etc/core"), &bytes).unwrap();
    let sent = host.send(&["--subject", "s", "--attach", &host.path("etc/core"), "oncall"], "");
    assert_eq!(sent.code, 0, "{sent:?}");
    let mail = relay.only();
    assert_eq!((mail.header("X-Test-Tls").as_str(), mail.header("X-Test-To").as_str()), ("True", "oncall@web01"));
    assert_eq!(mail.file("core"), ("application/octet-stream".to_string(), bench::hex(&bytes)));
}

#[test]
fn a_wrong_password_is_named_and_the_mail_waits_until_it_is_right() {
    let (host, ca) = (Host::new(), Authority::new());
    let relay = Relay::start(&["--password", "s3cret"], Tls::Starttls(&ca));
    host.configure(&relay, &format!("tls = starttls\n{}", host.login("wrong", &ca)));
    let sent = host.send(&["--subject", "s", "--id", "run1"], "b");
    assert_eq!(sent.code, 0, "{sent:?}");
    assert!(sent.err.contains("535") && sent.err.contains("password_file"), "{sent:?}");
    assert_eq!(host.deliver("2026-11-21T02:02:00Z").code, 1);
    host.login("s3cret", &ca);
    assert_eq!(host.deliver("2026-11-21T03:00:00Z").code, 0);
    assert_eq!(relay.mails().len(), 1);
}

#[test]
fn a_relay_with_a_certificate_of_another_authority_gets_nothing() {
    let (host, ours, theirs) = (Host::new(), Authority::new(), Authority::new());
    for tls in [Tls::Starttls(&theirs), Tls::Implicit(&theirs)] {
        let relay = Relay::start(&["--password", "s3cret"], tls);
        host.configure(&relay, &format!("tls = {}\n{}", relay.tls, host.login("s3cret", &ours)));
        host.send(&["--subject", "s", "--id", relay.tls], "b");
        let tried = host.deliver("2026-11-21T04:00:00Z");
        assert_eq!((tried.code, tried.err.as_str()), (69, ""), "cron makes no mail of it");
        assert!(host.list().out.contains("UnknownIssuer"), "{:?}", host.list());
        assert!(relay.mails().is_empty());
        host.forget();
    }
}

#[test]
fn a_relay_that_is_down_for_a_week_loses_nothing_and_everything_comes_once() {
    let host = Host::new();
    let port = Relay::start(&[], Tls::None).stop();
    host.configure_port(port, "tls = none\n");
    for id in ["run1", "run2", "run3"] {
        assert_eq!(host.send(&["--subject", id, "--id", id], "b").code, 0);
    }
    let mut asked = 0;
    for hour in 0..24 * 7 {
        let tried = host.deliver(&Host::hours_later(hour));
        assert!(tried.err.is_empty(), "{tried:?}");
        asked += usize::from(tried.code == 69);
    }
    assert!(asked > 100, "{asked}");
    assert_eq!(host.folder("queue"), ["run1", "run2", "run3"]);
    let listed = host.json_list();
    assert_eq!(listed.as_array().unwrap().len(), 3);
    assert!(listed[0]["answer"].as_str().unwrap().contains("refused"), "{listed}");
    assert!(listed[0]["tries"].as_u64().unwrap() > 100, "{listed}");
    let relay = Relay::start(&["--port", &port.to_string()], Tls::None);
    assert_eq!(host.deliver(&Host::hours_later(24 * 7 + 1)).code, 0);
    assert_eq!(host.deliver(&Host::hours_later(24 * 7 + 9)).code, 0);
    let mut ids: Vec<String> = relay.mails().iter().map(|mail| mail.header("Message-ID")).collect();
    ids.sort();
    assert_eq!(ids, ["<run1@web01>", "<run2@web01>", "<run3@web01>"]);
}

#[test]
fn an_event_is_mailed_once_however_often_it_is_posted() {
    let host = Host::new();
    let relay = Relay::start(&[], Tls::None);
    host.configure(&relay, "tls = none\n");
    for _ in 0..3 {
        assert_eq!(host.send(&["--subject", "s", "--id", "run1"], "b").code, 0);
    }
    assert_eq!(relay.mails().len(), 1);
}

#[test]
fn later_means_later_and_never_is_shown_and_can_be_put_back() {
    let host = Host::new();
    let mut relay = Relay::start(&["--behave", "451"], Tls::None);
    host.configure(&relay, "tls = none\n");
    host.send(&["--subject", "s", "--id", "run1"], "b");
    assert_eq!(host.folder("queue"), ["run1"]);
    let port = relay.stop();
    let mut relay = Relay::start(&["--behave", "554", "--port", &port.to_string()], Tls::None);
    let tried = host.deliver("2026-11-21T03:00:00Z");
    assert_eq!(tried.code, 1);
    assert!(tried.err.contains("554 5.7.1 not wanted") && tried.err.contains("patch-mail retry run1"), "{tried:?}");
    assert_eq!((host.deliver("2026-11-21T09:00:00Z").code, host.folder("refused")), (0, vec!["run1".to_string()]));
    assert!(host.list().out.contains("run1  refused"), "{:?}", host.list());
    assert!(host.run(&["show", "run1"]).out.contains("Message-ID: <run1@web01>"));
    let port = relay.stop();
    let relay = Relay::start(&["--port", &port.to_string()], Tls::None);
    assert_eq!(host.run(&["retry", "--all"]).code, 0);
    assert_eq!(host.deliver("2026-11-21T10:00:00Z").code, 0);
    assert_eq!(relay.mails().len(), 1);
    assert!(host.list().out.is_empty());
}

#[test]
fn one_bad_recipient_does_not_keep_the_mail_from_the_others_and_nobody_gets_it_twice() {
    let host = Host::new();
    let relay = Relay::start(&[], Tls::None);
    host.configure(&relay, "tls = none\n");
    let sent = host.send(&["--subject", "s", "--id", "run1", "root", "later@x", "refused@x"], "b");
    assert_eq!(sent.code, 0);
    assert_eq!(host.folder("queue"), ["run1"]);
    host.deliver("2026-11-21T05:00:00Z");
    assert_eq!(relay.only().header("X-Test-To"), "root@web01");
    let listed = host.json_list();
    let states: Vec<&str> = listed[0]["to"].as_array().unwrap().iter().map(|r| r["state"].as_str().unwrap()).collect();
    assert_eq!(states, ["delivered", "waiting", "refused"]);
}

#[test]
fn a_connection_that_breaks_in_the_middle_of_a_mail_costs_a_try_and_not_the_mail() {
    let host = Host::new();
    let mut relay = Relay::start(&["--behave", "drop-in-data"], Tls::None);
    host.configure(&relay, "tls = none\n");
    host.send(&["--subject", "s", "--id", "run1"], &"b\n".repeat(100_000));
    assert_eq!(host.deliver("2026-11-21T03:00:00Z").code, 69);
    let port = relay.stop();
    let mut relay = Relay::start(&["--behave", "drop-after-data", "--port", &port.to_string()], Tls::None);
    assert_eq!(host.deliver("2026-11-21T05:00:00Z").code, 69);
    let port = relay.stop();
    let again = Relay::start(&["--port", &port.to_string()], Tls::None);
    assert_eq!(host.deliver("2026-11-21T07:00:00Z").code, 0);
    // Taken without a word: it comes twice, and can be known again.
    assert_eq!(relay.only().header("Message-ID"), again.only().header("Message-ID"));
}

#[test]
fn a_relay_that_never_answers_is_given_up_and_does_not_keep_others_from_posting() {
    let host = Host::new();
    let mute = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    host.configure_port(mute.local_addr().unwrap().port(), "tls = none\n");
    let start = Instant::now();
    let waiting = host.spawn_send(&["--subject", "s", "--id", "run1"], "b");
    while host.folder("queue").is_empty() && start.elapsed() < Duration::from_secs(20) {
        std::thread::sleep(Duration::from_millis(20));
    }
    let other = Instant::now();
    assert_eq!(host.send(&["--subject", "s", "--id", "run2"], "b").code, 0);
    assert!(other.elapsed() < Duration::from_secs(10), "posting waits for no relay");
    assert_eq!(waiting.wait_with_output().unwrap().status.code(), Some(0));
    assert!(start.elapsed() < Duration::from_mins(1));
    assert!(host.list().out.contains("did not answer in time"), "{:?}", host.list());
}

#[test]
fn without_any_way_out_mail_is_kept() {
    let host = Host::new();
    host.write("etc/patch/config.ini", "[host]\nname = web01\n[mail]\nsendmail = /nonexistent/sendmail\n");
    assert_eq!(host.send(&["--subject", "s", "--id", "run1"], "b").code, 0);
    assert_eq!(host.deliver("2026-11-21T03:00:00Z").code, 69);
    assert!(host.list().out.contains("set relay in [mail]"), "{:?}", host.list());
}

#[test]
fn an_empty_queue_is_silent_even_where_the_configuration_is_wrong() {
    let host = Host::new();
    host.write("etc/patch/config.ini", "[nonsense\n");
    let tried = host.deliver("2026-11-21T03:00:00Z");
    assert_eq!((tried.code, tried.out.as_str(), tried.err.as_str()), (0, "", ""));
    assert!(!std::path::Path::new(&host.path("var/spool/patch")).exists(), "and it makes nothing");
}

#[test]
fn wrong_configuration_is_complained_about_as_seldom_as_a_relay_that_is_down() {
    let host = Host::new();
    host.configure_port(1, "tls = none\n");
    host.send(&["--subject", "s", "--id", "run1"], "b");
    host.write("etc/patch/config.ini", "[nonsense\n");
    let codes: Vec<i32> = (2..20).map(|minute| host.deliver(&format!("2026-11-21T02:{minute:02}:07Z")).code).collect();
    assert_eq!(codes.iter().filter(|code| **code == 2).count(), 4, "{codes:?}");
    assert!(codes.iter().all(|code| [0, 2].contains(code)));
}

#[test]
fn wrong_arguments_change_nothing() {
    let host = Host::new();
    let relay = Relay::start(&[], Tls::None);
    host.configure(&relay, "tls = none\n");
    let bad: [&[&str]; 8] = [
        &["--subject", "s", "--id", "../x"],
        &["--subject", "s", "--id", "a\nb"],
        &["--subject", "s", "--id", ""],
        &["--subject", "s", "--", "-oQ/tmp"],
        &["--subject", "s", "a b@c"],
        &["--subject", "s", "--attach", "/nonexistent"],
        &["--subject", "s", "--attach", "/"],
        &["--subject", "s", "--attach", "/dev/zero"],
    ];
    for args in bad {
        let sent = host.send(args, "b");
        assert!([1, 2].contains(&sent.code) && sent.err.starts_with("patch-mail: "), "{args:?}: {sent:?}");
    }
    assert_eq!(host.run(&["retry"]).code, 2);
    assert_eq!(host.run(&["retry", "run9"]).code, 1);
    assert_eq!(host.run(&["show", "run9"]).code, 1);
    assert_eq!(host.run(&["show", "../../../../etc/hostname"]).code, 2);
    assert!(relay.mails().is_empty() && host.folder("queue").is_empty());
}

#[test]
fn a_configuration_that_is_wrong_elsewhere_keeps_no_mail_back() {
    let host = Host::new();
    let relay = Relay::start(&[], Tls::None);
    host.configure(&relay, "tls = none\n[patchit]\nbogus = 1\n");
    assert_eq!(host.send(&["--subject", "s"], "b").code, 0);
    assert_eq!(host.run(&["deliver"]).code, 0);
    assert_eq!(relay.mails().len(), 1);
}

#[test]
fn dry_run_says_what_it_would_do_and_does_nothing() {
    let host = Host::new();
    host.configure_port(1, "tls = none\n");
    let said = host.send(&["-n", "--subject", "s", "--id", "run1"], "b");
    assert_eq!(said.out, "would send run1 to root@web01, ops@example.org by relay 127.0.0.1\n");
    assert!(host.folder("queue").is_empty());
    host.send(&["--subject", "s", "--id", "run1"], "b");
    let said = host.run(&["--now", "2026-11-21T05:00:00Z", "deliver", "-n"]);
    assert_eq!(said.out, "would deliver run1 to root@web01, ops@example.org by relay 127.0.0.1\n");
    assert_eq!(host.json_list()[0]["tries"], 1);
}

#[test]
fn a_subject_can_not_add_a_header() {
    let host = Host::new();
    let relay = Relay::start(&[], Tls::None);
    host.configure(&relay, "tls = none\n");
    host.send(&["--subject", "s\r\nBcc: evil@x\r\n\r\nbody", "--id", "run1"], ".\nQUIT\n..\n");
    let mail = relay.only();
    assert_eq!(mail.header("Subject"), "s Bcc: evil@x body");
    assert_eq!((mail.body(), mail.has("Bcc")), (".\nQUIT\n..\n".to_string(), false));
}

#[test]
fn a_full_disk_is_a_clear_error_and_delivery_still_works_on_it() {
    let host = Host::new();
    let relay = Relay::start(&[], Tls::None);
    host.configure(&relay, "tls = none\n");
    let script = "mount -t tmpfs -o size=64k tmpfs $R/var && mkdir -p $R/var/spool && \
        head -c 100000 /dev/urandom | $M --root $R send --subject large --id large; echo \"large=$?\"; \
        echo b | $M --root $R send --subject small --id small; echo \"small=$?\"; \
        (sed -i s/port_of_test/x/ /dev/null; $M --root $R list; ls -A $R/var/spool/patch/queue)";
    let done = host.in_mount_namespace(script);
    assert!(done.out.contains("large=1") && done.err.contains("No space left on device"), "{done:?}");
    assert!(done.out.contains("small=0"), "{done:?}");
    assert_eq!(relay.only().header("Message-ID"), "<small@web01>");
    let script = "mount -t tmpfs -o size=64k tmpfs $R/var && echo b | $M --root $R -n send --subject s && \
        echo b | $M --root $R --config $R/etc/patch/down.ini send --subject s --id waits; \
        cat /dev/zero >$R/var/fill 2>/dev/null; \
        $M --root $R --now 2026-11-21T09:00:00Z deliver; echo \"deliver=$?\"; ls -A $R/var/spool/patch/queue";
    host.write("etc/patch/down.ini", "[host]\nname = web01\n[mail]\nrelay = 127.0.0.1:1\ntls = none\n");
    let done = host.in_mount_namespace(script);
    assert!(done.out.ends_with("deliver=0\n"), "{done:?}");
    assert_eq!(relay.mails().len(), 2);
}

/// What changes something on disk.
const CHANGES: &[&str] = &["write", "fsync", "renameat2", "unlinkat", "mkdirat"];
/// What is said to a relay and heard from it.
const TALK: &[&str] = &["sendto", "recvfrom"];

#[test]
fn killed_anywhere_while_posting_a_mail_is_posted_once_when_the_step_is_done_again() {
    let host = Host::new();
    let relay = Relay::start(&[], Tls::None);
    let send: &[&str] = &["send", "--subject", "s", "--id", "run1"];
    let points = host.kill_everywhere(
        CHANGES,
        send,
        &mut || {
            host.forget();
            host.configure_port(1, "tls = none\n");
        },
        &mut |point| {
            host.configure(&relay, "tls = none\n");
            let again = host.send(&send[1..], "b");
            assert_eq!(again.code, 0, "{point}: {again:?}");
            assert_eq!(host.deliver("2026-11-21T05:00:00Z").code, 0, "{point}");
            assert_eq!(relay.take_ids().len(), 1, "{point}");
            assert_eq!(
                (host.folder("queue"), host.folder("sent")),
                (Vec::<String>::new(), vec!["run1".to_string()]),
                "{point}"
            );
        },
    );
    assert!(points > 20, "{points}");
    println!("crash: put points={points} violations=0");
}

#[test]
fn killed_anywhere_while_delivering_a_mail_is_never_lost_and_nothing_else_is_harmed() {
    let host = Host::new();
    let relay = Relay::start(&[], Tls::None);
    let deliver: &[&str] = &["--now", "2026-11-21T04:00:00Z", "deliver"];
    host.configure_port(1, "tls = none\n");
    for id in ["run1", "run2"] {
        host.send(&["--subject", "s", "--id", id, "root", "refused@x"], "b");
    }
    host.configure(&relay, "tls = none\n");
    host.save();
    let points = host.kill_everywhere(&[CHANGES, TALK].concat(), deliver, &mut || host.restore(), &mut |point| {
        host.deliver("2026-11-21T06:00:00Z");
        host.deliver("2026-11-21T08:00:00Z");
        let mut ids = relay.take_ids();
        let count = ids.len();
        ids.dedup();
        assert_eq!(ids, ["<run1@web01>", "<run2@web01>"], "{point}");
        assert!(count <= 3, "{point}: only the mail in the air may come twice, {count} came");
        assert_eq!((host.folder("queue"), host.folder("refused").len()), (Vec::<String>::new(), 2), "{point}");
    });
    assert!(points > 20, "{points}");
    println!("crash: deliver points={points} violations=0");
}
