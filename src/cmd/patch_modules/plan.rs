//! `apply --dry-run`: what would run, in which order, and what not and why.

use std::fmt::Write;

use serde::Serialize;

use crate::error::{Error, Result};
use crate::exit::{self, Exit};
use crate::module::course::Course;
use crate::module::manifest::Manifest;
use crate::module::plan::Plan;
use crate::module::version::Version;

use super::site::Site;

/// A step as `--json` shows it.
#[derive(Debug, Serialize)]
struct Line<'m> {
    module: &'m str,
    version: Option<&'m str>,
    needs: Vec<&'m str>,
    skipped: Option<String>,
}

/// Shows the plan.
///
/// # Errors
/// If there can be none.
pub fn show(site: &Site, names: &[String], json: bool) -> Result<Exit> {
    let (_, manifest) = site.manifest()?;
    let plan = Plan::new(&manifest, names)?;
    let lines = lines(&manifest, &plan);
    if json {
        exit::out(serde_json::to_string(&lines).map_err(|why| Error::failed("print", "the plan", why))?);
        return Ok(Exit::Done);
    }
    let mut text = String::new();
    for (at, line) in lines.iter().enumerate() {
        let version = line.version.map(|version| format!(" {version}")).unwrap_or_default();
        let end = match (&line.skipped, line.needs.as_slice()) {
            (Some(why), _) => format!(": would be skipped: {why}"),
            (None, []) => String::new(),
            (None, needs) => format!(", after {}", needs.join(", ")),
        };
        let _ = writeln!(text, "{:>3}. {}{version}{end}", at + 1, line.module); // into memory: cannot fail
    }
    exit::out(if text.is_empty() { "nothing is enabled, and nothing would run" } else { text.trim_end() });
    Ok(Exit::Done)
}

fn lines<'m>(manifest: &'m Manifest, plan: &Plan) -> Vec<Line<'m>> {
    let name = |at: usize| manifest.modules[at].name.as_str();
    let mut course = Course::new(&plan.needs());
    let mut skipped: Vec<Option<String>> = vec![None; plan.steps.len()];
    for (at, step) in plan.steps.iter().enumerate() {
        let Some(lacks) = step.lacks.filter(|_| skipped[at].is_none()) else { continue };
        skipped[at] = Some(disabled(name(lacks)));
        for heir in course.failed(at) {
            skipped[heir.step] = Some(format!("needs {}, which is skipped", name(plan.steps[heir.lacks].module)));
        }
    }
    let line = |(at, skipped): (usize, Option<String>)| {
        let step = &plan.steps[at];
        let module = &manifest.modules[step.module];
        Line {
            module: module.name.as_str(),
            version: module.version.as_ref().map(Version::as_str),
            needs: step.needs.iter().map(|need| name(plan.steps[*need].module)).collect(),
            skipped,
        }
    };
    skipped.into_iter().enumerate().map(line).collect()
}

/// Why something is skipped that requires a disabled module.
pub fn disabled(name: &str) -> String {
    format!("needs {name}, which is disabled")
}
