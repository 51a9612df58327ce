//! Hosted engines: what the registry calls in them, and how long a request waits for that.

use super::deadline::Deadline;
use super::denied::Denied;
use super::entries::{EngineEntry, ProjectEntry, TaskEntry};
use super::named::Named;
use crate::machine::Machine;
use etmem_config::{ProjectSection, TaskSection};
use etmem_core::kernel::process::ProcessError;
use etmem_engine::Hosted;
use std::sync::Arc;
use tracing::{info, warn};

/// How the log and answers name a task.
pub(super) fn label(project: &ProjectSection, task: &TaskSection) -> String {
    format!("project {} task {}", project.name, task.name)
}

/// Starts `task` by `engine`; returns what a person should know.
pub(super) fn start(
    machine: &dyn Machine,
    project: &ProjectSection,
    engine: &dyn Hosted,
    task: &TaskSection,
    deadline: &Deadline,
) -> Result<Option<String>, Denied> {
    let label = label(project, task);
    let TaskSection { name, target, .. } = task;
    let processes = match machine.processes().find(target) {
        Ok(processes) => processes,
        Err(ProcessError::Exited | ProcessError::Replaced) => Vec::new(),
        Err(error @ ProcessError::Refused { .. }) => {
            return Err(Denied::Machine(format!("{label}: cannot look for processes: {error}")));
        }
    };
    engine.start_task(name, &processes, deadline.left()).map_err(Denied::unplaced)?;
    info!("{label}: started");
    Ok(processes.is_empty().then(|| match machine.processes().gone(target) {
        Some(gone) => format!("task {name}: {gone}"),
        None => format!(
            "task {name}: no {target} yet; its plugin receives the processes that are there when the task starts"
        ),
    }))
}

impl EngineEntry {
    /// Stops what runs of a hosted engine, the newest first; returns what does not stop.
    pub(super) fn stop_hosted(&mut self, deadline: &Deadline) -> Option<String> {
        let engine = Arc::clone(self.hosted()?);
        let mut stopped = false;
        for task in self.tasks.iter_mut().rev() {
            stopped |= stop(&*engine, task);
        }
        stopped.then(|| settle(&*engine, deadline)).flatten()
    }

    /// Removes all tasks from a hosted engine, the newest first, and closes it; returns what it has not done yet.
    pub(super) fn close_hosted(&self, deadline: &Deadline) -> Option<String> {
        let engine = self.hosted()?;
        for task in self.tasks.iter().rev() {
            engine.remove_task(&task.section.name);
        }
        engine.close();
        settle(&**engine, deadline)
    }

    /// Stops `task`, which was taken out of the entry, and removes it from the engine; returns what is not done yet.
    pub(super) fn remove_hosted(&self, task: &mut TaskEntry, deadline: &Deadline) -> Option<String> {
        let engine = self.hosted()?;
        stop(&**engine, task);
        engine.remove_task(&task.section.name);
        settle(&**engine, deadline)
    }
}

impl ProjectEntry {
    /// Stops all hosted tasks, the newest first.
    pub(super) fn stop_hosted(&mut self, deadline: &Deadline) -> Vec<String> {
        let late = self.engines.iter_mut().rev().filter_map(|engine| engine.stop_hosted(deadline)).collect();
        runs(&self.engines, false);
        late
    }

    /// Removes all tasks from the hosted engines, which do not run, and closes them.
    pub(super) fn close_hosted(&self, deadline: &Deadline) -> Vec<String> {
        self.engines.iter().rev().filter_map(|engine| engine.close_hosted(deadline)).collect()
    }
}

/// Notifies hosted engines whether their project runs.
pub(super) fn runs(engines: &Named<EngineEntry>, runs: bool) {
    engines.iter().filter_map(EngineEntry::hosted).for_each(|engine| engine.project_runs(runs));
}

/// Whether there was something to stop.
fn stop(engine: &dyn Hosted, task: &mut TaskEntry) -> bool {
    let runs = task.running.take().is_some();
    if runs {
        engine.stop_task(&task.section.name);
    }
    runs
}

fn settle(engine: &dyn Hosted, deadline: &Deadline) -> Option<String> {
    let late = engine.settle(deadline.left());
    if let Some(late) = &late {
        warn!("{late}");
    }
    late
}
