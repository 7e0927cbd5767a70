//! Script directories: who may run, in which order, with what, for how long.
//!
//! What root runs from a directory is judged on its open descriptor, and so is every directory above it. A script that is unfit
//! stops everything before the first one runs: skipping it would be agreeing without having been asked.

mod judge;
mod run;
pub mod select;

pub use run::{Failing, Ran, judge_dir, run_dir};
