//! `patch-lock(8)`, the real binary: against a directory of this machine, and against servers in the test that say what the real ones
//! say, and worse.

#![allow(clippy::unwrap_used)] // a test that cannot go on fails

#[path = "patch_lock/astray.rs"]
mod astray;
#[path = "patch_lock/authority.rs"]
mod authority;
#[path = "patch_lock/bench.rs"]
mod bench;
#[path = "patch_lock/certificates.rs"]
mod certificates;
#[path = "patch_lock/directory.rs"]
mod directory;
#[path = "patch_lock/driver.rs"]
mod driver;
#[path = "patch_lock/etcd.rs"]
mod etcd;
#[path = "patch_lock/holding.rs"]
mod holding;
#[path = "patch_lock/in_run.rs"]
mod in_run;
#[path = "patch_lock/legacy.rs"]
mod legacy;
#[path = "patch_lock/native.rs"]
mod native;
#[path = "patch_lock/server.rs"]
mod server;
