//! A cycle of a damon task that moves memory of control groups between NUMA nodes: its groups are found, and the kernel learns of them.

use super::group_monitor::{Found, SharedGroupMonitor, Slot};
use super::group_report::{lost, report};
use super::keys;
use super::report::held_event;
use super::settings::{Migration, Settings};
use crate::contract::{EngineError, TaskRunner, as_fault};
use crate::report::StepReport;
use etmem_core::kernel::Kernel;
use etmem_core::kernel::groups::{Group, GroupError, GroupPattern};
use etmem_core::kernel::pacer::{Pace, Pacer};
use etmem_core::kernel::process::ProcessError;
use etmem_core::kernel::wishes::Wishes;
use etmem_core::name::Name;
use std::sync::Arc;
use std::time::Duration;

/// The work of such a task.
#[derive(Debug)]
pub(super) struct GroupRunner {
    task: String,
    pattern: GroupPattern,
    settings: Settings,
    migration: Migration,
    monitor: Arc<SharedGroupMonitor>,
    /// Taken when it runs for the first time.
    slot: Option<Slot>,
}

impl GroupRunner {
    /// The work of `task`, whose groups `monitor` watches.
    pub(super) fn new(
        task: &Name,
        pattern: GroupPattern,
        (settings, migration): (Settings, Migration),
        monitor: Arc<SharedGroupMonitor>,
    ) -> Self {
        Self { task: task.to_string(), pattern, settings, migration, monitor, slot: None }
    }

    fn find(&self, kernel: &Kernel) -> Result<Vec<Found>, GroupError> {
        let with_those_below = |group: Group| {
            let all = kernel.groups.with_those_below(&group)?;
            Ok((group, all))
        };
        kernel.groups.find(&self.pattern)?.into_iter().map(with_those_below).collect()
    }

    fn cycle(&mut self, kernel: &Kernel) -> Result<StepReport, ProcessError> {
        let found = self.find(kernel).map_err(as_fault)?;
        let slot = self.slot.get_or_insert_with(|| self.monitor.join(&self.task));
        let seen = slot.cycle(&found, &self.settings, &self.migration, kernel)?;
        let (action, held) = (self.settings.scheme.action, seen.held.as_ref());
        let reports =
            found.iter().zip(seen.groups).map(|((group, all), seen)| match kernel.groups.memory(group) {
                Ok(_) if all.is_empty() => lost(group, &GroupError::NoMemory),
                Ok(memory) => report(group, action, memory.current, seen, held),
                Err(error) => lost(group, &error),
            });
        Ok(StepReport {
            groups: Some(reports.collect()),
            events: held.map(held_event).into_iter().collect(),
            ..StepReport::default()
        })
    }
}

impl TaskRunner for GroupRunner {
    fn wishes(&self) -> Wishes {
        Wishes { monitoring: true, nodes: true, ..Wishes::default() }
    }

    fn prepare(&mut self, kernel: &Kernel) -> Result<(), EngineError> {
        self.migration.pairs(kernel)?;
        let action = self.settings.scheme.action;
        kernel.monitoring.can_migrate(action).map_err(|error| EngineError::EngineValue {
            key: keys::ACTION.name(),
            value: action.to_string(),
            rule: error.to_string(),
        })
    }

    fn decisions(&self, kernel: &Kernel) -> Vec<String> {
        let pairs = self.migration.pairs(kernel).unwrap_or_default();
        pairs.iter().map(|pair| format!("engine damon: {pair}")).collect()
    }

    fn notes(&self, kernel: &Kernel) -> Vec<String> {
        let Self { task, pattern, .. } = self;
        match kernel.groups.find(pattern) {
            Ok(groups) if groups.is_empty() => {
                vec![format!("task {task}: no control group {pattern} yet; waiting for one")]
            }
            Ok(groups) if groups.iter().any(Group::is_root) => {
                vec![format!("task {task}: {pattern} is the root: the memory of all programs moves")]
            }
            Ok(_) => Vec::new(),
            Err(error) => vec![format!("task {task}: {error}")],
        }
    }

    fn step(&mut self, kernel: &Kernel, pacer: &dyn Pacer) -> StepReport {
        let before = pacer.processor_time();
        if pacer.pace() == Pace::Stop {
            return StepReport { stopped: true, ..StepReport::default() };
        }
        let mut report = self.cycle(kernel).unwrap_or_else(|error| StepReport {
            fault: Some(error),
            groups: Some(Vec::new()),
            ..StepReport::default()
        });
        report.processor_time = pacer.processor_time().saturating_sub(before);
        report
    }

    fn period(&self) -> Duration {
        self.settings.period
    }
}

#[cfg(test)]
#[path = "../../tests/unit/damon_groups.rs"]
mod tests;
