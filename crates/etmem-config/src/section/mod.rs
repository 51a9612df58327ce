//! Stage two: what was written, and what it means. One module per group, each with the rows of the keys that all such groups
//! have; those of the kinds of engines are handed in.

pub mod engine;
pub mod project;
pub(crate) mod siblings;
pub mod task;

use crate::error::ConfigError;
use crate::kind::{Keys, KindKeys, Kinds, ScanType};
use crate::listing::ListedObjects;
use crate::reader::Table;
use crate::written::WrittenGroup;
use std::path::Path;

/// The groups that mean something.
pub(crate) const GROUPS: [&str; 3] = [project::GROUP, engine::GROUP, task::GROUP];

/// The keys of each of the three groups.
#[derive(Debug)]
pub(crate) struct Tables<'k> {
    pub(crate) kinds: Kinds<'k>,
    pub(crate) project: Table,
    pub(crate) engine: Table,
    pub(crate) task: Table,
}

/// A group to read, and what may be in it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Source<'a> {
    pub(crate) path: &'a Path,
    pub(crate) group: &'a WrittenGroup,
    pub(crate) tables: &'a Tables<'a>,
}

impl<'k> Tables<'k> {
    pub(crate) fn new(kinds: Kinds<'k>) -> Self {
        let table = |every, common, keys: fn(&KindKeys) -> (&'static str, Keys), hosted: bool| Table {
            every,
            common,
            // What a policy from outside makes of a task's key is its own affair.
            own: kinds
                .iter()
                .filter(|kind| hosted || kind.own_name.is_none())
                .map(|kind| keys(kind))
                .map(|(word, keys)| (word, keys.rows))
                .collect(),
            users: |kinds| match kinds {
                [kind] => format!("engine {kind}"),
                kinds => format!("engines {}", listed(kinds, "and")),
            },
        };
        let types = scan_types(kinds);
        Self {
            kinds,
            project: Table {
                every: "every project",
                common: project::KEYS,
                own: types.iter().map(|kind| (kind.name, kind.keys.rows)).collect(),
                users: |types| format!("scan_type={}", listed(types, "or")),
            },
            engine: table("every engine", engine::KEYS, |kind| (kind.name, kind.engine), true),
            task: {
                let mut table = table("every task", task::KEYS, |kind| kind.tasks(false), false);
                let of_machine = kinds.iter().filter(|kind| kind.machine.is_some());
                table
                    .own
                    .extend(of_machine.map(|kind| kind.tasks(true)).map(|(word, keys)| (word, keys.rows)));
                table
            },
        }
    }
}

/// The words of `scan_type`, each once.
pub fn scan_types(kinds: Kinds<'_>) -> Vec<&'static ScanType> {
    let mut types: Vec<&'static ScanType> = vec![&project::PAGE];
    for kind in kinds {
        if types.iter().all(|known| known.name != kind.scan.name) {
            types.push(kind.scan);
        }
    }
    types
}

/// What `groups` of the file at `path` list.
pub(crate) fn list(
    path: &Path,
    groups: &[WrittenGroup],
    tables: &Tables<'_>,
) -> Result<ListedObjects, ConfigError> {
    let (mut projects, mut engines, mut tasks) = (Vec::new(), Vec::new(), Vec::new());
    for group in groups {
        let source = Source { path, group, tables };
        match group.name.as_str() {
            project::GROUP => projects.push(project::list(source)?),
            engine::GROUP => engines.push(engine::list(source)?),
            task::GROUP => tasks.push(task::list(source)?),
            _ => {}
        }
    }
    Ok(ListedObjects { path: path.into(), projects, engines, tasks })
}

/// `words` as a list with `last` before the last of them.
pub(crate) fn listed(words: &[&'static str], last: &str) -> String {
    match words {
        [before @ .., end] if !before.is_empty() => format!("{} {last} {end}", before.join(", ")),
        words => words.concat(),
    }
}
