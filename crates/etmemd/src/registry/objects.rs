//! Adding what a file lists, all or nothing, and deleting it, as much as there is.

use super::hosting::{ANSWER_LIMIT, Deadline, STOP_LIMIT, Starts};
use super::named::Named;
use super::{
    Denied, EngineEntry, Policy, ProjectEntry, Registry, Running, TaskEntry, all_notes, launch, prepare,
};
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
        let deadline = Deadline::new(ANSWER_LIMIT);
        let result =
            self.add_all(file, &mut added, &deadline).and_then(|()| self.start_added(&added, &deadline));
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
        added: &mut Vec<Added>,
        deadline: &Deadline,
    ) -> Result<(), Denied> {
        for section in &file.projects {
            self.add_project(section, || place(&file.path, section.line))?;
            added.push(Added::Project(section.name.clone()));
        }
        for section in &file.engines {
            self.add_engine(section, deadline, || place(&file.path, section.line))?;
            added.push(Added::Engine { project: section.project.clone(), engine: section.name.clone() });
        }
        for section in &file.tasks {
            self.add_task(section, deadline, &file.path)?;
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
        if let Policy::BuiltIn(engine) = &engine.policy {
            engine
                .work(&project.section, section)
                .map_err(|error| Denied::Engine { place: error.key().map_or_else(place, place_of), error })?;
        }
        let mut section = section.clone();
        if let Target::Pid(pid) = section.target {
            // Whoever is given the number later is not meant.
            section.target = Target::Process(machine.processes().check(pid).map_err(|error| {
                Denied::Target { place: place_of("value"), value: pid.to_string(), error }
            })?);
        }
        if let Policy::Hosted(engine) = &engine.policy {
            engine
                .add_task(&section, deadline.left())
                .map_err(|refusal| Denied::Hosted { place: place(), refusal })?;
        }
        let (engine, name) = (section.engine.clone(), section.name.clone());
        project.engine_mut(&engine, place)?.tasks.push(name, TaskEntry { section, running: None });
        Ok(())
    }

    /// Starts the tasks among `added` whose project runs.
    fn start_added(&mut self, added: &[Added], deadline: &Deadline) -> Result<Vec<String>, Denied> {
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
            let running = match &entry.policy {
                Policy::BuiltIn(engine) => {
                    let ready = vec![prepare(&project.section, &**engine, section, &*machine)?];
                    let new = all_notes(&ready).into_iter().filter(|note| !notes.contains(note));
                    let new: Vec<String> = new.collect();
                    notes.extend(new);
                    launch(ready)?.pop()
                }
                Policy::Hosted(engine) => {
                    notes.extend(Starts::new(&*machine, deadline).start(
                        &project.section,
                        engine,
                        section,
                    )?);
                    Some(Running::Hosted)
                }
            };
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
    /// reported; the rest is deleted all the same. Returns what a person should know, a line each.
    pub(crate) fn delete(&mut self, listed: &ListedObjects) -> Result<Vec<String>, Vec<Denied>> {
        let (mut missing, mut late) = (Vec::new(), Vec::new());
        let deadline = Deadline::new(STOP_LIMIT);
        for object in &listed.tasks {
            let at = || place(&listed.path, object.line);
            let found = self
                .project(&object.project, at)
                .and_then(|project| Ok((project, project.engine(&object.engine, at)?)))
                .and_then(|(project, engine)| project.task(engine, &object.name, at).map(|_| ()));
            match found {
                Ok(()) => {
                    let task = Added::Task {
                        project: object.project.clone(),
                        engine: object.engine.clone(),
                        task: object.name.clone(),
                    };
                    late.extend(self.remove(&task, &deadline));
                }
                Err(denied) => missing.push(denied),
            }
        }
        for object in &listed.engines {
            let at = || place(&listed.path, object.line);
            let found = self
                .project(&object.project, at)
                .and_then(|project| project.engine(&object.name, at).map(|_| ()));
            match found {
                Ok(()) => {
                    let engine =
                        Added::Engine { project: object.project.clone(), engine: object.name.clone() };
                    late.extend(self.remove(&engine, &deadline));
                }
                Err(denied) => missing.push(denied),
            }
        }
        for object in &listed.projects {
            match self.project(&object.name, || place(&listed.path, object.line)).map(|_| ()) {
                Ok(()) => late.extend(self.remove(&Added::Project(object.name.clone()), &deadline)),
                Err(denied) => missing.push(denied),
            }
        }
        if missing.is_empty() { Ok(late) } else { Err(missing) }
    }

    /// Deletes project `name` with all it has, stopping what runs. Returns what a person should know, a line each.
    pub(crate) fn delete_project(&mut self, name: &Name) -> Result<Vec<String>, Denied> {
        self.project(name, String::new)?;
        Ok(self.remove(&Added::Project(name.clone()), &Deadline::new(STOP_LIMIT)))
    }

    /// Removes something that is there, stopping what runs of it; says what hosted engines have not done yet.
    fn remove(&mut self, object: &Added, deadline: &Deadline) -> Vec<String> {
        let mut late = Vec::new();
        match object {
            Added::Project(name) => {
                let Some(mut gone) = self.projects.remove(name) else { return late };
                self.let_go(gone.take_workers());
                late.extend(gone.stop_hosted(deadline));
                late.extend(gone.close_hosted(deadline));
            }
            Added::Engine { project, engine } => {
                let project = self.projects.get_mut(project);
                let Some(mut gone) = project.and_then(|project| project.engines.remove(engine)) else {
                    return late;
                };
                self.let_go(gone.take_workers());
                late.extend(gone.stop_hosted(deadline));
                late.extend(gone.close_hosted(deadline));
            }
            Added::Task { project, engine, task } => {
                let project = self.projects.get_mut(project);
                let Some(engine) = project.and_then(|project| project.engines.get_mut(engine)) else {
                    return late;
                };
                let Some(mut gone) = engine.tasks.remove(task) else { return late };
                let worker = gone.take_worker();
                late.extend(engine.remove_hosted(&mut gone, deadline));
                self.let_go(worker.into_iter().collect());
            }
        }
        late.sort();
        late.dedup();
        late
    }
}
