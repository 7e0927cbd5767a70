//! What has to be known of Debian's archives to freeze a part of one: stanzas, version numbers, the signed list of a suite, the
//! choice of packages. All of it is pure.

pub mod choice;
pub mod control;
pub mod suite;
pub mod version;
