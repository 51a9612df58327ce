//! Projects, their engines, their tasks: what there is, what runs, and what may be done with it.
//!
//! Each request is carried out, or denied with a reason ([`Denied`]), in which case nothing has changed. There is
//! no socket here and no runtime: tests step it by hand.

mod denied;
mod lookup;
mod named;
mod objects;
#[cfg(test)]
mod tests;

pub(crate) use denied::Denied;

use named::Named;

use crate::machine::Machine;
use crate::worker::Worker;
use etmem_config::{EngineSection, ProjectSection, TaskSection};
use etmem_core::kernel::pacer::Pacer;
use etmem_core::kernel::process::Target;
use etmem_core::kernel::wishes::{Choice, Chosen};
use etmem_core::name::Name;
use etmem_engine::{Engine, Turns, Work};
use etmem_linux::pacer::SystemPacer;
use etmem_wire::{ShownEngine, ShownProject, ShownTask};
use std::sync::Arc;
use std::time::Duration;
use tracing::info;

/// Most tasks that run at once: each has a thread, and looks through all processes at its start.
const RUNNING_MAX: usize = 1024;

/// How often a shut-down looks whether the tasks have ended.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// Everything that was added.
#[derive(Debug)]
pub(crate) struct Registry {
    machine: Arc<dyn Machine>,
    turns: Turns,
    projects: Named<ProjectEntry>,
    /// Tasks that were asked to stop and may not have ended yet.
    leaving: Vec<Worker>,
}

#[derive(Debug)]
struct ProjectEntry {
    section: ProjectSection,
    engines: Named<EngineEntry>,
    started: bool,
}

#[derive(Debug)]
struct EngineEntry {
    section: EngineSection,
    engine: Box<dyn Engine>,
    tasks: Named<TaskEntry>,
}

#[derive(Debug)]
struct TaskEntry {
    section: TaskSection,
    running: Option<Running>,
}

/// A task that runs.
#[derive(Debug)]
struct Running {
    worker: Worker,
    /// How it sees, how it moves, and why so.
    probe: Choice,
    mover: Choice,
    /// What was decided for all tasks of its engine.
    decisions: Vec<String>,
}

/// A task about to start.
struct Ready {
    label: String,
    work: Box<dyn Work>,
    chosen: Chosen,
    decisions: Vec<String>,
}

impl Registry {
    /// An empty registry on `machine`.
    pub(crate) fn new(machine: Arc<dyn Machine>) -> Self {
        Self { machine, turns: Turns::default(), projects: Named::default(), leaving: Vec::new() }
    }

    /// Starts every task of project `name`. Returns what a person should know, a line each.
    pub(crate) fn start(&mut self, name: &Name) -> Result<Vec<String>, Denied> {
        self.forget_ended();
        let project = self.project(name, String::new)?;
        if project.started {
            return Err(Denied::Started(name.clone()));
        }
        self.check_room(project.engines.iter().map(|engine| engine.tasks.iter().count()).sum())?;
        let machine = Arc::clone(&self.machine);
        let project = self.project_mut(name, String::new)?;
        let mut ready = Vec::new();
        for engine in project.engines.iter() {
            for task in engine.tasks.iter() {
                ready.push(prepare(&project.section, engine, &task.section, &*machine)?);
            }
        }
        let mut notes = all_notes(&ready);
        if ready.is_empty() {
            notes.push(format!("project {name} has no task yet"));
        }
        let mut launched = launch(ready)?.into_iter();
        for task in project.engines.iter_mut().flat_map(|engine| engine.tasks.iter_mut()) {
            task.running = launched.next();
        }
        project.started = true;
        Ok(notes)
    }

    /// Stops every task of project `name`: asks, and does not wait.
    pub(crate) fn stop(&mut self, name: &Name) -> Result<(), Denied> {
        let project = self.project_mut(name, String::new)?;
        if !project.started {
            return Err(Denied::Stopped(name.clone()));
        }
        project.started = false;
        let workers = project.take_workers();
        self.let_go(workers);
        Ok(())
    }

    /// The projects to show, newest first: all, or the one named; where `verbose`, with how each task sees and moves.
    pub(crate) fn show(&self, name: Option<&Name>, verbose: bool) -> Vec<ShownProject> {
        let wanted = self.projects.iter().rev();
        let wanted = wanted.filter(|project| name.is_none_or(|name| project.section.name == *name));
        wanted.map(|project| shown(project, verbose)).collect()
    }

    /// Passes an engine command on.
    pub(crate) fn command(
        &self,
        project: &Name,
        engine: &Name,
        command: &str,
        task: Option<&Name>,
    ) -> Result<String, Denied> {
        let entry = self.project(project, String::new)?;
        let engine = entry.engine(engine, String::new)?;
        if let Some(task) = task {
            entry.task(engine, task, String::new)?;
        }
        if !entry.started {
            return Err(Denied::NotRunning(project.clone()));
        }
        if engine.tasks.is_empty() {
            return Err(Denied::NoTask { project: project.clone(), engine: engine.section.name.clone() });
        }
        engine.engine.command(task, command).map_err(Denied::Command)
    }

    /// Stops everything; returns when all has ended, at the latest after `deadline`.
    pub(crate) fn shut_down(mut self, deadline: Duration) {
        let workers: Vec<Worker> =
            self.projects.iter_mut().flat_map(|project| project.take_workers()).collect();
        self.let_go(workers);
        let clock = SystemPacer::new();
        let end = clock.now() + deadline;
        while self.leaving.iter().any(|worker| !worker.has_ended()) && clock.now() < end {
            let _ = clock.pause(LOOK_AGAIN);
        }
    }

    fn running(&self) -> usize {
        let tasks =
            self.projects.iter().flat_map(|project| project.engines.iter()).flat_map(|e| e.tasks.iter());
        tasks.filter(|task| task.running.is_some()).count()
    }

    /// Whether `wanted` more tasks may run.
    fn check_room(&self, wanted: usize) -> Result<(), Denied> {
        let running = self.running();
        if running + wanted > RUNNING_MAX {
            return Err(Denied::TooMany { wanted, running, most: RUNNING_MAX });
        }
        Ok(())
    }

    fn let_go(&mut self, workers: Vec<Worker>) {
        workers.iter().for_each(Worker::ask_to_stop);
        self.leaving.extend(workers);
        self.forget_ended();
    }

    fn forget_ended(&mut self) {
        self.leaving.retain(|worker| !worker.has_ended());
    }
}

impl ProjectEntry {
    fn take_workers(&mut self) -> Vec<Worker> {
        self.engines.iter_mut().rev().flat_map(EngineEntry::take_workers).collect()
    }
}

impl EngineEntry {
    fn take_workers(&mut self) -> Vec<Worker> {
        let tasks = self.tasks.iter_mut().rev();
        tasks.filter_map(|task| task.running.take()).map(|running| running.worker).collect()
    }
}

/// What a person should know of tasks about to start; what holds for several of them once.
fn all_notes(ready: &[Ready]) -> Vec<String> {
    let mut notes: Vec<String> = Vec::new();
    for Ready { work, chosen, decisions, .. } in ready {
        let new = decisions.iter().filter(|decision| !notes.contains(decision));
        let new: Vec<String> = new.cloned().collect();
        notes.extend(new);
        notes.extend(work.notes(&chosen.kernel));
    }
    notes
}

/// Makes the work of a task and chooses its probe and mover.
fn prepare(
    project: &ProjectSection,
    engine: &EngineEntry,
    task: &TaskSection,
    machine: &dyn Machine,
) -> Result<Ready, Denied> {
    let mut work =
        engine.engine.work(project, task).map_err(|error| Denied::Engine { place: String::new(), error })?;
    let label = format!("project {} task {}", project.name, task.name);
    let chosen =
        machine.kernel(&work.wishes()).map_err(|reason| Denied::Machine(format!("{label}: {reason}")))?;
    work.prepare(&chosen.kernel).map_err(|error| Denied::Engine { place: String::new(), error })?;
    info!("{label}: probe {}, mover {}", chosen.probe, chosen.mover);
    let decisions = work.decisions(&chosen.kernel);
    for decision in &decisions {
        info!("{label}: {decision}");
    }
    Ok(Ready { label, work, chosen, decisions })
}

/// Starts all of `ready`, or none.
fn launch(ready: Vec<Ready>) -> Result<Vec<Running>, Denied> {
    let mut launched: Vec<Running> = Vec::new();
    for Ready { label, work, chosen: Chosen { kernel, probe, mover }, decisions } in ready {
        match Worker::start(label, work, kernel) {
            Ok(worker) => launched.push(Running { worker, probe, mover, decisions }),
            Err(error) => {
                launched.iter().for_each(|running| running.worker.ask_to_stop());
                return Err(Denied::Machine(format!("cannot start a thread: {error}")));
            }
        }
    }
    Ok(launched)
}

fn shown(project: &ProjectEntry, verbose: bool) -> ShownProject {
    let engines = project.engines.iter().rev().map(|engine| ShownEngine {
        name: engine.section.name.clone(),
        tasks: engine.tasks.iter().rev().map(|task| shown_task(&task.section)).collect(),
    });
    let tasks = || project.engines.iter().rev().flat_map(|engine| engine.tasks.iter().rev());
    ShownProject {
        name: project.section.name.clone(),
        started: project.started,
        engines: engines.collect(),
        remarks: if verbose { tasks().map(remark).chain(decisions(tasks())).collect() } else { Vec::new() },
    }
}

/// What was decided for engines as a whole, each line once.
fn decisions<'a>(tasks: impl Iterator<Item = &'a TaskEntry>) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for line in tasks.filter_map(|task| task.running.as_ref()).flat_map(|running| &running.decisions) {
        if !lines.contains(line) {
            lines.push(line.clone());
        }
    }
    lines
}

fn remark(task: &TaskEntry) -> String {
    let name = &task.section.name;
    match &task.running {
        Some(Running { probe, mover, .. }) => format!("task {name}: tracker {probe}, mover {mover}"),
        None => format!("task {name}: not started"),
    }
}

fn shown_task(task: &TaskSection) -> ShownTask {
    let (kind, value) = match &task.target {
        Target::Pid(pid) => ("pid", pid.to_string()),
        Target::Comm(comm) => ("name", comm.to_string()),
    };
    ShownTask { kind: kind.to_owned(), value, name: task.name.clone() }
}
