//! `[engine]`: what a project does with what it sees.

use super::{Source, Tables};
use crate::error::{ConfigError, FaultClass, Rule};
use crate::key::Key;
use crate::keys;
use crate::kind::{KindKeys, named};
use crate::listing::ListedEngine;
use crate::nearest::Nearest;
use crate::reader::Reader;
use crate::sibling_groups::SiblingGroups;
use crate::values::name;
use crate::warning::Warnings;
use crate::written::{KeyError, WrittenGroup};
use etmem_core::name::Name;

pub(crate) const GROUP: &str = "engine";

/// An `[engine]` group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineSection {
    /// The line it begins on, from 1.
    pub line: usize,
    /// The project it belongs to.
    pub project: Name,
    /// Its name in the project, by which tasks refer to it: its own where its policy comes from outside, else its kind's.
    pub name: Name,
    /// Its kind, all of whose keys are well.
    pub kind: &'static str,
    /// All that was written.
    pub written: WrittenGroup,
    /// The other groups of the file that a policy from outside gets to read.
    pub siblings: SiblingGroups,
}

impl EngineSection {
    /// What `key` means here.
    ///
    /// # Errors
    /// It is none of the kind's keys, and missing or not a value of it.
    pub fn get<T>(&self, key: &Key<T>) -> Result<T, KeyError> {
        self.written.get(key)
    }
}

keys! { pub KEYS;
    PROJECT: Name = needed("project", name).help("The project that the engine belongs to.").example("db");
    NAME: Name = needed("name", name)
        .help("The kind of engine. Except where the kind has `eng_name`, it is also the engine's name in the project, which has \
               one of it.").example("slide");
}

/// By what the engine is found, its project and its own name, and its kind if there is one of that name.
fn names(
    reader: &mut Reader<'_>,
    tables: &Tables<'_>,
) -> Result<(Name, Name, Option<&'static KindKeys>), ConfigError> {
    let project = reader.get(&PROJECT)?;
    let mut name = reader.get(&NAME)?;
    reader.faults_are(FaultClass::Internal);
    let kind = named(tables.kinds, name.as_str());
    if let Some(own) = kind.and_then(|kind| kind.own_name) {
        name = reader.get(own)?;
        // Tasks are not to take it for an engine of ours.
        if named(tables.kinds, name.as_str()).is_some() {
            let rule = Rule::Form("another name than the engines' that etmemd brings");
            return Err(reader.refuse(own.name(), rule));
        }
    }
    Ok((project, name, kind))
}

/// Reads of `group` of the file at `path` by what the engine is found, and nothing else.
pub(crate) fn list(Source { path, group, tables }: Source<'_>) -> Result<ListedEngine, ConfigError> {
    let (project, name, _) = names(&mut Reader::new(path, group, &tables.engine), tables)?;
    Ok(ListedEngine { line: group.line, project, name })
}

/// Reads `group` of the file at `path`.
pub(crate) fn read(source: Source<'_>, warnings: &mut Warnings<'_>) -> Result<EngineSection, ConfigError> {
    let Source { path, group, tables } = source;
    let mut reader = Reader::new(path, group, &tables.engine);
    let (project, name, kind) = names(&mut reader, tables)?;
    let Some(kind) = kind else {
        let nearest = Nearest::to(name.as_str(), tables.kinds.iter().map(|kind| kind.name));
        return Err(reader.refuse(NAME.name(), Rule::UnknownEngine(nearest)));
    };
    reader.is_of(kind.name);
    reader.check(kind.engine.rows)?;
    (kind.engine.agree)(&reader)?;
    if kind.own_name.is_none() {
        reader.warn(kind.engine.rows, warnings);
    }
    Ok(EngineSection {
        line: group.line,
        project,
        name,
        kind: kind.name,
        written: group.clone(),
        siblings: SiblingGroups::default(),
    })
}
