//! patchflag patches fleets of Linux hosts unattended, and never takes down two members of a group at once.
//!
//! It is a handful of small tools that meet in flag files, exit codes and a journal. This is the map of the house; a room
//! is a noun of the trade.
//!
//! | room | what is in it |
//! |---|---|
//! | `bin/` | one file a tool: names its `cmd`, nothing else |
//! | [`cmd`] | one file a tool: reads arguments, joins rooms, prints |
//! | [`boot`] | init systems behind one trait; boot identity, reboot, preflight, confirmation |
//! | [`config`] [`host`] [`paths`] | what the administrator wants, who this host is, where everything lies |
//! | [`flag`] | patchflag, patchlog, patchdone; the state table; the rules |
//! | [`cluster`] | patch clusters: the tree, its signatures, where they come from, how they travel |
//! | [`exit`] [`error`] | codes and words |
//! | [`lock`] | grants and the queue (pure); the clients of lock services; the service (feature `server`) |
//! | [`mail`] | message, report, spool, delivery |
//! | [`phase`] | the eight phases, and the configurations of the two updaters that had them |
//! | [`module`] | the manifest and its graph, checksums, versions, the history, the way back |
//! | [`hook`] | script directories: who may run, in which order, with what, for how long |
//! | [`sys`] | the kernel made safe; knows nothing of patching |
//!
//! Who may call whom: `bin → cmd → {every room} → {config host paths mail} → sys → error`. Rooms do not reach into one
//! another's insides: `cmd` joins them. In each room the decisions are pure functions in a file of their own (no file, no
//! clock, no network), and the I/O around them is thin. Only `sys::replace` renames; only `paths` knows names; only `exit`
//! turns an error into words and a code.

pub mod boot;
pub mod cluster;
pub mod cmd;
pub mod config;
pub mod error;
pub mod exit;
pub mod flag;
pub mod hook;
pub mod host;
pub mod lock;
pub mod mail;
pub mod module;
pub mod paths;
pub mod phase;
pub mod sys;
