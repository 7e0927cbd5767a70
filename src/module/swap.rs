//! Another version of a module put in its place: one exchange of names, with the intent in the history before it and the result after.
//!
//! The new one is made beside it, hashed and on disk before anything happens to the old one, which is kept aside under a name that no
//! manifest may have. After a cut in between, the inode under the module's name tells on which side of the exchange it was.

use std::path::Path;

use super::history::{Event, Rolling};
use super::name::Name;
use super::tree::{Place, Tree};
use crate::error::{Error, Result};
use crate::flag::record::Draft;
use crate::sys::clock::Moment;
use crate::sys::dir::Dir;
use crate::sys::replace;

/// Behind the name of a version that is being made; nobody else calls a directory so.
const DRAFT: &str = ".patch-modules.draft";
/// So many former versions of one second.
const AGAIN: usize = 1000;

/// Takes a fact into the history.
pub type Tell<'a> = &'a mut dyn FnMut(Event, Draft) -> Result<()>;

/// The name under which a version is made.
pub fn draft_name(name: &Name) -> String {
    format!(".{name}{DRAFT}")
}

/// Whether a name is one of those.
pub fn is_draft_name(name: &str) -> bool {
    let inner = name.strip_prefix('.').and_then(|rest| rest.strip_suffix(DRAFT));
    inner.is_some_and(|inner| Name::new(inner).is_ok())
}

/// What is to be put in the place of what, for the history.
#[derive(Debug)]
pub struct Intent {
    /// The version that the manifest wants.
    pub from: Option<String>,
    /// The checksum that the manifest has.
    pub was: Option<String>,
    /// The version to be put there.
    pub to: String,
    /// The tag that holds it.
    pub tag: String,
}

/// Makes a version beside its place with `fill`, which gets the empty directory, and puts it there. What it is now, and the name under
/// which the former one is kept, if there was another one.
///
/// # Errors
/// If it cannot be made or is unfit; nothing has changed then.
pub fn swap(
    place: &Place,
    dir: &Dir,
    name: &Name,
    intent: Intent,
    now: Moment,
    fill: &dyn Fn() -> Result<()>,
    tell: Tell,
) -> Result<(Tree, Option<String>)> {
    let draft = draft_name(name);
    let path = dir.join(&draft);
    replace::remove_tree(&path)?;
    let made = std::fs::create_dir(&path)
        .map_err(Error::io("make", &path))
        .and_then(|()| fill())
        .and_then(|()| made(place, &draft, &path));
    let (tree, aside) = match made.and_then(|tree| Ok((tree, aside(dir, name, now)?))) {
        Ok(made) => made,
        Err(error) => {
            let _ = replace::remove_tree(&path);
            return Err(error);
        }
    };
    let inode = dir.look(&draft)?.map(|stat| stat.st_ino).unwrap_or_default();
    let rolling = Rolling {
        from: intent.from,
        was: intent.was,
        to: intent.to,
        tag: intent.tag,
        checksum: tree.checksum.clone(),
        aside,
        inode,
    };
    if place.read_any(name.as_str()).ok().flatten().is_some_and(|there| there.checksum == tree.checksum) {
        replace::remove_tree(&path)?;
        tell(Event::RolledBack, words(&rolling))?;
        return Ok((tree, None));
    }
    tell(Event::RollingBack, words(&rolling).field("inode", inode.to_string()))?;
    match finish(dir, name, &rolling, tell) {
        Ok(kept) => Ok((tree, kept)),
        // A mount point, or a file system that cannot exchange names: everything is as it was.
        Err(error) if matches!(is_there(dir, name, &rolling), Ok(false)) => {
            replace::remove_tree(&path)?;
            tell(Event::NotRolledBack, Draft::note(&error.to_string()))?;
            Err(error)
        }
        Err(error) => Err(error),
    }
}

fn made(place: &Place, draft: &str, path: &Path) -> Result<Tree> {
    replace::flush_tree(path)?;
    place.read_any(draft)?.ok_or_else(|| Error::failed("find", path.display(), "it was there just now"))
}

/// Goes on from wherever it was: exchanges the names if they are not yet, keeps the former one aside, tells. Its name then.
fn finish(dir: &Dir, name: &Name, rolling: &Rolling, tell: Tell) -> Result<Option<String>> {
    let draft = draft_name(name);
    if !is_there(dir, name, rolling)? {
        replace::exchange_tree(dir, &draft, name.as_str())?;
    }
    let kept = dir.has(&draft)?;
    if kept && !replace::rename_new(dir, &draft, dir, &rolling.aside)? {
        let why = format!("{} is there already; look at both, and remove one", rolling.aside);
        return Err(Error::failed("keep aside", dir.join(&draft).display(), why));
    }
    tell(Event::RolledBack, words(rolling))?;
    Ok(kept.then(|| rolling.aside.clone()))
}

/// What became of an exchange that was cut short.
#[derive(Debug, PartialEq, Eq)]
pub enum Healed {
    /// The new version is in its place.
    Forward,
    /// The old version is.
    Back,
}

/// Brings an exchange that was cut short to an end: forward, if the names were exchanged, and else back.
///
/// # Errors
/// If the directory cannot be changed.
pub fn heal(dir: &Dir, name: &Name, rolling: &Rolling, tell: Tell) -> Result<Healed> {
    if is_there(dir, name, rolling)? {
        finish(dir, name, rolling, tell)?;
        return Ok(Healed::Forward);
    }
    replace::remove_tree(&dir.join(draft_name(name)))?;
    dir.sync()?;
    tell(Event::NotRolledBack, Draft::note("it was cut short before anything was changed"))?;
    Ok(Healed::Back)
}

fn is_there(dir: &Dir, name: &Name, rolling: &Rolling) -> Result<bool> {
    Ok(dir.look(name.as_str())?.is_some_and(|stat| stat.st_ino == rolling.inode))
}

fn words(rolling: &Rolling) -> Draft {
    let Rolling { from, was, to, tag, checksum, aside, .. } = rolling;
    let draft = Draft::default().maybe("from", from.as_ref()).maybe("was", was.as_ref()).field("to", to);
    draft.field("tag", tag).field("checksum", checksum).field("aside", aside)
}

/// A name that is free.
fn aside(dir: &Dir, name: &Name, now: Moment) -> Result<String> {
    let plain = format!(".{name}.aside-{}", now.format("%Y%m%dT%H%M%SZ"));
    for again in 0..AGAIN {
        let text = if again == 0 { plain.clone() } else { format!("{plain}.{again}") };
        if !dir.has(&text)? {
            return Ok(text);
        }
    }
    Err(Error::failed("keep aside", name, format!("there are {AGAIN} of {plain} already; remove some")))
}
