//! Whose turn it is in a queue of keys, as one waiter sees it. Pure: what was read and the observer's own clock go in.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::lock::wire;

/// A waiter that lives renews its entry so often.
pub const RENEW: Duration = Duration::from_secs(5);
/// An entry that stood still for three renewals is a dead one's.
pub const STALE: Duration = Duration::from_secs(15);

/// A place in the queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its key.
    pub key: String,
    /// Who waits.
    pub owner: String,
    /// On which host.
    pub host_id: String,
    /// The order of the queue.
    pub created: u64,
    /// Grows with each renewal.
    pub changed: u64,
}

/// What was read at one moment.
#[derive(Debug, Clone)]
pub struct Look {
    /// The moment, as etcd counts it.
    pub revision: u64,
    /// Who holds the lock.
    pub holder: Option<wire::Grant>,
    /// The front of the queue, oldest first.
    pub front: Vec<Entry>,
    /// The place of the one who looks.
    pub own: Option<Entry>,
}

/// When each entry was seen to change last.
#[derive(Debug, Default)]
pub struct Sightings(HashMap<String, (u64, Instant)>);

impl Sightings {
    /// Notes what is there now; what is gone is forgotten.
    pub fn note(&mut self, front: &[Entry], now: Instant) {
        self.0.retain(|key, _| front.iter().any(|entry| entry.key == *key));
        for entry in front {
            match self.0.get(&entry.key) {
                Some((changed, _)) if *changed == entry.changed => {}
                _ => drop(self.0.insert(entry.key.clone(), (entry.changed, now))),
            }
        }
    }

    fn is_dead(&self, entry: &Entry, now: Instant) -> bool {
        self.0
            .get(&entry.key)
            .is_some_and(|(changed, at)| *changed == entry.changed && now.duration_since(*at) >= STALE)
    }
}

/// What is to be done next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// It is ours already, by this number.
    Ours(u64),
    /// Never like this.
    Refuse(String),
    /// Nobody holds it and nobody is ahead.
    Take,
    /// This one is dead and ahead of us.
    Pass(Entry),
    /// Until this key is deleted.
    Wait(String),
}

/// Decides.
pub fn decide(look: &Look, owner: &str, host_id: &str, sightings: &Sightings, now: Instant) -> Step {
    if let Some(grant) = look.holder.as_ref().filter(|grant| grant.owner == owner) {
        return match grant.host_id.as_deref() {
            Some(id) if id == host_id => Step::Ours(grant.number),
            other => Step::Refuse(clone_words(owner, "holds", other.unwrap_or("unknown"))),
        };
    }
    if let Some(own) = look.own.as_ref().filter(|own| own.host_id != host_id && !sightings.is_dead(own, now)) {
        return Step::Refuse(clone_words(owner, "waits for", &own.host_id));
    }
    let own = look.own.as_ref().map_or(u64::MAX, |own| own.created);
    let ahead: Vec<&Entry> = look.front.iter().filter(|entry| entry.created < own && entry.owner != owner).collect();
    if let Some(dead) = look.front.iter().find(|entry| entry.created < own && sightings.is_dead(entry, now)) {
        return Step::Pass(dead.clone());
    }
    match (ahead.last(), &look.holder) {
        (Some(last), _) => Step::Wait(last.key.clone()),
        (None, Some(grant)) => Step::Wait(holder_key(grant)),
        (None, None) => Step::Take,
    }
}

fn holder_key(grant: &wire::Grant) -> String {
    format!("{}{}/holder", super::LOCKS, super::percent(&grant.lock))
}

fn clone_words(owner: &str, verb: &str, id: &str) -> String {
    format!(
        "another host named {owner} {verb} it (host id {id}); give one of them another owner =, or force it off if that host is gone"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(owner: &str, created: u64, changed: u64) -> Entry {
        Entry { key: format!("q/{owner}"), owner: owner.into(), host_id: format!("id-{owner}"), created, changed }
    }

    fn grant(owner: &str) -> wire::Grant {
        serde_json::from_str(&format!(r#"{{"lock":"web","number":7,"owner":"{owner}","host_id":"id-{owner}"}}"#))
            .unwrap()
    }

    fn look(holder: Option<&str>, front: &[Entry], own: Option<Entry>) -> Look {
        Look { revision: 9, holder: holder.map(grant), front: front.to_vec(), own }
    }

    fn me(look: &Look, sightings: &Sightings, now: Instant) -> Step {
        decide(look, "me", "id-me", sightings, now)
    }

    #[test]
    fn the_first_in_the_queue_takes_a_free_lock_and_nobody_else() {
        let (none, now) = (Sightings::default(), Instant::now());
        assert_eq!(me(&look(None, &[], None), &none, now), Step::Take);
        let mine = entry("me", 5, 5);
        let queue = [entry("a", 3, 3), entry("b", 4, 4), mine.clone(), entry("c", 6, 6)];
        assert_eq!(me(&look(None, &queue, Some(mine.clone())), &none, now), Step::Wait("q/b".into()));
        assert_eq!(me(&look(None, &queue[2..], Some(mine.clone())), &none, now), Step::Take);
        assert_eq!(
            me(&look(None, &queue[..2], None), &none, now),
            Step::Wait("q/b".into()),
            "who has no place is last"
        );
        assert_eq!(
            me(&look(Some("a"), &queue[2..], Some(mine)), &none, now),
            Step::Wait("/patchflag/lock/web/holder".into())
        );
    }

    #[test]
    fn asking_again_for_what_is_held_answers_the_same_number_and_a_clone_is_refused() {
        let (none, now) = (Sightings::default(), Instant::now());
        assert_eq!(me(&look(Some("me"), &[entry("a", 3, 3)], None), &none, now), Step::Ours(7));
        let seen = decide(&look(Some("me"), &[], None), "me", "id-clone", &none, now);
        assert!(matches!(seen, Step::Refuse(words) if words.contains("host id id-me")));
        let waits = decide(&look(None, &[], Some(entry("me", 3, 3))), "me", "id-clone", &none, now);
        assert!(matches!(waits, Step::Refuse(words) if words.contains("waits for")));
    }

    #[test]
    fn a_waiter_that_died_is_passed_after_three_renewals_and_one_that_lives_never() {
        let mut sightings = Sightings::default();
        let began = Instant::now();
        let mine = entry("me", 5, 5);
        let at = |seconds: u64| began + Duration::from_secs(seconds);
        let mut living = 4;
        for seconds in 0..60 {
            living += u64::from(seconds % 5 == 0);
            let queue = [entry("dead", 3, 3), entry("alive", 4, living)];
            sightings.note(&queue, at(seconds));
            let step = me(&look(None, &queue, Some(mine.clone())), &sightings, at(seconds));
            let expected = if seconds < 15 { Step::Wait("q/alive".into()) } else { Step::Pass(entry("dead", 3, 3)) };
            assert_eq!(step, expected, "after {seconds} s");
        }
        // The same owner comes back behind us: that is a new entry.
        let queue = [entry("alive", 4, living), entry("dead", 9, 9)];
        sightings.note(&queue, at(60));
        assert_eq!(me(&look(None, &queue, Some(mine)), &sightings, at(60)), Step::Wait("q/alive".into()));
    }

    #[test]
    fn what_an_earlier_process_of_this_host_left_in_the_queue_is_its_own_place() {
        let (none, now) = (Sightings::default(), Instant::now());
        let mine = entry("me", 3, 3);
        assert_eq!(me(&look(None, std::slice::from_ref(&mine), Some(mine.clone())), &none, now), Step::Take);
        assert_eq!(me(&look(None, std::slice::from_ref(&mine), None), &none, now), Step::Take);
    }
}
