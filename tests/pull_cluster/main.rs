//! Drives the real `pull-cluster` against real archives, servers and signatures.

#![allow(clippy::unwrap_used)] // helpers of tests, which clippy.toml lets off only inside #[test]

mod apt;
mod crash;
mod script;
mod site;
