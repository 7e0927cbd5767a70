//! The time as the lock sees it: one clock to write down, another one to decide by.
//!
//! Offers and presence are measured by a clock that cannot be set; only what people read, and what a host says of itself
//! (`down until`), is a time of day. So a clock that is set back neither stretches an offer nor lets one lapse.

use std::time::Duration;

use crate::sys::clock::Moment;

/// The present, read once by the caller for each request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// The time of day, for records and for people.
    pub moment: Moment,
    /// How long the service has been up, by a clock that only goes forward.
    pub up: Duration,
}
