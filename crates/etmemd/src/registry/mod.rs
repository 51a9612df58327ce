//! Projects, their engines, their tasks: what there is, what runs, and what may be done with it.
//!
//! Each request is carried out, or denied with a reason ([`Denied`]), in which case nothing has changed. There is
//! no socket here and no runtime: tests step it by hand.

mod denied;
mod hosting;
#[cfg(test)]
mod hosting_tests;
mod lookup;
mod named;
mod objects;
#[cfg(test)]
mod tests;

pub(crate) use denied::Denied;

use hosting::{ANSWER_LIMIT, Deadline, STOP_LIMIT, Starts};
use named::Named;

use crate::cleanup_records::CleanupRecord;
use crate::machine::{Machine, Sets};
use crate::task_show::{ShownRun, ShownRunning, ShownWork};
use crate::worker::Worker;
use etmem_config::{EngineSection, ProjectSection, TaskSection};
use etmem_core::kernel::pacer::Pacer;
use etmem_core::kernel::wishes::{Choice, Chosen, Tracker};
use etmem_core::name::Name;
use etmem_engine::{Engine, Hosted, Question, ScanLocks, TaskRunner};
use etmem_linux::pacer::SystemPacer;
use etmem_plugin::SharedProject;
use etmem_wire::{ShownEngine, ShownProject, ShownTask};
use std::sync::Arc;
use std::time::Duration;
use tracing::info;

/// Most tasks that run at once: each has a thread, and looks through all processes at its start.
const RUNNING_MAX: usize = 1024;

/// How often a shut-down looks whether the tasks have ended.
pub(crate) const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// Longer than any request takes: plugins may be waited for, to be added or started and then to be taken back.
pub(crate) const LONGEST_REQUEST: Duration =
    ANSWER_LIMIT.saturating_add(STOP_LIMIT).saturating_add(Duration::from_secs(2));

/// Everything that was added.
#[derive(Debug)]
pub(crate) struct Registry {
    machine: Arc<dyn Machine>,
    scan_locks: ScanLocks,
    projects: Named<ProjectEntry>,
    /// Tasks that were asked to stop and may not have ended yet.
    leaving: Vec<Worker>,
}

#[derive(Debug)]
struct ProjectEntry {
    section: ProjectSection,
    engines: Named<EngineEntry>,
    /// What its plugins have in common.
    shared: Arc<SharedProject>,
    started: bool,
}

#[derive(Debug)]
struct EngineEntry {
    section: EngineSection,
    policy: Policy,
    tasks: Named<TaskEntry>,
}

/// Whose policy an engine follows.
#[derive(Debug)]
enum Policy {
    /// One of ours, whose tasks have a worker each.
    BuiltIn(Box<dyn Engine>),
    /// One from outside, which is told what becomes of its tasks.
    Hosted(Arc<dyn Hosted>),
}

#[derive(Debug)]
struct TaskEntry {
    section: TaskSection,
    running: Option<Running>,
}

/// A task that runs.
#[derive(Debug)]
enum Running {
    /// Here.
    Worked {
        worker: Worker,
        /// How it sees, how it moves, and why so.
        probe: Choice,
        mover: Choice,
        /// What was decided for all tasks of its engine.
        decisions: Vec<String>,
    },
    /// By its engine, which is a hosted one.
    Hosted,
}

impl Running {
    /// Asks a worker to stop; an engine is told in another way.
    fn ask_to_stop(&self) {
        match self {
            Self::Worked { worker, .. } => worker.ask_to_stop(),
            Self::Hosted => {}
        }
    }
}

/// The answer to an engine command.
pub(crate) enum Answer {
    /// It is there.
    Text(String),
    /// It takes time, and is not to be waited for by others.
    Asked(Question),
}

/// A task about to start.
struct Ready {
    label: String,
    work: Box<dyn TaskRunner>,
    chosen: Chosen,
    decisions: Vec<String>,
    records: Vec<CleanupRecord>,
}

impl Registry {
    /// An empty registry on `machine`.
    pub(crate) fn new(machine: Arc<dyn Machine>) -> Self {
        Self { machine, scan_locks: ScanLocks::default(), projects: Named::default(), leaving: Vec::new() }
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
        let (mut ready, mut hosted) = (Vec::new(), Vec::new());
        for engine in project.engines.iter() {
            for task in engine.tasks.iter() {
                match &engine.policy {
                    Policy::BuiltIn(engine) => {
                        ready.push(prepare(&project.section, &**engine, &task.section, &*machine)?);
                    }
                    Policy::Hosted(engine) => hosted.push((engine, &task.section)),
                }
            }
        }
        let mut notes = all_notes(&ready);
        if ready.is_empty() && hosted.is_empty() {
            notes.push(format!("project {name} has no task yet"));
        }
        let deadline = Deadline::new(ANSWER_LIMIT);
        let mut starts = Starts::new(&*machine, &deadline);
        let started = hosted
            .into_iter()
            .try_for_each(|(engine, task)| {
                notes.extend(starts.start(&project.section, engine, task)?);
                Ok(())
            })
            .and_then(|()| launch(ready));
        let mut launched = match started {
            Ok(launched) => launched.into_iter(),
            Err(denied) => {
                starts.take_back();
                return Err(denied);
            }
        };
        for engine in project.engines.iter_mut() {
            let hosted = engine.hosted().is_some();
            for task in engine.tasks.iter_mut() {
                task.running = if hosted { Some(Running::Hosted) } else { launched.next() };
            }
        }
        project.started = true;
        hosting::runs(&project.engines, true);
        Ok(notes)
    }

    /// Stops every task of project `name`: asks, and does not wait, but for hosted ones a little. Returns what a
    /// person should know, a line each.
    pub(crate) fn stop(&mut self, name: &Name) -> Result<Vec<String>, Denied> {
        let project = self.project_mut(name, String::new)?;
        if !project.started {
            return Err(Denied::Stopped(name.clone()));
        }
        project.started = false;
        let workers = project.take_workers();
        workers.iter().for_each(Worker::ask_to_stop);
        let late = project.stop_hosted(&Deadline::new(STOP_LIMIT));
        self.let_go(workers);
        Ok(late)
    }

    /// The projects to show, newest first: all, or the one named; where `verbose`, with how each task sees and moves.
    pub(crate) fn show(&self, name: Option<&Name>, verbose: bool) -> Vec<ShownProject<'_>> {
        let wanted = self.projects.iter().rev();
        let wanted = wanted.filter(|project| name.is_none_or(|name| project.section.name == *name));
        wanted.map(|project| shown(project, verbose)).collect()
    }

    /// The tasks of `project`, or those of them that are called `task`, newest first. Waits for none of them.
    pub(crate) fn tasks(&self, project: &Name, task: Option<&Name>) -> Result<Vec<ShownWork>, Denied> {
        let entry = self.project(project, String::new)?;
        let all = entry.engines.iter().rev().flat_map(|engine| {
            let tasks = engine.tasks.iter().rev();
            let wanted = tasks.filter(|entry| task.is_none_or(|name| entry.section.name == *name));
            wanted.map(|task| task.shown_work(engine))
        });
        let wanted: Vec<ShownWork> = all.collect();
        match task {
            Some(name) if wanted.is_empty() => {
                Err(Denied::NoTaskOfProject { project: project.clone(), name: name.clone() })
            }
            Some(_) | None => Ok(wanted),
        }
    }

    /// Passes an engine command on.
    pub(crate) fn command(
        &self,
        project: &Name,
        engine: &Name,
        command: &str,
        task: Option<&Name>,
    ) -> Result<Answer, Denied> {
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
        match &engine.policy {
            Policy::BuiltIn(engine) => {
                engine.command(task, command).map(Answer::Text).map_err(Denied::Command)
            }
            Policy::Hosted(engine) => Ok(Answer::Asked(engine.question(task, command))),
        }
    }

    /// Stops everything; returns when all has ended, at the latest after `deadline`.
    pub(crate) fn shut_down(mut self, deadline: Duration) {
        let workers: Vec<Worker> =
            self.projects.iter_mut().flat_map(|project| project.take_workers()).collect();
        self.let_go(workers);
        let deadline = Deadline::new(deadline);
        for project in self.projects.iter_mut().rev() {
            project.stop_hosted(&deadline);
            project.close_hosted(&deadline);
        }
        let clock = SystemPacer::new();
        while self.leaving.iter().any(|worker| !worker.has_ended()) && !deadline.left().is_zero() {
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
        self.tasks.iter_mut().rev().filter_map(TaskEntry::take_worker).collect()
    }
}

impl TaskEntry {
    fn take_worker(&mut self) -> Option<Worker> {
        match self.running.take() {
            Some(Running::Worked { worker, .. }) => Some(worker),
            other => {
                self.running = other;
                None
            }
        }
    }

    fn shown_work(&self, owner: &EngineEntry) -> ShownWork {
        let TaskSection { project, engine, name, target, .. } = &self.section;
        let running = self.running.as_ref().map(|running| match running {
            Running::Worked { worker, probe, mover, .. } => ShownRun::Worked(Box::new(ShownRunning {
                probe: probe.clone(),
                mover: mover.clone(),
                standing: worker.standing(),
            })),
            Running::Hosted => ShownRun::Hosted,
        });
        ShownWork {
            project: project.clone(),
            engine: engine.clone(),
            task: name.clone(),
            target: target.clone(),
            dry_run: matches!(&owner.policy, Policy::BuiltIn(engine) if engine.is_dry_run(&self.section)),
            running,
        }
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
    engine: &dyn Engine,
    task: &TaskSection,
    machine: &dyn Machine,
) -> Result<Ready, Denied> {
    let mut work =
        engine.work(project, task).map_err(|error| Denied::Engine { place: String::new(), error })?;
    let label = hosting::label(project, task);
    let chosen =
        machine.kernel(&work.wishes()).map_err(|reason| Denied::Machine(format!("{label}: {reason}")))?;
    work.prepare(&chosen.kernel).map_err(|error| Denied::Engine { place: String::new(), error })?;
    info!("{label}: probe {}, mover {}", chosen.probe, chosen.mover);
    let decisions = work.decisions(&chosen.kernel);
    for decision in &decisions {
        info!("{label}: {decision}");
    }
    let sets = Sets {
        swap_cache: work.sets_in_kernel(&chosen.kernel),
        damon: chosen.probe.name == Tracker::Damon.name(),
    };
    let failed = |error| Denied::Machine(format!("{label}: cannot write down what it sets: {error}"));
    let records = machine.cleanup_records(sets).map_err(failed)?;
    Ok(Ready { label, work, chosen, decisions, records })
}

/// Starts all of `ready`, or none.
fn launch(ready: Vec<Ready>) -> Result<Vec<Running>, Denied> {
    let mut launched: Vec<Running> = Vec::new();
    for Ready { label, work, chosen: Chosen { kernel, probe, mover }, decisions, records } in ready {
        match Worker::start(label, work, kernel, records) {
            Ok(worker) => launched.push(Running::Worked { worker, probe, mover, decisions }),
            Err(error) => {
                launched.iter().for_each(Running::ask_to_stop);
                return Err(Denied::Machine(format!("cannot start a thread: {error}")));
            }
        }
    }
    Ok(launched)
}

fn shown(project: &ProjectEntry, verbose: bool) -> ShownProject<'_> {
    let engines = project.engines.iter().rev().map(|engine| ShownEngine {
        name: &engine.section.name,
        tasks: engine.tasks.iter().rev().map(|task| shown_task(&task.section)).collect(),
    });
    let tasks = || {
        let engines = project.engines.iter().rev();
        engines.flat_map(|engine| engine.tasks.iter().rev().map(move |task| (engine, task)))
    };
    ShownProject {
        name: &project.section.name,
        started: project.started,
        engines: engines.collect(),
        remarks: if verbose {
            let made = decisions(tasks().map(|(_, task)| task));
            tasks().map(|(engine, task)| remark(engine, task)).chain(made).collect()
        } else {
            Vec::new()
        },
    }
}

/// What was decided for engines as a whole, each line once.
fn decisions<'a>(tasks: impl Iterator<Item = &'a TaskEntry>) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let made = tasks.filter_map(|task| match &task.running {
        Some(Running::Worked { decisions, .. }) => Some(decisions),
        Some(Running::Hosted) | None => None,
    });
    for line in made.flatten() {
        if !lines.contains(line) {
            lines.push(line.clone());
        }
    }
    lines
}

fn remark(engine: &EngineEntry, task: &TaskEntry) -> String {
    let name = &task.section.name;
    match &task.running {
        Some(Running::Hosted) => match engine.hosted().and_then(|engine| engine.trouble()) {
            Some(trouble) => format!("task {name}: stands still: {trouble}"),
            None => format!("task {name}: works by its plugin"),
        },
        Some(Running::Worked { probe, mover, .. }) => format!("task {name}: tracker {probe}, mover {mover}"),
        None => format!("task {name}: not started"),
    }
}

fn shown_task(task: &TaskSection) -> ShownTask<'_> {
    let (kind, value) = task.target.written();
    ShownTask { kind, value, name: &task.name }
}
