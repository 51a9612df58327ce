//! Which groups stand beside each one of a file.

use super::engine::EngineSection;
use super::task::TaskSection;
use super::{GROUPS, Tables, engine, project, task};
use crate::kind::{named, of_task};
use crate::sibling_groups::SiblingGroups;
use crate::written::WrittenGroup;
use etmem_core::name::Name;
use std::collections::HashMap;
use std::sync::Arc;

/// Gives each engine and task of a policy from outside, among what was read of `groups`, the groups beside it.
pub(crate) fn give(
    groups: &[WrittenGroup],
    tables: &Tables<'_>,
    projects: &[project::ProjectSection],
    engines: &mut [EngineSection],
    tasks: &mut [TaskSection],
) {
    let is_hosted =
        |engine: &EngineSection| named(tables.kinds, engine.kind).is_some_and(|kind| kind.own_name.is_some());
    let is_guest = |task: &TaskSection| {
        of_task(tables.kinds, task.engine.as_str()).is_some_and(|kind| kind.own_name.is_some())
    };
    if !engines.iter().any(is_hosted) && !tasks.iter().any(is_guest) {
        return;
    }
    let file = File::new(groups);
    let project_places: HashMap<&Name, usize> =
        projects.iter().map(|project| &project.name).zip(file.known(project::GROUP)).collect();
    let engine_places: HashMap<(Name, Name), usize> = engines
        .iter()
        .map(|engine| (engine.project.clone(), engine.name.clone()))
        .zip(file.known(engine::GROUP))
        .collect();
    let mut task_places: HashMap<(Name, Name), usize> = HashMap::new();
    for (task, place) in tasks.iter().zip(file.known(task::GROUP)) {
        task_places.entry((task.project.clone(), task.engine.clone())).or_insert(place);
    }
    let first = |name: &'static str| file.known(name).next();
    let project_of = |name| project_places.get(name).copied().or_else(|| first(project::GROUP));
    for section in engines.iter_mut().filter(|engine| is_hosted(engine)) {
        let key = (section.project.clone(), section.name.clone());
        let task = task_places.get(&key).copied().or_else(|| first(task::GROUP));
        section.siblings = file.siblings([project_of(&section.project), task]);
    }
    for section in tasks.iter_mut().filter(|task| is_guest(task)) {
        let key = (section.project.clone(), section.engine.clone());
        let engine = engine_places.get(&key).copied().or_else(|| first(engine::GROUP));
        section.siblings = file.siblings([project_of(&section.project), engine]);
    }
}

/// All groups of a file, of those that mean nothing to etmemd each name once, as GLib reads them.
struct File {
    groups: Arc<[WrittenGroup]>,
    unknown: Vec<usize>,
}

impl File {
    fn new(groups: &[WrittenGroup]) -> Self {
        let mut written: Vec<WrittenGroup> = Vec::new();
        let mut unknown: Vec<usize> = Vec::new();
        let mut places: HashMap<&str, usize> = HashMap::new();
        for group in groups {
            let place = places.get(group.name.as_str()).and_then(|place| written.get_mut(*place));
            match place {
                Some(before) => before.pairs.extend(group.pairs.iter().cloned()),
                None => {
                    if !GROUPS.contains(&group.name.as_str()) {
                        places.insert(&group.name, written.len());
                        unknown.push(written.len());
                    }
                    written.push(group.clone());
                }
            }
        }
        Self { groups: written.into(), unknown }
    }

    /// The places of the groups called `name`.
    fn known(&self, name: &'static str) -> impl Iterator<Item = usize> {
        let groups = (0..).zip(self.groups.iter());
        groups.filter(move |(_, group)| group.name == name).map(|(place, _)| place)
    }

    fn siblings(&self, known: [Option<usize>; 2]) -> SiblingGroups {
        let mut chosen: Vec<usize> =
            known.into_iter().flatten().chain(self.unknown.iter().copied()).collect();
        chosen.sort_unstable();
        SiblingGroups::of(Arc::clone(&self.groups), chosen.into())
    }
}
