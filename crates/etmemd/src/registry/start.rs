//! Starting and stopping tasks.
//!
//! A start is one of all or of none: everything is prepared, then started, and what was started is stopped again when
//! something cannot be. A stop does not wait for workers, and for hosted engines a little.

use super::deadline::{ANSWER_LIMIT, Deadline, STOP_LIMIT};
use super::denied::Denied;
use super::entries::{EngineEntry, Policy, ProjectEntry, Registry, Running, TaskEntry};
use super::hosting;
use super::overlaps;
use crate::machine::Machine;
use crate::ports::Ports;
use crate::rest::Rest;
use crate::task_memory::TaskMemory;
use crate::wait_group::WaitGroup;
use crate::worker::Worker;
use etmem_config::{ProjectSection, TaskSection};
use etmem_core::name::Name;
use etmem_engine::{Engine, TaskRunner};
use std::sync::Arc;
use std::time::Duration;
use tracing::info;

/// Most tasks that run at once: each has a thread, and looks through all processes at its start.
const RUNNING_MAX: usize = 1024;

/// A task that is about to start.
struct Ready {
    label: String,
    work: Box<dyn TaskRunner>,
    ports: Ports,
    rest: Rest,
    memory: Option<TaskMemory>,
    decisions: Vec<String>,
}

impl Registry {
    /// Starts every task of project `name`. Returns what a person should know, a line each.
    pub(crate) fn start(&mut self, name: &Name) -> Result<Vec<String>, Denied> {
        let project = self.project_mut(name, String::new)?;
        if project.started {
            return Err(Denied::Started(name.clone()));
        }
        project.started = true;
        let started = self.start_waiting(&Deadline::new(ANSWER_LIMIT));
        let project = self.project_mut(name, String::new)?;
        project.started = started.is_ok();
        let mut notes = started?;
        hosting::runs(&project.engines, true);
        if project.engines.iter().all(|engine| engine.tasks.is_empty()) {
            notes.push(format!("project {name} has no task yet"));
        }
        Ok(notes)
    }

    /// Starts the tasks of started projects that do not run: all of them, or none. Returns what a person should know,
    /// a line each.
    pub(super) fn start_waiting(&mut self, deadline: &Deadline) -> Result<Vec<String>, Denied> {
        self.check_room()?;
        let (mut ready, mut hosted) = (Vec::new(), Vec::new());
        for (ProjectEntry { section: project, .. }, engine, TaskEntry { section: task, .. }) in self.waiting()
        {
            match &engine.policy {
                Policy::BuiltIn(engine) => ready.push(prepare(project, &**engine, task, &self.machine)?),
                Policy::Hosted(engine) => hosted.push((project, engine, task)),
            }
        }
        let mut notes = all_notes(&ready);
        notes.extend(overlaps::notes(self));
        let mut begun = 0;
        let started = hosted.iter().try_for_each(|(project, engine, task)| {
            notes.extend(hosting::start(&*self.machine, project, &***engine, task, deadline)?);
            if !project.triggers.is_empty() {
                notes.push(format!(
                    "task {}: trigger= has no effect, as its plugin decides when it works",
                    task.name
                ));
            }
            begun += 1;
            Ok(())
        });
        match started.and_then(|()| launch(ready, &self.threads)) {
            Ok(launched) => self.keep(launched),
            Err(denied) => {
                // The newest first.
                let deadline = Deadline::new(STOP_LIMIT);
                for (_, engine, task) in hosted[..begun].iter().rev() {
                    engine.stop_task(&task.name);
                    engine.settle(deadline.left());
                }
                return Err(denied);
            }
        }
        Ok(notes)
    }

    /// The tasks of started projects that do not run.
    fn waiting(&self) -> impl Iterator<Item = (&ProjectEntry, &EngineEntry, &TaskEntry)> {
        let engines = self.projects.iter().filter(|project| project.started).flat_map(|project| {
            let engines = project.engines.iter();
            engines.map(move |engine| (project, engine))
        });
        engines.flat_map(|(project, engine)| {
            let tasks = engine.tasks.iter().filter(|task| task.running.is_none());
            tasks.map(move |task| (project, engine, task))
        })
    }

    /// The tasks that waited run now: those of built-in engines as `launched`, in their order.
    fn keep(&mut self, launched: Vec<Running>) {
        let mut launched = launched.into_iter();
        let projects = self.projects.iter_mut().filter(|project| project.started);
        for engine in projects.flat_map(|project| project.engines.iter_mut()) {
            let is_hosted = engine.hosted().is_some();
            for task in engine.tasks.iter_mut().filter(|task| task.running.is_none()) {
                task.running = if is_hosted { Some(Running::Hosted) } else { launched.next() };
            }
        }
    }

    /// Stops every task of project `name`. Returns what a person should know, a line each.
    pub(crate) fn stop(&mut self, name: &Name) -> Result<Vec<String>, Denied> {
        let project = self.project_mut(name, String::new)?;
        if !project.started {
            return Err(Denied::Stopped(name.clone()));
        }
        project.started = false;
        project.stop_workers();
        Ok(project.stop_hosted(&Deadline::new(STOP_LIMIT)))
    }

    /// Stops everything; returns when all has ended, at the latest after `limit`.
    pub(crate) fn shut_down(mut self, limit: Duration) {
        let deadline = Deadline::new(limit);
        self.projects.iter().for_each(ProjectEntry::keep_tasks);
        self.projects.iter_mut().for_each(ProjectEntry::stop_workers);
        for project in self.projects.iter_mut().rev() {
            project.stop_hosted(&deadline);
            project.close_hosted(&deadline);
        }
        self.threads.wait(deadline.left());
    }

    pub(super) fn running(&self) -> usize {
        let engines = self.projects.iter().flat_map(|project| project.engines.iter());
        engines.flat_map(|engine| engine.tasks.iter()).filter(|task| task.running.is_some()).count()
    }

    /// Whether as many tasks may run as are to.
    fn check_room(&self) -> Result<(), Denied> {
        let (wanted, running) = (self.waiting().count(), self.running());
        if running + wanted > RUNNING_MAX {
            return Err(Denied::TooMany { wanted, running, most: RUNNING_MAX });
        }
        Ok(())
    }
}

impl ProjectEntry {
    /// What all workers know is for the next daemon.
    fn keep_tasks(&self) {
        for task in self.engines.iter().flat_map(|engine| engine.tasks.iter()) {
            if let Some(Running::Worked { worker, .. }) = &task.running {
                worker.keep();
            }
        }
    }

    /// Asks all workers to stop.
    pub(super) fn stop_workers(&mut self) {
        for engine in self.engines.iter_mut().filter(|engine| engine.hosted().is_none()) {
            engine.tasks.iter_mut().for_each(|task| task.running = None);
        }
    }
}

/// What a person should know of tasks about to start; what holds for several of them once.
fn all_notes(ready: &[Ready]) -> Vec<String> {
    let mut notes: Vec<String> = Vec::new();
    for Ready { work, ports, rest, decisions, .. } in ready {
        let new = decisions.iter().filter(|decision| !notes.contains(decision));
        let new: Vec<String> = new.cloned().collect();
        notes.extend(new);
        let faults = rest.triggers().into_iter().filter_map(|trigger| trigger.note());
        let new: Vec<String> = faults.filter(|fault| !notes.contains(fault)).collect();
        notes.extend(new);
        notes.extend(work.notes(&ports.chosen.kernel));
    }
    notes
}

/// Makes the work of a task and chooses its probe and mover.
fn prepare(
    project: &ProjectSection,
    engine: &dyn Engine,
    task: &TaskSection,
    machine: &Arc<dyn Machine>,
) -> Result<Ready, Denied> {
    let mut work =
        engine.work(project, task).map_err(|error| Denied::Engine { place: String::new(), error })?;
    let label = hosting::label(project, task);
    let denied = |reason| Denied::Machine(format!("{label}: {reason}"));
    let mut ports = Ports::choose(machine, &mut *work).map_err(denied)?;
    // What the machine has may be found out by setting something for a moment.
    ports.record(&*work).map_err(denied)?;
    let denied = |reason| Denied::Machine(format!("{label}: {reason}"));
    let chosen = &ports.chosen;
    work.prepare(&chosen.kernel).map_err(|error| Denied::Engine { place: String::new(), error })?;
    info!("{label}: probe {}, mover {}", chosen.probe, chosen.mover);
    let decisions = work.decisions(&chosen.kernel);
    for decision in &decisions {
        info!("{label}: {decision}");
    }
    let name = file_name(project, task);
    ports.listen(&*work, &name).map_err(denied)?;
    let memory = machine.task_memory(&name);
    let rest = rest(project, machine).map_err(|reason| Denied::Machine(format!("{label}: {reason}")))?;
    Ok(Ready { label, work, ports, rest, memory, decisions })
}

/// What the files of `task` are called, its socket and its memory: its project's name and its own, with a point between them and in neither.
fn file_name(project: &ProjectSection, task: &TaskSection) -> String {
    let plain = |name: &Name| name.as_str().replace('%', "%25").replace('.', "%2E").replace('/', "%2F");
    format!("{}.{}", plain(&project.name), plain(&task.name))
}

/// What a task of `project` waits on between two cycles.
fn rest(project: &ProjectSection, machine: &Arc<dyn Machine>) -> Result<Rest, String> {
    if project.triggers.is_empty() {
        return Ok(Rest::default());
    }
    let wait = machine.triggers(&project.triggers);
    let wait = wait.map_err(|error| format!("its triggers cannot be watched: {error}"))?;
    Ok(Rest::on(project.triggers.clone(), wait))
}

/// Starts all of `ready`, or none.
fn launch(ready: Vec<Ready>, threads: &WaitGroup) -> Result<Vec<Running>, Denied> {
    let launch = |Ready { label, work, ports, rest, memory, decisions }| {
        let worker = Worker::start(label, work, ports, rest, memory, threads.member())
            .map_err(|error| Denied::Machine(format!("cannot start a thread: {error}")))?;
        Ok(Running::Worked { worker, decisions })
    };
    ready.into_iter().map(launch).collect()
}
