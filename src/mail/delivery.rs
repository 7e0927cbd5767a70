//! Delivery: every mail that is due is offered to the relay or the local sendmail, and what was said is recorded.
//!
//! One process delivers at a time. A relay that cannot be reached ends the pass at once, for the next mail would wait just as
//! long; as soon as one mail gets through, the others that were put off for the relay's sake go too.

use std::time::Duration;

use super::envelope::{Answer, Envelope, Place};
use super::sendmail::Sendmail;
use super::smtp::Relay;
use super::spool::{Entry, Spool};
use crate::config::Mail;
use crate::error::{Error, Result};
use crate::exit;
use crate::paths::Paths;
use crate::sys::clock::Moment;

/// Why a way cannot be gone at all. It says nothing about the mail, which is tried again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// The relay or sendmail is not there, breaks off, or says "later" before it has looked at a mail.
    Unreachable(String),
    /// It does not let us in: wrong user or password.
    Login(String),
    /// The configuration cannot be used.
    Configuration(String),
}

impl Trouble {
    /// The words.
    pub fn words(&self) -> &str {
        match self {
            Self::Unreachable(words) | Self::Login(words) | Self::Configuration(words) => words,
        }
    }

    /// As an error of the tool that met it, with the exit code that belongs to it.
    pub fn error(&self) -> Error {
        match self {
            Self::Unreachable(words) => {
                Error::Unreachable { service: "who takes our mail".into(), reason: words.clone() }
            }
            Self::Login(words) => Error::failed("deliver", "mail", words),
            Self::Configuration(words) => Error::Usage(words.clone()),
        }
    }
}

/// A way out of the house.
pub trait Way {
    /// Offers a mail to those who wait for it; says what was answered for each.
    ///
    /// # Errors
    /// [`Trouble`] when it came to no answer.
    fn carry(&mut self, envelope: &Envelope, message: &[u8]) -> std::result::Result<Vec<(String, Answer)>, Trouble>;
}

/// What one pass over the queue has done.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Pass {
    /// Mails that everybody has now.
    pub delivered: usize,
    /// Mails that were put off.
    pub waiting: usize,
    /// Mails that were refused for good.
    pub refused: usize,
    /// Why the pass ended early.
    pub trouble: Option<Trouble>,
}

/// The way that the configuration names.
pub fn route(paths: &Paths, mail: &Mail) -> Box<dyn Way> {
    match &mail.relay {
        Some(relay) => Box::new(Relay::new(paths, mail, relay)),
        None => Box::new(Sendmail::new(paths, mail)),
    }
}

/// Whether any mail is due.
///
/// # Errors
/// If the spool cannot be read.
pub fn is_anything_due(spool: &Spool, now: Moment) -> Result<bool> {
    Ok(spool.entries(Place::Queue)?.iter().any(|entry| matches!(entry, Entry::Mail(mail) if mail.is_due(now))))
}

/// Delivers what is due. The caller holds [`Spool::try_delivering`].
///
/// # Errors
/// If the spool cannot be read or written.
pub fn run(spool: &Spool, way: &mut Box<dyn Way>, keep: Duration, now: Moment) -> Result<Pass> {
    spool.tidy(keep, now)?;
    let mut pass = Pass::default();
    let (due, put_off) = waiting(spool, now)?;
    for envelope in &due {
        match &pass.trouble {
            None => one(spool, way, &envelope.id, &mut pass, now)?,
            Some(trouble) => put_off_one(spool, &envelope.id, trouble.words(), now)?,
        }
    }
    for envelope in &put_off {
        if pass.delivered > 0 && pass.trouble.is_none() {
            one(spool, way, &envelope.id, &mut pass, now)?;
        }
    }
    Ok(pass)
}

/// Records for everything that is due that it could not be tried, so that a wrong configuration is complained about as seldom
/// as a relay that is down.
///
/// # Errors
/// If the spool cannot be read or written.
pub fn put_off(spool: &Spool, reason: &str, now: Moment) -> Result<()> {
    for envelope in waiting(spool, now)?.0 {
        put_off_one(spool, &envelope.id, reason, now)?;
    }
    Ok(())
}

/// The mails that are due, and those that a relay was not there for.
fn waiting(spool: &Spool, now: Moment) -> Result<(Vec<Envelope>, Vec<Envelope>)> {
    let (mut due, mut later) = (Vec::new(), Vec::new());
    for entry in spool.entries(Place::Queue)? {
        match entry {
            Entry::Mail(mail) if mail.is_due(now) => due.push(*mail),
            Entry::Mail(mail) if mail.put_off_by_route => later.push(*mail),
            Entry::Mail(_) => {}
            Entry::Unreadable(error) => exit::note(error),
        }
    }
    Ok((due, later))
}

fn one(spool: &Spool, way: &mut Box<dyn Way>, id: &str, pass: &mut Pass, now: Moment) -> Result<()> {
    if spool.drop_if_sent(id)? {
        return Ok(());
    }
    let Some(mut mail) = spool.read(Place::Queue, id)? else { return Ok(()) };
    // Nobody waits: a move that was cut short.
    if mail.envelope.place() == Place::Queue {
        match way.carry(&mail.envelope, &mail.message) {
            Ok(answers) => mail.envelope.note(&answers, now),
            Err(trouble) => {
                mail.envelope.put_off(trouble.words(), now);
                pass.trouble = Some(trouble);
            }
        }
    }
    spool.settle(&mail)?;
    match mail.envelope.place() {
        Place::Sent => {
            pass.delivered += 1;
            exit::note(format!("mail {id} was taken for {}", mail.envelope.to.len()));
        }
        Place::Refused => {
            pass.refused += 1;
            exit::warn(Error::failed("deliver mail", id, refusal(&mail.envelope)));
        }
        Place::Queue => pass.waiting += 1,
    }
    Ok(())
}

fn refusal(envelope: &Envelope) -> String {
    format!(
        "refused: {}; see patch-mail list, and patch-mail retry {} when it is put right",
        envelope.answer, envelope.id
    )
}

fn put_off_one(spool: &Spool, id: &str, reason: &str, now: Moment) -> Result<()> {
    let Some(mut mail) = spool.read(Place::Queue, id)? else { return Ok(()) };
    mail.envelope.put_off(reason, now);
    spool.settle(&mail)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::compose::Letter;
    use std::collections::VecDeque;

    type Said = std::result::Result<Vec<(String, Answer)>, Trouble>;

    /// Says what it was told to say, mail after mail.
    struct Scripted(VecDeque<Said>);

    impl Way for Scripted {
        fn carry(&mut self, _: &Envelope, _: &[u8]) -> Said {
            self.0.pop_front().expect("no more mail was expected")
        }
    }

    fn now() -> Moment {
        crate::sys::clock::now()
    }

    fn spool(ids: &[&str]) -> (tempfile::TempDir, Spool) {
        let root = tempfile::tempdir().unwrap();
        let spool = Spool::open(&Paths::below_root(root.path()).unwrap()).unwrap();
        for (at, id) in ids.iter().enumerate() {
            let letter = Letter {
                id: (*id).into(),
                host: "web01".into(),
                from: "p@x".into(),
                to: vec!["r@x".into()],
                bytes: b"x".to_vec(),
            };
            spool.put(&letter, now() - chrono::TimeDelta::minutes(10 - i64::try_from(at).unwrap())).unwrap();
        }
        (root, spool)
    }

    fn deliver(spool: &Spool, said: Vec<Said>, now: Moment) -> Pass {
        let mut way: Box<dyn Way> = Box::new(Scripted(said.into()));
        run(spool, &mut way, Duration::from_hours(1), now).unwrap()
    }

    #[allow(clippy::unnecessary_wraps)] // what is said is a result
    fn taken() -> Said {
        Ok(vec![("r@x".into(), Answer::Taken)])
    }

    fn down() -> Said {
        Err(Trouble::Unreachable("connection refused".into()))
    }

    #[test]
    fn a_relay_that_is_down_is_asked_once_and_every_mail_waits() {
        let (_root, spool) = spool(&["a", "b", "c"]);
        let pass = deliver(&spool, vec![down()], now());
        assert!(matches!(pass.trouble, Some(Trouble::Unreachable(_))));
        assert!(!is_anything_due(&spool, now()).unwrap());
        assert_eq!(spool.entries(Place::Queue).unwrap().len(), 3);
    }

    #[test]
    fn when_one_mail_gets_through_all_that_the_relay_kept_waiting_go() {
        let (_root, spool) = spool(&["a", "b"]);
        deliver(&spool, vec![down()], now());
        deliver(&spool, vec![down()], now() + chrono::TimeDelta::minutes(1));
        let fresh =
            Letter { id: "c".into(), host: "h".into(), from: "p@x".into(), to: vec!["r@x".into()], bytes: vec![] };
        spool.put(&fresh, now()).unwrap();
        let pass = deliver(&spool, vec![taken(), taken(), taken()], now());
        assert_eq!((pass.delivered, spool.entries(Place::Queue).unwrap().len()), (3, 0));
    }

    #[test]
    fn a_mail_that_was_put_off_for_its_own_sake_is_not_hurried() {
        let (_root, spool) = spool(&["a"]);
        deliver(&spool, vec![Ok(vec![("r@x".into(), Answer::Later("451 greylisted".into()))])], now());
        assert_eq!(deliver(&spool, vec![], now()), Pass::default());
    }

    #[test]
    fn a_refused_mail_does_not_stop_the_next_one() {
        let (_root, spool) = spool(&["a", "b"]);
        let pass = deliver(&spool, vec![Ok(vec![("r@x".into(), Answer::Refused("550 no".into()))]), taken()], now());
        assert_eq!((pass.refused, pass.delivered), (1, 1));
        assert_eq!(spool.find("a").unwrap(), Some(Place::Refused));
    }

    #[test]
    fn a_mail_that_is_in_two_places_after_a_power_cut_was_sent_already() {
        let (root, spool) = spool(&["a"]);
        let at = |folder: &str| root.path().join("var/spool/patch").join(folder).join("a");
        std::fs::hard_link(at("queue"), at("sent")).unwrap();
        deliver(&spool, vec![], now());
        assert_eq!((spool.find("a").unwrap(), at("queue").exists()), (Some(Place::Sent), false));
    }

    #[test]
    fn a_move_that_was_cut_short_is_finished_without_mailing_again() {
        let (root, spool) = spool(&["a"]);
        let mut mail = spool.read(Place::Queue, "a").unwrap().unwrap();
        mail.envelope.note(&[("r@x".into(), Answer::Refused("550".into()))], now());
        let bytes = [serde_json::to_vec(&mail.envelope).unwrap(), b"\nx".to_vec()].concat();
        std::fs::write(root.path().join("var/spool/patch/queue/a"), bytes).unwrap();
        deliver(&spool, vec![], now() + chrono::TimeDelta::hours(2));
        assert_eq!(spool.find("a").unwrap(), Some(Place::Refused));
    }
}
