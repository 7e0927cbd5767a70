//! The lock service, `patch-lockd(8)`.
//!
//! Requests come in by [`http`], in one of the protocols there; [`access`] says who may do what; the [`desk`] puts all requests
//! in one order, asks the [`book`](super::book), has the [`store`] write down what follows, and only then answers. What is pure
//! (`access`, `legacy`, `tries`, `settings`, `words`) is apart from what is not. It promises:
//!
//! * A grant is on disk before it is answered, and what was answered survives a power cut.
//! * A request that could not be written down is answered 503, and has not happened.
//! * Nothing is granted to a client that is gone, as far as can be seen from here.
//! * No stranger learns anything, or costs more than one look at a header.

pub mod access;
pub mod counts;
pub mod desk;
pub mod host;
pub mod http;
pub mod legacy;
pub mod long_poll;
pub mod overdue;
pub mod run;
pub mod secret;
pub mod service;
pub mod settings;
pub mod store;
pub mod tries;
pub mod words;
