//! What init systems do with a host, and what may be done to them.
//!
//! The maintenance boot is ordered by one small edit that carries its own undo (`/etc/inittab`) or by one link
//! (`/system-update`); both are reversible, durable, and good for one boot. This room orders, undoes, reboots, and tells
//! where a boot stands: its identity, its level, whether it may be trusted with a patched host. When any of that is
//! due is decided elsewhere.

pub mod cmdline;
pub mod confirm;
pub mod hatch;
pub mod identity;
pub mod init;
pub mod inittab;
pub mod kernel;
pub mod mounts;
pub mod preflight;
pub mod services;
mod systemd;
mod sysvinit;
mod unknown;
