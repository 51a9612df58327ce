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
//! Rules that take more than one group are not looked at here: whether the project and the engine that a task
//! names exist, whether names are unique, whether T fits the project's loop. Those may be in other files.

pub mod error;
pub mod file;
pub mod section;
pub mod values;
pub mod warning;

mod excerpt;
mod keyfile;
mod nearest;
mod setting;

pub use error::{ConfigError, FaultClass};
pub use section::engine::{CslideEngine, DamonEngine, EngineKind, EngineSection, ThirdpartyEngine};
pub use section::project::{PageScan, ProjectSection, PsiScan, RegionScan, Scan};
pub use section::task::{CslideTask, MemdcdTask, PsiTask, SlideTask, TaskParameters, TaskSection};
pub use warning::Warning;

use crate::warning::Warnings;
use std::path::{Path, PathBuf};

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
    /// What was ignored, in the order of the lines within each group.
    pub warnings: Vec<Warning>,
}

/// Checks and reads the file at `path`.
///
/// # Errors
/// Says which check the file fails, or which line breaks which rule: the first one found.
pub fn load(path: &Path) -> Result<ConfigFile, ConfigError> {
    let bytes = file::read(path)?;
    let text = keyfile::decode(&bytes).map_err(|fault| ConfigError::syntax(path, fault))?;
    parse(path, text)
}

/// Reads `text` as the content of a file at `path`, which is only named in messages.
///
/// # Errors
/// Says which line breaks which rule: the first one found.
pub fn parse(path: &Path, text: &str) -> Result<ConfigFile, ConfigError> {
    let groups = keyfile::groups(text).map_err(|fault| ConfigError::syntax(path, fault))?;
    let mut warnings = Warnings::new(path);
    let (mut projects, mut engines, mut tasks) = (Vec::new(), Vec::new(), Vec::new());
    for group in &groups {
        match group.name {
            section::project::GROUP => projects.push(section::project::read(path, group, &mut warnings)?),
            section::engine::GROUP => engines.push(section::engine::read(path, group, &mut warnings)?),
            section::task::GROUP => tasks.push(section::task::read(path, group, &mut warnings)?),
            unknown => warnings.unknown_group(group.line, unknown),
        }
    }
    if projects.is_empty() && engines.is_empty() && tasks.is_empty() {
        return Err(ConfigError::no_known_group(path, groups.first().map(|group| group.name)));
    }
    Ok(ConfigFile { path: path.into(), projects, engines, tasks, warnings: warnings.into_vec() })
}
