//! From development to production: exactly what development hosts got, and only what one of them has confirmed.

use super::manifest::Cluster;
use super::pointer::Pointer;
use super::store::Store;
use super::store::history::{self, Event};
use super::store::publish::Publisher;
use super::tree::{self, Level};
use crate::error::{Error, Result};
use crate::sys::clock::{self, Moment};

/// What is asked for.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// Of which release.
    pub release: &'a str,
    /// Which cluster; without one, what development has.
    pub cluster: Option<&'a str>,
    /// A person's word in place of a confirmation.
    pub voucher: Option<Voucher<'a>>,
}

/// Who says that a cluster is good, and why no host says so.
#[derive(Debug, Clone, Copy)]
pub struct Voucher<'a> {
    /// The host that it was seen on.
    pub host: &'a str,
    /// For the history.
    pub reason: &'a str,
}

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Promotion {
    /// Move production to this.
    Move(Pointer),
    /// Production has it.
    Already(Pointer),
}

/// What the decision rests on.
#[derive(Debug)]
pub struct Facts<'a> {
    /// What is to be promoted, with what its pointer would say.
    pub candidate: (&'a Pointer, &'a Cluster),
    /// What development has.
    pub development: &'a Pointer,
    /// What production has.
    pub production: Option<&'a Pointer>,
    /// The development hosts that have confirmed the candidate.
    pub confirmed: &'a [String],
    /// Whether a person vouches for it.
    pub is_vouched: bool,
}

/// Whether production may move.
///
/// # Errors
/// [`Error::Refused`] that says what is lacking.
pub fn decide(facts: &Facts, now: Moment) -> Result<Promotion> {
    let (pointer, cluster) = facts.candidate;
    let refuse = |why: String| Err(Error::refused(format!("cluster {}", pointer.id), why));
    if facts.production == Some(pointer) {
        return Ok(Promotion::Already(pointer.clone()));
    }
    if pointer.sequence > facts.development.sequence {
        return refuse("development was never given it".into());
    }
    if let Some(production) = facts.production.filter(|production| production.sequence >= pointer.sequence) {
        let newer = &production.id;
        return refuse(format!(
            "production has {newer} already, and hosts refuse what is older; to go back, pull the old source again and promote that"
        ));
    }
    if clock::parse(&cluster.expires)? <= now {
        return refuse(format!("it expired at {}; pull a new one", cluster.expires));
    }
    if facts.confirmed.is_empty() && !facts.is_vouched {
        return refuse(
            "no development host has confirmed it; wait for one, or give --confirmed-by HOST --reason TEXT".into(),
        );
    }
    Ok(Promotion::Move(pointer.clone()))
}

/// Finds the facts and decides; the answer has the development hosts that have confirmed the candidate. The files of the candidate are read and compared: what is damaged is not promoted.
///
/// # Errors
/// As [`decide`]; [`Error::Refused`] for what is damaged, [`Error::Failed`] for what is not there.
pub fn examine(publisher: &Publisher, request: &Request, now: Moment) -> Result<(Promotion, Vec<String>)> {
    let Publisher { store, signer, .. } = publisher;
    let verifier = signer.verifier()?;
    let development = store.pointed(request.release, Level::Development, &verifier)?.ok_or_else(|| {
        let why = "development has no cluster; publish one with pull-cluster pull";
        Error::failed("promote", request.release, why)
    })?;
    let production = production(store, request.release, publisher)?;
    let id = request.cluster.unwrap_or(&development.0.id);
    let (cluster, sha256) = store.cluster(request.release, id, &verifier)?;
    let pointer = Pointer { id: id.to_string(), sequence: cluster.sequence, sha256 };
    let confirmed = confirmed_in_development(publisher, id)?;
    let facts = Facts {
        candidate: (&pointer, &cluster),
        development: &development.0,
        production: production.as_ref(),
        confirmed: &confirmed,
        is_vouched: request.voucher.is_some(),
    };
    let promotion = decide(&facts, now)?;
    store.check_files(&cluster)?;
    Ok((promotion, confirmed))
}

fn production(store: &Store, release: &str, publisher: &Publisher) -> Result<Option<Pointer>> {
    store.pointer(release, Level::Production, &publisher.signer.verifier()?)
}

/// The development hosts among those who have confirmed a cluster. Without a list of hosts there are none.
fn confirmed_in_development(publisher: &Publisher, id: &str) -> Result<Vec<String>> {
    let confirmed = publisher.store.confirmations(id)?;
    if confirmed.is_empty() {
        return Ok(Vec::new());
    }
    let types = publisher.store.host_types(&publisher.signer.verifier()?)?;
    let is_development = |host: &str| types.find(host).is_some_and(|entry| entry.level == Level::Development);
    Ok(confirmed.into_iter().map(|one| one.host).filter(|host| is_development(host)).collect())
}

/// Writes the promotion down, with the hosts that have `confirmed` it or who vouched for it, then moves the pointer.
///
/// # Errors
/// [`Error::Io`]; production then still has what it had.
pub fn carry_out(
    publisher: &Publisher,
    request: &Request,
    pointer: &Pointer,
    confirmed: &[String],
    now: Moment,
) -> Result<()> {
    let hosts = confirmed.join(" ");
    publisher.settle(&tree::pointer(request.release, Level::Production), now)?;
    let event = Event {
        action: "promote",
        release: request.release,
        cluster: &pointer.id,
        sequence: pointer.sequence,
        confirmed_by: Some(request.voucher.map_or(hosts.as_str(), |voucher| voucher.host)),
        reason: request.voucher.map(|voucher| voucher.reason),
    };
    history::record(publisher.store, publisher.lock, &event, now)?;
    publisher.point(request.release, Level::Production, pointer, now)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::manifest::{FileEntry, Kind};

    fn pointer(sequence: u64) -> Pointer {
        Pointer { id: format!("c{sequence}"), sequence, sha256: "0a".repeat(32) }
    }

    fn cluster(sequence: u64) -> Cluster {
        Cluster {
            format: 1,
            name: "x".into(),
            id: format!("c{sequence}"),
            sequence,
            expires: "2027-01-01T00:00:00Z".into(),
            release: "debian-12/amd64".into(),
            kind: Kind::Apt,
            program: None,
            files: vec![FileEntry { path: "a".into(), size: 1, sha256: "0a".repeat(32), md5: "0b".repeat(16) }],
            advisories: Vec::new(),
        }
    }

    fn asked(candidate: u64, development: u64, production: Option<u64>, confirmed: bool, vouched: bool) -> String {
        let confirmed = if confirmed { vec!["web01".to_string()] } else { Vec::new() };
        let production = production.map(pointer);
        let facts = Facts {
            candidate: (&pointer(candidate), &cluster(candidate)),
            development: &pointer(development),
            production: production.as_ref(),
            confirmed: &confirmed,
            is_vouched: vouched,
        };
        match decide(&facts, clock::parse("2026-11-21T00:00:00Z").unwrap()) {
            Ok(promotion) => format!("{promotion:?}").split('(').next().unwrap_or_default().to_string(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn production_gets_what_a_development_host_has_confirmed_or_a_person_vouches_for() {
        assert_eq!(asked(4, 4, Some(3), true, false), "Move");
        assert_eq!(asked(4, 4, None, false, true), "Move");
        assert_eq!(asked(3, 4, Some(2), true, false), "Move");
        assert!(asked(4, 4, Some(3), false, false).contains("no development host has confirmed it"));
    }

    #[test]
    fn production_never_goes_back_or_ahead_of_development() {
        assert_eq!(asked(4, 4, Some(4), false, false), "Already");
        assert!(asked(3, 4, Some(4), true, true).contains("hosts refuse what is older"));
        assert!(asked(5, 4, Some(3), true, true).contains("never given"));
    }

    #[test]
    fn an_expired_cluster_is_not_promoted() {
        let facts = Facts {
            candidate: (&pointer(4), &cluster(4)),
            development: &pointer(4),
            production: None,
            confirmed: &["web01".to_string()],
            is_vouched: false,
        };
        let words = decide(&facts, clock::parse("2027-01-01T00:00:00Z").unwrap()).unwrap_err().to_string();
        assert!(words.contains("expired"), "{words}");
    }
}
