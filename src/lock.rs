//! The lock: who may be down, and who is next.
//!
//! [`book`] decides, for a service that has all requests before it. [`client`] is the other side of the wire: one trait for
//! every lock service that a site may have: of a [`kind`] each, with its own [`promises`]. What both sides speak of is a [`name`] and a
//! [`grant`]; how, is [`wire`].

pub mod book;
pub mod client;
pub mod grant;
pub mod kind;
pub mod name;
pub mod promises;
#[cfg(feature = "server")]
pub mod server;
pub mod wire;
