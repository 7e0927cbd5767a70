//! What is said of a lock, for services that say nothing themselves. Pure.

use std::fmt::Write as _;

use super::Kind;
use crate::error::Error;
use crate::lock::name::{HostId, Owner};
use crate::lock::wire;
use crate::sys::clock::stamp;

/// A name as one component of an URL (RFC 3986) or one name of a file: everything but unreserved characters is escaped.
pub fn percent(name: &str) -> String {
    let mut text = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            text.push(char::from(byte));
        } else {
            let _ = write!(text, "%{byte:02X}"); // into memory: cannot fail
        }
    }
    text
}

/// What [`percent`] made of a name; `None` if it did not.
pub fn unpercent(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        if byte == b'%' {
            let hex = std::str::from_utf8(after.get(..2)?).ok()?;
            bytes.push(u8::from_str_radix(hex, 16).ok()?);
            rest = &after[2..];
        } else {
            bytes.push(byte);
            rest = after;
        }
    }
    String::from_utf8(bytes).ok()
}

/// A service cannot do something at all.
pub fn cannot(kind: Kind, what: &str) -> Error {
    Error::Usage(format!("backend {kind} cannot {what}"))
}

/// Whether a service means this owner.
pub fn is(text: &str, owner: &Owner) -> bool {
    Owner::new(text).is_ok_and(|named| named == *owner)
}

/// `web01.example.org since 2026-11-21T02:00:07Z (grant 7)`.
pub fn holder(grant: &wire::Grant) -> String {
    let since = grant.since.map(|since| format!(" since {}", stamp(since))).unwrap_or_default();
    let number = (grant.number > 0).then(|| format!("grant {}", grant.number));
    let down = grant.down_until.map(|until| format!("down until {}", stamp(until)));
    let facts = [number, down, grant.overdue.then(|| "overdue".to_string()), grant.reason.clone()];
    let facts: Vec<String> = facts.into_iter().flatten().collect();
    let facts = if facts.is_empty() { String::new() } else { format!(" ({})", facts.join(", ")) };
    format!("{}{since}{facts}", grant.owner)
}

/// Who holds a lock, in a clause: `held by A, B`, or `free`.
pub fn holders(lock: &wire::Lock) -> String {
    let holders: Vec<String> = lock.holders.iter().map(holder).collect();
    if holders.is_empty() { "free".into() } else { format!("held by {}", holders.join(", ")) }
}

/// Where a lock stands, in one line.
pub fn state(lock: &wire::Lock) -> String {
    let waiting = match lock.queue.len() {
        0 => String::new(),
        count => {
            let names: Vec<&str> = lock.queue.iter().take(5).map(|waiter| waiter.owner.as_str()).collect();
            let more = if count > names.len() { format!(" and {} more", count - names.len()) } else { String::new() };
            format!("; waiting: {}{more}", names.join(", "))
        }
    };
    let slots = if lock.slots > 1 { format!(" ({} slots)", lock.slots) } else { String::new() };
    format!("lock {}{slots} is {}{waiting}", lock.lock, holders(lock))
}

/// Why an owner does not have a lock, and what would change it.
pub fn why(lock: &wire::Lock, owner: &Owner, host: Option<&HostId>) -> String {
    let name = &lock.lock;
    if let Some(own) = lock.holders.iter().find(|grant| is(&grant.owner, owner)) {
        if let (Some(host), Some(theirs)) = (host, &own.host_id)
            && host.as_str() != theirs
        {
            return format!(
                "lock {name} is held by {}; that is another host of this name: give one of them owner = in section [lock], and a clone a machine-id of its own",
                holder(own)
            );
        }
        return format!("lock {name} is held by {}; you are {owner}", holder(own));
    }
    let ahead = lock.queue.iter().position(|waiter| waiter.owner == owner.as_str()).unwrap_or(lock.queue.len());
    let ahead = match (ahead, lock.queue.first()) {
        (1, Some(first)) => format!("; ahead: {}", first.owner),
        (2.., Some(first)) => format!("; ahead: {} and {} more", first.owner, ahead - 1),
        _ => "; nobody is known to be ahead".to_string(),
    };
    let change = if lock.holders.len() < lock.slots { "it can be acquired" } else { "free when released" };
    format!("lock {name} is {}{ahead}; {change}", holders(lock))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lock(holders: &[&str], queue: &[&str]) -> wire::Lock {
        let grant = |owner: &&str| wire::Grant {
            lock: "web".into(),
            number: 7,
            owner: (*owner).to_string(),
            host_id: None,
            boot: None,
            protocol: None,
            since: None,
            reason: None,
            down_until: None,
            overdue: false,
        };
        let waiter = |owner: &&str| wire::Waiter {
            owner: (*owner).to_string(),
            present: true,
            offered: false,
            lacks: Vec::new(),
        };
        wire::Lock {
            lock: "web".into(),
            slots: 1,
            holders: holders.iter().map(grant).collect(),
            queue: queue.iter().map(waiter).collect(),
        }
    }

    #[test]
    fn one_line_says_who_holds_it_who_is_ahead_and_what_would_change_it() {
        let me = Owner::new("me").unwrap();
        let said = |holders: &[&str], queue: &[&str]| why(&lock(holders, queue), &me, None);
        assert_eq!(
            said(&["a"], &["b", "c", "me"]),
            "lock web is held by a (grant 7); ahead: b and 1 more; free when released"
        );
        assert_eq!(said(&[], &[]), "lock web is free; nobody is known to be ahead; it can be acquired");
        assert_eq!(said(&["me"], &[]), "lock web is held by me (grant 7); you are me");
        let of = |id: &str| {
            let mut held = lock(&["me"], &[]);
            held.holders[0].host_id = Some("f".repeat(32));
            why(&held, &me, Some(&HostId::new(&id.repeat(32)).unwrap()))
        };
        assert!(of("f").ends_with("you are me") && of("e").contains("another host of this name"), "{}", of("e"));
        assert_eq!(state(&lock(&["a"], &["b"])), "lock web is held by a (grant 7); waiting: b");
    }
}
