//! `status` and `history`: what has happened.

use serde::Serialize;

use crate::error::{Error, Result};
use crate::exit::{self, Exit};
use crate::flag::record::Record;
use crate::module::history::{self, Event, Past, Story};
use crate::module::manifest::Module;
use crate::module::version::Version;
use crate::sys::clock;
use crate::sys::lockfile;

use super::site::Site;

#[derive(Debug, Serialize)]
struct Status<'m> {
    /// A run is at work now.
    working: bool,
    modules: Vec<State<'m>>,
}

#[derive(Debug, Serialize)]
struct State<'m> {
    name: &'m str,
    version: Option<&'m str>,
    enabled: bool,
    /// `new`, or the last thing that happened to it.
    last: &'static str,
    at: Option<String>,
    why: Option<String>,
    applied: Option<String>,
    applied_version: Option<String>,
    last_safe_version: Option<&'m str>,
}

/// Where each module stands. Nothing is locked or changed.
///
/// # Errors
/// If manifest or history cannot be read.
pub fn status(site: &Site, json: bool) -> Result<Exit> {
    let (_, manifest) = site.manifest()?;
    let story = Story::of(&history::read(&site.state_path(), &site.place_name())?);
    let working = lockfile::is_held(&site.state_path().join("lock"))?;
    let modules = manifest.modules.iter().map(|module| state(module, &story.past(module.name.as_str()), working));
    let status = Status { working, modules: modules.collect() };
    if json {
        exit::out(serde_json::to_string(&status).map_err(|why| Error::failed("print", "the status", why))?);
        return Ok(Exit::Done);
    }
    if working {
        exit::out("a run is at work now");
    }
    let width = status.modules.iter().map(|module| module.name.len()).max().unwrap_or_default();
    for module in &status.modules {
        let version = module.applied_version.as_ref().map(|version| format!(" {version}")).unwrap_or_default();
        let applied = module.applied.as_ref().map(|at| format!("; last applied{version} at {at}"));
        let at = module.at.as_ref().filter(|_| module.last != "done").map(|at| format!(" at {at}")).unwrap_or_default();
        let why = module.why.as_ref().map(|why| format!(" ({why})")).unwrap_or_default();
        let off = if module.enabled { "" } else { "disabled; " };
        let text = format!("{:width$}  {off}{}{at}{why}{}", module.name, module.last, applied.unwrap_or_default());
        exit::out(text);
    }
    Ok(Exit::Done)
}

fn state<'m>(module: &'m Module, past: &Past, working: bool) -> State<'m> {
    let last = match &past.last {
        None => "new",
        Some((Event::Begun, ..)) if working => "at work",
        Some((Event::Begun, ..)) => "cut short",
        Some((event, ..)) => event.word(),
    };
    State {
        name: module.name.as_str(),
        version: module.version.as_ref().map(Version::as_str),
        enabled: module.enabled,
        last,
        at: past.last.as_ref().map(|(_, at, _)| clock::stamp(*at)),
        why: past.last.as_ref().and_then(|(.., why)| why.clone()),
        applied: past.applied.as_ref().map(|applied| clock::stamp(applied.at)),
        applied_version: past.applied.as_ref().and_then(|applied| applied.version.clone()),
        last_safe_version: module.last_safe.as_ref().map(Version::as_str),
    }
}

/// What happened, the newest last.
///
/// # Errors
/// If the history cannot be read.
pub fn show(site: &Site, names: &[String], count: usize, json: bool) -> Result<Exit> {
    let records = history::read(&site.state_path(), &site.place_name())?;
    let is_wanted = |record: &&Record| match record.get("module") {
        Some(module) => names.is_empty() || names.iter().any(|name| name == module),
        None => false,
    };
    let wanted: Vec<&Record> = records.iter().filter(is_wanted).collect();
    for record in &wanted[wanted.len().saturating_sub(count)..] {
        if json {
            let pairs: serde_json::Map<String, serde_json::Value> = record
                .pairs()
                .filter(|(key, _)| *key != "sum")
                .map(|(key, value)| (key.into(), value.into()))
                .collect();
            exit::out(serde_json::Value::from(pairs));
        } else {
            let get = |key: &str| record.get(key).unwrap_or_default();
            let version =
                record.get("version").or(record.get("to")).map(|version| format!(" {version}")).unwrap_or_default();
            let why = record.get("msg").map(|why| format!(": {why}")).unwrap_or_default();
            exit::out(format_args!("{}  {}{version} {}{why}", get("time"), get("module"), get("event")));
        }
    }
    Ok(Exit::Done)
}
