//! A cycle of a damon task: its processes are found, and the kernel learns of them.

use super::monitor::{Seen, SharedMonitor, Slot};
use super::report::{figures_of, held_event, watched};
use super::settings::Settings;
use crate::contract::{TaskRunner, gone, note_on_swap, notes_on_target};
use crate::report::{ProcessReport, ProcessResult, StepReport};
use etmem_core::kernel::Kernel;
use etmem_core::kernel::pacer::{Pace, Pacer};
use etmem_core::kernel::process::{ProcessId, Target};
use etmem_core::kernel::wishes::Wishes;
use etmem_core::name::Name;
use std::sync::Arc;
use std::time::Duration;

/// The work of a damon task.
#[derive(Debug)]
pub(super) struct DamonRunner {
    task: String,
    target: Target,
    settings: Settings,
    monitor: Arc<SharedMonitor>,
    /// Taken when it runs for the first time.
    slot: Option<Slot>,
}

impl DamonRunner {
    /// The work of `task`, whose processes `monitor` watches.
    pub(super) fn new(task: &Name, target: Target, settings: Settings, monitor: Arc<SharedMonitor>) -> Self {
        Self { task: task.to_string(), target, settings, monitor, slot: None }
    }

    fn cycle(&mut self, found: &[ProcessId], kernel: &Kernel, pacer: &dyn Pacer) -> StepReport {
        let slot = self.slot.get_or_insert_with(|| self.monitor.join(&self.task));
        let seen = match slot.cycle(found, &self.settings, kernel, pacer.now()) {
            Ok(seen) => seen,
            Err(error) => {
                let lost =
                    |process: &ProcessId| ProcessReport::new(*process, ProcessResult::Lost(error.clone()));
                return StepReport { processes: found.iter().map(lost).collect(), ..StepReport::default() };
            }
        };
        let Seen { done, held, mut elsewhere, mut changes } = seen;
        let report = |process: &ProcessId| match elsewhere.remove(process) {
            Some(task) => ProcessReport::new(*process, ProcessResult::Elsewhere(task)),
            None => {
                let change = changes.remove(process).unwrap_or_default();
                watched(*process, self.settings.scheme.action, change, held.clone())
            }
        };
        StepReport {
            processes: found.iter().map(report).collect(),
            together: done.map(figures_of).unwrap_or_default(),
            events: held.iter().filter(|_| done.is_some()).map(held_event).collect(),
            ..StepReport::default()
        }
    }
}

impl TaskRunner for DamonRunner {
    fn wishes(&self) -> Wishes {
        Wishes { monitoring: true, ..Wishes::default() }
    }

    fn notes(&self, kernel: &Kernel) -> Vec<String> {
        let mut notes = notes_on_target(&self.task, &self.target, kernel);
        if self.settings.pages_out() {
            notes.extend(note_on_swap(&self.task, kernel));
        }
        notes
    }

    fn step(&mut self, kernel: &Kernel, pacer: &dyn Pacer) -> StepReport {
        let before = pacer.processor_time();
        if pacer.pace() == Pace::Stop {
            return StepReport { stopped: true, ..StepReport::default() };
        }
        let mut report = match kernel.processes.find(&self.target) {
            Ok(found) => {
                StepReport { gone: gone(&found, &self.target, kernel), ..self.cycle(&found, kernel, pacer) }
            }
            Err(error) => StepReport { fault: Some(error), ..StepReport::default() },
        };
        report.processor_time = pacer.processor_time().saturating_sub(before);
        report
    }

    fn period(&self) -> Duration {
        self.settings.period
    }
}

#[cfg(test)]
#[path = "../../tests/unit/damon.rs"]
mod tests;
