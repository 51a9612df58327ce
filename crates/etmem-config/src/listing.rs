//! What a file lists, by name alone: all that deleting needs to know.
//!
//! A file has to delete what it added, whatever came after: a range that was made narrower, a process or a library
//! that has gone, a value that was edited. So only the keys by which objects are found are looked at, by the
//! same rows as for adding; no other key is judged, and nothing is warned of.

use etmem_core::name::Name;
use std::path::PathBuf;

/// What a file lists, each kind in the order of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedObjects {
    /// The file, as it was named.
    pub path: PathBuf,
    /// Its projects.
    pub projects: Vec<ListedProject>,
    /// Its engines.
    pub engines: Vec<ListedEngine>,
    /// Its tasks.
    pub tasks: Vec<ListedTask>,
}

/// A project that a file lists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedProject {
    /// The line its group begins on, from 1.
    pub line: usize,
    /// Its name.
    pub name: Name,
}

/// An engine that a file lists, whether or not etmemd has one of that name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedEngine {
    /// The line its group begins on, from 1.
    pub line: usize,
    /// The project it belongs to.
    pub project: Name,
    /// Its name in the project: its own where its policy comes from outside, else `name`.
    pub name: Name,
}

/// A task that a file lists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedTask {
    /// The line its group begins on, from 1.
    pub line: usize,
    /// The project its engine belongs to.
    pub project: Name,
    /// Its engine's name in the project.
    pub engine: Name,
    /// Its own name.
    pub name: Name,
}
