//! What a tool and its child say to each other about a directory of locks: a line of JSON for a line.
//!
//! The first question is the [`Place`], each one after it an [`Order`]; an answer is a result, and what went wrong in it a [`Fault`].

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::Place;
use crate::error::{Error, Result};
use crate::lock::wire::Grant;

/// The first line.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Errand {
    /// The process that asks: nobody else is answered.
    pub asker: u32,
    /// As it is opened.
    pub dir: PathBuf,
    /// As people call it.
    pub shown: PathBuf,
    /// Other hosts must see it too.
    pub is_shared: bool,
}

/// What is to be done in the directory.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub enum Order {
    /// Say which grant stands under a name.
    Look { name: String },
    /// Put a grant under a name, if it is free.
    Place { name: String, grant: Grant },
    /// Remove a grant, if it is the one under the name.
    End { name: String, grant: Grant },
    /// Say which grants there are.
    List,
}

/// An [`Error`], as it travels.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fault {
    /// [`Error::Usage`]
    Usage(String),
    /// [`Error::Refused`]
    Refused { object: String, reason: String },
    /// [`Error::Unreachable`]: the directory does not do what it is told.
    Away(String),
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        match error {
            Error::Usage(words) => Self::Usage(words),
            Error::Refused { object, reason } => Self::Refused { object, reason },
            Error::Io { source, .. } => Self::Away(source.to_string()),
            Error::Unreachable { reason, .. } => Self::Away(reason),
            Error::Failed { .. } | Error::Busy(_) => Self::Away(error.to_string()),
        }
    }
}

impl Fault {
    /// The error that it was.
    pub fn error(self, place: &Place) -> Error {
        match self {
            Self::Usage(words) => Error::Usage(words),
            Self::Refused { object, reason } => Error::Refused { object, reason },
            Self::Away(reason) => place.unreachable(reason),
        }
    }
}

/// Whoever does the work in the directory.
pub trait Hands {
    /// The grant that stands under a name.
    fn look(&mut self, name: &str) -> Result<Option<Grant>>;
    /// Puts a grant under a name; false: somebody's is there.
    fn place(&mut self, name: &str, grant: &Grant) -> Result<bool>;
    /// Removes a grant that was seen to be the one; false: it was not there any more.
    fn end(&mut self, name: &str, grant: &Grant) -> Result<bool>;
    /// All grants.
    fn list(&mut self) -> Result<Vec<Grant>>;
}
