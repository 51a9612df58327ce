//! Stage two: what was written, and what it means. One module per group, each with the table of its keys.

pub mod engine;
pub(crate) mod key_lines;
pub mod project;
pub mod task;

/// The groups that mean something.
pub(crate) const GROUPS: [&str; 3] = [project::GROUP, engine::GROUP, task::GROUP];
