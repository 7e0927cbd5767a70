//! The first lines of every stage: start only if there is something to do, and only if nobody else works (rules 1 and 2).

use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::boot::cmdline::Hatch;
use crate::boot::{hatch, init};
use crate::error::{Error, Result};
use crate::exit::{self, Exit};
use crate::flag::record::Draft;
use crate::mail::{self, Kind, Report};
use crate::paths::Paths;
use crate::sys::lockfile::{self, Lock};
use crate::sys::worker::{self, Worker};

use super::letters;
use super::place::Place;
use super::walk::{Site, Walk};

/// Whether something stands under every one of these names. Nothing is read, resolved or opened for it: this is the whole cost of
/// a tick with nothing to do.
pub fn all_there(names: &[PathBuf]) -> bool {
    names.iter().all(|name| name.symlink_metadata().is_ok())
}

/// Whether the arguments are just one of these lists: the ways cron and init call a tool. A tick with nothing to do is asked for
/// before anything else, for parsing arguments costs as much as all the rest of it, and a fleet does it all day.
pub fn called_as(ways: &[&[&str]]) -> bool {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    ways.iter().any(|words| arguments == *words)
}

/// How long a tick waits for the one that cron started in the same second: two lines of one crontab must not keep each other from
/// their work minute after minute.
const PATIENCE: Duration = Duration::from_secs(3);
/// One mail after so many ticks in a row that could not reach a service.
const MISSES: u32 = 3;
/// How long what is ended for its tool has to end by itself.
const GRACE: Duration = Duration::from_secs(30);

/// Takes the host lock; `None` means that somebody works, which is no fault. So does an installer whose tool was killed.
///
/// # Errors
/// If the lock cannot be judged or opened.
pub fn lock(paths: &Paths) -> Result<Option<Lock>> {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(lock) = lockfile::try_take(&paths.host_lock())? {
            return Ok((!is_still_at_work(paths)?).then_some(lock));
        }
        if Instant::now() >= end {
            return Ok(None);
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Whether an installer or a stage has outlived the tool that started it. One whose deadline has passed is ended here, for who would
/// have done it is dead.
fn is_still_at_work(paths: &Paths) -> Result<bool> {
    let tell = |worker: &Worker| {
        exit::warn(format_args!("ending process group {}: its tool is gone and its time is over", worker.group()));
    };
    Ok(worker::in_the_way(&paths.worker(), GRACE, tell)?.is_some())
}

/// Whether the kernel's command line tells us to keep our hands off this boot; says so if it does.
///
/// # Errors
/// If it cannot be read.
pub fn hands_off(paths: &Paths) -> Result<bool> {
    match hatch::read(paths)? {
        Hatch::Closed => Ok(false),
        Hatch::HandsOff(reason) => {
            exit::note(format_args!("nothing is done in this boot: {reason}"));
            Ok(true)
        }
    }
}

/// Takes a maintenance order back from init when nothing else can be done: a tool that cannot even decide must not leave the
/// host to come up in the maintenance level again.
pub fn undo_at_least(paths: &Paths) {
    match init::open(paths).undo() {
        Ok(true) => exit::warn("took the order of a maintenance boot back from init"),
        Ok(false) => {}
        Err(error) => exit::warn(error),
    }
}

/// A configuration that cannot be read is told by what of it mail can use, if it can use any.
pub fn tell_of_configuration(place: &Place, paths: &Paths, error: &Error) {
    let config = place.mail_config(paths).unwrap_or_default();
    let site = Site { paths, config: &config, clock: place.clock() };
    tell_once_a_day(&site, error);
    deliver(&site);
}

/// Bad configuration, an unfit flag and whatever else keeps a tool from going on at every tick are told once a day (rule 5). What only
/// waits is not.
pub fn tell_once_a_day(site: &Site, error: &Error) {
    if matches!(error, Error::Unreachable { .. } | Error::Busy(_)) {
        return;
    }
    tell_cause_once_a_day(site, &error.to_string());
}

/// The same for what waits for a person.
pub fn tell_cause_once_a_day(site: &Site, cause: &str) {
    let report = Report { cause: Some(cause.into()), ..Report::new(Kind::Configuration, &site.host_name()) };
    if let Err(why) = letters::spool(site, &report) {
        exit::warn(why);
    }
}

/// Sends what the tool has spooled, once its own work is on disk and the host lock is free. That a relay cannot be reached is
/// no failure of the tool: `patch-mail deliver` tries again.
pub fn deliver(site: &Site) {
    if !site.paths.is_system() {
        return;
    }
    if let Err(error) = mail::deliver_now(site.paths, site.config, site.clock.now()) {
        exit::warn(error);
    }
}

/// Not yet: nothing is lowered, the next tick tries again, and after so many in a row there is one mail (rule 5).
///
/// # Errors
/// [`Error::Unreachable`], or why that could not be recorded.
pub fn unreachable(site: &Site, walk: &mut Walk, service: String, reason: String) -> Result<Exit> {
    walk.record(&Draft::note(&reason).field("unreachable", &service))?;
    if let Some(run) = walk.run()?
        && run.unreachable == MISSES
    {
        let kind = Report::new(Kind::Unreachable, &site.host_name());
        let report = Report { run: Some(run.id), cause: Some(format!("{service}: {reason}")), ..kind };
        letters::spool(site, &report)?;
    }
    Err(Error::Unreachable { service, reason })
}

/// What a stage answers when somebody else works or there is nothing to do.
pub const NOTHING: Result<Exit> = Ok(Exit::Done);
