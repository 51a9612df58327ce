//! What every engine can be asked.

use crate::report::StepReport;
use crate::so_far::SharedSoFar;
pub use etmem_config::FaultClass;
use etmem_config::{KeyError, ProjectSection, TaskSection};
use etmem_core::guard;
use etmem_core::kernel::Kernel;
use etmem_core::kernel::groups::GroupError;
use etmem_core::kernel::nodes::NumaNodes;
use etmem_core::kernel::pacer::{Pace, Pacer};
use etmem_core::kernel::process::{Gone, ProcessError, ProcessId, Target};
use etmem_core::kernel::wishes::Wishes;
use etmem_core::name::Name;
use std::fmt;
use std::time::Duration;

/// Why a task cannot be added to an engine.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum EngineError {
    /// This version has no such engine.
    #[error("engine {engine} is not built into this version, which has: {built}")]
    NotBuilt {
        /// The engine.
        engine: String,
        /// The engines that this version has.
        built: String,
    },
    /// The project's scan_type is not one that the engine works with.
    #[error("engine {engine} needs a project with scan_type={needed}")]
    ScanType {
        /// The engine.
        engine: &'static str,
        /// What it needs.
        needed: &'static str,
    },
    /// A value of the engine's own does not go with this machine.
    #[error("[engine] {key}={value}: {rule}")]
    EngineValue {
        /// The key as written in the file.
        key: &'static str,
        /// Its value.
        value: String,
        /// The rule it breaks, and what to do.
        rule: String,
    },
    /// A value does not go with the project's, or with this machine.
    #[error("[task] {key}={value}: {rule}")]
    Value {
        /// The key as written in the file.
        key: &'static str,
        /// Its value.
        value: String,
        /// The rule it breaks, and what to do.
        rule: String,
        /// Which of the original's two answers it is.
        class: FaultClass,
    },
    /// A key that the engine reads is not a value of its row. Files that were read have none.
    #[error(transparent)]
    Key(Box<KeyError>),
}

impl From<KeyError> for EngineError {
    fn from(error: KeyError) -> Self {
        Self::Key(Box::new(error))
    }
}

impl EngineError {
    /// That a value of an engine's is one of a task of another engine.
    pub(crate) fn of_task(self) -> Self {
        match self {
            Self::EngineValue { key, value, rule } => {
                Self::Value { key, value, rule, class: FaultClass::Internal }
            }
            other @ (Self::NotBuilt { .. } | Self::ScanType { .. } | Self::Value { .. } | Self::Key(_)) => {
                other
            }
        }
    }

    /// The key of the task that is to blame, if one is.
    #[must_use]
    pub const fn key(&self) -> Option<&'static str> {
        match self {
            Self::Value { key, .. } => Some(key),
            Self::Key(error) => Some(error.key),
            Self::NotBuilt { .. } | Self::ScanType { .. } | Self::EngineValue { .. } => None,
        }
    }

    /// Which of the original's two answers a client gets.
    #[must_use]
    pub const fn class(&self) -> FaultClass {
        match self {
            Self::NotBuilt { .. } | Self::EngineValue { .. } | Self::Key(_) => FaultClass::Internal,
            Self::ScanType { .. } => FaultClass::InvalidParameters,
            Self::Value { class, .. } => *class,
        }
    }
}

/// Why an engine command was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// The engine has no commands.
    #[error("engine {0} has no commands")]
    None(&'static str),
    /// The engine does not know the command.
    #[error("engine {engine} has no command {command}; it has: {known}")]
    Unknown {
        /// The engine.
        engine: &'static str,
        /// What was asked.
        command: String,
        /// What it knows.
        known: String,
    },
    /// The command is about a task, and none was named.
    #[error("{0} is about one task: name it with -t")]
    NeedsTask(&'static str),
}

/// What files say of a task: its project and itself.
pub type Sections<'a> = (&'a ProjectSection, &'a TaskSection);

/// An engine of a project.
pub trait Engine: fmt::Debug + Send + Sync {
    /// Makes the work of `task`. Called when a task is added, to find what is wrong with it, and again at each
    /// start.
    ///
    /// # Errors
    /// What is wrong with the task.
    fn work(&self, project: &ProjectSection, task: &TaskSection) -> Result<Box<dyn TaskRunner>, EngineError>;

    /// Whether the machine has what the engine's own keys name; `nodes` tells of its NUMA nodes. Called when the engine is
    /// added.
    ///
    /// # Errors
    /// What the machine lacks.
    fn check(&self, nodes: &dyn NumaNodes) -> Result<(), EngineError> {
        let _ = nodes;
        Ok(())
    }

    /// Whether a running task that was made as `before` says can go on as `now` says ([`TaskRunner::change`]) with all that it knows;
    /// else it has to be made again.
    fn can_change(&self, before: Sections<'_>, now: Sections<'_>) -> bool {
        let _ = (before, now);
        false
    }

    /// Whether `task` scans and plans, but moves nothing.
    fn is_dry_run(&self, task: &TaskSection) -> bool {
        let _ = task;
        false
    }

    /// Answers an engine command of the command line with text.
    ///
    /// # Errors
    /// Why the command was refused.
    fn command(&self, task: Option<&Name>, command: &str) -> Result<String, CommandError>;
}

/// Why `target` names no process any more, where none was `found` and none can come.
pub(crate) fn gone(found: &[ProcessId], target: &Target, kernel: &Kernel) -> Option<Gone> {
    if found.is_empty() { kernel.processes.gone(target) } else { None }
}

/// A cycle of an engine that only asks: `work` on what `target` names, also where that is nothing.
pub(crate) fn cycle_over(
    target: &Target,
    kernel: &Kernel,
    pacer: &dyn Pacer,
    work: impl FnOnce(&[ProcessId]) -> Result<StepReport, ProcessError>,
) -> StepReport {
    let before = pacer.processor_time();
    if pacer.pace() == Pace::Stop {
        return StepReport { stopped: true, ..StepReport::default() };
    }
    let done = kernel
        .processes
        .find(target)
        .and_then(|found| Ok(StepReport { gone: gone(&found, target, kernel), ..work(&found)? }));
    let mut report = done.unwrap_or_else(|error| StepReport { fault: Some(error), ..StepReport::default() });
    name_groups(&mut report, target, kernel);
    report.processor_time = pacer.processor_time().saturating_sub(before);
    report
}

/// Most processes that a task watches at once: each takes some open files.
pub(crate) const MOST_WATCHED: usize = 4096;

/// What a person should know of swap before the first cycle of `task`, which pages out.
pub(crate) fn note_on_swap(task: &str, kernel: &Kernel) -> Option<String> {
    let reason = guard::swap_has_room(&kernel.memory.state().ok()?).err()?;
    Some(format!("task {task}: {reason}"))
}

/// Why control groups could not even be looked for.
pub(crate) fn as_fault(error: GroupError) -> ProcessError {
    match error {
        GroupError::Refused { call, reason } => ProcessError::Refused { call, reason },
        GroupError::Removed | GroupError::NoMemory | GroupError::NoSwappiness => {
            ProcessError::refused("control groups", error)
        }
    }
}

/// Notes the control group of each process of `report`, if `target` names groups.
pub(crate) fn name_groups(report: &mut StepReport, target: &Target, kernel: &Kernel) {
    if let Target::Groups(pattern) = target {
        for process in &mut report.processes {
            process.group = kernel.processes.group(process.process, pattern).map(Into::into);
        }
    }
}

/// Most processes of a target that is no surprise to the person who starts its task.
const FEW_PROCESSES: usize = 101;

/// Most lines about processes that may be meant instead.
const ALIKE_SHOWN: usize = 3;

/// What a person who starts a task should know of the processes that its target names: that there are none yet, or many.
pub(crate) fn notes_on_target(task: &str, target: &Target, kernel: &Kernel) -> Vec<String> {
    match kernel.processes.find(target) {
        Ok(found) if found.is_empty() => no_process_yet(task, target, kernel),
        Ok(found) if found.len() > FEW_PROCESSES || is_first_process(target) => vec![format!(
            "task {task}: {target} means {} processes, its descendants included; the task works on all of them",
            found.len()
        )],
        Ok(_) | Err(_) => Vec::new(),
    }
}

/// Whether `target` is the process that all others descend from.
fn is_first_process(target: &Target) -> bool {
    match target {
        Target::Pid(pid) | Target::Process(ProcessId { pid, .. }) => pid.get() == 1,
        Target::Comm(_) | Target::Exe(_) | Target::Groups(_) | Target::Machine => false,
    }
}

/// The same of a target that names no process when the task starts.
fn no_process_yet(task: &str, target: &Target, kernel: &Kernel) -> Vec<String> {
    let first = match kernel.processes.gone(target) {
        Some(gone) => format!("task {task}: {gone}"),
        None => format!("task {task}: no {target} yet; waiting for it"),
    };
    let mut notes = vec![first];
    let alike = kernel.processes.alike(target);
    let further = alike.len().saturating_sub(ALIKE_SHOWN);
    for line in alike.into_iter().take(ALIKE_SHOWN) {
        notes.push(format!("task {task}: {line}; type=exe finds a process by its executable"));
    }
    if further > 0 {
        notes.push(format!("task {task}: {further} more processes are like these"));
    }
    notes
}

/// What a task does, cycle after cycle.
pub trait TaskRunner: fmt::Debug + Send {
    /// Which probe and mover it is to be given.
    fn wishes(&self) -> Wishes;

    /// Whose memory it works on, if that is processes: not every probe sees what touches them.
    fn target(&self) -> Option<&Target> {
        None
    }

    /// Takes its place beside the other tasks of its engine, if the machine has what the engine's keys name. Called at
    /// each start, for all tasks that start together before the first of them runs.
    ///
    /// # Errors
    /// What the machine lacks.
    fn prepare(&mut self, kernel: &Kernel) -> Result<(), EngineError> {
        let _ = kernel;
        Ok(())
    }

    /// From now on it works on `kernel`, whose probe or mover is another than before. Called between two cycles.
    fn renew(&mut self, kernel: &Kernel) {
        let _ = kernel;
    }

    /// Goes on as `project` and `task` say now, with all that it knows. Called between two cycles, and only where its engine says
    /// that it can.
    fn change(&mut self, project: &ProjectSection, task: &TaskSection) {
        let _ = (project, task);
    }

    /// What was decided for all tasks of the engine alike, a line each.
    fn decisions(&self, kernel: &Kernel) -> Vec<String> {
        let _ = kernel;
        Vec::new()
    }

    /// What a person who starts the task should know, a line each: no such process yet, no swap, a value capped.
    fn notes(&self, kernel: &Kernel) -> Vec<String>;

    /// Where it tells how far the cycle under way has come; an engine that does not tell leaves it as it is.
    fn so_far(&self) -> SharedSoFar {
        SharedSoFar::default()
    }

    /// One whole cycle. Returns soon after `pacer` says stop.
    fn step(&mut self, kernel: &Kernel, pacer: &dyn Pacer) -> StepReport;

    /// What it knows, written down for [`recall`](Self::recall) after a restart of the daemon; `None` if that is no news since it was
    /// asked last, or the engine keeps nothing. `always`: also if it is no news. Called between two cycles, and after the last.
    fn remembered(&mut self, kernel: &Kernel, always: bool) -> Option<Vec<u8>> {
        let _ = (kernel, always);
        None
    }

    /// Goes on with what was `remembered` by a daemon of this version that ended `gap` ago, by a clock that goes on. Called before
    /// the first cycle.
    ///
    /// # Errors
    /// Why it is of no use; then it begins with nothing.
    fn recall(&mut self, remembered: &[u8], gap: Duration, kernel: &Kernel) -> Result<(), String> {
        let _ = (remembered, gap, kernel);
        Ok(())
    }

    /// Whether it sets anything in the kernel that outlives the daemon and has to be taken back by [`TaskRunner::end`].
    fn sets_in_kernel(&self, kernel: &Kernel) -> bool {
        let _ = kernel;
        false
    }

    /// Whether it asks programs for memory before it takes any (`ask=yes`). Then it finds in its kernel how.
    fn asks(&self) -> bool {
        false
    }

    /// Takes back what it set in the kernel. Called once, after the last cycle.
    ///
    /// # Errors
    /// What could not be taken back, and why.
    fn end(&mut self, kernel: &Kernel) -> Result<(), ProcessError> {
        let _ = kernel;
        Ok(())
    }

    /// Time between the end of a cycle and the start of the next.
    fn period(&self) -> Duration;
}
