//! The lock protocol of `patch-lockd(8)` on the wire: what `lock-protocol(7)` draws and describes, as types.
//!
//! Names are plain text here; whoever reads them judges them ([`super::name`]). A request with a field that is not known is an
//! error, for it asks for something that would not be done; an answer may have more fields than a client of today knows.
//!
//! | request | body | answer |
//! |---|---|---|
//! | `POST /lock/1/acquire` | [`Acquire`] | [`Acquired`] |
//! | `POST /lock/1/withdraw` | [`Withdraw`] | [`Withdrawn`] |
//! | `POST /lock/1/release` | [`Release`] | [`Done`] |
//! | `POST /lock/1/down-until` | [`Down`] | [`Done`] |
//! | `POST /lock/1/force-release` | [`Force`] | [`Done`] |
//! | `GET /lock/1/locks` | | [`Locks`] |
//! | `GET /lock/1/locks/NAME` | | [`Lock`] |
//! | `GET /lock/1/why?lock=NAME&owner=OWNER&host_id=ID` | | [`Why`] |
//! | `GET /lock/1/history?lock=NAME&owner=OWNER&limit=N&before=ID` | | [`History`] |
//!
//! Each is 200 with that body, or another status with a [`Fault`].

use serde::{Deserialize, Serialize};

use crate::sys::clock::Moment;

/// The longest time in seconds that an acquire is kept open.
pub const LONGEST_WAIT: u64 = 300;

/// Asks for locks.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Acquire {
    /// By which name.
    pub owner: String,
    /// Which host that is.
    pub host_id: String,
    /// In which of its boots.
    pub boot: String,
    /// For which locks, all or none.
    pub locks: Vec<String>,
    /// What for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// How long the answer may take, in seconds, at most [`LONGEST_WAIT`]; with 0 no place in the queue is taken.
    #[serde(default)]
    pub wait: u64,
}

/// What came of an acquire.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum Acquired {
    /// All of them are held.
    Granted {
        /// In the order of their names.
        grants: Vec<Grant>,
    },
    /// Its turn has come: asking again in time accepts.
    Offered {
        /// In how many seconds.
        accept_within: u64,
    },
    /// The wait is over. Who asks again within a minute keeps the place.
    Waiting {
        /// The places in the queues of the locks that it lacks.
        places: Vec<Place>,
        /// Who holds it, who is ahead: a sentence for people.
        why: String,
    },
    /// Not now, and no place was taken.
    Busy {
        /// A sentence for people.
        why: String,
    },
    /// The same client waits on a newer connection, or waits no longer.
    Replaced,
    /// It did not accept in time and has lost its place.
    Lapsed,
}

/// A place in a queue.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Place {
    /// Of which lock.
    pub lock: String,
    /// Counted from 1.
    pub place: usize,
}

/// A client waits no longer.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Withdraw {
    /// As in [`Acquire`].
    pub owner: String,
    /// As in [`Acquire`].
    pub host_id: String,
    /// As in [`Acquire`].
    pub locks: Vec<String>,
}

/// Whether it did wait.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Withdrawn {
    /// True if it had a place.
    pub withdrawn: bool,
}

/// Gives a grant back.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Release {
    /// Whose.
    pub owner: String,
    /// Of which lock.
    pub lock: String,
    /// Which.
    pub number: u64,
}

/// Says until when the holder will be down.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Down {
    /// Whose grant.
    pub owner: String,
    /// Of which lock.
    pub lock: String,
    /// Which.
    pub number: u64,
    /// Until when; none: it is back.
    #[serde(default, with = "moment::maybe")]
    pub until: Option<Moment>,
}

/// Ends somebody's grant. Administrators only.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Force {
    /// Whose.
    pub owner: String,
    /// Of which lock.
    pub lock: String,
    /// Who orders it.
    pub by: String,
    /// Why.
    pub reason: String,
    /// Also if the holder is down as it said.
    #[serde(default)]
    pub while_down: bool,
}

/// What became of a grant that a request named.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Done {
    /// False: there was no such grant any more.
    pub found: bool,
}

/// One slot of one lock, held.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Grant {
    /// Which lock.
    pub lock: String,
    /// The number that release asks for.
    pub number: u64,
    /// Who.
    pub owner: String,
    /// Which host; none of a legacy client.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host_id: Option<String>,
    /// In which of its boots it was granted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boot: Option<String>,
    /// The legacy protocol that it came by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol: Option<String>,
    /// Since when; none if the service does not say.
    #[serde(default, with = "moment::maybe", skip_serializing_if = "Option::is_none")]
    pub since: Option<Moment>,
    /// What for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Until when it said that it would be down.
    #[serde(default, with = "moment::maybe", skip_serializing_if = "Option::is_none")]
    pub down_until: Option<Moment>,
    /// It is held longer than is usual.
    #[serde(default)]
    pub overdue: bool,
}

/// Where a lock stands.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Lock {
    /// Its name.
    pub lock: String,
    /// How many may hold it at once.
    pub slots: usize,
    /// Who holds it, the oldest grant first.
    pub holders: Vec<Grant>,
    /// Who waits, in order of arrival.
    #[serde(default)]
    pub queue: Vec<Waiter>,
}

/// Somebody who waits.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Waiter {
    /// Who.
    pub owner: String,
    /// Connected, or due to poll.
    pub present: bool,
    /// A slot is offered to it at this moment.
    pub offered: bool,
    /// The other locks that it lacks.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lacks: Vec<String>,
}

/// All locks that are held or waited for, or defined, and that the credential may touch.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Locks {
    /// By name.
    pub locks: Vec<Lock>,
}

/// Why an owner does not have a lock.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Why {
    /// One line for people.
    pub why: String,
    /// The place of the owner in the queue, counted from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<usize>,
}

/// Events, the newest first.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct History {
    /// At most as many as were asked for.
    pub events: Vec<Event>,
}

/// What happened to a grant.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Event {
    /// Grows with each event; `before=` takes it to go on reading.
    pub id: i64,
    /// When.
    #[serde(with = "moment")]
    pub at: Moment,
    /// To which lock.
    pub lock: String,
    /// To which grant.
    pub number: u64,
    /// Whose.
    pub owner: String,
    /// What.
    #[serde(flatten)]
    pub change: Change,
}

/// The kinds of events.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Change {
    /// The grant began.
    Granted {
        /// Which host.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        host_id: Option<String>,
        /// The legacy protocol.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        protocol: Option<String>,
        /// What for.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// Its owner gave it back.
    Released,
    /// Somebody took it.
    Forced {
        /// Who.
        by: String,
        /// Why.
        reason: String,
    },
    /// The holder said until when it would be down; none: it is back.
    Down {
        /// Until when.
        #[serde(default, with = "moment::maybe", skip_serializing_if = "Option::is_none")]
        until: Option<Moment>,
    },
    /// People were told that it is held longer than is usual.
    Overdue,
}

/// Why a request was not done.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Fault {
    /// For programs.
    pub kind: FaultKind,
    /// For people: one line, with the way out.
    pub error: String,
}

/// The kinds of faults; each has one status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FaultKind {
    /// 400: not understood.
    BadRequest,
    /// 401: no credential, or a wrong one.
    Unauthorized,
    /// 403: the credential does not allow it.
    Forbidden,
    /// 404: there is no such page.
    NotFound,
    /// 409: never like this; the words say what would help.
    Refused,
    /// 429: too many failed tries from there.
    TooMany,
    /// 503: the service cannot do it now; nothing has changed.
    Unavailable,
}

impl FaultKind {
    /// The HTTP status.
    pub fn status(self) -> u16 {
        match self {
            Self::BadRequest => 400,
            Self::Unauthorized => 401,
            Self::Forbidden => 403,
            Self::NotFound => 404,
            Self::Refused => 409,
            Self::TooMany => 429,
            Self::Unavailable => 503,
        }
    }
}

/// Moments as RFC 3339 in UTC, whole seconds.
mod moment {
    use serde::{Deserialize, Deserializer, Serializer, de};

    use crate::sys::clock::{self, Moment};

    pub fn serialize<S: Serializer>(moment: &Moment, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&clock::stamp(*moment))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Moment, D::Error> {
        clock::parse(&String::deserialize(from)?).map_err(de::Error::custom)
    }

    pub mod maybe {
        use super::{Deserialize, Deserializer, Moment, Serializer, clock, de};

        #[allow(clippy::ref_option)] // serde's signature
        pub fn serialize<S: Serializer>(moment: &Option<Moment>, to: S) -> Result<S::Ok, S::Error> {
            match moment {
                Some(moment) => super::serialize(moment, to),
                None => to.serialize_none(),
            }
        }

        pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Moment>, D::Error> {
            let text = Option::<String>::deserialize(from)?;
            text.map(|text| clock::parse(&text).map_err(de::Error::custom)).transpose()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_told_by_its_state() {
        let text = r#"{"state":"offered","accept_within":30,"news":"later"}"#;
        assert!(matches!(serde_json::from_str(text), Ok(Acquired::Offered { accept_within: 30 })));
    }

    #[test]
    fn a_request_with_a_field_that_is_not_known_is_an_error() {
        let text = r#"{"owner":"a","lock":"web","number":7,"force":true}"#;
        assert!(serde_json::from_str::<Release>(text).unwrap_err().to_string().contains("force"));
    }

    #[test]
    fn an_event_is_one_flat_object() {
        let at = crate::sys::clock::parse("2026-11-21T02:00:07Z").unwrap();
        let change = Change::Forced { by: "ops".into(), reason: "disk died".into() };
        let event = Event { id: 3, at, lock: "web".into(), number: 7, owner: "web01".into(), change };
        let text = serde_json::to_string(&event).unwrap();
        assert_eq!(
            text,
            r#"{"id":3,"at":"2026-11-21T02:00:07Z","lock":"web","number":7,"owner":"web01","event":"forced","by":"ops","reason":"disk died"}"#
        );
        assert_eq!(serde_json::from_str::<Event>(&text).unwrap().change, event.change);
    }
}
