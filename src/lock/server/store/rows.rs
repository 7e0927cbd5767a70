//! Grants and events as rows, and back.

use serde_json::Value;
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use crate::error::{Error, Result};
use crate::exit;
use crate::lock::grant::{Event, Grant, Holder, Number, Protocol};
use crate::lock::name::{HostId, LockName, Note, Owner};
use crate::lock::server::words;
use crate::lock::wire;
use crate::sys::clock::{self, Moment, stamp};

/// A number from the store.
pub fn number(value: i64) -> Result<Number> {
    u64::try_from(value)
        .map(Number)
        .map_err(|_| Error::refused(format!("number {value} in the store"), "it is below 0"))
}

/// A number for the store; the book gives none that would not fit.
pub fn signed(number: Number) -> i64 {
    i64::try_from(number.0).unwrap_or(i64::MAX)
}

/// A row of the history.
pub struct EventRow<'a> {
    pub at: String,
    pub lock: &'a str,
    pub number: i64,
    pub owner: &'a str,
    pub kind: String,
    pub details: String,
}

impl<'a> EventRow<'a> {
    /// The kind and its details are those of the wire: the tag of the object, and the rest of it.
    pub fn new(event: &'a Event) -> Result<Self> {
        let wrong = || Error::failed("write", format!("an event of grant {}", event.number), "it has no kind");
        let mut details = serde_json::to_value(words::change(&event.change)).unwrap_or_default();
        let kind = details.as_object_mut().and_then(|object| object.remove("event"));
        let Some(Value::String(kind)) = kind else { return Err(wrong()) };
        Ok(Self {
            at: stamp(event.at),
            lock: event.lock.as_str(),
            number: signed(event.number),
            owner: event.owner.key(),
            kind,
            details: details.to_string(),
        })
    }
}

/// An event of the history, as it goes out.
pub fn event(row: &SqliteRow) -> Result<wire::Event> {
    let id = integer(row, "id")?;
    let wrong = |why: &dyn std::fmt::Display| Error::refused(format!("event {id} in the store"), why);
    let mut change: Value = serde_json::from_str(&whole(row, "details")?).map_err(|why| wrong(&why))?;
    let object = change.as_object_mut().ok_or_else(|| wrong(&"its details are no object"))?;
    object.insert("event".into(), Value::String(whole(row, "kind")?));
    Ok(wire::Event {
        id,
        at: clock::parse(&whole(row, "at")?).map_err(|why| wrong(&why))?,
        lock: whole(row, "lock")?,
        number: number(integer(row, "number")?)?.0,
        owner: whole(row, "owner")?,
        change: serde_json::from_value(change).map_err(|why| wrong(&why))?,
    })
}

/// A row of what is held.
pub struct HeldRow<'a> {
    pub number: i64,
    pub lock: &'a str,
    pub owner: &'a str,
    /// How the owner is written, if that is not how it is compared.
    pub spelling: Option<&'a str>,
    pub host_id: Option<&'a str>,
    pub boot: Option<&'a str>,
    pub protocol: Option<String>,
    pub since: String,
    pub reason: Option<&'a str>,
    pub down_until: Option<String>,
    pub told_overdue: Option<String>,
}

impl<'a> HeldRow<'a> {
    pub fn new(grant: &'a Grant) -> Self {
        let (host_id, boot, protocol) = match &grant.holder {
            Holder::Host { id, boot } => (Some(id.as_str()), Some(boot.as_str()), None),
            Holder::Legacy(protocol) => (None, None, Some(protocol.to_string())),
        };
        Self {
            number: signed(grant.number),
            lock: grant.lock.as_str(),
            owner: grant.owner.key(),
            spelling: Some(grant.owner.as_str()).filter(|text| *text != grant.owner.key()),
            host_id,
            boot,
            protocol,
            since: stamp(grant.since),
            reason: grant.reason.as_ref().map(Note::as_str),
            down_until: grant.down_until.map(stamp),
            told_overdue: grant.told_overdue.map(stamp),
        }
    }
}

/// A grant that is held. It is held whatever became of what is only told of it: a time that cannot be read is left out, and told;
/// one since when, is for ever, so that people look.
pub fn grant(row: &SqliteRow) -> Result<Grant> {
    let number = number(integer(row, "number")?)?;
    Ok(Grant {
        lock: LockName::new(&whole(row, "lock")?)?,
        number,
        owner: match text(row, "spelling")? {
            Some(spelling) => Owner::new(&spelling)?,
            None => Owner::exact(&whole(row, "owner")?)?,
        },
        holder: holder(row)?,
        since: known(number, "since", clock::parse(&whole(row, "since")?)).unwrap_or(Moment::UNIX_EPOCH),
        reason: text(row, "reason")?.and_then(|reason| known(number, "reason", Note::new(&reason))),
        down_until: moment(row, number, "down_until")?,
        told_overdue: moment(row, number, "told_overdue")?,
    })
}

/// What is not needed to know who holds what.
fn known<T>(number: Number, column: &str, read: Result<T>) -> Option<T> {
    read.inspect_err(|why| exit::warn(format_args!("grant {number} in the store stays, without its {column}: {why}")))
        .ok()
}

fn holder(row: &SqliteRow) -> Result<Holder> {
    let Some(protocol) = text(row, "protocol")? else {
        return Ok(Holder::Host { id: HostId::new(&whole(row, "host_id")?)?, boot: Note::new(&whole(row, "boot")?)? });
    };
    let known = [Protocol::Dlm, Protocol::Foreman, Protocol::FleetLock];
    let found = known.into_iter().find(|known| known.to_string() == protocol);
    found.map(Holder::Legacy).ok_or_else(|| wrong(&format!("protocol {protocol}"), &"it is not known"))
}

fn wrong(what: &str, why: &dyn std::fmt::Display) -> Error {
    Error::refused(format!("{what} in the store"), why)
}

fn text(row: &SqliteRow, column: &str) -> Result<Option<String>> {
    row.try_get(column).map_err(|why| wrong(column, &why))
}

fn integer(row: &SqliteRow, column: &str) -> Result<i64> {
    row.try_get(column).map_err(|why| wrong(column, &why))
}

fn whole(row: &SqliteRow, column: &str) -> Result<String> {
    text(row, column)?.ok_or_else(|| wrong(column, &"it is empty"))
}

fn moment(row: &SqliteRow, number: Number, column: &str) -> Result<Option<Moment>> {
    Ok(text(row, column)?.and_then(|stamp| known(number, column, clock::parse(&stamp))))
}
