//! One file a tool: arguments in, rooms joined, words out.

mod alone;
mod asking;
mod chain;
mod confirming;
pub mod grab_patch;
mod installing;
mod letters;
mod locking;
pub mod patch_lock;
#[cfg(feature = "server")]
pub mod patch_lockd;
pub mod patch_mail;
pub mod patch_modules;
pub mod patch_run;
pub mod patch_stage;
pub mod patch_status;
pub mod patchit;
pub mod place;
pub mod pull_cluster;
mod scene;
mod walk;
