//! The ports of a replayed machine that have nothing behind them: no task of slide asks for more than the limits of a group, of which
//! there are none, and what stood in pages is not recorded.

use super::machine::ReplayedMachine;
use etmem_core::kernel::decider::{AbstractName, Deciders, Unanswered};
use etmem_core::kernel::groups::{
    ControlGroups, Group, GroupError, GroupLimits, GroupMemory, GroupPattern, GroupPressure, Reclaimed,
    Swappiness,
};
use etmem_core::kernel::monitoring::{Action, Attributes, GroupMonitor, Monitor, Monitoring, Scheme, Way};
use etmem_core::kernel::pacer::Pacer;
use etmem_core::kernel::process::{ProcessError, ProcessId};
use etmem_core::kernel::reader::{MemoryReader, MemoryReaders};
use std::time::Duration;

/// A record has no control groups, and nothing that decides or monitors in the place of a task.
fn absent() -> ProcessError {
    ProcessError::refused("replay", "a record has only what a task of slide needs")
}

impl ControlGroups for ReplayedMachine {
    fn limits(&self, _: ProcessId) -> Result<GroupLimits, ProcessError> {
        Ok(GroupLimits::default())
    }

    fn find(&self, _: &GroupPattern) -> Result<Vec<Group>, GroupError> {
        Err(GroupError::Removed)
    }

    fn with_those_below(&self, _: &Group) -> Result<Vec<Group>, GroupError> {
        Err(GroupError::Removed)
    }

    fn memory(&self, _: &Group) -> Result<GroupMemory, GroupError> {
        Err(GroupError::Removed)
    }

    fn pressure(&self, _: &Group) -> Result<GroupPressure, GroupError> {
        Err(GroupError::Removed)
    }

    fn reclaim(&self, _: &Group, _: u64, _: Option<Swappiness>) -> Result<Reclaimed, GroupError> {
        Err(GroupError::Removed)
    }
}

impl MemoryReaders for ReplayedMachine {
    fn attach(&self, _: ProcessId) -> Result<Box<dyn MemoryReader>, ProcessError> {
        Err(absent())
    }
}

impl Deciders for ReplayedMachine {
    fn ask(&self, name: &AbstractName, _: &[u8], _: Duration, _: &dyn Pacer) -> Result<(), Unanswered> {
        Err(Unanswered::Absent(name.clone()))
    }
}

impl Monitoring for ReplayedMachine {
    fn begin(&self, _: &Attributes, _: &Scheme) -> Result<Box<dyn Monitor>, ProcessError> {
        Err(absent())
    }

    fn can_migrate(&self, _: Action) -> Result<(), ProcessError> {
        Err(absent())
    }

    fn begin_for_groups(
        &self,
        _: &Attributes,
        _: &Scheme,
        _: &[Way],
    ) -> Result<Box<dyn GroupMonitor>, ProcessError> {
        Err(absent())
    }
}
