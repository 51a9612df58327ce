//! The control groups of the machine: both versions, and what is read and written of them.
//!
//! `hierarchy` finds where groups have memory that can be reclaimed and which files say what, `folder` opens the folder of a
//! group as long as it is still that group, `figures` reads it, `generations` has the kernel look at what is in use, `limits` is what the groups of a process promise and forbid.

mod figures;
mod folder;
mod generations;
mod hierarchy;
mod limits;

use crate::root::Roots;
use etmem_core::kernel::groups::{
    ControlGroups, Group, GroupError, GroupLimits, GroupMemory, GroupPattern, GroupPressure, Reclaimed, Seen,
    Swappiness,
};
use etmem_core::kernel::pacer::Pacer;
use etmem_core::kernel::process::{ProcessError, ProcessId};
use hierarchy::Hierarchy;
use limits::OwnGroup;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What was looked up of groups.
#[derive(Debug, Default)]
struct Known {
    /// What they promise and forbid.
    limits: HashMap<OwnGroup, GroupLimits>,
    /// The groups of processes.
    of: HashMap<ProcessId, Option<OwnGroup>>,
}

/// The control groups of the machine.
#[derive(Debug)]
pub struct MachineGroups {
    roots: Roots,
    /// What the groups of processes said when they were looked up last.
    known: Mutex<Known>,
}

/// The folder of the group of `process`; nothing if it has none of the second version.
///
/// # Errors
/// When it is gone or the kernel refuses.
pub(crate) fn folder_of(roots: &Roots, process: ProcessId) -> Result<Option<PathBuf>, ProcessError> {
    Ok(limits::group_of(roots, process)?.map(|group| group.root.join(group.path)))
}

impl MachineGroups {
    /// Those of the machine whose file systems are mounted at `roots`.
    #[must_use]
    pub fn new(roots: Roots) -> Self {
        Self { roots, known: Mutex::default() }
    }

    /// Whether there are groups whose memory can be reclaimed: the file that it is done by.
    ///
    /// # Errors
    /// What is missing, and what would help.
    pub fn detect(&self) -> Result<String, GroupError> {
        Hierarchy::of(&self.roots.sys).map(|hierarchy| hierarchy.reclaimed_by())
    }
}

impl MachineGroups {
    /// The group that `process` was in when it was looked up last.
    fn group_of(&self, process: ProcessId) -> Result<Option<OwnGroup>, ProcessError> {
        if let Some(group) = self.known.lock().of.get(&process) {
            return Ok(group.clone());
        }
        let group = limits::group_of(&self.roots, process)?;
        self.known.lock().of.insert(process, group.clone());
        Ok(group)
    }
}

impl ControlGroups for MachineGroups {
    fn limits(&self, process: ProcessId) -> Result<GroupLimits, ProcessError> {
        let Some(group) = self.group_of(process)? else { return Ok(GroupLimits::default()) };
        let mut known = self.known.lock();
        if let Some(limits) = known.limits.get(&group) {
            return Ok(*limits);
        }
        let limits = limits::of_path(&self.roots.sys, &group.root, &group.path)?;
        known.limits.insert(group, limits);
        Ok(limits)
    }

    fn renew(&self) {
        let mut known = self.known.lock();
        known.limits.clear();
        known.of.clear();
    }

    fn moved_out(&self, process: ProcessId, bytes: u64) {
        if bytes == 0 {
            return;
        }
        let Ok(Some(group)) = self.group_of(process) else { return };
        if let Some(limits) = self.known.lock().limits.get_mut(&group) {
            if let Some(swap) = &mut limits.swap {
                swap.used = swap.used.saturating_add(bytes);
            }
            if let Some(protection) = &mut limits.protection {
                protection.used = protection.used.saturating_sub(bytes);
            }
        }
    }

    fn find(&self, pattern: &GroupPattern) -> Result<Vec<Group>, GroupError> {
        Hierarchy::of(&self.roots.sys)?.find(pattern)
    }

    fn with_those_below(&self, group: &Group) -> Result<Vec<Group>, GroupError> {
        Hierarchy::of(&self.roots.sys)?.with_those_below(group)
    }

    fn memory(&self, group: &Group) -> Result<GroupMemory, GroupError> {
        let hierarchy = Hierarchy::of(&self.roots.sys)?;
        let folder = hierarchy.open(group)?;
        if hierarchy.is_first_version() {
            return figures::first_version(&folder);
        }
        let limits = limits::of_path(&self.roots.sys, hierarchy.memory_root(), Path::new(&*group.path));
        let limits = limits.map_err(|error| GroupError::refused(group, error))?;
        figures::second_version(&folder, group.is_root(), limits)
    }

    fn pressure(&self, group: &Group) -> Result<GroupPressure, GroupError> {
        figures::pressure(&Hierarchy::of(&self.roots.sys)?.open_for_pressure(group)?)
    }

    fn look(&self, groups: &[Group], swaps: bool, pacer: &dyn Pacer) -> bool {
        generations::begin(&self.roots.sys, groups, swaps, pacer)
    }

    fn seen(&self, groups: &[Group], _: Duration) -> Vec<Option<Seen>> {
        generations::seen(&self.roots.sys, groups)
    }

    fn reclaim(
        &self,
        group: &Group,
        bytes: u64,
        swappiness: Option<Swappiness>,
    ) -> Result<Reclaimed, GroupError> {
        let hierarchy = Hierarchy::of(&self.roots.sys)?;
        let folder = hierarchy.open(group)?;
        folder.reclaim(bytes, swappiness, |folder| {
            figures::stolen(folder, hierarchy.is_first_version(), group.is_root())
        })
    }
}

#[cfg(test)]
mod tests;
