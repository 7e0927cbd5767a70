//! `rollback`: a former version of a module back in its place, by hand or after a health check that failed.

use std::path::PathBuf;

use crate::error::{Error, Result};
use crate::exit::{self, Exit};
use crate::flag::record::Draft;
use crate::module::history::{Event, Past};
use crate::module::known;
use crate::module::manifest::{Manifest, Module};
use crate::module::repo::Repo;
use crate::module::swap::{self, Intent, Tell};
use crate::module::version::Version;
use crate::sys::clock::Moment;
use crate::sys::dir::Dir;
use crate::sys::replace;

use super::site::Site;
use super::{Rollback, facts, heal};

/// What came of it.
pub struct Back {
    pub version: Version,
    pub tag: String,
    /// The name under which the former one is kept.
    pub aside: Option<String>,
    /// Its checksum is another one than when this version ran here.
    pub differs: bool,
}

/// Puts a version back, as a person wants it.
///
/// # Errors
/// If there is no such version, or it cannot be put there; nothing has changed then.
pub fn rollback(site: &Site, args: &Rollback) -> Result<Exit> {
    let mut open = heal::open(site)?;
    let (_, manifest) = site.manifest()?;
    let module = &manifest.modules[manifest.find(&args.name)?];
    let past = open.history.story().past(module.name.as_str());
    let target = match &args.to {
        Some(text) => Version::new(text).map_err(Error::Usage)?,
        None if args.last_safe => last_safe(site, module, &past).ok_or_else(|| no_safe(module))?,
        None => before(module, last_safe(site, module, &past), &past).ok_or_else(|| no_safe(module))?,
    };
    let (now, name) = (site.now(), module.name.to_string());
    let history = &mut open.history;
    let mut tell = |event: Event, draft: Draft| history.add(now, event, Some(&name), draft);
    let back = put(site, &manifest, module, &target, &past, now, &mut tell)?;
    exit::out(words(module, &back));
    facts::tell(site, &mut open)?;
    if site.is_signed() {
        exit::warn(format_args!(
            "the manifest is signed, and still wants another {name}; it does not run before its signer has changed it"
        ));
    }
    Ok(Exit::Done)
}

/// The version to go back to without a word of which: the last safe one, or else the one that ran before. Never one that was itself
/// rolled back since it was good: a check that fails for another reason would put two versions in each other's place night after night.
pub fn before(module: &Module, safe: Option<Version>, past: &Past) -> Option<Version> {
    let is_way_back =
        |version: &Version| Some(version) != module.version.as_ref() && !past.left.contains(version.as_str());
    let ran = past.applied.iter().chain(&past.earlier).filter_map(|applied| applied.version.as_deref());
    let mut candidates = safe.into_iter().chain(ran.filter_map(|text| Version::new(text).ok()));
    candidates.find(is_way_back)
}

/// The version that was last marked as safe. A manifest that is signed was not told.
pub fn last_safe(site: &Site, module: &Module, past: &Past) -> Option<Version> {
    let marked = past.safe.as_deref().filter(|_| site.is_signed()).and_then(|text| Version::new(text).ok());
    marked.or_else(|| module.last_safe.clone())
}

fn no_safe(module: &Module) -> Error {
    let name = &module.name;
    let why = format!("nothing says which version is safe; name one with --to (see patch-modules versions {name})");
    Error::failed("roll back", name, why)
}

/// Puts a version in the place of a module.
///
/// # Errors
/// As [`rollback`].
pub fn put(
    site: &Site,
    manifest: &Manifest,
    module: &Module,
    target: &Version,
    past: &Past,
    now: Moment,
    tell: Tell,
) -> Result<Back> {
    let name = &module.name;
    let repo = Repo::find(&site.paths, &site.settings.dir)?;
    repo.check_at_rest(&site.paths)?;
    let tag = repo.tag_of(name, target, &manifest.names())?;
    let dir = Dir::open(&site.paths.at(&site.settings.dir))?;
    let draft = site.settings.dir.join(swap::draft_name(name));
    // git leaves a lock beside its index if it is killed: so both are in a directory that is new each time.
    let scratch = scratch(site).join(name.as_str());
    let fill = || {
        let place = site.paths.at(&scratch);
        replace::remove_tree(&place)?;
        // Nothing in it outlives this start, and nothing is flushed.
        std::fs::create_dir_all(&place).map_err(Error::io("make", &place))?;
        repo.check_out(name, &tag, &draft, &scratch.join("index"))?;
        replace::remove_tree(&place)
    };
    let intent = Intent {
        from: module.version.as_ref().map(ToString::to_string),
        was: module.checksum.clone(),
        to: target.to_string(),
        tag: tag.text.clone(),
    };
    let (tree, aside) = swap::swap(&site.modules()?, &dir, name, intent, now, &fill, tell)?;
    known::keep(&Dir::create(&site.state_path().join("known"), 0o755)?, name, &tree.records)?;
    let ran =
        past.applied.iter().chain(&past.earlier).find(|applied| applied.version.as_deref() == Some(target.as_str()));
    let differs = ran.and_then(|ran| ran.checksum.as_ref()).is_some_and(|sum| *sum != tree.checksum);
    Ok(Back { version: target.clone(), tag: tag.text, aside, differs })
}

/// Where git works meanwhile, as seen from inside the root.
pub fn scratch(site: &Site) -> PathBuf {
    site.settings.state.join("rollback")
}

/// What came of it, for people.
pub fn words(module: &Module, back: &Back) -> String {
    let aside = back.aside.as_ref().map(|name| format!("; what was there is kept as {name}")).unwrap_or_default();
    let differs = if back.differs { "; it is not byte for byte what ran here under this version" } else { "" };
    format!("{}: rolled back to {} (tag {}){aside}{differs}", module.name, back.version, back.tag)
}

/// Marks what runs as the version to go back to.
///
/// # Errors
/// If it has not run well, or not for long enough.
pub fn safe(site: &Site, name: &str) -> Result<Exit> {
    let mut open = heal::open(site)?;
    let (_, manifest) = site.manifest()?;
    let module = &manifest.modules[manifest.find(name)?];
    let past = open.history.story().past(name);
    let version =
        judge_safe(module, &past, site.now()).map_err(|why| Error::failed("call", format!("{name} safe"), why))?;
    if last_safe(site, module, &past).as_ref() == Some(version) {
        exit::out(format_args!("{name}: version {version} is the last safe one already"));
        return Ok(Exit::Done);
    }
    open.history.add(site.now(), Event::Safe, Some(name), Draft::default().field("version", version.as_str()))?;
    facts::tell(site, &mut open)?;
    exit::out(format_args!("{name}: version {version} is the last safe one now"));
    Ok(Exit::Done)
}

/// Whether what runs may be called safe; why not.
fn judge_safe<'m>(module: &'m Module, past: &Past, now: Moment) -> std::result::Result<&'m Version, String> {
    let Some(version) = &module.version else { return Err("it has no version in the manifest".into()) };
    let applied = past.applied.as_ref().filter(|applied| applied.version.as_deref() == Some(version.as_str()));
    let Some(applied) = applied else {
        return Err(format!("version {version} has not run here; patch-modules apply {} first", module.name));
    };
    if let Some((event @ (Event::Failed | Event::Unfinished | Event::Begun), ..)) = past.last {
        return Err(format!("the last thing that happened to it is: {}", event.word()));
    }
    let soaked = applied.since + chrono::Duration::days(module.soak_days.unwrap_or_default().into());
    if soaked > now {
        let (since, until) = (crate::sys::clock::stamp(applied.since), crate::sys::clock::stamp(soaked));
        return Err(format!("version {version} runs since {since}, and its soak_days are over at {until}"));
    }
    Ok(version)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::module::history::Applied;
    use crate::sys::clock;

    fn scene() -> (Manifest, Past) {
        let text = r#"{"updates": [{"name": "a", "version": "2.0", "soak_days": 7}]}"#;
        let at = clock::parse("2026-11-01T02:00:00Z").unwrap();
        let applied = Applied { at, since: at, version: Some("2.0".into()), checksum: None };
        let past = Past { last: Some((Event::Done, at, None)), applied: Some(applied), ..Past::default() };
        (Manifest::parse(text, "m").unwrap(), past)
    }

    #[test]
    fn what_runs_is_safe_after_its_days_and_only_if_its_last_run_was_good() {
        let (manifest, mut past) = scene();
        let module = &manifest.modules[0];
        let at = |text: &str| clock::parse(text).unwrap();
        let early = judge_safe(module, &past, at("2026-11-07T02:00:00Z")).unwrap_err();
        assert!(early.contains("2026-11-08T02:00:00Z"), "{early}");
        assert_eq!(judge_safe(module, &past, at("2026-11-08T02:00:00Z")).unwrap().as_str(), "2.0");
        past.last = Some((Event::Failed, at("2026-11-08T02:00:00Z"), None));
        assert!(judge_safe(module, &past, at("2026-12-01T02:00:00Z")).unwrap_err().contains("failed"));
        assert!(judge_safe(module, &Past::default(), at("2026-12-01T02:00:00Z")).unwrap_err().contains("has not run"));
    }

    #[test]
    fn the_way_back_is_the_last_safe_version_or_the_one_that_ran_before() {
        let (manifest, mut past) = scene();
        let module = &manifest.modules[0];
        assert_eq!(before(module, None, &past), None);
        let mut applied = past.applied.clone().unwrap();
        applied.version = Some("1.9".into());
        past.earlier = Some(applied);
        assert_eq!(before(module, None, &past).unwrap().as_str(), "1.9");
        let safe = Version::new("1.5").ok();
        assert_eq!(before(module, safe, &past).unwrap().as_str(), "1.5");
        assert_eq!(
            before(module, module.version.clone(), &past).unwrap().as_str(),
            "1.9",
            "never the one that is there"
        );
        past.left.insert("1.9".into());
        assert_eq!(before(module, None, &past), None, "nor one that was rolled back itself");
    }
}
