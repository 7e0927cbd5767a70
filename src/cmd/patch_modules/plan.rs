//! `apply --dry-run`: what would run, in which order, and what not and why.

use std::collections::HashMap;
use std::fmt::Write;

use serde::Serialize;

use crate::error::{Error, Result};
use crate::exit::{self, Exit};
use crate::module::course::Course;
use crate::module::manifest::{Manifest, Module};
use crate::module::plan::Plan;
use crate::module::version::Version;

use super::Apply;
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
pub fn show(site: &Site, args: &Apply) -> Result<Exit> {
    let (_, manifest) = site.manifest()?;
    let plan = Plan::new(&manifest, &args.names)?;
    let lines = lines(&manifest, &plan);
    if args.json {
        let lines: Vec<Line> = lines.collect();
        exit::out(serde_json::to_string(&lines).map_err(|why| Error::failed("print", "the plan", why))?);
        return Ok(Exit::Done);
    }
    let mut text = String::new();
    for (at, line) in lines.enumerate() {
        push(&mut text, at + 1, &line);
    }
    exit::out(if text.is_empty() { "nothing is enabled, and nothing would run" } else { text.trim_end() });
    if !args.allow_unverified {
        tell_unverified(&manifest, &plan);
    }
    Ok(Exit::Done)
}

/// Whoever looks before the first run sees why nothing of it would be executed.
fn tell_unverified(manifest: &Manifest, plan: &Plan) {
    let modules = plan.steps.iter().map(|step| &manifest.modules[step.module]);
    let open: Vec<&Module> = modules.filter(|module| module.checksum.is_none() && module.children.is_empty()).collect();
    if let [first, more @ ..] = open.as_slice() {
        let more = if more.is_empty() { String::new() } else { format!(" and {} more", more.len()) };
        exit::out(format_args!(
            "{}{more} would fail without being executed: no checksum; patch-modules checksum --write takes them as right",
            first.name
        ));
    }
}

fn push(text: &mut String, number: usize, line: &Line) {
    let _ = write!(text, "{number:>3}. {}", line.module); // into memory: cannot fail
    if let Some(version) = line.version {
        text.push(' ');
        text.push_str(version);
    }
    match (&line.skipped, line.needs.as_slice()) {
        (Some(why), _) => {
            text.push_str(": would be skipped: ");
            text.push_str(why);
        }
        (None, needs) => {
            for (at, need) in needs.iter().enumerate() {
                text.push_str(if at == 0 { ", after " } else { ", " });
                text.push_str(need);
            }
        }
    }
    text.push('\n');
}

fn lines<'m>(manifest: &'m Manifest, plan: &'m Plan) -> impl Iterator<Item = Line<'m>> {
    let name = |step: usize| manifest.modules[plan.steps[step].module].name.as_str();
    let mut skipped = skipped(manifest, plan);
    plan.steps.iter().enumerate().map(move |(at, step)| {
        let module = &manifest.modules[step.module];
        Line {
            module: module.name.as_str(),
            version: module.version.as_ref().map(Version::as_str),
            needs: step.needs.iter().map(|need| name(*need)).collect(),
            skipped: skipped.remove(&at),
        }
    })
}

/// The steps that would be skipped, and why.
fn skipped(manifest: &Manifest, plan: &Plan) -> HashMap<usize, String> {
    let name = |at: usize| manifest.modules[at].name.as_str();
    let mut skipped = HashMap::new();
    if plan.steps.iter().all(|step| step.lacks.is_none()) {
        return skipped;
    }
    let mut course = Course::new(&plan.needs());
    for (at, step) in plan.steps.iter().enumerate() {
        let Some(lacks) = step.lacks.filter(|_| !skipped.contains_key(&at)) else { continue };
        skipped.insert(at, disabled(name(lacks)));
        for heir in course.failed(at) {
            let why = format!("needs {}, which is skipped", name(plan.steps[heir.lacks].module));
            skipped.insert(heir.step, why);
        }
    }
    skipped
}

/// Why something is skipped that requires a disabled module.
pub fn disabled(name: &str) -> String {
    format!("needs {name}, which is disabled")
}
