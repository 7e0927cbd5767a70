//! Against a server of a few lines, for what a real one would never do. The real one stands in `tests/patch_mail.rs`.

use super::*;
use crate::mail::compose::Letter;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;

/// Answers each line with the next reply; at the end it holds the connection without a word, or drops it.
fn server(replies: &'static [&'static str], end: Duration) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
        for (at, reply) in replies.iter().enumerate() {
            let after_data = at > 0 && replies[at - 1].starts_with("354");
            let is_end = |line: &str| !after_data || line == ".";
            if at > 0 && !lines.by_ref().map_while(Result::ok).any(|line| is_end(&line)) {
                return;
            }
            stream.write_all(reply.as_bytes()).unwrap();
        }
        std::thread::sleep(end);
    });
    port
}

fn relay(port: u16) -> Relay {
    let short = Duration::from_millis(300);
    Relay {
        host: "127.0.0.1".into(),
        port,
        tls: MailTls::None,
        ca_file: None,
        login: None,
        patience: Patience { connect: short, command: short, verdict: short, whole: Duration::from_secs(5) },
    }
}

fn carry(replies: &'static [&'static str]) -> Said<Vec<Answer>> {
    let mut way = relay(server(replies, Duration::from_secs(2)));
    way.carry(&envelope(), b"Subject: s\r\n\r\nb\r\n").map(|said| said.into_iter().map(|(_, answer)| answer).collect())
}

fn envelope() -> Envelope {
    let letter = Letter {
        id: "run1".into(),
        host: "web01".into(),
        from: "patchflag@web01".into(),
        to: vec!["a@x".into(), "b@x".into()],
        bytes: Vec::new(),
    };
    Envelope::new(&letter, crate::sys::clock::now())
}

const OK: &str = "250 ok\r\n";

#[test]
fn each_recipient_has_an_answer_of_its_own() {
    let said = carry(&["220 x\r\n", OK, OK, OK, "550 no such user\r\n", "354 go\r\n", OK, "221 bye\r\n"]).unwrap();
    assert_eq!(said, [Answer::Taken, Answer::Refused("550 no such user".into())]);
}

#[test]
fn nobody_accepted_means_that_the_mail_itself_is_not_sent() {
    let said = carry(&["220 x\r\n", OK, OK, "451 later\r\n", "550 no\r\n", "221 bye\r\n"]).unwrap();
    assert_eq!(said, [Answer::Later("451 later".into()), Answer::Refused("550 no".into())]);
}

#[test]
fn a_verdict_after_the_mail_counts_for_all_who_were_accepted() {
    let said = carry(&["220 x\r\n", OK, OK, OK, "450 grey\r\n", "354 go\r\n", "554 spam\r\n"]).unwrap();
    assert_eq!(said, [Answer::Refused("554 spam".into()), Answer::Later("450 grey".into())]);
}

#[test]
fn a_relay_that_turns_everybody_away_says_nothing_about_the_mail() {
    for replies in [
        &["554 no service\r\n"][..],
        &["220 x\r\n", "550 no\r\n", "550 no\r\n"],
        &["220 x\r\n", OK, "421 shutting down\r\n"],
        &["220 x\r\n", OK, OK, OK, OK, "421 shutting down\r\n"],
        &["220 x\r\n", OK, OK, OK, OK, "354 go\r\n"],
        &["220 x\r\n"],
        &[],
        &["HTTP/1.1 400 Bad Request\r\n"],
        &["220 \u{1b}[2J\r\n", "\0\0\0\r\n"],
    ] {
        let said = carry(replies);
        assert!(matches!(said, Err(Trouble::Unreachable(_))), "{replies:?}: {said:?}");
    }
}

#[test]
fn a_relay_that_wants_a_login_first_is_a_matter_of_configuration_and_the_mail_waits() {
    let said = carry(&["220 x\r\n", OK, "530 5.7.0 Authentication required\r\n", "221 bye\r\n"]);
    assert!(matches!(said, Err(Trouble::Login(_))), "{said:?}");
}

#[test]
fn silence_is_ended_by_the_clock_and_named_so() {
    let Err(Trouble::Unreachable(words)) = carry(&[]) else { panic!() };
    assert!(words.ends_with("it did not answer in time"), "{words}");
}

#[test]
fn a_relay_that_drips_bytes_is_ended_by_the_clock_for_the_whole() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut way = relay(listener.local_addr().unwrap().port());
    way.patience.whole = Duration::from_millis(600);
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        while stream.write_all(b"2").is_ok() {
            std::thread::sleep(Duration::from_millis(100));
        }
    });
    let said = way.carry(&envelope(), b"x");
    assert!(matches!(&said, Err(Trouble::Unreachable(words)) if words.contains("not done after")), "{said:?}");
}

#[test]
fn a_relay_without_starttls_gets_nothing() {
    let mut way = relay(server(&["220 x\r\n", OK, "221 bye\r\n"], Duration::ZERO));
    way.tls = MailTls::Starttls;
    let said = way.carry(&envelope(), b"x");
    assert!(matches!(&said, Err(Trouble::Unreachable(words)) if words.contains("no STARTTLS")), "{said:?}");
}

#[test]
fn a_password_that_others_can_read_is_refused_with_the_remedy() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("password");
    std::fs::write(&file, "secret\nmore\n").unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    assert!(matches!(password(&file), Err(Trouble::Configuration(words)) if words.contains("chmod 600")));
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(password(&file).unwrap(), "secret");
    std::fs::write(&file, "\nsecret").unwrap();
    assert!(password(&file).is_err());
}

#[test]
fn a_password_is_not_sent_in_plain_text_to_another_machine() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("password");
    std::fs::write(&file, "secret").unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    let mut way = relay(25);
    way.host = "192.0.2.1".into();
    way.login = Some(("user".into(), file));
    assert!(matches!(way.carry(&envelope(), b"x"), Err(Trouble::Configuration(words)) if words.contains("plain text")));
}

#[test]
fn an_authority_file_without_a_certificate_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("ca.pem");
    for text in ["", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
        std::fs::write(&file, text).unwrap();
        let mut way = relay(1);
        way.tls = MailTls::Implicit;
        way.ca_file = Some(file.clone());
        assert!(matches!(way.carry(&envelope(), b"x"), Err(Trouble::Configuration(_))), "{text}");
    }
}
