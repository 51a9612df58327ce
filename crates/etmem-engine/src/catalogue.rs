//! Which kinds of engines there are: the one list from which files are read, engines made, and the reference pages written.

use crate::contract::{Engine, EngineError};
use crate::scan_locks::ScanLocks;
use etmem_config::{ConfigError, ConfigFile, EngineSection, KindKeys, ListedObjects};
use etmem_core::name::Name;
use std::path::Path;

/// A kind of engine.
#[derive(Debug)]
pub struct Kind {
    /// Its name and its keys in files.
    pub keys: KindKeys,
    /// What it does, in a sentence.
    pub about: &'static str,
    /// The commands that its engines answer.
    pub commands: &'static [&'static str],
    /// Makes an engine whose scanners take turns with those of other engines; none for one whose policy comes from
    /// outside ([`hosted`](crate::hosted)) and for one that this version does not have yet.
    pub make: Option<Make>,
}

/// How an engine is made of its section.
pub type Make = fn(&EngineSection, ScanLocks) -> Result<Box<dyn Engine>, EngineError>;

/// All of them, in the order in which messages list them.
pub const KINDS: &[&Kind] = &[
    &crate::slide::KIND,
    &crate::cslide::KIND,
    &crate::thirdparty::KIND,
    &crate::damon::KIND,
    &crate::psi::KIND,
    &crate::memdcd::KIND,
];

/// The kind called `name`.
fn kind(name: &str) -> Option<&'static Kind> {
    KINDS.iter().copied().find(|kind| kind.keys.name == name)
}

/// The names of the kinds that this version can make.
pub(crate) fn built_in() -> String {
    let built = KINDS.iter().filter(|kind| kind.make.is_some()).map(|kind| kind.keys.name);
    built.collect::<Vec<_>>().join(", ")
}

/// The engine of `section`, whose scanners take turns with those of `turns`.
///
/// # Errors
/// [`EngineError::NotBuilt`] for those of etmem 1.x that this version does not have yet.
pub fn engine(section: &EngineSection, turns: &ScanLocks) -> Result<Box<dyn Engine>, EngineError> {
    let make = kind(section.kind).and_then(|kind| kind.make);
    make.map_or_else(
        || Err(EngineError::NotBuilt(section.kind.to_owned())),
        |make| make(section, turns.another()),
    )
}

/// The keys of all kinds, as [`etmem_config`] takes them.
#[must_use]
pub fn keys() -> Vec<&'static KindKeys> {
    KINDS.iter().map(|kind| &kind.keys).collect()
}

/// [`etmem_config::load`] with the kinds of the catalogue.
///
/// # Errors
/// Those of [`etmem_config::load`].
pub fn load(path: &Path) -> Result<ConfigFile, ConfigError> {
    etmem_config::load(path, &keys())
}

/// [`etmem_config::parse`] with the kinds of the catalogue.
///
/// # Errors
/// Those of [`etmem_config::parse`].
pub fn parse(path: &Path, text: &str) -> Result<ConfigFile, ConfigError> {
    etmem_config::parse(path, text, &keys())
}

/// [`etmem_config::load_names`] with the kinds of the catalogue.
///
/// # Errors
/// Those of [`etmem_config::load_names`].
pub fn load_names(path: &Path) -> Result<ListedObjects, ConfigError> {
    etmem_config::load_names(path, &keys())
}

/// [`etmem_config::parse_names`] with the kinds of the catalogue.
///
/// # Errors
/// Those of [`etmem_config::parse_names`].
pub fn parse_names(path: &Path, text: &str) -> Result<ListedObjects, ConfigError> {
    etmem_config::parse_names(path, text, &keys())
}

/// [`etmem_config::load_older`] with the kinds of the catalogue.
///
/// # Errors
/// Those of [`etmem_config::load_older`].
pub fn load_older(path: &Path, project: &Name) -> Result<ConfigFile, ConfigError> {
    etmem_config::load_older(path, project, &keys())
}

/// [`etmem_config::parse_older`] with the kinds of the catalogue.
///
/// # Errors
/// Those of [`etmem_config::parse_older`].
pub fn parse_older(path: &Path, text: &str, project: &Name) -> Result<ConfigFile, ConfigError> {
    etmem_config::parse_older(path, text, project, &keys())
}
