//! Adding what a file lists, all or nothing, and deleting it, as much as there is.

use super::named::Named;
use super::{Denied, EngineEntry, ProjectEntry, Registry, TaskEntry, all_notes, launch, prepare};
use etmem_config::{ConfigFile, EngineSection, ListedObjects, ProjectSection, TaskSection};
use etmem_core::kernel::process::Target;
use etmem_core::name::Name;
use std::path::Path;
use std::sync::Arc;

/// Something that an unfinished add has added.
#[derive(Debug)]
enum Added {
    Project(Name),
    Engine { project: Name, engine: Name },
    Task { project: Name, engine: Name, task: Name },
}

/// How messages point into a file.
fn place(path: &Path, line: usize) -> String {
    format!("{}:{line}: ", path.display())
}

impl Registry {
    /// Adds what `file` lists: projects, then engines, then tasks; starts the tasks whose project runs. If anything
    /// is refused, nothing of the file remains. Returns what a person should know, a line each.
    pub(crate) fn add(&mut self, file: &ConfigFile) -> Result<Vec<String>, Denied> {
        let mut added = Vec::new();
        let result = self.add_all(file, &mut added).and_then(|()| self.start_added(&added));
        if result.is_err() {
            for object in added.iter().rev() {
                self.remove(object);
            }
        }
        result
    }

    fn add_all(&mut self, file: &ConfigFile, added: &mut Vec<Added>) -> Result<(), Denied> {
        for section in &file.projects {
            self.add_project(section, || place(&file.path, section.line))?;
            added.push(Added::Project(section.name.clone()));
        }
        for section in &file.engines {
            self.add_engine(section, || place(&file.path, section.line))?;
            added.push(Added::Engine { project: section.project.clone(), engine: section.name.clone() });
        }
        for section in &file.tasks {
            self.add_task(section, &file.path)?;
            added.push(Added::Task {
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
        let entry = ProjectEntry { section: section.clone(), engines: Named::default(), started: false };
        self.projects.push(section.name.clone(), entry);
        Ok(())
    }

    fn add_engine(&mut self, section: &EngineSection, place: impl Fn() -> String) -> Result<(), Denied> {
        let engine = etmem_engine::engine(&section.kind, &self.turns)
            .map_err(|error| Denied::Engine { place: place(), error })?;
        let machine = Arc::clone(&self.machine);
        let project = self.project_mut(&section.project, &place)?;
        if project.engines.contains(&section.name) {
            return Err(Denied::EngineExists {
                place: place(),
                project: section.project.clone(),
                name: section.name.clone(),
            });
        }
        engine.check(machine.nodes()).map_err(|error| Denied::Engine { place: place(), error })?;
        let entry = EngineEntry { section: section.clone(), engine, tasks: Named::default() };
        project.engines.push(section.name.clone(), entry);
        Ok(())
    }

    fn add_task(&mut self, section: &TaskSection, path: &Path) -> Result<(), Denied> {
        let place = || place(path, section.line);
        let place_of = |key| self::place(path, section.line_of(key));
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
        // Made only to find what is wrong with it; the work that runs is made at each start.
        engine
            .engine
            .work(&project.section, section)
            .map_err(|error| Denied::Engine { place: error.key().map_or_else(place, place_of), error })?;
        if let Target::Pid(pid) = section.target {
            machine.processes().check(pid).map_err(|error| Denied::Target {
                place: place_of("value"),
                value: pid.to_string(),
                error,
            })?;
        }
        let entry = TaskEntry { section: section.clone(), running: None };
        project.engine_mut(&section.engine, place)?.tasks.push(section.name.clone(), entry);
        Ok(())
    }

    /// Starts the tasks among `added` whose project runs.
    fn start_added(&mut self, added: &[Added]) -> Result<Vec<String>, Denied> {
        self.check_room(added.iter().filter(|object| self.would_start(object)).count())?;
        let machine = Arc::clone(&self.machine);
        let mut notes = Vec::new();
        for object in added {
            let Added::Task { project, engine, task } = object else { continue };
            let project = self.project_mut(project, String::new)?;
            if !project.started {
                continue;
            }
            let entry = project.engine(engine, String::new)?;
            let section = &project.task(entry, task, String::new)?.section;
            let ready = vec![prepare(&project.section, entry, section, &*machine)?];
            let new = all_notes(&ready).into_iter().filter(|note| !notes.contains(note));
            let new: Vec<String> = new.collect();
            notes.extend(new);
            let running = launch(ready)?.pop();
            if let Some(entry) = project.engine_mut(engine, String::new)?.tasks.get_mut(task) {
                entry.running = running;
            }
        }
        Ok(notes)
    }

    fn would_start(&self, added: &Added) -> bool {
        let Added::Task { project, .. } = added else { return false };
        self.projects.get(project).is_some_and(|project| project.started)
    }

    /// Deletes what is `listed`: tasks, then engines, then projects, stopping what runs. What is not there is
    /// reported; the rest is deleted all the same.
    pub(crate) fn delete(&mut self, listed: &ListedObjects) -> Result<(), Vec<Denied>> {
        let mut missing = Vec::new();
        for object in &listed.tasks {
            let at = || place(&listed.path, object.line);
            let found = self
                .project(&object.project, at)
                .and_then(|project| Ok((project, project.engine(&object.engine, at)?)))
                .and_then(|(project, engine)| project.task(engine, &object.name, at).map(|_| ()));
            match found {
                Ok(()) => self.remove(&Added::Task {
                    project: object.project.clone(),
                    engine: object.engine.clone(),
                    task: object.name.clone(),
                }),
                Err(denied) => missing.push(denied),
            }
        }
        for object in &listed.engines {
            let at = || place(&listed.path, object.line);
            let found = self
                .project(&object.project, at)
                .and_then(|project| project.engine(&object.name, at).map(|_| ()));
            match found {
                Ok(()) => self
                    .remove(&Added::Engine { project: object.project.clone(), engine: object.name.clone() }),
                Err(denied) => missing.push(denied),
            }
        }
        for object in &listed.projects {
            match self.project(&object.name, || place(&listed.path, object.line)).map(|_| ()) {
                Ok(()) => self.remove(&Added::Project(object.name.clone())),
                Err(denied) => missing.push(denied),
            }
        }
        if missing.is_empty() { Ok(()) } else { Err(missing) }
    }

    /// Deletes project `name` with all it has, stopping what runs.
    pub(crate) fn delete_project(&mut self, name: &Name) -> Result<(), Denied> {
        self.project(name, String::new)?;
        self.remove(&Added::Project(name.clone()));
        Ok(())
    }

    /// Removes something that is there, stopping what runs of it.
    fn remove(&mut self, object: &Added) {
        let mut workers = Vec::new();
        match object {
            Added::Project(name) => {
                workers
                    .extend(self.projects.remove(name).into_iter().flat_map(|mut gone| gone.take_workers()));
            }
            Added::Engine { project, engine } => {
                let project = self.projects.get_mut(project);
                let gone = project.and_then(|project| project.engines.remove(engine));
                workers.extend(gone.into_iter().flat_map(|mut gone| gone.take_workers()));
            }
            Added::Task { project, engine, task } => {
                let project = self.projects.get_mut(project);
                let engine = project.and_then(|project| project.engines.get_mut(engine));
                workers.extend(engine.and_then(|engine| Some(engine.tasks.remove(task)?.running?.worker)));
            }
        }
        self.let_go(workers);
    }
}
