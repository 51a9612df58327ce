//! Changing what there is into what a file says now: what is the same goes on untouched, and what can go on with what it
//! knows does so.
//!
//! A task goes on where its engine says that it can, from its next cycle on; else it begins again. A project with a plugin, and one
//! of which an engine changes, is made again as a whole. If anything of the file is refused, all is as it was before.

use super::add::with_process;
use super::deadline::{ANSWER_LIMIT, Deadline, STOP_LIMIT};
use super::delete::Object;
use super::denied::Denied;
use super::entries::{EngineEntry, Policy, ProjectEntry, Registry, Running};
use etmem_config::{ConfigFile, EngineSection, ProjectSection, TaskSection, WrittenGroup};
use etmem_core::kernel::process::Target;
use etmem_core::name::Name;
use etmem_engine::{Engine, Sections};
use std::path::Path;

/// What a file says of projects and tasks that are there, which change where they are.
#[derive(Debug, Default)]
struct Replaced {
    projects: Vec<ProjectSection>,
    tasks: Vec<TaskSection>,
}

/// What is to be done with the objects of a file.
#[derive(Debug, Default)]
struct Changes {
    /// Those that are not there.
    new: Option<ConfigFile>,
    replaced: Replaced,
    /// Projects that are made again.
    rebuilt: Vec<Name>,
    /// What is said of all that, a line each.
    lines: Vec<String>,
}

/// How to make things what they were.
#[derive(Debug, Default)]
struct Undo {
    replaced: Replaced,
    /// Projects that were removed, as a file would say them, and whether they were started.
    rebuilt: Vec<(ConfigFile, bool)>,
}

/// The names of what `file` lists, in the order in which it is added.
pub(crate) fn objects(file: &ConfigFile) -> Vec<Object> {
    let projects = file.projects.iter().map(|section| Object::Project(section.name.clone()));
    let engines = file
        .engines
        .iter()
        .map(|section| Object::Engine { project: section.project.clone(), engine: section.name.clone() });
    let tasks = file.tasks.iter().map(|section| Object::Task {
        project: section.project.clone(),
        engine: section.engine.clone(),
        task: section.name.clone(),
    });
    projects.chain(engines).chain(tasks).collect()
}

impl Registry {
    /// Makes what `file` lists what it says now. Returns what was done, a line each; if anything is refused, nothing.
    pub(crate) fn change(&mut self, file: &ConfigFile) -> Result<Vec<String>, Denied> {
        let mut changes = self.changes(file)?;
        let mut undo = Undo::default();
        match self.carry_out(&changes, file, &mut undo) {
            Ok(notes) => {
                changes.lines.extend(notes);
                Ok(changes.lines)
            }
            Err(denied) => {
                self.undo(undo);
                Err(denied)
            }
        }
    }

    /// Carries out `changes`; what has to be undone if a later step is refused goes to `undo`.
    fn carry_out(
        &mut self,
        changes: &Changes,
        file: &ConfigFile,
        undo: &mut Undo,
    ) -> Result<Vec<String>, Denied> {
        let mut notes = Vec::new();
        for project in &changes.rebuilt {
            notes.extend(self.rebuild(project, file, undo)?);
        }
        if !changes.replaced.is_empty() {
            undo.replaced = self.put(&changes.replaced);
            notes.extend(self.start_waiting(&Deadline::new(ANSWER_LIMIT))?);
        }
        if let Some(new) = &changes.new {
            notes.extend(self.add(new)?);
        }
        Ok(notes)
    }

    fn undo(&mut self, undo: Undo) {
        if !undo.replaced.is_empty() {
            self.put(&undo.replaced);
            // What ran before can run again.
            let _ = self.start_waiting(&Deadline::new(ANSWER_LIMIT));
        }
        for (was, started) in undo.rebuilt.iter().rev() {
            for project in &was.projects {
                self.remove(&Object::Project(project.name.clone()), &Deadline::new(STOP_LIMIT));
                if let Err(lost) = self.bring(was, &project.name, *started) {
                    tracing::error!(
                        "project {} cannot be added again as it was before: {lost}",
                        project.name
                    );
                }
            }
        }
    }

    /// What `change` would do, a line each.
    pub(crate) fn difference(&self, file: &ConfigFile) -> Result<Vec<String>, Denied> {
        self.changes(file).map(|changes| changes.lines)
    }

    /// Removes `object`, if it is there: what was removed, in words.
    pub(crate) fn remove_named(&mut self, object: &Object) -> Option<String> {
        self.find(object, String::new).ok()?;
        self.remove(object, &Deadline::new(STOP_LIMIT));
        Some(format!("removed {object}"))
    }

    /// Whether there is a project of that name.
    pub(crate) fn has_project(&self, name: &Name) -> bool {
        self.projects.contains(name)
    }

    fn changes(&self, file: &ConfigFile) -> Result<Changes, Denied> {
        let mut changes = Changes::default();
        let mut new = ConfigFile { warnings: Vec::new(), ..file.clone() };
        new.projects.retain(|section| !self.projects.contains(&section.name));
        new.engines.retain(|section| self.engine_section(section).is_none());
        new.tasks.retain(|section| self.task_section(section).is_none());
        for object in objects(&new) {
            changes.lines.push(format!("added {object}"));
        }
        for section in &file.projects {
            let Some(entry) = self.projects.get(&section.name) else { continue };
            if let Some(difference) = difference(&entry.section.written, &section.written) {
                changes.lines.push(format!("project {}: {difference}", section.name));
                changes.replaced.projects.push(section.clone());
            }
        }
        for section in &file.engines {
            let Some(before) = self.engine_section(section) else { continue };
            if let Some(difference) = difference(&before.written, &section.written) {
                let EngineSection { project, name, .. } = section;
                changes.lines.push(format!("engine {name} of project {project}: {difference}"));
                changes.rebuild(project);
            }
        }
        for section in &file.tasks {
            let Some(before) = self.task_section(section) else { continue };
            if let Some(difference) = difference(&before.written, &section.written) {
                let section = self.with_target(section, before, &file.path)?;
                let TaskSection { project, name, .. } = &section;
                changes.lines.push(format!("task {name} of project {project}: {difference}"));
                changes.replaced.tasks.push(section);
            }
        }
        let mut touched: Vec<Name> = changes.replaced.projects.iter().map(|one| one.name.clone()).collect();
        touched.extend(changes.replaced.tasks.iter().map(|one| one.project.clone()));
        for name in touched {
            let Some(entry) = self.projects.get(&name) else { continue };
            if entry.engines.iter().any(|engine| engine.hosted().is_some()) {
                changes.rebuild(&name);
            }
        }
        let Changes { replaced, rebuilt, .. } = &mut changes;
        for name in rebuilt.iter() {
            self.check_is_whole(name, file)?;
        }
        replaced.projects.retain(|one| !rebuilt.contains(&one.name));
        replaced.tasks.retain(|one| !rebuilt.contains(&one.project));
        new.engines.retain(|one| !rebuilt.contains(&one.project));
        new.tasks.retain(|one| !rebuilt.contains(&one.project));
        self.check(replaced, &new, &file.path)?;
        let ways = self.ways(replaced);
        changes.lines.extend(ways);
        for name in &changes.rebuilt {
            changes.lines.push(format!("project {name} is made again"));
        }
        let is_empty = new.projects.is_empty() && new.engines.is_empty() && new.tasks.is_empty();
        changes.new = (!is_empty).then_some(new);
        Ok(changes)
    }

    fn engine_section(&self, section: &EngineSection) -> Option<&EngineSection> {
        Some(&self.projects.get(&section.project)?.engines.get(&section.name)?.section)
    }

    fn task_section(&self, section: &TaskSection) -> Option<&TaskSection> {
        let engine = self.projects.get(&section.project)?.engines.get(&section.engine)?;
        Some(&engine.tasks.get(&section.name)?.section)
    }

    /// `section` with the process that the task means already, if it names the same one, or the one that has the number now.
    fn with_target(
        &self,
        section: &TaskSection,
        before: &TaskSection,
        path: &Path,
    ) -> Result<TaskSection, Denied> {
        match (&section.target, &before.target) {
            (Target::Pid(pid), Target::Process(known)) if known.pid == *pid => {
                Ok(TaskSection { target: before.target.clone(), ..section.clone() })
            }
            _ => with_process(section, &*self.machine, path),
        }
    }

    /// Whether the engines take what they are to be given.
    fn check(&self, replaced: &Replaced, new: &ConfigFile, path: &Path) -> Result<(), Denied> {
        for (_, project, engine, task) in self.affected(replaced) {
            engine.check_work(project, replaced.task(task).unwrap_or(task), path)?;
        }
        for task in &new.tasks {
            let Some(entry) = self.projects.get(&task.project) else { continue };
            if let Some(engine) = entry.engines.get(&task.engine) {
                engine.check_work(replaced.project(&entry.section), task, path)?;
            }
        }
        Ok(())
    }

    /// The tasks that `replaced` is about: with their project, what that is to be, and their engine.
    fn affected<'a>(
        &'a self,
        replaced: &'a Replaced,
    ) -> impl Iterator<Item = (&'a ProjectEntry, &'a ProjectSection, &'a EngineEntry, &'a TaskSection)> {
        let engines =
            self.projects.iter().flat_map(|entry| entry.engines.iter().map(move |engine| (entry, engine)));
        let tasks = engines
            .flat_map(|(entry, engine)| engine.tasks.iter().map(move |task| (entry, engine, &task.section)));
        tasks.filter_map(|(entry, engine, task)| {
            let project = replaced.project(&entry.section);
            let is_affected =
                !std::ptr::eq(project, &raw const entry.section) || replaced.task(task).is_some();
            is_affected.then_some((entry, project, engine, task))
        })
    }

    /// How each running task goes on, a line each.
    fn ways(&self, replaced: &Replaced) -> Vec<String> {
        let mut lines = Vec::new();
        for (entry, project, engine, task) in self.affected(replaced).filter(|(entry, ..)| entry.started) {
            if let Policy::BuiltIn(policy) = &engine.policy {
                let now = replaced.task(task).unwrap_or(task);
                let way = if goes_on(&**policy, (&entry.section, task), (project, now)) {
                    "goes on, and does so from its next cycle on"
                } else {
                    "begins again"
                };
                lines.push(format!("task {} of project {} {way}", task.name, project.name));
            }
        }
        lines
    }

    /// Puts `replaced` in the place of what is there, which is returned. A task that cannot go on stops, and waits to be started.
    fn put(&mut self, replaced: &Replaced) -> Replaced {
        let mut before = Replaced::default();
        for entry in self.projects.iter_mut().filter(|entry| replaced.is_about(&entry.section.name)) {
            let old = entry.section.clone();
            let project = replaced.project(&old);
            let is_other = !std::ptr::eq(project, &raw const old);
            if is_other {
                before.projects.push(std::mem::replace(&mut entry.section, project.clone()));
            }
            for engine in entry.engines.iter_mut() {
                let Policy::BuiltIn(policy) = &engine.policy else { continue };
                for task in engine.tasks.iter_mut() {
                    let section = replaced.task(&task.section);
                    if !is_other && section.is_none() {
                        continue;
                    }
                    let old_task = task.section.clone();
                    if let Some(section) = section {
                        before.tasks.push(std::mem::replace(&mut task.section, section.clone()));
                    }
                    let now = (&entry.section, &task.section);
                    match &task.running {
                        Some(Running::Worked { worker, .. })
                            if goes_on(&**policy, (&old, &old_task), now) =>
                        {
                            worker.change(now.0.clone(), now.1.clone());
                        }
                        _ => task.running = None,
                    }
                }
            }
        }
        before
    }

    /// Whether `file` lists all that the project `name` has.
    fn check_is_whole(&self, name: &Name, file: &ConfigFile) -> Result<(), Denied> {
        let Some(entry) = self.projects.get(name) else { return Ok(()) };
        let listed = objects(file);
        let missing = objects(&entry.as_file(&file.path)).into_iter().find(|object| !listed.contains(object));
        match missing {
            Some(missing) => Err(Denied::InPieces {
                place: format!("{}: ", file.path.display()),
                project: name.clone(),
                missing: missing.to_string(),
            }),
            None => Ok(()),
        }
    }

    /// Removes the project `name`, and adds and starts it as `file` says.
    fn rebuild(&mut self, name: &Name, file: &ConfigFile, undo: &mut Undo) -> Result<Vec<String>, Denied> {
        let Some(entry) = self.projects.get(name) else { return Ok(Vec::new()) };
        let started = entry.started;
        undo.rebuilt.push((entry.as_file(&file.path), started));
        let part = ConfigFile {
            path: file.path.clone(),
            projects: file.projects.iter().filter(|one| one.name == *name).cloned().collect(),
            engines: file.engines.iter().filter(|one| one.project == *name).cloned().collect(),
            tasks: file.tasks.iter().filter(|one| one.project == *name).cloned().collect(),
            warnings: Vec::new(),
        };
        let mut notes = self.remove(&Object::Project(name.clone()), &Deadline::new(STOP_LIMIT));
        notes.extend(self.bring(&part, name, started)?);
        Ok(notes)
    }

    /// Adds `part`, which is the project `name`, and starts it if it is to be `started`.
    fn bring(&mut self, part: &ConfigFile, name: &Name, started: bool) -> Result<Vec<String>, Denied> {
        let mut notes = self.add(part)?;
        if started {
            notes.extend(self.start(name)?);
        }
        Ok(notes)
    }
}

impl Changes {
    fn rebuild(&mut self, project: &Name) {
        if !self.rebuilt.contains(project) {
            self.rebuilt.push(project.clone());
        }
    }
}

impl Replaced {
    fn is_empty(&self) -> bool {
        self.projects.is_empty() && self.tasks.is_empty()
    }

    /// Whether anything is said of the project `name` or of a task of it.
    fn is_about(&self, name: &Name) -> bool {
        self.projects.iter().any(|one| one.name == *name) || self.tasks.iter().any(|one| one.project == *name)
    }

    /// What the project of `section` is to be; itself if nothing is said of it.
    fn project<'a>(&'a self, section: &'a ProjectSection) -> &'a ProjectSection {
        self.projects.iter().find(|one| one.name == section.name).unwrap_or(section)
    }

    /// What the task of `section` is to be, if anything is said of it.
    fn task(&self, section: &TaskSection) -> Option<&TaskSection> {
        let TaskSection { project, engine, name, .. } = section;
        self.tasks.iter().find(|one| one.name == *name && one.engine == *engine && one.project == *project)
    }
}

impl ProjectEntry {
    /// What a file would say of it.
    fn as_file(&self, path: &Path) -> ConfigFile {
        let engines = || self.engines.iter();
        ConfigFile {
            path: path.to_owned(),
            projects: vec![self.section.clone()],
            engines: engines().map(|engine| engine.section.clone()).collect(),
            tasks: engines()
                .flat_map(|engine| engine.tasks.iter().map(|task| task.section.clone()))
                .collect(),
            warnings: Vec::new(),
        }
    }
}

/// Whether a running task can go on.
fn goes_on(engine: &dyn Engine, before: Sections<'_>, now: Sections<'_>) -> bool {
    before.0.triggers == now.0.triggers && engine.can_change(before, now)
}

/// By what `now` differs from `before`, in words; none if it says the same.
fn difference(before: &WrittenGroup, now: &WrittenGroup) -> Option<String> {
    let (before, now) = (before.each_key_once(), now.each_key_once());
    if before == now {
        return None;
    }
    let value = |pairs: &[(String, String)], key: &str| {
        pairs.iter().find(|(one, _)| one == key).map(|(_, value)| value.clone())
    };
    let mut keys: Vec<&String> = before.iter().chain(&now).map(|(key, _)| key).collect();
    keys.sort();
    keys.dedup();
    let words = keys.into_iter().filter_map(|key| match (value(&before, key), value(&now, key)) {
        (Some(old), Some(new)) if old == new => None,
        (Some(old), Some(new)) => Some(format!("{key}={old} is {key}={new} now")),
        (None, Some(new)) => Some(format!("{key}={new} is new")),
        (Some(old), None) => Some(format!("{key}={old} is gone")),
        (None, None) => None,
    });
    Some(words.collect::<Vec<_>>().join(", "))
}
