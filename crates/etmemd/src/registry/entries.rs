//! What there is: projects, their engines, their tasks; and finding what a request names.

use super::denied::Denied;
use super::named::Named;
use crate::machine::Machine;
use crate::wait_group::WaitGroup;
use crate::worker::Worker;
use etmem_config::{EngineSection, ProjectSection, TaskSection};
use etmem_core::name::Name;
use etmem_engine::{Engine, Hosted, ScanLocks};
use etmem_plugin::SharedProject;
use std::sync::Arc;

/// Everything that was added.
#[derive(Debug)]
pub(crate) struct Registry {
    pub(super) machine: Arc<dyn Machine>,
    pub(super) scan_locks: ScanLocks,
    pub(super) projects: Named<ProjectEntry>,
    /// The threads of all tasks, those included that were asked to stop and have not ended yet.
    pub(super) threads: WaitGroup,
}

#[derive(Debug)]
pub(super) struct ProjectEntry {
    pub(super) section: ProjectSection,
    pub(super) engines: Named<EngineEntry>,
    /// What its plugins have in common.
    pub(super) shared: Arc<SharedProject>,
    pub(super) started: bool,
}

#[derive(Debug)]
pub(super) struct EngineEntry {
    pub(super) section: EngineSection,
    pub(super) policy: Policy,
    pub(super) tasks: Named<TaskEntry>,
}

/// Whose policy an engine follows.
#[derive(Debug)]
pub(super) enum Policy {
    /// A built-in one, whose tasks have a worker each.
    BuiltIn(Box<dyn Engine>),
    /// A plugin's, which starts and stops its tasks when the registry calls it.
    Hosted(Arc<dyn Hosted>),
}

#[derive(Debug)]
pub(super) struct TaskEntry {
    pub(super) section: TaskSection,
    pub(super) running: Option<Running>,
}

/// A task that runs.
#[derive(Debug)]
pub(super) enum Running {
    /// Here.
    Worked {
        /// Stops when dropped.
        worker: Worker,
        /// What was decided for all tasks of its engine.
        decisions: Vec<String>,
    },
    /// By its engine, which is a hosted one.
    Hosted,
}

impl Registry {
    /// An empty registry on `machine`.
    pub(crate) fn new(machine: Arc<dyn Machine>) -> Self {
        Self {
            scan_locks: ScanLocks::beside(machine.scan_claims()),
            machine,
            projects: Named::default(),
            threads: WaitGroup::default(),
        }
    }

    pub(super) fn project(
        &self,
        name: &Name,
        place: impl FnOnce() -> String,
    ) -> Result<&ProjectEntry, Denied> {
        self.projects.get(name).ok_or_else(|| Denied::NoSuchProject { place: place(), name: name.clone() })
    }

    pub(super) fn project_mut(
        &mut self,
        name: &Name,
        place: impl FnOnce() -> String,
    ) -> Result<&mut ProjectEntry, Denied> {
        self.projects
            .get_mut(name)
            .ok_or_else(|| Denied::NoSuchProject { place: place(), name: name.clone() })
    }
}

impl ProjectEntry {
    pub(super) fn engine(&self, name: &Name, place: impl FnOnce() -> String) -> Result<&EngineEntry, Denied> {
        self.engines.get(name).ok_or_else(|| Denied::NoSuchEngine {
            place: place(),
            project: self.section.name.clone(),
            name: name.clone(),
        })
    }

    pub(super) fn engine_mut(
        &mut self,
        name: &Name,
        place: impl FnOnce() -> String,
    ) -> Result<&mut EngineEntry, Denied> {
        let project = self.section.name.clone();
        self.engines.get_mut(name).ok_or_else(|| Denied::NoSuchEngine {
            place: place(),
            project,
            name: name.clone(),
        })
    }

    pub(super) fn task<'a>(
        &self,
        engine: &'a EngineEntry,
        name: &Name,
        place: impl FnOnce() -> String,
    ) -> Result<&'a TaskEntry, Denied> {
        engine.tasks.get(name).ok_or_else(|| Denied::NoSuchTask {
            place: place(),
            project: self.section.name.clone(),
            engine: engine.section.name.clone(),
            name: name.clone(),
        })
    }
}

impl EngineEntry {
    /// The engine, if it is a hosted one.
    pub(super) fn hosted(&self) -> Option<&Arc<dyn Hosted>> {
        match &self.policy {
            Policy::Hosted(engine) => Some(engine),
            Policy::BuiltIn(_) => None,
        }
    }
}
