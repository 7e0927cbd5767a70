//! The run: two flags, a journal, and the table of what is due.
//!
//! `/etc/patchflag` is the order, `/etc/patchlog` the journal, `/etc/patchdone` what waits for confirmation. Their names are what
//! an administrator sees with `ls /etc/patch*`; what they mean together is [`table`], a set of pure functions that is held
//! against an exhaustive model. Every change is one append, one rename or one unlink, on disk before the next one.
//!
//! This room knows when something is due and how it is written down. It does not install, boot, lock or mail.

pub mod dated;
pub mod done;
pub mod due;
pub mod journal;
pub mod logfmt;
pub mod order;
pub mod record;
pub mod run;
pub mod state;
pub mod table;
