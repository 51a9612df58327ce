//! The form of etmem 1.0: one project and its tasks, in what looks like YAML.
//!
//! ```text
//! text ──lines──▶ options, and policies with their param ──project──▶ project, engine slide, tasks
//!        what was written                                  what it means
//! ```
//!
//! YAML readers refuse what the files of that version are made of: `policies:` as often as there are tasks, tabs,
//! and lines of one group that begin in different columns. So [`lines`] goes by the keys, each of which belongs
//! to one group, and not by the columns. The project's name is not in the file; tasks have none, so
//! [`task_names`] makes them.

mod choice;
mod lines;
mod project;
mod settings;
mod task_names;

pub(crate) use lines::{NoDocument, begins, document};
pub(crate) use project::read;
