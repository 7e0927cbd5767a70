//! The lock: who may be down, and who is next.
//!
//! [`book`] decides, for a service that has all requests before it. [`client`] is the other side of the wire: one trait for
//! every lock service that a site may have. What both speak of is a [`name`] and a [`grant`]; how, is
//! [`wire`].

pub mod book;
pub mod client;
pub mod grant;
pub mod name;
#[cfg(feature = "server")]
pub mod server;
pub mod wire;
