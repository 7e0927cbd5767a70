//! Patch clusters: frozen, signed sets of patches for one OS release and architecture.
//!
//! A patch server publishes clusters as a tree of plain files; hosts read it by HTTP or from a directory. This room knows the
//! tree, `patch-cluster(5)`: its names, its files, its signatures, and how to read it from afar. It promises that nothing
//! that comes out of here was believed without a digest under a signature. When to patch is left to others.

pub mod digest;
pub mod glob;
pub mod host_type;
pub mod install;
pub mod manifest;
pub mod pointer;
pub mod signature;
pub mod transport;
pub mod tree;
pub mod unpack;
