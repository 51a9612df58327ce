//! From a configuration file to typed projects, engines and tasks, in two stages.
//!
//! ```text
//! path ──file──▶ text ──keyfile──▶ groups of key=value ──section──▶ projects, engines, tasks
//!      checks          what was written                 what it means
//! ```
//!
//! [`mod@file`] decides whether a file may be read at all. `keyfile` splits its text into groups and knows no key.
//! [`section`] gives each group its meaning: there each key has one row that holds its name, its range, its
//! default and who uses it. Every fault is a [`ConfigError`] that names the file, the line, the key, the value
//! and the rule; what is merely suspicious becomes a [`Warning`] and the file is accepted.
//!
//! `older` does the same for the form that files had in etmem 1.0, and gives the same [`ConfigFile`]; which form a
//! file is in, its first key tells, and each command takes one. [`listing`] takes of a file only the names.
//!
//! Rules that take more than one group are not looked at here: whether the project and the engine that a task
//! names exist, whether names are unique, whether T fits the project's loop. Those may be in other files, but for
//! the older form, where loop is in the same.

pub mod error;
pub mod file;
pub mod key;
pub mod kind;
pub mod library;
pub mod listing;
pub mod section;
pub mod triggers;
pub mod values;
pub mod warning;

mod excerpt;
mod form;
mod keyfile;
mod nearest;
mod older;
mod reader;
mod rule;
mod sibling_groups;
mod written;

pub use error::{ConfigError, FaultClass};
pub use kind::{Keys, KindKeys, Kinds, MachineKeys, ScanType};
pub use listing::ListedObjects;
pub use reader::Reader;
pub use section::engine::EngineSection;
pub use section::project::{PageScan, ProjectSection};
pub use section::task::TaskSection;
pub use sibling_groups::SiblingGroups;
pub use warning::Warning;
pub use written::{KeyError, WrittenGroup, WrittenPair};

use error::Form;
use etmem_core::name::Name;
use older::NoDocument;
use section::{Source, Tables};
use std::path::{Path, PathBuf};
use warning::{Ignored, Nearest, Warnings};

/// What a configuration file holds, each kind in the order of the file.
#[derive(Debug, Clone, PartialEq)]
pub struct ConfigFile {
    /// The file, as it was named.
    pub path: PathBuf,
    /// Its `[project]` groups.
    pub projects: Vec<ProjectSection>,
    /// Its `[engine]` groups.
    pub engines: Vec<EngineSection>,
    /// Its `[task]` groups.
    pub tasks: Vec<TaskSection>,
    /// What was ignored, in the order of the lines.
    pub warnings: Vec<Warning>,
}

/// Checks and reads the file at `path`, whose engines are of `kinds`.
///
/// # Errors
/// Says which check the file fails, or which line breaks which rule: the first one found.
pub fn load(path: &Path, kinds: Kinds<'_>) -> Result<ConfigFile, ConfigError> {
    with_text(path, |text| parse(path, text, kinds))
}

/// Reads `text` as the content of a file at `path`, which is only named in messages.
///
/// # Errors
/// Says which line breaks which rule: the first one found.
pub fn parse(path: &Path, text: &str, kinds: Kinds<'_>) -> Result<ConfigFile, ConfigError> {
    let (text, mark) = without_mark(path, text, Form::KeyFile);
    let mut file = read(path, &groups(path, text)?, kinds)?;
    warning::put_first(&mut file.warnings, mark);
    Ok(file)
}

/// Reads `groups` as [`parse`] does the groups of a text.
///
/// # Errors
/// Says which line breaks which rule: the first one found.
pub fn read(path: &Path, groups: &[WrittenGroup], kinds: Kinds<'_>) -> Result<ConfigFile, ConfigError> {
    let tables = Tables::new(kinds);
    let mut warnings = Warnings::new(path);
    let (mut projects, mut engines, mut tasks) = (Vec::new(), Vec::new(), Vec::new());
    for group in groups {
        let source = Source { path, group, tables: &tables };
        match group.name.as_str() {
            section::project::GROUP => projects.push(section::project::read(source, &mut warnings)?),
            section::engine::GROUP => engines.push(section::engine::read(source, &mut warnings)?),
            section::task::GROUP => tasks.push(section::task::read(source, &mut warnings)?),
            _ => {
                warnings.add(group.line, group, || Ignored::Group(Nearest::to(&group.name, section::GROUPS)))
            }
        }
    }
    section::siblings::give(groups, &tables, &projects, &mut engines, &mut tasks);
    Ok(ConfigFile { path: path.into(), projects, engines, tasks, warnings: warnings.into_vec() })
}

/// Checks the file at `path` and reads what it lists, for deleting it.
///
/// # Errors
/// Says which check the file fails, which line cannot be read, or which name is missing or is none.
pub fn load_names(path: &Path, kinds: Kinds<'_>) -> Result<ListedObjects, ConfigError> {
    with_text(path, |text| parse_names(path, text, kinds))
}

/// Reads what `text` lists, the content of a file at `path`, which is only named in messages.
///
/// # Errors
/// Says which line cannot be read, or which name is missing or is none.
pub fn parse_names(path: &Path, text: &str, kinds: Kinds<'_>) -> Result<ListedObjects, ConfigError> {
    let (text, _) = without_mark(path, text, Form::KeyFile);
    section::list(path, &groups(path, text)?, &Tables::new(kinds))
}

/// Checks the file at `path`, which is in the form of etmem 1.0, and reads it as the project called `project`: that
/// project, its one engine, and a task for each `policies:`. Such tasks have no names; each is called as the
/// process or the pid that it works on, with a number after it where that is taken (`mysqld`, `mysqld-2`).
///
/// # Errors
/// Says which check the file fails, or which line breaks which rule: the first one found.
pub fn load_older(path: &Path, project: &Name, kinds: Kinds<'_>) -> Result<ConfigFile, ConfigError> {
    with_text(path, |text| parse_older(path, text, project, kinds))
}

/// Reads `text` as [`load_older`] does, as the content of a file at `path`, which is only named in messages.
///
/// # Errors
/// Says which line breaks which rule: the first one found.
pub fn parse_older(
    path: &Path,
    text: &str,
    project: &Name,
    kinds: Kinds<'_>,
) -> Result<ConfigFile, ConfigError> {
    let (text, mark) = without_mark(path, text, Form::Older);
    let document = older::document(text).map_err(|none| match none {
        NoDocument::Empty => ConfigError::NoOptions(path.into()),
        NoDocument::KeyFile(line) => ConfigError::OtherForm { path: path.into(), line, form: Form::KeyFile },
        NoDocument::Syntax(fault) => ConfigError::syntax(path, fault),
    })?;
    let mut file = older::read(path, &document, project, kinds)?;
    warning::put_first(&mut file.warnings, mark);
    Ok(file)
}

/// `text` without the byte order mark that editors of other systems put before it, and a warning if there is one.
fn without_mark<'t>(path: &Path, text: &'t str, form: Form) -> (&'t str, Option<Warning>) {
    match text.strip_prefix('\u{feff}') {
        Some(rest) => (rest, Some(Warnings::of_file(path, form, Ignored::ByteOrderMark))),
        None => (text, None),
    }
}

/// Checks the file at `path` and hands its text to `read`.
fn with_text<T>(path: &Path, read: impl FnOnce(&str) -> Result<T, ConfigError>) -> Result<T, ConfigError> {
    let bytes = file::read(path)?;
    read(keyfile::decode(&bytes).map_err(|fault| ConfigError::syntax(path, fault))?)
}

/// The groups of `text`, of which at least one is known.
fn groups(path: &Path, text: &str) -> Result<Vec<WrittenGroup>, ConfigError> {
    if let Some(line) = older::begins(text) {
        return Err(ConfigError::OtherForm { path: path.into(), line, form: Form::Older });
    }
    let groups = keyfile::groups(text).map_err(|fault| ConfigError::syntax(path, fault))?;
    if groups.iter().any(|group| section::GROUPS.contains(&group.name.as_str())) {
        Ok(groups)
    } else {
        Err(ConfigError::no_known_group(path, groups.first().map(|group| group.name.as_str())))
    }
}
