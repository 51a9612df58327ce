//! The border between an engine and its plugin, wherever that runs: here plain data goes across, and no pointer.
//!
//! In this process it is [`loaded`](crate::loaded); a plugin in a process of its own is another [`Guest`], whose calls
//! go there. Calls come one after the other, all on one thread, the one that made the guest. Dropped, a guest takes
//! away what it still has, the newest task first, and then its engine.

use etmem_config::{EngineSection, FaultClass, ProjectSection, SiblingGroups, TaskSection, WrittenGroup};
use etmem_engine::{HostedEngine, HostedTask, Refusal};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Groups of a file as a plugin reads them: each name once, with its pairs.
pub type Groups = Vec<(String, Vec<(String, String)>)>;

/// An engine, as its plugin is told of it.
#[derive(Debug, Clone)]
pub struct EngineTerms {
    /// Its name in the project.
    pub name: String,
    /// The shared object.
    pub library: PathBuf,
    /// The symbol of its `struct engine_ops`.
    pub operations: String,
    /// What the plugin may read.
    pub groups: Groups,
    /// The project it belongs to.
    pub project: ProjectSection,
}

/// A task, as a plugin is told of it.
#[derive(Debug, Clone)]
pub struct TaskTerms {
    /// Its name in the engine.
    pub name: String,
    /// `pid` or `name`.
    pub kind: &'static str,
    /// The pid, or the process's name.
    pub value: String,
    /// Processes to be worked on at once.
    pub max_threads: usize,
    /// Only mappings that the process marked for swapping.
    pub swap_flag: bool,
    /// What the plugin may read.
    pub groups: Groups,
}

/// A plugin that works for one engine.
pub trait Guest {
    /// The project runs, or no longer does.
    fn project_runs(&mut self, runs: bool);

    /// A task comes.
    ///
    /// # Errors
    /// The plugin does not take it, and has nothing of it.
    fn add_task(&mut self, task: &TaskTerms) -> Result<(), Refusal>;

    /// A task that does not run goes.
    fn remove_task(&mut self, task: &str);

    /// A task starts, on these processes.
    ///
    /// # Errors
    /// It does not.
    fn start_task(&mut self, task: &str, processes: &[u32]) -> Result<(), Refusal>;

    /// A task stops; nothing where it does not run.
    fn stop_task(&mut self, task: &str);

    /// Answers a command by writing to `out`, about one task or none.
    ///
    /// # Errors
    /// The plugin refuses it, or misused `out`.
    fn answer(&mut self, task: Option<&str>, command: &str, out: OwnedFd) -> Result<(), Refusal>;
}

/// Which function of a plugin is being called now, for those who wait for it.
#[derive(Debug, Default)]
pub struct Watch {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    busy: bool,
    function: Option<&'static str>,
    given_up: bool,
}

impl Watch {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Carries out `call`, which is known by the name of `function` meanwhile.
    pub fn during<T>(&self, function: &'static str, call: impl FnOnce() -> T) -> T {
        self.state().function = Some(function);
        let result = call();
        self.state().function = None;
        result
    }

    /// Carries out something that may call the plugin.
    pub(crate) fn busy<T>(&self, work: impl FnOnce() -> T) -> T {
        self.state().busy = true;
        let result = work();
        *self.state() = State::default();
        result
    }

    /// Somebody waited in vain: until the plugin returns, nobody else should.
    pub(crate) fn give_up(&self) {
        let mut state = self.state();
        state.given_up = state.busy;
    }

    pub(crate) fn is_given_up(&self) -> bool {
        self.state().given_up
    }

    /// What is being called.
    pub(crate) fn function(&self) -> &'static str {
        self.state().function.unwrap_or("what it was asked before")
    }
}

/// What stands in the way, for the answer that the original has for faults of engines and tasks.
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
