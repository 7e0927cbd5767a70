//! Modules: the manifest that wants them, the graph they form, the checksums they are known by, and what has happened to them.
//!
//! What is wanted (`manifest.json`) and what happened (the history) are kept apart: the history is told first, and the manifest's
//! own fields for facts are written from it. The directories of modules are judged and verified before anything in them is executed.

pub mod course;
pub mod graph;
pub mod history;
pub mod known;
pub mod manifest;
pub mod name;
pub mod plan;
pub mod repo;
pub mod sum;
pub mod swap;
pub mod tree;
pub mod version;
