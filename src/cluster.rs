//! Patch clusters: frozen, signed sets of patches for one OS release and architecture.
//!
//! A patch server publishes clusters as a tree of plain files; hosts read it by HTTP or from a directory. This room knows the
//! tree, `patch-cluster(5)`: its names, its files, its signatures, and how to read it from afar. It promises that nothing
//! that comes out of here was believed without a digest under a signature. When to patch is left to others.
//!
//! The server's side pulls from a `source`, keeps the tree in a `store`, and moves clusters from development to production.

pub mod debian;
pub mod digest;
pub mod fetch;
pub mod host_type;
pub mod install;
pub mod manifest;
pub mod pointer;
pub mod promote;
pub mod pull;
pub mod signature;
pub mod source;
pub mod store;
pub mod transport;
pub mod tree;
pub mod unpack;
