//! Finding what a request names.

use super::{Denied, EngineEntry, ProjectEntry, Registry, TaskEntry};
use etmem_core::name::Name;

impl Registry {
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
