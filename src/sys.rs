//! The kernel made safe: directories and files judged by what is open, durable writes, the lock file, child processes,
//! their groups and users and the mark of those at work, room on file systems.
//!
//! Everything here promises one of two things: either a change is on disk when the call returns and was never half there,
//! or the call failed and nothing changed. Nothing here knows what patching is.

pub mod append;
pub mod cgroup;
pub mod clock;
pub mod dir;
pub mod glob;
pub mod group;
pub mod helper;
pub mod links;
pub mod lockfile;
pub mod network_fs;
pub mod offspring;
pub mod proc_stat;
pub mod process;
pub mod random;
pub mod replace;
pub mod secret;
pub mod session;
pub mod space;
pub mod stop;
pub mod tls;
pub mod trusted;
pub mod user;
pub mod worker;
