//! Deleting what a file lists: as much of it as there is.

use super::deadline::{Deadline, STOP_LIMIT};
use super::denied::{Denied, place};
use super::entries::Registry;
use etmem_config::ListedObjects;
use etmem_core::name::Name;
use std::fmt;

/// Something that was added.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Object {
    Project(Name),
    Engine { project: Name, engine: Name },
    Task { project: Name, engine: Name, task: Name },
}

impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Project(name) => write!(f, "project {name}"),
            Self::Engine { project, engine } => write!(f, "engine {engine} of project {project}"),
            Self::Task { project, task, .. } => write!(f, "task {task} of project {project}"),
        }
    }
}

impl Registry {
    /// Deletes what is `listed`: tasks, then engines, then projects, stopping what runs. What is not there is
    /// reported; the rest is deleted all the same. Returns what a person should know, a line each.
    pub(crate) fn delete(&mut self, listed: &ListedObjects) -> Result<Vec<String>, Vec<Denied>> {
        let tasks = listed.tasks.iter().map(|listed| {
            let (project, engine) = (listed.project.clone(), listed.engine.clone());
            (listed.line, Object::Task { project, engine, task: listed.name.clone() })
        });
        let engines = listed.engines.iter().map(|listed| {
            (listed.line, Object::Engine { project: listed.project.clone(), engine: listed.name.clone() })
        });
        let projects =
            listed.projects.iter().map(|listed| (listed.line, Object::Project(listed.name.clone())));
        let (mut missing, mut late) = (Vec::new(), Vec::new());
        let deadline = Deadline::new(STOP_LIMIT);
        for (line, object) in tasks.chain(engines).chain(projects) {
            match self.find(&object, || place(&listed.path, line)) {
                Ok(()) => late.extend(self.remove(&object, &deadline)),
                Err(denied) => missing.push(denied),
            }
        }
        if missing.is_empty() { Ok(late) } else { Err(missing) }
    }

    /// Deletes project `name` with all it has, stopping what runs. Returns what a person should know, a line each.
    pub(crate) fn delete_project(&mut self, name: &Name) -> Result<Vec<String>, Denied> {
        self.project(name, String::new)?;
        Ok(self.remove(&Object::Project(name.clone()), &Deadline::new(STOP_LIMIT)))
    }

    /// Whether `object` is there.
    pub(super) fn find(&self, object: &Object, at: impl Fn() -> String) -> Result<(), Denied> {
        match object {
            Object::Project(name) => self.project(name, at).map(drop),
            Object::Engine { project, engine } => self.project(project, &at)?.engine(engine, &at).map(drop),
            Object::Task { project, engine, task } => {
                let project = self.project(project, &at)?;
                project.task(project.engine(engine, &at)?, task, &at).map(drop)
            }
        }
    }

    /// Removes something that is there, stopping what runs of it; returns what hosted engines have not done yet.
    pub(super) fn remove(&mut self, object: &Object, deadline: &Deadline) -> Vec<String> {
        let mut late = self.take_out(object, deadline).unwrap_or_default();
        late.sort();
        late.dedup();
        late
    }

    fn take_out(&mut self, object: &Object, deadline: &Deadline) -> Option<Vec<String>> {
        let mut late = Vec::new();
        match object {
            Object::Project(name) => {
                let mut gone = self.projects.remove(name)?;
                gone.stop_workers();
                late.extend(gone.stop_hosted(deadline));
                late.extend(gone.close_hosted(deadline));
            }
            Object::Engine { project, engine } => {
                let mut gone = self.projects.get_mut(project)?.engines.remove(engine)?;
                late.extend(gone.stop_hosted(deadline));
                late.extend(gone.close_hosted(deadline));
            }
            Object::Task { project, engine, task } => {
                let engine = self.projects.get_mut(project)?.engines.get_mut(engine)?;
                let mut gone = engine.tasks.remove(task)?;
                late.extend(engine.remove_hosted(&mut gone, deadline));
            }
        }
        Some(late)
    }
}
