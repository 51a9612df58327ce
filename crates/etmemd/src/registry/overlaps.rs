//! Tasks whose control groups overlap: each would take what another left, and count the other's refaults as its own.

use super::entries::{Registry, TaskEntry};
use etmem_core::kernel::process::{ProcessId, Target};
use std::collections::BTreeSet;

/// A task that names control groups, and the processes in them now.
struct Grouped {
    label: String,
    starts: bool,
    processes: BTreeSet<ProcessId>,
}

/// What a person should know of tasks that are about to start, a line for each that shares control groups with another task of a
/// started project.
pub(super) fn notes(registry: &Registry) -> Vec<String> {
    let grouped = all(registry);
    let mut notes = Vec::new();
    for (number, one) in grouped.iter().enumerate() {
        for other in grouped[..number].iter().filter(|other| one.starts || other.starts) {
            if let Some(process) = one.processes.intersection(&other.processes).next() {
                notes.push(format!(
                    "{} and {} work on the same control groups (process {process} is in both): each takes what the other left; give \
                     each of them groups of its own",
                    other.label, one.label
                ));
            }
        }
    }
    notes
}

/// The tasks of started projects that name groups, if one of them is about to start.
fn all(registry: &Registry) -> Vec<Grouped> {
    let projects = registry.projects.iter().filter(|project| project.started);
    let tasks = projects.flat_map(|project| project.engines.iter().flat_map(|engine| engine.tasks.iter()));
    let tasks: Vec<&TaskEntry> =
        tasks.filter(|task| matches!(task.section.target, Target::Groups(_))).collect();
    if tasks.len() < 2 || tasks.iter().all(|task| task.running.is_some()) {
        return Vec::new();
    }
    let grouped = |task: &TaskEntry| Grouped {
        label: format!("task {} of project {}", task.section.name, task.section.project),
        starts: task.running.is_none(),
        // What cannot be read is said by the task itself.
        processes: registry
            .machine
            .processes()
            .find(&task.section.target)
            .unwrap_or_default()
            .into_iter()
            .collect(),
    };
    tasks.into_iter().map(grouped).collect()
}
