//! What a host does with a cluster, on a real Debian root with its real apt and dpkg, entered by `--root`'s way.
//!
//! Each test has a root of its own: it runs itself again in a mount namespace, where the laboratory's tarball is unpacked on
//! a tmpfs. Nothing is left behind, however the test ends.

#![allow(clippy::unwrap_used, clippy::print_stdout)] // a test that cannot go on has failed, and says why

#[path = "cluster_host/root.rs"]
mod root;

#[path = "cluster_host/apt.rs"]
mod apt;
#[path = "cluster_host/script.rs"]
mod script;
