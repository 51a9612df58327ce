//! What `project show` and `task show` show. Neither waits for a task.

use super::denied::Denied;
use super::entries::{EngineEntry, Policy, ProjectEntry, Registry, Running, TaskEntry};
use crate::machine::Machine;
use crate::task_show::{ShownRun, ShownRunning, ShownWork};
use etmem_config::TaskSection;
use etmem_core::name::Name;
use etmem_linux::counters::Reading;
use etmem_wire::{ShownEngine, ShownProject, ShownTask};
use std::sync::Arc;

impl Registry {
    /// The projects to show, newest first: all, or the one named; where `verbose`, with how each task sees and moves.
    pub(crate) fn show(&self, name: Option<&Name>, verbose: bool) -> Vec<ShownProject<'_>> {
        let wanted = self.projects.iter().rev();
        let wanted = wanted.filter(|project| name.is_none_or(|name| project.section.name == *name));
        wanted.map(|project| shown(project, verbose)).collect()
    }

    /// The tasks of all projects, newest first. Waits for none of them.
    pub(crate) fn all_tasks(&self) -> Vec<ShownWork> {
        let engines = self.projects.iter().rev().flat_map(|project| project.engines.iter().rev());
        let tasks = engines.flat_map(|engine| engine.tasks.iter().rev().map(move |task| (engine, task)));
        tasks.map(|(engine, task)| task.shown_work(engine, &self.machine)).collect()
    }

    /// What the machine counts.
    pub(crate) fn counters(&self) -> Vec<Reading> {
        self.machine.counters()
    }

    /// The tasks of `project`, or those of them that are called `task`, newest first. Waits for none of them.
    pub(crate) fn tasks(&self, project: &Name, task: Option<&Name>) -> Result<Vec<ShownWork>, Denied> {
        let entry = self.project(project, String::new)?;
        let all = entry.engines.iter().rev().flat_map(|engine| {
            let tasks = engine.tasks.iter().rev();
            let wanted = tasks.filter(|entry| task.is_none_or(|name| entry.section.name == *name));
            wanted.map(|task| task.shown_work(engine, &self.machine))
        });
        let wanted: Vec<ShownWork> = all.collect();
        match task {
            Some(name) if wanted.is_empty() => {
                Err(Denied::NoTaskOfProject { project: project.clone(), name: name.clone() })
            }
            Some(_) | None => Ok(wanted),
        }
    }
}

impl TaskEntry {
    fn shown_work(&self, owner: &EngineEntry, machine: &Arc<dyn Machine>) -> ShownWork {
        let TaskSection { project, engine, name, target, .. } = &self.section;
        let running = self.running.as_ref().map(|running| match running {
            Running::Worked { worker, .. } => {
                let ((probe, mover), standing) = (worker.choices(), worker.standing());
                ShownRun::Worked(Box::new(ShownRunning { probe, mover, standing }))
            }
            Running::Hosted => ShownRun::Hosted,
        });
        ShownWork {
            project: project.clone(),
            engine: engine.clone(),
            task: name.clone(),
            target: target.clone(),
            dry_run: matches!(&owner.policy, Policy::BuiltIn(engine) if engine.is_dry_run(&self.section)),
            running,
            machine: Some(Arc::clone(machine)),
        }
    }
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
        Some(Running::Worked { worker, .. }) => {
            let (probe, mover) = worker.choices();
            format!("task {name}: tracker {probe}, mover {mover}")
        }
        None => format!("task {name}: not started"),
    }
}

fn shown_task(task: &TaskSection) -> ShownTask<'_> {
    let (kind, value) = task.target.written();
    ShownTask { kind, value, name: &task.name }
}
