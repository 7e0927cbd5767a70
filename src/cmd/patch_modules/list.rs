//! `list`: what the manifest has.

use serde::Serialize;

use crate::error::{Error, Result};
use crate::exit::{self, Exit};
use crate::module::manifest::{Manifest, Module};
use crate::module::version::Version;
use crate::sys::clock;

use super::site::Site;

/// A module as `--json` shows it.
#[derive(Debug, Serialize)]
struct Line<'m> {
    name: &'m str,
    version: Option<&'m str>,
    enabled: bool,
    checksum: Option<&'m str>,
    last_applied: Option<String>,
    last_safe_version: Option<&'m str>,
    children: Vec<&'m str>,
    requires: Vec<&'m str>,
    description: Option<&'m str>,
}

/// Shows the modules in the order of the manifest.
///
/// # Errors
/// If the manifest cannot be read.
pub fn show(site: &Site, json: bool) -> Result<Exit> {
    let (_, manifest) = site.manifest()?;
    let lines: Vec<Line> = manifest.modules.iter().map(|module| line(&manifest, module)).collect();
    if json {
        exit::out(serde_json::to_string(&lines).map_err(|why| Error::failed("print", "the modules", why))?);
        return Ok(Exit::Done);
    }
    let width = lines.iter().map(|line| line.name.len()).max().unwrap_or_default();
    let version_width = lines.iter().filter_map(|line| line.version).map(str::len).max().unwrap_or_default().max(1);
    for line in &lines {
        let version = line.version.unwrap_or("-");
        let mut words = Vec::new();
        words.extend((!line.enabled).then(|| "disabled".to_string()));
        words.extend(line.last_applied.as_ref().map(|when| format!("applied {when}")));
        words.extend((!line.children.is_empty()).then(|| format!("of {}", line.children.join(", "))));
        words.extend((!line.requires.is_empty()).then(|| format!("requires {}", line.requires.join(", "))));
        words.extend(line.description.map(String::from));
        let text = format!("{:width$}  {version:version_width$}  {}", line.name, words.join("; "));
        exit::out(text.trim_end());
    }
    Ok(Exit::Done)
}

fn line<'m>(manifest: &'m Manifest, module: &'m Module) -> Line<'m> {
    let names = |places: &[usize]| places.iter().map(|at| manifest.modules[*at].name.as_str()).collect();
    Line {
        name: module.name.as_str(),
        version: module.version.as_ref().map(Version::as_str),
        enabled: module.enabled,
        checksum: module.checksum.as_deref(),
        last_applied: module.last_applied.map(clock::stamp),
        last_safe_version: module.last_safe.as_ref().map(Version::as_str),
        children: names(&module.children),
        requires: names(&module.requires),
        description: module.description.as_deref(),
    }
}
