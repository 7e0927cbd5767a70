//! The eight phases of an update driver, in place of `dlm_engine_updater` and `foreman_dlm_updater`.
//!
//! A run goes through script directories under a distributed lock, over a reboot if need be, and keeps in one readable line what
//! is next. Which phase follows which is pure; the state, the log and the configurations of the two updaters are files.

pub mod date;
pub mod drivers;
pub mod log;
pub mod name;
pub mod run;
pub mod settings;
pub mod state;
pub mod table;
