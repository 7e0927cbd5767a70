//! The one error type, and every wording that reaches a person.
//!
//! A variant exists where a caller branches on it or where the exit code differs, not per call site. The words follow one
//! form, `cannot <verb> <object>: <reason>` or `refusing <object>: <reason>`; [`crate::exit`] puts the tool's name before
//! them and picks the code.

use std::fmt::Display;
use std::io;
use std::path::Path;

/// What can go wrong in any room.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A system call or a library call failed on a named object.
    #[error("cannot {verb} {object}: {source}")]
    Io {
        /// What was tried: `open`, `rename`, …
        verb: &'static str,
        /// On what: a path, as a person would type it.
        object: String,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// Something was tried and did not work, for a reason that is ours to word.
    #[error("cannot {verb} {object}: {reason}")]
    Failed {
        /// What was tried.
        verb: &'static str,
        /// On what.
        object: String,
        /// Why not, and what to do next if there is something to do.
        reason: String,
    },
    /// It exists, and must not be used: a stranger could have made it, or it is not what its name says.
    #[error("refusing {object}: {reason}")]
    Refused {
        /// What is refused.
        object: String,
        /// Why, with the remedy.
        reason: String,
    },
    /// Wrong arguments or wrong configuration, file and line in the words. Exit 2; nothing has been changed.
    #[error("{0}")]
    Usage(String),
    /// The service that is needed cannot be reached. Exit 69; nothing is disarmed, a later tick tries again.
    #[error("cannot reach {service}: {reason}")]
    Unreachable {
        /// Which service, by the name in the configuration.
        service: String,
        /// What the network said.
        reason: String,
    },
    /// Somebody else holds what is needed. Exit 75; nothing is disarmed, a later tick tries again.
    #[error("{0}")]
    Busy(String),
}

/// The result of anything that can fail.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// For `map_err` behind an I/O call: `.map_err(Error::io("open", path))`.
    pub fn io<E: Into<io::Error>>(verb: &'static str, path: impl AsRef<Path>) -> impl FnOnce(E) -> Self {
        let object = path.as_ref().display().to_string();
        move |source| Self::Io { verb, object, source: source.into() }
    }

    /// Something did not work, and the reason is in our words.
    pub fn failed(verb: &'static str, object: impl Display, reason: impl Display) -> Self {
        Self::Failed { verb, object: object.to_string(), reason: reason.to_string() }
    }

    /// An object that must not be used.
    pub fn refused(object: impl Display, reason: impl Display) -> Self {
        Self::Refused { object: object.to_string(), reason: reason.to_string() }
    }

    /// Whether the system's reason is "no such file or directory".
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::Io { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }

    /// Whether it says that a directory is in the way.
    pub fn is_a_directory(&self) -> bool {
        matches!(self, Self::Io { source, .. } if source.kind() == io::ErrorKind::IsADirectory)
    }

    /// Whether it says that this user may not do that.
    pub fn is_denied(&self) -> bool {
        matches!(self, Self::Io { source, .. } if source.kind() == io::ErrorKind::PermissionDenied)
    }
}
