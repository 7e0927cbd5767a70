//! What a run that was cut short has left behind: found and put right before anything else, and told.

use crate::error::{Error, Result};
use crate::exit;
use crate::flag::record::Draft;
use crate::module::history::{Event, Past, Rolling};
use crate::module::name::Name;
use crate::module::swap::{self, Healed};
use crate::sys::clock::{self, Moment};
use crate::sys::dir::Dir;
use crate::sys::replace;
use crate::sys::worker::{self, Worker};

use super::site::{Open, Site};
use super::work::{self, GRACE};
use super::{facts, rollback};

/// The lock, for whoever changes something. What an earlier start has left open is put right first.
///
/// # Errors
/// [`Error::Busy`] if another start is at work, or a module of one that was killed.
pub fn open(site: &Site) -> Result<Open> {
    let mut open = site.lock()?;
    left_behind(site)?;
    heal(site, &mut open)?;
    Ok(open)
}

/// Nothing is begun beside a module whose run was killed while it goes on.
///
/// # Errors
/// [`Error::Busy`] if one is at work.
fn left_behind(site: &Site) -> Result<()> {
    let marks = work::marks(site);
    let dir = match Dir::open(&marks) {
        Err(error) if error.is_missing() => return Ok(()),
        other => other?,
    };
    for name in dir.names()?.into_iter().filter(|name| !name.starts_with('.')) {
        let tell = |worker: &Worker| {
            let group = worker.group();
            exit::warn(format_args!(
                "ending module {name} (process group {group}): its run is gone and its time is over"
            ));
        };
        if let Some(worker) = worker::in_the_way(&marks.join(&name), GRACE, tell)? {
            let group = worker.group();
            let words =
                format!("module {name} of a run that was killed is still at work (process group {group}); try again");
            return Err(Error::Busy(words));
        }
    }
    Ok(())
}

/// Puts right what the history leaves open.
///
/// # Errors
/// If the manifest cannot be read, or history or manifest cannot be written.
fn heal(site: &Site, open: &mut Open) -> Result<()> {
    exchanges(site, open)?;
    tidy(site)?;
    let begun = |(name, past): (&String, &Past)| past.open.map(|at| (name.clone(), at));
    let cut: Vec<(String, Moment)> = open.history.story().modules.iter().filter_map(begun).collect();
    for (name, begun) in cut {
        let words = format!("was at work since {} when its run was cut short", clock::stamp(begun));
        exit::warn(format_args!("module {name} {words}"));
        open.history.add(site.now(), Event::Unfinished, Some(&name), Draft::note(&words))?;
    }
    facts::tell(site, open)
}

/// Exchanges of versions that were cut short are brought to an end.
fn exchanges(site: &Site, open: &mut Open) -> Result<()> {
    let rolling = |(name, past): (&String, &Past)| past.rolling.clone().map(|rolling| (name.clone(), rolling));
    let cut: Vec<(String, Rolling)> = open.history.story().modules.iter().filter_map(rolling).collect();
    for (text, rolling) in cut {
        let name = Name::new(&text).map_err(|why| Error::failed("heal", &text, why))?;
        let dir = Dir::open(&site.paths.at(&site.settings.dir))?;
        let (now, history) = (site.now(), &mut open.history);
        let mut tell = |event: Event, draft: Draft| history.add(now, event, Some(&text), draft);
        let words = match swap::heal(&dir, &name, &rolling, &mut tell)? {
            Healed::Forward => format!("it is at {} now", rolling.to),
            Healed::Back => "it is as it was".to_string(),
        };
        exit::warn(format_args!("the rollback of module {name} was cut short; {words}"));
    }
    Ok(())
}

/// Versions that were being made when somebody was killed, and what git wrote meanwhile.
fn tidy(site: &Site) -> Result<()> {
    replace::remove_tree(&site.paths.at(rollback::scratch(site)))?;
    let dir = match Dir::open(&site.paths.at(&site.settings.dir)) {
        Err(error) if error.is_missing() => return Ok(()),
        other => other?,
    };
    for name in dir.names()?.into_iter().filter(|name| swap::is_draft_name(name)) {
        replace::remove_tree(&dir.join(name))?;
    }
    Ok(())
}
