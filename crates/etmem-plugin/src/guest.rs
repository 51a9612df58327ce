//! The border between an engine and its plugin: plain data crosses it, and no pointer.
//!
//! All calls to a guest come from one thread, the one that made it, one after the other. A guest that is dropped removes what
//! it still has: its tasks, the newest first, and then its engine.

use etmem_config::{EngineSection, FaultClass, ProjectSection, SiblingGroups, TaskSection, WrittenGroup};
use etmem_engine::{HostedEngine, HostedTask, Refusal};
use std::os::fd::OwnedFd;
use std::path::PathBuf;

/// Groups of a file as a plugin reads them: each name once, with its pairs.
pub(crate) type Groups = Vec<(String, Vec<(String, String)>)>;

/// What a plugin learns of its engine.
#[derive(Debug, Clone)]
pub(crate) struct EngineTerms {
    /// Its name in the project.
    pub(crate) name: String,
    /// The shared object.
    pub(crate) library: PathBuf,
    /// The symbol of its `struct engine_ops`.
    pub(crate) operations: String,
    /// What the plugin may read.
    pub(crate) groups: Groups,
    /// The project it belongs to.
    pub(crate) project: ProjectSection,
}

/// What a plugin learns of a task.
#[derive(Debug, Clone)]
pub(crate) struct TaskTerms {
    /// Its name in the engine.
    pub(crate) name: String,
    /// `pid` or `name`.
    pub(crate) kind: &'static str,
    /// The pid, or the process's name.
    pub(crate) value: String,
    /// How many processes it may work on at once.
    pub(crate) max_threads: usize,
    /// Whether it takes only mappings that the process marked for swapping.
    pub(crate) swap_flag: bool,
    /// What the plugin may read.
    pub(crate) groups: Groups,
}

/// A plugin that works for one engine.
pub(crate) trait Guest {
    /// The project has started or stopped.
    fn project_runs(&mut self, runs: bool);

    /// Adds a task.
    ///
    /// # Errors
    /// The plugin refuses it, and keeps nothing of it.
    fn add_task(&mut self, task: &TaskTerms) -> Result<(), Refusal>;

    /// Removes a task that does not run.
    fn remove_task(&mut self, task: &str);

    /// Starts a task, on these processes.
    ///
    /// # Errors
    /// The plugin does not start it.
    fn start_task(&mut self, task: &str, processes: &[u32]) -> Result<(), Refusal>;

    /// Stops a task, if it runs.
    fn stop_task(&mut self, task: &str);

    /// Answers a command by writing to `out`, about one task or none.
    ///
    /// # Errors
    /// The plugin refuses it, or misused `out`.
    fn answer(&mut self, task: Option<&str>, command: &str, out: OwnedFd) -> Result<(), Refusal>;
}

/// A refusal of the class that the original uses for faults of engines and tasks.
pub(crate) fn fault(reason: impl Into<String>) -> Refusal {
    Refusal { reason: reason.into(), class: FaultClass::Internal }
}

impl EngineTerms {
    /// Those of `section` in `project`.
    pub(crate) fn new(project: &ProjectSection, section: &EngineSection) -> Result<Self, Refusal> {
        let Some(HostedEngine { library, operations, .. }) = etmem_engine::hosted(section) else {
            return Err(fault(format!("engine {} has no plugin", section.name)));
        };
        Ok(Self {
            name: section.name.to_string(),
            library,
            operations: operations.into(),
            groups: groups(&section.written, &section.siblings),
            project: project.clone(),
        })
    }
}

impl TaskTerms {
    /// Those of `section`.
    pub(crate) fn new(section: &TaskSection) -> Result<Self, Refusal> {
        let HostedTask { max_threads, swap_flag } =
            HostedTask::new(section).map_err(|error| fault(format!("task {}: {error}", section.name)))?;
        let (kind, value) = section.target.written();
        Ok(Self {
            name: section.name.to_string(),
            kind,
            value,
            max_threads,
            swap_flag,
            groups: groups(&section.written, &section.siblings),
        })
    }
}

fn groups(own: &WrittenGroup, siblings: &SiblingGroups) -> Groups {
    let pairs = |group: &WrittenGroup| {
        group.pairs.iter().map(|pair| (pair.key.clone(), pair.value.clone())).collect()
    };
    let others = siblings.iter().map(|group| (group.name.clone(), pairs(group)));
    std::iter::once((own.name.clone(), own.each_key_once())).chain(others).collect()
}
