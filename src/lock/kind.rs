//! Which kinds of lock services there are.

use std::fmt;
use std::str::FromStr;

/// The kinds of lock services, by the names that the configuration and the journal have for them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// `patch-lockd(8)`.
    Lockd,
    /// etcd v3, by its JSON gateway.
    Etcd,
    /// dlmengine, v1 or v2.
    Dlm,
    /// The Foreman DLM plugin.
    Foreman,
    /// `FleetLock` v1.
    FleetLock,
    /// A directory that the hosts share.
    Dir,
}

/// All kinds.
pub const KINDS: [Kind; 6] = [Kind::Lockd, Kind::Etcd, Kind::Dlm, Kind::Foreman, Kind::FleetLock, Kind::Dir];

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Lockd => "lockd",
            Self::Etcd => "etcd",
            Self::Dlm => "dlm",
            Self::Foreman => "foreman",
            Self::FleetLock => "fleetlock",
            Self::Dir => "dir",
        })
    }
}

impl FromStr for Kind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = || KINDS.map(|kind| kind.to_string()).join(", ");
        KINDS
            .into_iter()
            .find(|kind| kind.to_string() == text)
            .ok_or_else(|| format!("{text:?} is no kind of lock service; there are {}", known()))
    }
}
