//! The groups that stand in a file beside the one that is being added, for a plugin to read.
//!
//! A plugin of etmem 1.x is handed the whole file, in which each group's name stands once. Ours take repeated groups:
//! beside the group that is being added there is then that project, that engine, and of tasks the engine's first.

use crate::written::WrittenGroup;
use std::fmt;
use std::sync::Arc;

/// The groups beside one that is being added, each name once.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct SiblingGroups {
    file: Arc<[WrittenGroup]>,
    chosen: Box<[usize]>,
}

impl SiblingGroups {
    /// These, in this order.
    #[must_use]
    pub fn new(groups: Vec<WrittenGroup>) -> Self {
        let chosen = (0..groups.len()).collect();
        Self::of(groups.into(), chosen)
    }

    /// Those of the groups of `file` that stand at the places `chosen`.
    pub(crate) const fn of(file: Arc<[WrittenGroup]>, chosen: Box<[usize]>) -> Self {
        Self { file, chosen }
    }

    /// In the order of the file.
    pub fn iter(&self) -> impl Iterator<Item = &WrittenGroup> {
        self.chosen.iter().filter_map(|place| self.file.get(*place))
    }
}

impl fmt::Debug for SiblingGroups {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter().map(|group| &group.name)).finish()
    }
}
