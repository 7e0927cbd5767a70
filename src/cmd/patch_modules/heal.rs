//! What a run that was cut short has left behind: found and put right before anything else, and told.

use crate::error::{Error, Result};
use crate::exit;
use crate::flag::record::Draft;
use crate::module::history::{self, Event, Story};
use crate::sys::clock;
use crate::sys::dir::Dir;
use crate::sys::worker;

use super::facts;
use super::site::{Open, Site};
use super::work::{self, GRACE};

/// Nothing is begun beside a module whose run was killed while it goes on.
///
/// # Errors
/// [`Error::Busy`] if one is at work.
pub fn left_behind(site: &Site) -> Result<()> {
    let marks = work::marks(site);
    let dir = match Dir::open(&marks) {
        Err(error) if error.is_missing() => return Ok(()),
        other => other?,
    };
    for name in dir.names()? {
        let Some(worker) = worker::left_behind(&marks.join(&name))? else { continue };
        let group = worker.group();
        if !worker.is_overdue() {
            let words =
                format!("module {name} of a run that was killed is still at work (process group {group}); try again");
            return Err(Error::Busy(words));
        }
        exit::warn(format_args!("ending module {name} (process group {group}): its run is gone and its time is over"));
        worker.end(GRACE);
    }
    Ok(())
}

/// Puts right what the history leaves open.
///
/// # Errors
/// If history or manifest cannot be read or written.
pub fn heal(site: &Site, open: &mut Open) -> Result<()> {
    let story = Story::of(&history::read(&open.state, &site.place_name())?);
    for (name, past) in &story.modules {
        let Some(begun) = past.open else { continue };
        let words = format!("was at work since {} when its run was cut short", clock::stamp(begun));
        exit::warn(format_args!("module {name} {words}"));
        open.history.add(site.now(), Event::Unfinished, Some(name), Draft::note(&words))?;
    }
    facts::tell(site, open)
}
