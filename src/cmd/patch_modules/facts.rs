//! Telling the manifest what the history says: after the history has it, and at the next start if something came between.

use std::collections::HashMap;

use crate::error::{Error, Result};
use crate::exit;
use crate::flag::record::Draft;
use crate::module::history::{Event, Told, Was};
use crate::module::manifest::edit::{self, Change};
use crate::module::manifest::{Manifest, Module};
use crate::sys::clock;
use crate::sys::dir::Dir;
use crate::sys::{replace, trusted};

use super::site::{Open, Site};

/// Writes into the manifest what it has not been told yet. A signed manifest is its signer's, and stays as it is.
///
/// # Errors
/// If the manifest cannot be read, or either cannot be written; the next start does it then.
pub fn tell(site: &Site, open: &mut Open) -> Result<()> {
    let untold = open.history.story().untold.clone();
    if untold.is_empty() {
        return Ok(());
    }
    if !site.is_signed() {
        let (text, manifest) = site.manifest()?;
        let changes = changes(&manifest, &untold);
        if !changes.is_empty() {
            let new = edit::change(&text, &site.manifest_name(), &changes)?;
            write(site, &new)?;
        }
    }
    open.history.add(site.now(), Event::Written, None, Draft::default())
}

/// The same, but that it cannot be done is told and no reason to fail: what has been done is in the history.
pub fn try_to_tell(site: &Site, open: &mut Open) {
    if let Err(error) = tell(site, open) {
        exit::warn(format_args!("{error}; the history has it, and the next start tries to write it into the manifest"));
    }
}

fn write(site: &Site, text: &str) -> Result<()> {
    let path = site.manifest_path();
    let (above, name) = trusted::split(&path)?;
    let name = name.to_str().ok_or_else(|| Error::refused(path.display(), "its name is not UTF-8"))?;
    replace::replace_kept(&Dir::open(above)?, name, text.as_bytes())
}

/// What is to be changed in a manifest; of several facts about a field the last counts.
fn changes(manifest: &Manifest, untold: &[Told]) -> Vec<Change> {
    let modules: HashMap<&str, &Module> =
        manifest.modules.iter().map(|module| (module.name.as_str(), module)).collect();
    let mut now: HashMap<(&str, &'static str), Option<String>> = HashMap::new();
    let mut order = Vec::new();
    for told in untold {
        let Some(module) = modules.get(told.module.as_str()) else { continue };
        let field = (module.name.as_str(), told.key);
        let says = now.get(&field).cloned().unwrap_or_else(|| says(module, told.key));
        if matches!(&told.was, Was::Value(was) if *was != says) || says == told.value || is_older(told, says.as_ref()) {
            continue;
        }
        if now.insert(field, told.value.clone()).is_none() {
            order.push((&module.name, told.key));
        }
    }
    let value = |name: &str, key| now.get(&(name, key)).cloned().flatten();
    order
        .into_iter()
        .map(|(name, key)| Change { module: name.clone(), key, value: value(name.as_str(), key) })
        .collect()
}

fn is_older(told: &Told, says: Option<&String>) -> bool {
    let moment = |text: &String| clock::parse(text).ok();
    told.key == "lastApplied" && says.and_then(moment) > told.value.as_ref().and_then(moment)
}

fn says(module: &Module, key: &str) -> Option<String> {
    match key {
        "checksum" => module.checksum.clone(),
        "version" => module.version.as_ref().map(ToString::to_string),
        "lastSafeVersion" => module.last_safe.as_ref().map(ToString::to_string),
        "lastApplied" => module.last_applied.map(clock::stamp),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(key: &'static str, was: Was, value: &str) -> Told {
        Told { module: "a".into(), key, was, value: Some(value.into()) }
    }

    #[test]
    fn what_somebody_wrote_since_is_not_written_over() {
        let text = r#"{"updates": [{"name": "a", "version": "3", "lastApplied": "2026-11-21T02:00:00Z"}]}"#;
        let manifest = Manifest::parse(text, "m").unwrap();
        let rolled = |from: &str| told("version", Was::Value(Some(from.into())), "1");
        assert_eq!(changes(&manifest, &[rolled("2")]), []);
        assert_eq!(changes(&manifest, &[rolled("3")])[0].value.as_deref(), Some("1"));
        assert_eq!(changes(&manifest, &[told("lastApplied", Was::Anything, "2026-11-20T02:00:00Z")]), []);
        let twice =
            [told("version", Was::Value(Some("3".into())), "2"), told("version", Was::Value(Some("2".into())), "1")];
        let changes = changes(&manifest, &twice);
        assert_eq!((changes.len(), changes[0].value.as_deref()), (1, Some("1")));
    }
}
