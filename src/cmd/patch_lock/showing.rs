//! What is known of locks: sentences for people, named fields for programs.

use serde::Serialize;

use crate::cmd::place::Place;
use crate::error::{Error, Result};
use crate::exit::{self, Exit};
use crate::lock::client::remembered::Remembered;
use crate::lock::client::words;
use crate::lock::client::{Released, claim};
use crate::lock::wire::{self, Change};
use crate::sys::clock::stamp;

use super::by_hand;
use super::site::Service;
use super::{Force, History, List, Show, Why};

/// `patch-lock show`
pub fn show(place: &Place, args: &Show) -> Result<Exit> {
    let service = Service::open(place)?;
    let locks: Vec<wire::Lock> = args.names.iter().map(|name| service.backend.look(name)).collect::<Result<_>>()?;
    print_locks(&locks, args.json)
}

/// `patch-lock list`
pub fn list(place: &Place, args: &List) -> Result<Exit> {
    print_locks(&Service::open(place)?.backend.list()?, args.json)
}

/// `patch-lock history`
pub fn history(place: &Place, args: &History) -> Result<Exit> {
    let events = Service::open(place)?.backend.history(args.name.as_ref(), args.limit)?;
    if args.json {
        return print_json(&events);
    }
    for event in &events {
        exit::out(one_line(&sentence(event)));
    }
    Ok(Exit::Done)
}

fn sentence(event: &wire::Event) -> String {
    let what = match &event.change {
        Change::Granted { reason, .. } => {
            format!("granted to {}{}", event.owner, reason.as_ref().map(|why| format!(": {why}")).unwrap_or_default())
        }
        Change::Released => format!("released by {}", event.owner),
        Change::Forced { by, reason } => format!("taken from {} by {by}: {reason}", event.owner),
        Change::Down { until: Some(until) } => format!("{} is down until {}", event.owner, stamp(*until)),
        Change::Down { until: None } => format!("{} is back", event.owner),
        Change::Overdue => format!("{} is overdue", event.owner),
    };
    format!("{} lock {} grant {}: {what}", stamp(event.at), event.lock, event.number)
}

/// One reason, for programs.
#[derive(Serialize)]
struct Reason {
    lock: String,
    owner: String,
    why: String,
}

/// `patch-lock why`
pub fn why(place: &Place, args: &Why) -> Result<Exit> {
    let service = Service::open(place)?;
    let owner = claim::owner(&service.config, &service.paths)?;
    let host = claim::host_id(&service.paths).ok();
    // What is remembered here is beside the question.
    let hands = Remembered::read(&service.paths).unwrap_or_else(|error| {
        exit::warn(error);
        Remembered::default()
    });
    let ask = |lock| {
        let said = service.backend.why(lock, &owner, host.as_ref())?;
        let held = hands.find(service.kind(), lock);
        let remembered = held.map(|held| format!("; {}", by_hand::standing_words(held))).unwrap_or_default();
        let why = said + &remembered;
        Ok(Reason { lock: lock.to_string(), owner: owner.to_string(), why })
    };
    let reasons: Vec<Reason> = service.names(&args.names)?.iter().map(ask).collect::<Result<_>>()?;
    if args.json {
        return print_json(&reasons);
    }
    for reason in &reasons {
        exit::out(one_line(&reason.why));
    }
    Ok(Exit::Done)
}

/// `patch-lock force-release`
pub fn force(place: &Place, args: &Force) -> Result<Exit> {
    let service = Service::open(place)?;
    let order = wire::Force {
        owner: args.owner.to_string(),
        lock: args.name.to_string(),
        by: args.by.to_string(),
        reason: args.reason.to_string(),
        while_down: args.while_down,
    };
    if place.is_only_a_question(&service.paths) {
        exit::out(format_args!("would end the grant that {} has of lock {}", args.owner, args.name));
        return Ok(Exit::Done);
    }
    match service.backend.force_release(&order)? {
        Released::Ended => {
            exit::out(format_args!("lock {} is taken from {}", args.name, args.owner));
            Ok(Exit::Done)
        }
        Released::Absent => Err(not_the_holder(&service, args)),
    }
}

/// Who mistypes a name must not believe that a lock is free now.
fn not_the_holder(service: &Service, args: &Force) -> Error {
    let why = match service.backend.look(&args.name) {
        Ok(lock) if lock.holders.is_empty() => format!("nobody holds lock {}", args.name),
        Ok(lock) => format!("it is {}", words::holders(&lock)),
        Err(_) => "it does not hold it".into(),
    };
    Error::failed("take", format_args!("lock {} from {}", args.name, args.owner), one_line(&why))
}

/// Whatever a service says, a lock is a line.
fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(c, '\n' | '\r' | '\t' | '\u{85}' | '\u{2028}' | '\u{2029}') {
            line.extend(c.escape_default());
        } else {
            line.push(c);
        }
    }
    line
}

fn print_locks(locks: &[wire::Lock], json: bool) -> Result<Exit> {
    if json {
        return print_json(&locks);
    }
    for lock in locks {
        exit::out(one_line(&words::state(lock)));
    }
    Ok(Exit::Done)
}

fn print_json(value: &impl Serialize) -> Result<Exit> {
    exit::out(serde_json::to_string_pretty(value).map_err(|why| Error::failed("print", "the answer", why))?);
    Ok(Exit::Done)
}
