//! `patch-modules`: the real binary on manifests and modules of its own, with a state of its own.
#![allow(clippy::unwrap_used)]

#[path = "modules/apply.rs"]
mod apply;
#[path = "modules/back.rs"]
mod back;
#[path = "modules/bench.rs"]
mod bench;
#[path = "modules/input.rs"]
mod input;
#[path = "modules/integrity.rs"]
mod integrity;
#[path = "modules/missing.rs"]
mod missing;
#[path = "modules/python.rs"]
mod python;
#[path = "modules/screen.rs"]
mod screen;
#[path = "modules/seed.rs"]
mod seed;
