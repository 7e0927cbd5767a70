//! Telling people that a grant is overdue: a line in syslog, and the programs that the administrator has put there.
//!
//! Nothing else follows: a holder that is gone for long is a host that somebody has to look at.

use std::path::PathBuf;
use std::sync::mpsc;
use std::time::Duration;

use super::desk::Told;
use crate::error::{Error, Result};
use crate::exit;
use crate::hook::{Failing, run_dir};
use crate::lock::book::answer::force_command;
use crate::lock::grant::Grant;
use crate::paths::Paths;
use crate::sys::clock::stamp;

/// How long one program may take.
const TIME: Duration = Duration::from_mins(5);

/// A thread that runs the programs of a directory for each grant that is told of, one after the other: the desk does not wait for it.
///
/// # Errors
/// [`Error::Io`] if there can be no thread.
pub fn teller(paths: Paths, dir: PathBuf) -> Result<Told> {
    let (tell, told) = mpsc::channel::<Vec<Grant>>();
    let work = move || {
        for grant in told.into_iter().flatten() {
            say(&grant);
            run(&paths, &dir, &grant);
        }
    };
    let thread = std::thread::Builder::new().name("overdue".into()).spawn(work);
    thread.map_err(Error::io("start", "the thread of the hooks"))?;
    // The thread ends with the program only.
    Ok(Box::new(move |grants| drop(tell.send(grants))))
}

fn say(grant: &Grant) {
    let Grant { lock, owner, number, since, .. } = grant;
    exit::warn(format_args!(
        "lock {lock} is overdue: {owner} holds it since {} (grant {number}); if {owner} is lost: {}",
        stamp(*since),
        force_command(lock, owner)
    ));
}

fn run(paths: &Paths, dir: &std::path::Path, grant: &Grant) {
    let (number, since) = (grant.number.to_string(), stamp(grant.since));
    let args = [grant.lock.as_str(), grant.owner.as_str(), &number, &since];
    match run_dir(paths, dir, &args, &[], TIME, Failing::GoesOn) {
        Ok(ran) => {
            for one in ran.iter().filter(|one| !one.finished.is_success()) {
                exit::warn(format_args!("{} failed: {}", dir.join(&one.name).display(), one.finished.reason()));
            }
        }
        Err(error) => exit::warn(error),
    }
}
