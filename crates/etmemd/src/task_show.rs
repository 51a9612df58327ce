//! The answer to `task show`: how tasks stand, as text for people or as JSON, an object and a line for each.
//!
//! Both show the figures as [`etmem_engine::Figures`] lists them.

mod json;
#[cfg(test)]
#[path = "../tests/unit/task_show.rs"]
pub(crate) mod tests;
pub(crate) mod text;

use crate::machine::Machine;
use crate::worker::{Doing, Standing};
use etmem_core::kernel::process::Target;
use etmem_core::kernel::wishes::Choice;
use etmem_core::name::Name;
use etmem_engine::{Cycle, Feedback, Figures, Reason, ReasonName};
use etmem_wire::TaskForm;
use std::sync::Arc;
use std::time::Duration;

/// A task, to be shown.
#[derive(Debug)]
pub(crate) struct ShownWork {
    /// Its project.
    pub(crate) project: Name,
    /// Its engine.
    pub(crate) engine: Name,
    /// Its name.
    pub(crate) task: Name,
    /// Whose memory it works on.
    pub(crate) target: Target,
    /// Whether it moves nothing (`dry_run=yes`).
    pub(crate) dry_run: bool,
    /// How it stands, if it was started.
    pub(crate) running: Option<ShownRun>,
    /// Where its processes are, to say what they are called.
    pub(crate) machine: Option<Arc<dyn Machine>>,
}

/// Who works for a task that runs.
#[derive(Debug)]
pub(crate) enum ShownRun {
    /// A worker here.
    Worked(Box<ShownRunning>),
    /// Its engine, a plugin, which tells nothing of it.
    Hosted,
}

/// A task that runs, to be shown.
#[derive(Debug)]
pub(crate) struct ShownRunning {
    /// How it sees, and why so.
    pub(crate) probe: Choice,
    /// How it moves, and why so.
    pub(crate) mover: Choice,
    /// What it has done.
    pub(crate) standing: Standing,
}

/// The answer about `tasks` of `project`.
pub(crate) fn task_show(project: &Name, tasks: &[ShownWork], form: TaskForm) -> String {
    match form {
        TaskForm::Json => tasks.iter().map(|task| format!("{}\n", task.json())).collect(),
        TaskForm::Text if tasks.is_empty() => format!("task: project {project} has none\n"),
        TaskForm::Text => tasks.iter().map(ShownWork::text).collect::<Vec<_>>().join("\n"),
    }
}

impl ShownWork {
    /// What it does, in a word.
    fn state(&self) -> &'static str {
        let running = match &self.running {
            None => return "stopped",
            Some(ShownRun::Hosted) => return "hosted",
            Some(ShownRun::Worked(running)) => running,
        };
        let report = running.last().map(|cycle| &cycle.report);
        match running.standing.doing {
            Doing::Failed => "failed",
            Doing::Working => "working",
            Doing::Resting if report.is_some_and(|report| report.gone.is_some()) => "gone",
            Doing::Resting if report.is_some_and(|report| report.is_empty()) => "waiting",
            Doing::Resting => "resting",
        }
    }

    /// Why there is nothing to show of processes, where that is so.
    fn reason(&self) -> Option<Reason> {
        let running = match &self.running {
            None => {
                let text = format!("not started: etmem project start -n {}", self.project);
                return Some(Reason::new(ReasonName::NotStarted, text));
            }
            Some(ShownRun::Hosted) => {
                let text = "its engine is a plugin, which tells nothing of its work here";
                return Some(Reason::new(ReasonName::Hosted, text));
            }
            Some(ShownRun::Worked(running)) => running,
        };
        if running.standing.doing == Doing::Failed {
            let text = "the task has ended by a fault of etmemd, told in its log; stop the project and start it again";
            return Some(Reason::new(ReasonName::Failed, text));
        }
        match running.last() {
            Some(cycle) => cycle.reason(&self.target.to_string()),
            None => Some(Reason::new(ReasonName::FirstCycle, "the first cycle is not over yet")),
        }
    }

    /// Whether it runs, here or in a plugin.
    pub(crate) fn is_up(&self) -> bool {
        let failed = self.worked().is_some_and(|running| running.standing.doing == Doing::Failed);
        self.running.is_some() && !failed
    }

    /// Cycles that are over, where a worker works for it.
    pub(crate) fn cycles(&self) -> Option<u64> {
        self.worked().map(|running| running.standing.status.cycles)
    }

    /// The counters of all cycles.
    pub(crate) fn total(&self) -> Option<&Figures> {
        self.worked().map(|running| &running.standing.status.totals)
    }

    /// The figures of the last cycle that is over.
    pub(crate) fn last_cycle(&self) -> Option<&Figures> {
        self.worked().and_then(ShownRunning::last).map(|cycle| &cycle.figures)
    }

    /// Why not more of each process of the last cycle was moved.
    pub(crate) fn process_reasons(&self) -> impl Iterator<Item = Option<ReasonName>> {
        let processes = self.worked().and_then(ShownRunning::last).map(|cycle| &cycle.report.processes);
        processes.into_iter().flatten().map(|process| process.reason.as_ref().map(|reason| reason.name))
    }

    /// What refaults say of each process of the last cycle, if the engine heeds them.
    pub(crate) fn feedback(&self) -> impl Iterator<Item = &Feedback> {
        let processes = self.worked().and_then(ShownRunning::last).map(|cycle| &cycle.report.processes);
        processes.into_iter().flatten().filter_map(|process| process.feedback.as_ref())
    }

    /// For how long it has been running, where a worker works for it.
    pub(crate) fn running_for(&self) -> Option<Duration> {
        self.worked().map(|running| running.standing.running)
    }

    /// How it stands, where a worker works for it.
    fn worked(&self) -> Option<&ShownRunning> {
        match &self.running {
            Some(ShownRun::Worked(running)) => Some(running),
            Some(ShownRun::Hosted) | None => None,
        }
    }
}

impl ShownRunning {
    fn last(&self) -> Option<&Cycle> {
        self.standing.status.last.as_ref()
    }
}
