//! What can be asked, one object a file: its options, its help, and the request that comes of it.

pub(crate) mod completions;
pub(crate) mod doctor;
pub(crate) mod engine;
pub(crate) mod man;
pub(crate) mod migrate;
pub(crate) mod obj;
pub(crate) mod project;
pub(crate) mod task;
