//! Backend `etcd`: v3, by its JSON gateway. The one to take where the lock itself must outlive a machine.
//!
//! ```text
//! /patchflag/lock/NAME/holder         who holds it; its create revision is the number of the grant
//! /patchflag/lock/NAME/queue/OWNER    who waits, in order of create revision
//! /patchflag/history/NAME/…           what happened
//! ```
//!
//! No lease: it would fall during the reboot. A grant is a key that only its owner's number deletes, and no clock touches it. It is
//! made by the waiter itself, in one transaction that needs the holder's key to be absent; so a waiter that died is never granted.
//! That it does not block the queue is [`queue`]'s: it renews its entry while it lives, and others pass an entry that stood still
//! for three renewals by their own clock. A release wakes the next one by a watch.

mod gateway;
mod hint;
mod queue;

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::held::Counted;
use super::words::percent;
use super::{Again, Answer, Backend, Claim, Held, Kind, NotYet, Released, words};
use crate::config::locking::Web;
use crate::error::{Error, Result};
use crate::host;
use crate::lock::grant::Number;
use crate::lock::name::{LockName, Owner};
use crate::lock::wire::{self, Change};
use crate::paths::Paths;
use crate::sys::clock::{Clock, Moment};
use crate::sys::random;
use gateway::{Gateway, Is, Op, Pair, Sort};
use queue::{Entry, Look, Sightings, Step};

const LOCKS: &str = "/patchflag/lock/";
const HISTORY: &str = "/patchflag/history/";
/// Of a long queue so many are looked at; the others have somebody in front of them.
const FRONT: usize = 16;
/// Transactions that others were faster at are tried again so often.
const TRIES: u32 = 20;
/// Events kept of a lock.
const EVENTS: usize = 1000;
/// Keys that one list reads.
const LISTED: usize = 10_000;

/// An etcd.
#[derive(Debug)]
pub struct Etcd {
    gateway: Gateway,
    paths: Paths,
    clock: Clock,
    sightings: Mutex<Sightings>,
    /// Who asks has withdrawn: the thread that still waits must not take a place again.
    is_leaving: AtomicBool,
}

impl Etcd {
    pub fn new(web: &Web, paths: &Paths, timeout: Duration, clock: Clock) -> Result<Self> {
        let gateway = Gateway::new(web, paths, timeout)?;
        Ok(Self {
            gateway,
            paths: paths.clone(),
            clock,
            sightings: Mutex::default(),
            is_leaving: AtomicBool::new(false),
        })
    }

    /// The lock, the front of its queue, and one owner's place in it, at one moment.
    fn see(&self, lock: &LockName, owner: &str) -> Result<Look> {
        let reads = [Op::get(&holder(lock)), Op::first(&queue_of(lock), FRONT), Op::get(&place(lock, owner))];
        let answer = self.gateway.txn(&[], &reads, &[])?;
        let [found, front, own] = &answer.found[..] else { return Err(self.gateway.strange()) };
        Ok(Look {
            revision: answer.revision,
            holder: found.first().map(grant).transpose()?,
            front: front.iter().map(entry).collect::<Result<_>>()?,
            own: own.first().map(entry).transpose()?,
        })
    }

    fn step(&self, look: &Look, claim: &Claim) -> Step {
        let now = Instant::now();
        match self.sightings.lock() {
            Ok(mut sightings) => {
                sightings.note(&look.front, now);
                queue::decide(look, claim.owner.as_str(), claim.host_id.as_str(), &sightings, now)
            }
            Err(_) => queue::decide(look, claim.owner.as_str(), claim.host_id.as_str(), &Sightings::default(), now),
        }
    }

    /// Takes the lock, if nobody has it and, of one that waited, its place is still its own.
    fn take(&self, lock: &LockName, claim: &Claim, own: Option<&Entry>) -> Result<Option<u64>> {
        let grant = wire::Grant {
            lock: lock.to_string(),
            number: 0,
            owner: claim.owner.to_string(),
            host_id: Some(claim.host_id.to_string()),
            boot: Some(claim.boot.to_string()),
            protocol: None,
            since: Some(self.clock.now()),
            reason: claim.reason.as_ref().map(ToString::to_string),
            down_until: None,
            overdue: false,
        };
        let (host_id, reason) = (grant.host_id.clone(), grant.reason.clone());
        let event = self.event(lock, 0, claim.owner.as_str(), Change::Granted { host_id, protocol: None, reason })?;
        let mut ifs = vec![Is::absent(&holder(lock))];
        ifs.extend(own.map(|own| Is::created(&own.key, own.created)));
        let then = [Op::put(&holder(lock), &grant)?, Op::delete(&place(lock, claim.owner.as_str())), event];
        let answer = self.gateway.txn(&ifs, &then, &[])?;
        Ok(answer.succeeded.then_some(answer.revision))
    }

    /// Takes a place at the end of the queue, or says that we still stand in ours. If that was lost meanwhile, the next look shows it.
    fn stand(&self, lock: &LockName, claim: &Claim, own: Option<&Entry>) -> Result<()> {
        let key = place(lock, claim.owner.as_str());
        let condition = match own {
            None => Is::absent(&key),
            Some(own) => Is::created(&key, own.created),
        };
        let waiter = serde_json::json!({ "owner": claim.owner.as_str(), "host_id": claim.host_id.as_str(), "boot": claim.boot.as_str() });
        self.gateway.txn(&[condition], &[Op::put(&key, &waiter)?], &[]).map(drop)
    }

    fn give_place_up(&self, claim: &Claim, lock: &LockName) -> Result<()> {
        self.gateway.txn(&[], &[Op::delete(&place(lock, claim.owner.as_str()))], &[]).map(drop)
    }

    /// Removes the entry of a waiter that died, unless it has moved since.
    fn pass(&self, dead: &Entry) -> Result<()> {
        self.gateway.txn(&[Is::unchanged(&dead.key, dead.changed)], &[Op::delete(&dead.key)], &[]).map(drop)
    }

    fn event(&self, lock: &LockName, number: u64, owner: &str, change: Change) -> Result<Op> {
        let event = wire::Event {
            id: 0,
            at: self.clock.now(),
            lock: lock.to_string(),
            number,
            owner: owner.to_string(),
            change,
        };
        let tail = u128::from_ne_bytes(random::bytes::<16>()?);
        Op::put(&format!("{HISTORY}{}/{tail:032x}", percent(lock.as_str())), &event)
    }

    /// What is older than the last thousand events of a lock goes, a few at a time. Nothing depends on it.
    fn prune(&self, lock: &LockName) {
        let prefix = format!("{HISTORY}{}/", percent(lock.as_str()));
        if let Ok((oldest, count)) = self.gateway.range(&prefix, 20, Sort::Oldest)
            && count > EVENTS
        {
            let gone: Vec<Op> = oldest.iter().map(|pair| Op::delete(&pair.key)).collect();
            let _ = self.gateway.txn(&[], &gone, &[]);
        }
    }

    /// The holder's key, if this very grant of this very host stands there.
    fn own_grant(&self, held: &Held) -> Result<Option<(Pair, wire::Grant)>> {
        let Some(pair) = self.gateway.get(&holder(&held.lock))? else { return Ok(None) };
        let grant = grant(&pair)?;
        let host_id = host::id::get(&self.paths)?;
        let ours = grant.owner == held.owner.as_str() && grant.host_id.as_deref() == Some(&host_id);
        Ok((ours && grant.number == held.number.0).then_some((pair, grant)))
    }

    fn granted(&self, claim: &Claim, lock: &LockName, number: u64) -> Answer {
        self.prune(lock);
        Answer::Granted(vec![held(&claim.owner, lock, number)])
    }
}

fn unreadable(key: &str) -> Error {
    Error::refused(
        format!("etcd key {key}"),
        "it is none of ours; look who wrote it, and delete it if nobody holds the lock",
    )
}

fn grant(pair: &Pair) -> Result<wire::Grant> {
    let grant: wire::Grant = serde_json::from_slice(&pair.value).map_err(|_| unreadable(&pair.key))?;
    Ok(wire::Grant { number: pair.created, ..grant })
}

fn entry(pair: &Pair) -> Result<Entry> {
    let waiter: Value = serde_json::from_slice(&pair.value).map_err(|_| unreadable(&pair.key))?;
    let text = |key: &str| waiter[key].as_str().unwrap_or_default().to_string();
    Ok(Entry {
        key: pair.key.clone(),
        owner: text("owner"),
        host_id: text("host_id"),
        created: pair.created,
        changed: pair.changed,
    })
}

fn holder(lock: &LockName) -> String {
    format!("{LOCKS}{}/holder", percent(lock.as_str()))
}

fn queue_of(lock: &LockName) -> String {
    format!("{LOCKS}{}/queue/", percent(lock.as_str()))
}

fn place(lock: &LockName, owner: &str) -> String {
    format!("{}{}", queue_of(lock), percent(owner))
}

fn held(owner: &Owner, lock: &LockName, number: u64) -> Held {
    Held {
        kind: Kind::Etcd,
        owner: owner.clone(),
        number: Number(number),
        counted: Counted::ByService,
        lock: lock.clone(),
    }
}

fn locked(name: &str, holder: Option<wire::Grant>, queue: &[Entry]) -> wire::Lock {
    // Whether a waiter lives is seen only by watching it.
    let waiter =
        |entry: &Entry| wire::Waiter { owner: entry.owner.clone(), present: true, offered: false, lacks: Vec::new() };
    wire::Lock {
        lock: name.to_string(),
        slots: 1,
        holders: holder.into_iter().collect(),
        queue: queue.iter().map(waiter).collect(),
    }
}

/// Who only asks waits as well where nobody holds the lock: are those that are ahead still there?
fn patience(wait: Duration, seen: &Look) -> Duration {
    if wait.is_zero() && seen.holder.is_none() { queue::STALE + queue::RENEW } else { wait }
}

fn not_yet(claim: &Claim, lock: &LockName, seen: Look, wait: Duration) -> Answer {
    let why = words::why(&locked(lock.as_str(), seen.holder, &seen.front), &claim.owner, Some(&claim.host_id));
    let again = if wait.is_zero() { Again::Later } else { Again::AtOnce };
    Answer::NotYet(NotYet { why, again })
}

impl Backend for Etcd {
    fn kind(&self) -> Kind {
        Kind::Etcd
    }

    fn acquire(&self, claim: &Claim, wait: Duration) -> Result<Answer> {
        let lock = claim.only_lock()?;
        let began = Instant::now();
        let mut stood: Option<Instant> = None;
        let mut tries = 0;
        self.is_leaving.store(false, Ordering::SeqCst);
        while tries < TRIES {
            let seen = self.see(lock, claim.owner.as_str())?;
            if self.is_leaving.load(Ordering::SeqCst) {
                return Ok(not_yet(claim, lock, seen, wait));
            }
            let own = seen.own.as_ref();
            match self.step(&seen, claim) {
                Step::Ours(number) => {
                    if own.is_some() {
                        self.give_place_up(claim, lock)?;
                    }
                    return Ok(self.granted(claim, lock, number));
                }
                Step::Refuse(words) => return Err(Error::refused(format!("lock {lock}"), words)),
                Step::Take => {
                    if let Some(number) = self.take(lock, claim, own)? {
                        return Ok(self.granted(claim, lock, number));
                    }
                    tries += 1; // somebody was faster
                }
                Step::Pass(dead) => {
                    self.pass(&dead)?;
                    tries += 1;
                }
                Step::Wait(key) => {
                    let left = patience(wait, &seen).saturating_sub(began.elapsed());
                    if left.is_zero() {
                        return Ok(not_yet(claim, lock, seen, wait));
                    }
                    let is_due = stood.is_none_or(|at| at.elapsed() >= queue::RENEW);
                    if !wait.is_zero() && (own.is_none() || is_due) {
                        self.stand(lock, claim, own)?;
                        stood = Some(Instant::now());
                        if own.is_none() {
                            continue; // who is ahead of us now?
                        }
                    }
                    self.gateway.watch(&key, seen.revision + 1, left.min(queue::RENEW));
                }
            }
        }
        Err(self.gateway.strange())
    }

    fn withdraw(&self, claim: &Claim) -> Result<()> {
        self.is_leaving.store(true, Ordering::SeqCst);
        self.give_place_up(claim, claim.only_lock()?)
    }

    fn release(&self, held: &Held) -> Result<Released> {
        for _ in 0..TRIES {
            let Some((pair, grant)) = self.own_grant(held)? else { return Ok(Released::Absent) };
            let event = self.event(&held.lock, grant.number, held.owner.as_str(), Change::Released)?;
            let then = [Op::delete(&pair.key), event];
            if self.gateway.txn(&[Is::created(&pair.key, pair.created)], &then, &[])?.succeeded {
                return Ok(Released::Ended);
            }
        }
        Err(self.gateway.strange())
    }

    fn held(&self, claim: &Claim, lock: &LockName) -> Result<Option<Held>> {
        let Some(pair) = self.gateway.get(&holder(lock))? else { return Ok(None) };
        let grant = grant(&pair)?;
        let ours = grant.owner == claim.owner.as_str() && grant.host_id.as_deref() == Some(claim.host_id.as_str());
        let reason = claim.reason.as_ref().map(ToString::to_string);
        Ok((ours && (reason.is_none() || grant.reason == reason)).then(|| held(&claim.owner, lock, grant.number)))
    }

    fn down_until(&self, held: &Held, until: Option<Moment>) -> Result<bool> {
        for _ in 0..TRIES {
            let Some((pair, grant)) = self.own_grant(held)? else { return Ok(false) };
            let changed = wire::Grant { down_until: until, ..grant };
            let event = self.event(&held.lock, held.number.0, held.owner.as_str(), Change::Down { until })?;
            let then = [Op::put(&pair.key, &changed)?, event];
            if self.gateway.txn(&[Is::unchanged(&pair.key, pair.changed)], &then, &[])?.succeeded {
                return Ok(true);
            }
        }
        Err(self.gateway.strange())
    }

    fn look(&self, lock: &LockName) -> Result<wire::Lock> {
        let seen = self.see(lock, "")?;
        Ok(locked(lock.as_str(), seen.holder, &seen.front))
    }

    fn list(&self) -> Result<Vec<wire::Lock>> {
        let mut locks: Vec<wire::Lock> = Vec::new();
        let (pairs, _) = self.gateway.range(LOCKS, LISTED, Sort::Oldest)?;
        for pair in &pairs {
            let Some((encoded, what)) = pair.key.strip_prefix(LOCKS).and_then(|rest| rest.split_once('/')) else {
                continue;
            };
            let name = words::unpercent(encoded).unwrap_or_else(|| encoded.to_string());
            let index = locks.iter().position(|lock| lock.lock == name).unwrap_or_else(|| {
                locks.push(locked(&name, None, &[]));
                locks.len() - 1
            });
            if what == "holder" {
                locks[index].holders.push(grant(pair)?);
            } else {
                let entry = entry(pair)?;
                locks[index].queue.extend(locked(&name, None, &[entry]).queue);
            }
        }
        locks.sort_by(|a, b| a.lock.cmp(&b.lock));
        Ok(locks)
    }

    fn history(&self, lock: Option<&LockName>, limit: u32) -> Result<Vec<wire::Event>> {
        let prefix = lock.map_or(HISTORY.to_string(), |lock| format!("{HISTORY}{}/", percent(lock.as_str())));
        let (pairs, _) = self.gateway.range(&prefix, limit as usize, Sort::Newest)?;
        let read = |pair: &Pair| {
            let event: wire::Event = serde_json::from_slice(&pair.value).map_err(|_| unreadable(&pair.key))?;
            // A grant and its event are made in one transaction, and the revision of that is its number.
            let number = if event.number == 0 { pair.created } else { event.number };
            Ok(wire::Event { id: i64::try_from(pair.created).unwrap_or(i64::MAX), number, ..event })
        };
        pairs.iter().map(read).collect()
    }

    fn force_release(&self, order: &wire::Force) -> Result<Released> {
        let lock = LockName::new(&order.lock)?;
        for _ in 0..TRIES {
            let Some(pair) = self.gateway.get(&holder(&lock))? else { return Ok(Released::Absent) };
            let grant = grant(&pair)?;
            if grant.owner != order.owner {
                return Ok(Released::Absent);
            }
            if !order.while_down && grant.down_until.is_some_and(|until| self.clock.now() < until) {
                let words = format!(
                    "{} is down as it said it would be ({}); add --while-down if it will not come back",
                    order.owner,
                    words::holder(&grant)
                );
                return Err(Error::refused(format!("to take lock {lock}"), words));
            }
            let change = Change::Forced { by: order.by.clone(), reason: order.reason.clone() };
            let then = [Op::delete(&pair.key), self.event(&lock, grant.number, &order.owner, change)?];
            if self.gateway.txn(&[Is::unchanged(&pair.key, pair.changed)], &then, &[])?.succeeded {
                return Ok(Released::Ended);
            }
        }
        Err(self.gateway.strange())
    }
}
