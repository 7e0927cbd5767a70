//! `patch-lockd` as its clients see it: the real program, over loopback.

#![allow(clippy::unwrap_used)]

mod access;
mod daemon;
mod grants;
mod input;
mod wire;
