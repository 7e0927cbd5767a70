//! `verify`, `checksum` and `repair`: is every module what the manifest says?

use std::fmt::Write;

use crate::error::{Error, Result};
use crate::exit::{self, Exit};
use crate::flag::record::Draft;
use crate::module::history::Event;
use crate::module::known;
use crate::module::manifest::{Manifest, Module};
use crate::module::name::Name;
use crate::module::sum;
use crate::module::tree::{self, Tree};
use crate::sys::dir::Dir;

use super::site::{Open, Site};
use super::{facts, heal};

/// So many changed files of a module are named.
const NAMED: usize = 20;

/// What a module turned out to be.
enum Found {
    /// What the manifest says.
    Right,
    /// It has no directory of its own, and needs none.
    Empty,
    /// Something else, and what.
    Wrong(String, Vec<String>),
}

/// Says of each module whether it is what the manifest says, and what changed.
///
/// # Errors
/// If the manifest or the directory of the modules cannot be used.
pub fn verify(site: &Site, names: &[String]) -> Result<Exit> {
    let (_, manifest) = site.manifest()?;
    let modules = chosen(&manifest, names)?;
    let known = Dir::open(&site.state_path().join("known")).ok();
    let (mut wrong, mut text) = (0, String::new());
    for (module, tree) in read(site, &modules)? {
        let name = &module.name;
        // Into memory: cannot fail.
        let _ = match judge(module, tree, known.as_ref()) {
            Found::Right => writeln!(text, "{name}: ok"),
            Found::Empty if !module.enabled => writeln!(text, "{name}: ok (disabled, and without a directory)"),
            Found::Empty => writeln!(text, "{name}: ok (a group without a directory of its own)"),
            Found::Wrong(why, lines) => {
                wrong += 1;
                writeln!(text, "{name}: {why}").and_then(|()| tell(&mut text, &lines))
            }
        };
    }
    let (right, all) = (modules.len() - wrong, modules.len());
    exit::out(format_args!("{text}{right} of {all} modules are what the manifest says"));
    Ok(if wrong == 0 { Exit::Done } else { Exit::Failed })
}

fn tell(text: &mut String, lines: &[String]) -> std::fmt::Result {
    for line in lines.iter().take(NAMED) {
        writeln!(text, "    {line}")?;
    }
    if lines.len() > NAMED {
        writeln!(text, "    and {} more", lines.len() - NAMED)?;
    }
    Ok(())
}

/// A group, or one that does not run: somebody has named it in advance, or for whoever has it as a child.
fn needs_no_directory(module: &Module) -> bool {
    !module.children.is_empty() || !module.enabled
}

fn judge(module: &Module, tree: Result<Option<Tree>>, known: Option<&Dir>) -> Found {
    let name = &module.name;
    let wrong = |why: String| Found::Wrong(why, Vec::new());
    let tree = match tree {
        Err(error) => return wrong(error.to_string()),
        Ok(None) if module.checksum.is_none() && needs_no_directory(module) => return Found::Empty,
        Ok(None) => return wrong("it has no directory".into()),
        Ok(Some(tree)) => tree,
    };
    match &module.checksum {
        None => {
            wrong(format!("unverified: its checksum in the manifest is null; patch-modules checksum --write {name}"))
        }
        Some(checksum) if *checksum != tree.checksum => {
            let before = known.and_then(|known| known::find(known, name, checksum));
            let lines = before.map_or_else(
                || vec!["(which files changed is not known: this checksum was never written here)".into()],
                |before| sum::differences(&before, &tree.records),
            );
            Found::Wrong(format!("CHANGED: its checksum is {}, the manifest says {checksum}", tree.checksum), lines)
        }
        Some(checksum) => match &tree.claim {
            // It proves nothing, but whoever reads it is misled.
            Some(claim) if claim != checksum => {
                exit::note(format_args!(
                    "module {name}: its file checksum says {claim:?}; the manifest counts, not the file"
                ));
                Found::Right
            }
            _ => Found::Right,
        },
    }
}

/// Prints the checksums, as sha256sum(1) does.
///
/// # Errors
/// As [`verify`]; if a directory cannot be read.
pub fn print(site: &Site, names: &[String]) -> Result<Exit> {
    let (_, manifest) = site.manifest()?;
    let mut exit = Exit::Done;
    for (module, tree) in read(site, &chosen(&manifest, names)?)? {
        match tree {
            Ok(Some(tree)) => exit::out(format_args!("{}  {}", tree.checksum, module.name)),
            Ok(None) if needs_no_directory(module) => {}
            Ok(None) => {
                exit::warn(format_args!("module {} has no directory", module.name));
                exit = Exit::Failed;
            }
            Err(error) => {
                exit::warn(error);
                exit = Exit::Failed;
            }
        }
    }
    Ok(exit)
}

/// Takes the modules as they are now, and writes their checksums into the manifest.
///
/// # Errors
/// As [`print`]; nothing was written then.
pub fn write(site: &Site, names: &[String]) -> Result<Exit> {
    let mut open = changeable(site)?;
    let (_, manifest) = site.manifest()?;
    let mut taken = Vec::new();
    for (module, tree) in read(site, &chosen(&manifest, names)?)? {
        match tree? {
            Some(tree) => taken.push((module, tree)),
            None if !needs_no_directory(module) => {
                return Err(Error::failed("take the checksum of", &module.name, "it has no directory"));
            }
            None => {}
        }
    }
    for (module, tree) in &taken {
        take(site, &mut open, module, tree, "checksum --write")?;
        exit::out(format_args!("{}  {}", tree.checksum, module.name));
    }
    facts::tell(site, &mut open)?;
    Ok(Exit::Done)
}

/// Takes a module that has changed as right.
///
/// # Errors
/// As [`write`].
pub fn accept(site: &Site, name: &str, reason: &str) -> Result<Exit> {
    let mut open = changeable(site)?;
    let (_, manifest) = site.manifest()?;
    let module = &manifest.modules[manifest.find(name)?];
    let tree = site.modules()?.read(&module.name)?;
    let tree = tree.ok_or_else(|| Error::failed("accept", &module.name, "it has no directory"))?;
    if module.checksum.as_deref() == Some(&tree.checksum) {
        exit::out(format_args!("{name} is what the manifest says; nothing to accept"));
        return Ok(Exit::Done);
    }
    take(site, &mut open, module, &tree, reason)?;
    facts::tell(site, &mut open)?;
    exit::out(format_args!("{name}: accepted as {} ({reason})", tree.checksum));
    Ok(Exit::Done)
}

/// The history has it first; the records are there before it, so that a later change can be told file by file.
fn take(site: &Site, open: &mut Open, module: &Module, tree: &Tree, reason: &str) -> Result<()> {
    known::keep(&open.known()?, &module.name, &tree.records)?;
    if module.checksum.as_deref() == Some(&tree.checksum) {
        return Ok(());
    }
    let more = Draft::default().maybe("was", module.checksum.as_deref()).field("checksum", &tree.checksum).msg(reason);
    open.history.add(site.now(), Event::Accepted, Some(module.name.as_str()), more)
}

/// The lock, for whoever changes the manifest.
fn changeable(site: &Site) -> Result<Open> {
    if site.is_signed() {
        let why = "it is signed, and its signer changes it; put the checksum in there and sign it again";
        return Err(Error::refused(site.manifest_name(), why));
    }
    heal::open(site)
}

/// The modules of these names, or all.
fn chosen<'m>(manifest: &'m Manifest, names: &[String]) -> Result<Vec<&'m Module>> {
    if names.is_empty() {
        return Ok(manifest.modules.iter().collect());
    }
    Ok(manifest.find_all(names)?.into_iter().map(|at| &manifest.modules[at]).collect())
}

/// A module, and its directory if it has one.
type Looked<'m> = (&'m Module, Result<Option<Tree>>);

fn read<'m>(site: &Site, modules: &[&'m Module]) -> Result<Vec<Looked<'m>>> {
    let names: Vec<Name> = modules.iter().map(|module| module.name.clone()).collect();
    let trees = tree::read_all(&site.modules()?, &names, Site::threads());
    Ok(modules.iter().copied().zip(trees).collect())
}
