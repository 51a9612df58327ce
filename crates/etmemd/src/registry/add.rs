//! Adding what a file lists: all or nothing.

use super::deadline::{ANSWER_LIMIT, Deadline, STOP_LIMIT};
use super::delete::Object;
use super::denied::{Denied, place};
use super::entries::{EngineEntry, Policy, ProjectEntry, Registry, TaskEntry};
use super::named::Named;
use crate::machine::Machine;
use etmem_config::{ConfigFile, EngineSection, ProjectSection, TaskSection};
use etmem_core::kernel::process::Target;
use etmem_engine::EngineError;
use std::path::Path;
use std::sync::Arc;

impl Registry {
    /// Adds what `file` lists: projects, then engines, then tasks; starts the tasks whose project runs. If anything
    /// is refused, nothing of the file remains. Returns what a person should know, a line each.
    pub(crate) fn add(&mut self, file: &ConfigFile) -> Result<Vec<String>, Denied> {
        let mut added = Vec::new();
        let deadline = Deadline::new(ANSWER_LIMIT);
        let result = self.add_all(file, &mut added, &deadline).and_then(|()| self.start_waiting(&deadline));
        if result.is_err() {
            let deadline = Deadline::new(STOP_LIMIT);
            for object in added.iter().rev() {
                self.remove(object, &deadline);
            }
        }
        result
    }

    fn add_all(
        &mut self,
        file: &ConfigFile,
        added: &mut Vec<Object>,
        deadline: &Deadline,
    ) -> Result<(), Denied> {
        for section in &file.projects {
            self.add_project(section, || place(&file.path, section.line))?;
            added.push(Object::Project(section.name.clone()));
        }
        for section in &file.engines {
            self.add_engine(section, deadline, || place(&file.path, section.line))?;
            added.push(Object::Engine { project: section.project.clone(), engine: section.name.clone() });
        }
        for section in &file.tasks {
            self.add_task(section, deadline, &file.path)?;
            added.push(Object::Task {
                project: section.project.clone(),
                engine: section.engine.clone(),
                task: section.name.clone(),
            });
        }
        Ok(())
    }

    fn add_project(&mut self, section: &ProjectSection, place: impl Fn() -> String) -> Result<(), Denied> {
        if self.projects.contains(&section.name) {
            return Err(Denied::ProjectExists { place: place(), name: section.name.clone() });
        }
        let entry = ProjectEntry {
            section: section.clone(),
            engines: Named::default(),
            shared: Arc::default(),
            started: false,
        };
        self.projects.push(section.name.clone(), entry);
        Ok(())
    }

    fn add_engine(
        &mut self,
        section: &EngineSection,
        deadline: &Deadline,
        place: impl Fn() -> String,
    ) -> Result<(), Denied> {
        let built_in = match etmem_engine::hosted(section) {
            Some(_) => None,
            None => Some(
                etmem_engine::engine(section, &self.scan_locks)
                    .map_err(|error| Denied::Engine { place: place(), error })?,
            ),
        };
        let machine = Arc::clone(&self.machine);
        let project = self.project_mut(&section.project, &place)?;
        if project.engines.contains(&section.name) {
            return Err(Denied::EngineExists {
                place: place(),
                project: section.project.clone(),
                name: section.name.clone(),
            });
        }
        let policy = match built_in {
            Some(engine) => {
                engine.check(machine.nodes()).map_err(|error| Denied::Engine { place: place(), error })?;
                Policy::BuiltIn(engine)
            }
            None => machine
                .plugin(&project.section, section, &project.shared, deadline.left())
                .map(Policy::Hosted)
                .map_err(|refusal| Denied::Hosted { place: place(), refusal })?,
        };
        let entry = EngineEntry { section: section.clone(), policy, tasks: Named::default() };
        project.engines.push(section.name.clone(), entry);
        Ok(())
    }

    fn add_task(&mut self, section: &TaskSection, deadline: &Deadline, path: &Path) -> Result<(), Denied> {
        let place = || place(path, section.line);
        let machine = Arc::clone(&self.machine);
        let project = self.project_mut(&section.project, place)?;
        let engine = project.engine(&section.engine, place)?;
        if engine.tasks.contains(&section.name) {
            return Err(Denied::TaskExists {
                place: place(),
                project: section.project.clone(),
                engine: section.engine.clone(),
                name: section.name.clone(),
            });
        }
        engine.check_work(&project.section, section, path)?;
        let section = with_process(section, &*machine, path)?;
        if let Policy::Hosted(engine) = &engine.policy {
            engine
                .add_task(&section, deadline.left())
                .map_err(|refusal| Denied::Hosted { place: place(), refusal })?;
        }
        let (engine, name) = (section.engine.clone(), section.name.clone());
        project.engine_mut(&engine, place)?.tasks.push(name, TaskEntry { section, running: None });
        Ok(())
    }
}

impl EngineEntry {
    /// Whether the engine takes `task` of the file at `path`. The work is made only to find what is wrong with it; that which runs is
    /// made at each start.
    pub(super) fn check_work(
        &self,
        project: &ProjectSection,
        task: &TaskSection,
        path: &Path,
    ) -> Result<(), Denied> {
        let Policy::BuiltIn(engine) = &self.policy else { return Ok(()) };
        let refused = |error: EngineError| {
            let line = error.key().map_or(task.line, |key| task.line_of(key));
            Denied::Engine { place: place(path, line), error }
        };
        engine.work(project, task).map(drop).map_err(refused)
    }
}

/// `section` of the file at `path`, meaning the process that has its pid now: one that gets the same number later is another one.
pub(super) fn with_process(
    section: &TaskSection,
    machine: &dyn Machine,
    path: &Path,
) -> Result<TaskSection, Denied> {
    let mut section = section.clone();
    if let Target::Pid(pid) = section.target {
        section.target = Target::Process(machine.processes().check(pid).map_err(|error| Denied::Target {
            place: place(path, section.line_of("value")),
            value: pid.to_string(),
            error,
        })?);
    }
    Ok(section)
}
