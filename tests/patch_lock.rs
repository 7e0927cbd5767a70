//! `patch-lock(8)`, the real binary: against a directory of this machine, and against servers in the test that say what the real ones
//! say, and worse.

#![allow(clippy::unwrap_used)] // a test that cannot go on fails

#[path = "patch_lock/bench.rs"]
mod bench;
#[path = "patch_lock/directory.rs"]
mod directory;
