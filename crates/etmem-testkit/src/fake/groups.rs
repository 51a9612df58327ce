//! Control groups of a scripted machine.

use super::group::{FakeGroup, GroupFault};
use super::machine::FakeMachine;
use etmem_core::kernel::groups::{
    ControlGroups, Group, GroupError, GroupLimits, GroupMemory, GroupPattern, GroupPressure, Reclaimed, Seen,
    Swappiness,
};
use etmem_core::kernel::pacer::Pacer;
use etmem_core::kernel::process::{ProcessError, ProcessId};
use std::time::Duration;

impl FakeMachine {
    /// Makes `group`, in the place of a group that has its path.
    pub fn make_group(&self, group: FakeGroup) {
        let mut state = self.lock();
        state.groups.retain(|one| one.group.path != group.group.path);
        state.groups.push(group);
    }

    /// Removes the group at `path`.
    pub fn remove_group(&self, path: &str) {
        self.lock().groups.retain(|one| *one.group.path != *path);
    }

    /// The group at `path` as it is now.
    #[must_use]
    pub fn group_at(&self, path: &str) -> Option<FakeGroup> {
        self.lock().groups.iter().find(|one| *one.group.path == *path).cloned()
    }

    /// Changes the group at `path`.
    pub fn change_group(&self, path: &str, change: impl FnOnce(&mut FakeGroup)) {
        if let Some(group) = self.lock().groups.iter_mut().find(|one| *one.group.path == *path) {
            change(group);
        }
    }

    /// Its control groups cannot be reclaimed, for this reason.
    pub fn refuse_groups(&self, error: GroupError) {
        self.lock().no_groups = Some(error);
    }

    fn with_group<T>(
        &self,
        group: &Group,
        look: impl FnOnce(&mut FakeGroup, bool) -> Result<T, GroupError>,
    ) -> Result<T, GroupError> {
        let mut state = self.lock();
        let swap = state.memory.swap_free > 0;
        match state.groups.iter_mut().find(|one| one.group == *group) {
            Some(group) => look(group, swap),
            None => Err(GroupError::Removed),
        }
    }
}

impl ControlGroups for FakeMachine {
    fn limits(&self, process: ProcessId) -> Result<GroupLimits, ProcessError> {
        self.with(process, |_| Ok(()))?;
        Ok(self.lock().limits)
    }

    fn find(&self, pattern: &GroupPattern) -> Result<Vec<Group>, GroupError> {
        let state = self.lock();
        if let Some(error) = &state.no_groups {
            return Err(error.clone());
        }
        let meant = state.groups.iter().map(|one| one.group.clone());
        let mut meant: Vec<Group> =
            meant.filter(|group| pattern.uppermost(&group.path) == Some(&*group.path)).collect();
        meant.sort();
        Ok(meant)
    }

    fn with_those_below(&self, group: &Group) -> Result<Vec<Group>, GroupError> {
        let state = self.lock();
        let is_below = |path: &str| path.strip_prefix(&*group.path).is_some_and(|rest| rest.starts_with('/'));
        let found = state.groups.iter().map(|one| one.group.clone());
        let mut found: Vec<Group> = found.filter(|one| one == group || is_below(&one.path)).collect();
        found.sort();
        Ok(found)
    }

    fn memory(&self, group: &Group) -> Result<GroupMemory, GroupError> {
        self.with_group(group, |group, _| match &group.fault {
            Some(GroupFault::Memory(error)) => Err(error.clone()),
            _ => {
                group.touch();
                Ok(group.memory)
            }
        })
    }

    fn pressure(&self, group: &Group) -> Result<GroupPressure, GroupError> {
        self.with_group(group, |group, _| match &group.fault {
            Some(GroupFault::Pressure(error)) => Err(error.clone()),
            _ => Ok(group.pressure),
        })
    }

    fn look(&self, groups: &[Group], _swaps: bool, pacer: &dyn Pacer) -> bool {
        let looked =
            |group: &Group| self.with_group(group, |group, _| Ok(group.look(pacer.now()))) == Ok(true);
        groups.iter().filter(|group| looked(group)).count() > 0
    }

    fn seen(&self, groups: &[Group], now: Duration) -> Vec<Option<Seen>> {
        let seen = |group: &Group| self.with_group(group, |group, _| Ok(group.seen(now))).ok().flatten();
        groups.iter().map(seen).collect()
    }

    fn reclaim(
        &self,
        group: &Group,
        bytes: u64,
        swappiness: Option<Swappiness>,
    ) -> Result<Reclaimed, GroupError> {
        self.with_group(group, |group, swap| {
            if swappiness.is_some() && !group.takes_swappiness {
                return Err(GroupError::NoSwappiness);
            }
            group.requests.push((bytes, swappiness));
            match &group.fault {
                Some(GroupFault::Reclaim(after, error)) if group.requests.len() > *after => {
                    Err(error.clone())
                }
                Some(GroupFault::NothingFound) => Ok(Reclaimed { got: 0, no_more: true }),
                _ => Ok(group.reclaim(bytes, swappiness, swap)),
            }
        })
    }
}
