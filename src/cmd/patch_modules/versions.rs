//! `versions` and `tag`: what git has of a module.

use serde::Serialize;

use crate::error::{Error, Result};
use crate::exit::{self, Exit};
use crate::module::repo::Repo;
use crate::module::version::Tag;

use super::heal;
use super::site::Site;

#[derive(Debug, Serialize)]
struct Line<'t> {
    version: &'t str,
    time: String,
    tag: &'t str,
    wanted: bool,
    last_safe: bool,
}

/// Shows the versions of a module, the newest first.
///
/// # Errors
/// If there is no repository.
pub fn show(site: &Site, name: &str, json: bool) -> Result<Exit> {
    let (_, manifest) = site.manifest()?;
    let module = &manifest.modules[manifest.find(name)?];
    let repo = Repo::find(&site.paths, &site.settings.dir)?;
    let tags = repo.tags(&module.name, &manifest.names())?;
    let line = |tag: &'_ Tag| -> (bool, bool) {
        (module.version.as_ref() == Some(&tag.version), module.last_safe.as_ref() == Some(&tag.version))
    };
    let mut lines = Vec::new();
    for tag in &tags {
        let ((wanted, last_safe), time) = (line(tag), tag.time.format("%Y-%m-%dT%H:%M:%SZ").to_string());
        lines.push(Line { version: tag.version.as_str(), time, tag: &tag.text, wanted, last_safe });
    }
    if json {
        exit::out(serde_json::to_string(&lines).map_err(|why| Error::failed("print", "the versions", why))?);
        return Ok(Exit::Done);
    }
    if lines.is_empty() {
        exit::out(format_args!("{name}: no tag {name}-v* in the repository; patch-modules tag {name} makes one"));
    }
    for line in &lines {
        let marks = [(line.wanted, "wanted"), (line.last_safe, "last safe")];
        let marks: Vec<&str> = marks.iter().filter(|(is, _)| *is).map(|(_, word)| *word).collect();
        let marks = if marks.is_empty() { String::new() } else { format!("  ({})", marks.join(", ")) };
        exit::out(format_args!("{}  {}  {}{marks}", line.version, line.time, line.tag));
    }
    Ok(Exit::Done)
}

/// Tags what is committed as the version that the manifest wants.
///
/// # Errors
/// If it has no version, or is not committed.
pub fn tag(site: &Site, name: &str) -> Result<Exit> {
    let _open = heal::open(site)?;
    let (_, manifest) = site.manifest()?;
    let module = &manifest.modules[manifest.find(name)?];
    let Some(version) = &module.version else {
        return Err(Error::failed("tag", name, "it has no version in the manifest"));
    };
    let repo = Repo::find(&site.paths, &site.settings.dir)?;
    let tag = Tag::make(&module.name, version, site.now());
    repo.tag(&module.name, &tag)?;
    exit::out(format_args!("{}\n(for other hosts: git push origin {})", tag.text, tag.text));
    Ok(Exit::Done)
}
