//! A grant as this host remembers it: in the journal of a run and in `patchdone`, one line each.

use std::fmt::{self, Write as _};
use std::str::FromStr;

use super::words;
use crate::lock::grant::Number;
use crate::lock::kind::Kind;
use crate::lock::name::{LockName, LockSet, Owner};

/// Locks that are asked for: `lockd web db`. Recorded before the service is asked, for a tool may be killed between the answer and
/// its record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// At which kind of service.
    pub kind: Kind,
    /// All or none.
    pub locks: LockSet,
}

/// A lock that is held, with all that its release asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// At which kind of service.
    pub kind: Kind,
    /// By which name.
    pub owner: Owner,
    /// The number of the grant.
    pub number: Number,
    /// Who counted: a number of this host's own says nothing to others.
    pub counted: Counted,
    /// Which lock.
    pub lock: LockName,
}

impl Held {
    /// Its number for people: `grant 7`, or `grant 7, local`.
    pub fn numbered(&self) -> String {
        let local = if self.counted == Counted::Here { ", local" } else { "" };
        format!("grant {}{local}", self.number)
    }
}

/// Who gave a grant its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counted {
    /// The service, for all hosts.
    ByService,
    /// This host, because the service has no numbers.
    Here,
}

impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.kind)?;
        self.locks.iter().try_for_each(|lock| write!(f, " {}", escape(lock.as_str())))
    }
}

impl FromStr for Asked {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} names no locks; write KIND LOCK …");
        let (kind, names) = text.split_once(' ').ok_or_else(wrong)?;
        let lock =
            |word: &str| LockName::new(&words::unpercent(word).ok_or_else(wrong)?).map_err(|why| why.to_string());
        let locks = names.split(' ').map(lock).collect::<Result<Vec<_>, _>>()?;
        Ok(Self { kind: kind.parse()?, locks: LockSet::new(locks).map_err(|why| why.to_string())? })
    }
}

/// `lockd web 7 web01.example.com`; a number that was counted here is `7-local`. Blanks in names are written `%20`.
impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let local = match self.counted {
            Counted::ByService => "",
            Counted::Here => LOCAL,
        };
        let (lock, owner) = (escape(self.lock.as_str()), escape(self.owner.as_str()));
        write!(f, "{} {lock} {}{local} {owner}", self.kind, self.number)
    }
}

const LOCAL: &str = "-local";

impl FromStr for Held {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is no grant; one reads KIND LOCK NUMBER OWNER");
        let words: Vec<&str> = text.split(' ').collect();
        let [kind, lock, number, owner] = words[..] else { return Err(wrong()) };
        let (number, counted) = match number.strip_suffix(LOCAL) {
            Some(number) => (number, Counted::Here),
            None => (number, Counted::ByService),
        };
        let name = |text| words::unpercent(text).ok_or_else(wrong);
        Ok(Self {
            kind: kind.parse()?,
            owner: Owner::new(&name(owner)?).map_err(|why| why.to_string())?,
            number: Number(number.parse().map_err(|_| wrong())?),
            counted,
            lock: LockName::new(&name(lock)?).map_err(|why| why.to_string())?,
        })
    }
}

/// Names may hold any printable character; here a blank, or what is written like one, ends a word.
fn escape(name: &str) -> String {
    let mut word = String::with_capacity(name.len());
    for c in name.chars() {
        if c.is_whitespace() || c == '%' {
            for byte in c.encode_utf8(&mut [0; 4]).bytes() {
                let _ = write!(word, "%{byte:02X}"); // into memory: cannot fail
            }
        } else {
            word.push(c);
        }
    }
    word
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(lock: &str, owner: &str, counted: Counted) -> Held {
        let (owner, lock) = (Owner::new(owner).unwrap(), LockName::new(lock).unwrap());
        Held { kind: Kind::Dlm, owner, number: Number(7), counted, lock }
    }

    #[test]
    fn a_grant_reads_as_it_was_written() {
        for (lock, owner) in [("web", "web01.example.org"), ("the web 100%", "ho st"), ("wéb\u{a0}1", "ä")] {
            for counted in [Counted::ByService, Counted::Here] {
                let grant = held(lock, owner, counted);
                assert_eq!(grant.to_string().parse::<Held>(), Ok(grant));
            }
        }
    }

    #[test]
    fn what_is_asked_for_reads_as_it_was_written() {
        let locks = ["web", "the db"].map(|name| LockName::new(name).unwrap());
        let asked = Asked { kind: Kind::Lockd, locks: LockSet::new(locks).unwrap() };
        assert_eq!(asked.to_string(), "lockd the%20db web");
        assert_eq!(asked.to_string().parse(), Ok(asked));
        for wrong in ["", "lockd", "lockd ", "what web", "lockd ../x"] {
            assert!(wrong.parse::<Asked>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_grant_is_four_words() {
        assert_eq!(held("web", "web01", Counted::Here).to_string(), "dlm web 7-local web01");
        for wrong in ["", "dlm web 7", "dlm web x web01", "dlm web 7 web01 more", "what web 7 web01", "dlm %2 7 web01"]
        {
            assert!(wrong.parse::<Held>().is_err(), "{wrong}");
        }
    }
}
