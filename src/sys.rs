//! The kernel made safe: directories and files judged by what is open, durable writes, the lock file, child processes,
//! room on file systems.
//!
//! Everything here promises one of two things: either a change is on disk when the call returns and was never half there,
//! or the call failed and nothing changed. Nothing here knows what patching is.

pub mod append;
pub mod clock;
pub mod dir;
pub mod lockfile;
pub mod process;
pub mod replace;
pub mod space;
pub mod trusted;
