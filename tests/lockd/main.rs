//! `patch-lockd` as its clients see it: the real program, over loopback.

#![allow(clippy::unwrap_used)]

mod access;
mod cli;
mod daemon;
mod disk;
mod dlm;
mod fleetlock;
mod grants;
mod input;
mod place;
mod tls;
mod wire;
