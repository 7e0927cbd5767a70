//! What is known of a mail on its way: who has it, who refused it, when it is tried next. Pure.

use serde::{Deserialize, Serialize};

use super::compose::Letter;
use super::message::one_line;
use super::schedule;
use crate::sys::clock::{self, Moment};

/// The first line of a file in the spool; the message follows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Envelope {
    /// Of this form.
    pub format: u32,
    /// The event.
    pub id: String,
    /// The host it comes from, as a domain.
    pub host: String,
    /// The sender.
    pub from: String,
    /// Who is to get it, and how far that is.
    pub to: Vec<Recipient>,
    /// When it was spooled.
    #[serde(with = "rfc3339")]
    pub queued: Moment,
    /// How many times it was tried.
    pub tries: u32,
    /// Not before this moment again.
    #[serde(with = "rfc3339")]
    pub next: Moment,
    /// What was said at the last try.
    pub answer: String,
    /// Whether the last try failed before anybody looked at this mail: it goes as soon as another one gets through.
    pub put_off_by_route: bool,
}

/// One who is to get it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recipient {
    /// The address.
    pub address: String,
    /// How far it is.
    pub state: Standing,
    /// What was said last about this recipient.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub answer: String,
}

/// How far a mail has come for one recipient.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Standing {
    /// Not taken yet.
    Waiting,
    /// Taken by a relay or sendmail.
    Delivered,
    /// Refused for good.
    Refused,
}

/// The directory a mail belongs into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Somebody still waits for it.
    Queue,
    /// Everybody has it.
    Sent,
    /// Nobody waits for it any more, and somebody was refused.
    Refused,
}

/// What the other side said about one recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// It takes the responsibility.
    Taken,
    /// Not now.
    Later(String),
    /// Never.
    Refused(String),
}

/// The form that this program writes.
pub const FORMAT: u32 = 1;
/// An answer is kept up to this length.
const ANSWER: usize = 300;

impl Envelope {
    /// The envelope of a new mail, due at once.
    pub fn new(letter: &Letter, now: Moment) -> Self {
        let recipient =
            |address: &String| Recipient { address: address.clone(), state: Standing::Waiting, answer: String::new() };
        Self {
            format: FORMAT,
            id: letter.id.clone(),
            host: letter.host.clone(),
            from: letter.from.clone(),
            to: letter.to.iter().map(recipient).collect(),
            queued: now,
            tries: 0,
            next: now,
            answer: String::new(),
            put_off_by_route: false,
        }
    }

    /// Whether it is time for a try.
    pub fn is_due(&self, now: Moment) -> bool {
        schedule::is_due(self.next, now)
    }

    /// Those who do not have it yet.
    pub fn waiting(&self) -> Vec<String> {
        let waits = |r: &&Recipient| r.state == Standing::Waiting;
        self.to.iter().filter(waits).map(|r| r.address.clone()).collect()
    }

    /// Where it belongs.
    pub fn place(&self) -> Place {
        let any = |state| self.to.iter().any(|r| r.state == state);
        match (any(Standing::Waiting), any(Standing::Refused)) {
            (true, _) => Place::Queue,
            (false, true) => Place::Refused,
            (false, false) => Place::Sent,
        }
    }

    /// Notes what was said about its recipients. One about whom nothing was said still waits.
    pub fn note(&mut self, answers: &[(String, Answer)], now: Moment) {
        self.tried("", now);
        for (address, answer) in answers {
            let Some(recipient) = self.to.iter_mut().find(|r| r.address == *address) else { continue };
            (recipient.state, recipient.answer) = match answer {
                Answer::Taken => (Standing::Delivered, String::new()),
                Answer::Later(words) => (Standing::Waiting, short(words)),
                Answer::Refused(words) => (Standing::Refused, short(words)),
            };
            if !recipient.answer.is_empty() {
                self.answer.clone_from(&recipient.answer);
            }
        }
    }

    /// Notes a try that failed before the mail itself was looked at.
    pub fn put_off(&mut self, reason: &str, now: Moment) {
        self.tried(reason, now);
        self.put_off_by_route = true;
    }

    fn tried(&mut self, answer: &str, now: Moment) {
        self.tries = self.tries.saturating_add(1);
        self.next = schedule::next_try(self.tries, now);
        self.answer = short(answer);
        self.put_off_by_route = false;
    }

    /// A person wants it tried again: who was refused waits again, and it is due at once.
    pub fn retry(&mut self, now: Moment) {
        for recipient in &mut self.to {
            if recipient.state == Standing::Refused {
                recipient.state = Standing::Waiting;
            }
        }
        self.tries = 0;
        self.next = now;
    }
}

fn short(answer: &str) -> String {
    one_line(answer).chars().take(ANSWER).collect()
}

/// A moment as the journal writes it.
mod rfc3339 {
    use super::{Moment, clock};
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub fn serialize<S: Serializer>(moment: &Moment, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&clock::stamp(*moment))
    }

    pub fn deserialize<'d, D: Deserializer<'d>>(from: D) -> Result<Moment, D::Error> {
        clock::parse(&String::deserialize(from)?).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Moment {
        clock::parse(text).unwrap()
    }

    fn envelope() -> Envelope {
        let letter = Letter {
            id: "run1".into(),
            host: "web01".into(),
            from: "patchflag@web01".into(),
            to: vec!["a@x".into(), "b@x".into()],
            bytes: Vec::new(),
        };
        Envelope::new(&letter, at("2026-11-21T02:00:00Z"))
    }

    fn say(address: &str, answer: Answer) -> (String, Answer) {
        (address.into(), answer)
    }

    #[test]
    fn a_mail_that_everybody_has_was_sent() {
        let mut mail = envelope();
        mail.note(&[say("a@x", Answer::Taken), say("b@x", Answer::Taken)], mail.queued);
        assert_eq!(mail.place(), Place::Sent);
    }

    #[test]
    fn one_refused_recipient_does_not_keep_the_other_from_being_tried_again() {
        let mut mail = envelope();
        mail.note(
            &[say("a@x", Answer::Refused("550 no".into())), say("b@x", Answer::Later("451 busy".into()))],
            mail.queued,
        );
        assert_eq!((mail.place(), mail.waiting()), (Place::Queue, vec!["b@x".to_string()]));
        mail.note(&[say("b@x", Answer::Taken)], mail.queued);
        assert_eq!((mail.place(), mail.to[0].answer.as_str()), (Place::Refused, "550 no"));
        mail.retry(mail.queued);
        assert_eq!((mail.place(), mail.waiting()), (Place::Queue, vec!["a@x".to_string()]));
    }

    #[test]
    fn a_recipient_about_whom_nothing_was_said_still_waits() {
        let mut mail = envelope();
        mail.note(&[say("a@x", Answer::Taken)], mail.queued);
        assert_eq!(mail.waiting(), ["b@x"]);
    }

    #[test]
    fn a_mail_that_was_put_off_is_due_later_and_says_why() {
        let mut mail = envelope();
        mail.put_off("connection\nrefused", mail.queued);
        assert!(!mail.is_due(at("2026-11-21T02:00:59Z")) && mail.is_due(at("2026-11-21T02:01:00Z")));
        assert_eq!((mail.answer.as_str(), mail.tries, mail.put_off_by_route), ("connection refused", 1, true));
    }

    #[test]
    fn an_envelope_survives_being_written_and_read() {
        let mut mail = envelope();
        mail.note(&[say("a@x", Answer::Refused("550 \"no\"".into()))], mail.queued);
        let line = serde_json::to_string(&mail).unwrap();
        assert!(!line.contains('\n'));
        assert_eq!(serde_json::from_str::<Envelope>(&line).unwrap(), mail);
    }
}
