//! One file a tool: arguments in, rooms joined, words out.

pub mod place;
pub mod pull_cluster;
