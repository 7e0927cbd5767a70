//! Mail: what is told to people, and that it reaches them.
//!
//! A [`Report`] finds the words, a [`Message`] is the mail before it is composed, the [`Spool`] keeps it until somebody has
//! taken it, and [`delivery`] carries it there. What the room promises: a message that was posted is on disk; it leaves the
//! spool only when a relay or the local sendmail has taken it for every recipient, or a person removes it; posting the same
//! id twice mails once. Delivery itself is at least once: after a power cut between the relay's "taken" and our record of it
//! the same mail goes again, with the same Message-ID.
//!
//! The room knows nothing of flags, clusters or boots: other rooms hand it words.

pub mod compose;
pub mod delivery;
pub mod envelope;
pub mod message;
mod page;
pub mod report;
mod schedule;
mod sendmail;
mod smtp;
pub mod spool;

pub use delivery::Pass;
pub use message::{Attachment, Message};
pub use report::{Change, Kind, Report};
pub use spool::Spool;

use crate::config::Config;
use crate::error::Result;
use crate::paths::Paths;
use crate::sys::clock::Moment;

/// Spools a message; `false` means that this id waits already or was sent before. Nothing is delivered yet: a tool finishes
/// its own change of state first.
///
/// # Errors
/// [`Error::Refused`](crate::error::Error::Refused) for an id that is no plain name, [`Error::Io`](crate::error::Error::Io)
/// when it cannot be put on disk.
pub fn post(paths: &Paths, config: &Config, message: &Message, now: Moment) -> Result<bool> {
    Spool::open(paths)?.put(&compose::letter(message, &config.mail)?, now)
}

/// Delivers what is due, without waiting for another process that delivers already. It may take as long as the relay does
/// (minutes, at worst a quarter of an hour a mail): hold no lock meanwhile. What goes wrong stays in the spool, and cron's
/// `patch-mail deliver` goes on with it.
///
/// # Errors
/// Only what a person has to set right: configuration, a spool that cannot be read or written.
pub fn deliver_now(paths: &Paths, config: &Config, now: Moment) -> Result<Pass> {
    if Spool::is_empty(paths) {
        return Ok(Pass::default());
    }
    let spool = Spool::open(paths)?;
    let Some(_only_one) = spool.try_delivering()? else { return Ok(Pass::default()) };
    delivery::run(&spool, &mut delivery::route(paths, &config.mail), config.mail.keep, now)
}
