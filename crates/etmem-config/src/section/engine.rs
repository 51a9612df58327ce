//! `[engine]`: what a project does with what it sees.

use crate::error::{ConfigError, FaultClass, Order, Rule};
use crate::keyfile::Group;
use crate::listing::ListedEngine;
use crate::nearest::Nearest;
use crate::setting::{Reader, needed, or_default, settings};
use crate::sibling_groups::SiblingGroups;
use crate::values::{DamosAction, NodePair, at_least, mebibytes, name, within, yes_or_no};
use crate::warning::Warnings;
use etmem_core::name::Name;
use std::path::{Path, PathBuf};

pub(crate) const GROUP: &str = "engine";

/// An `[engine]` group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineSection {
    /// The line it begins on, from 1.
    pub line: usize,
    /// The project it belongs to.
    pub project: Name,
    /// Its name in the project, by which tasks refer to it: `eng_name` of a thirdparty engine, else its kind's.
    pub name: Name,
    /// Its kind with that kind's parameters.
    pub kind: EngineKind,
}

/// The kinds of engines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EngineKind {
    /// Cold pages to swap.
    Slide,
    /// Hot and cold pages between fast and slow NUMA nodes.
    Cslide(CslideEngine),
    /// A policy from a shared object.
    Thirdparty(ThirdpartyEngine),
    /// The kernel acts by DAMON's schemes.
    Damon(DamonEngine),
    /// Reclaims a cgroup's memory while that does not hurt.
    Psi,
    /// Hands the heat of pages to an external decider.
    Memdcd,
}

/// Parameters of engine cslide.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CslideEngine {
    /// The pairs of nodes; at least one, every node once.
    pub node_pairs: Vec<NodePair>,
    /// A page counted below it is cold. Above what a cycle can count it acts as one more than that.
    pub hot_threshold: u32,
    /// Most bytes that move one way in one cycle, per pair.
    pub node_mig_quota: u64,
    /// Bytes of the hot node kept for hot pages.
    pub node_hot_reserve: u64,
}

/// Parameters of a thirdparty engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ThirdpartyEngine {
    /// The shared object: an absolute path, not looked at yet.
    pub library: PathBuf,
    /// The symbol of type `struct engine_ops`: a C identifier.
    pub operations: Box<str>,
    /// Whether it gets a process of its own (ours).
    pub isolate: bool,
    /// Every key of the group with its value, each key once: what the plugin gets to read.
    pub keys: Vec<(String, String)>,
    /// The other groups that it gets to read.
    pub siblings: SiblingGroups,
}

/// Parameters of engine damon: a DAMOS access pattern, in the kernel's units, and what to do where it fits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DamonEngine {
    /// Least size of a region in bytes.
    pub min_size: u64,
    /// Greatest size of a region in bytes.
    pub max_size: u64,
    /// Least number of accesses seen in an aggregation interval.
    pub min_accesses: u64,
    /// Greatest number of accesses seen in an aggregation interval.
    pub max_accesses: u64,
    /// Least age in aggregation intervals.
    pub min_age: u64,
    /// Greatest age in aggregation intervals.
    pub max_age: u64,
    /// What to do with the region.
    pub action: DamosAction,
}

/// The engines that etmemd brings, by the names they have in files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Known {
    Slide,
    Cslide,
    Thirdparty,
    Damon,
    Psi,
    Memdcd,
}

impl Known {
    const NAMES: [(&'static str, Self); 6] = [
        ("slide", Self::Slide),
        ("cslide", Self::Cslide),
        ("thirdparty", Self::Thirdparty),
        ("damon", Self::Damon),
        ("psi", Self::Psi),
        ("memdcd", Self::Memdcd),
    ];

    /// The one called `name`.
    pub(crate) fn named(name: &Name) -> Option<Self> {
        Self::NAMES.iter().find(|(known, _)| *known == name.as_str()).map(|(_, engine)| *engine)
    }
}

settings! {
    PROJECT: Name = "project", "every engine", |text| needed(text, name);
    NAME: Name = "name", "every engine", |text| needed(text, name);
    ENG_NAME: Name = "eng_name", "engine thirdparty", |text| needed(text, own_name);
    LIBNAME: PathBuf = "libname", "engine thirdparty", |text| needed(text, library);
    OPS_NAME: Box<str> = "ops_name", "engine thirdparty", |text| needed(text, identifier);
    ISOLATE: bool = "isolate", "engine thirdparty", |text| or_default(text, "no", yes_or_no);
    NODE_PAIR: Vec<NodePair> = "node_pair", "engine cslide", |text| needed(text, NodePair::read_list);
    HOT_THRESHOLD: u32 = "hot_threshold", "engine cslide", |text| needed(text, |text| within(text, 0, i32::MAX.into()));
    NODE_MIG_QUOTA: u64 = "node_mig_quota", "engine cslide", |text| needed(text, mebibytes);
    NODE_HOT_RESERVE: u64 = "node_hot_reserve", "engine cslide", |text| needed(text, mebibytes);
    MIN_SIZE: u64 = "min_size", "engine damon", |text| needed(text, |text| at_least(text, 0));
    MAX_SIZE: u64 = "max_size", "engine damon", |text| needed(text, |text| at_least(text, 0));
    MIN_ACCESSES: u64 = "min_acc", "engine damon", |text| needed(text, |text| at_least(text, 0));
    MAX_ACCESSES: u64 = "max_acc", "engine damon", |text| needed(text, |text| at_least(text, 0));
    MIN_AGE: u64 = "min_age", "engine damon", |text| needed(text, |text| at_least(text, 0));
    MAX_AGE: u64 = "max_age", "engine damon", |text| needed(text, |text| at_least(text, 0));
    ACTION: DamosAction = "action", "engine damon", |text| needed(text, DamosAction::read);
}

/// A thirdparty engine's own name: one that tasks cannot take for a built-in engine.
fn own_name(text: &str) -> Result<Name, Rule> {
    let name = name(text)?;
    match Known::named(&name) {
        Some(_) => Err(Rule::Form("another name than the engines' that etmemd brings")),
        None => Ok(name),
    }
}

fn library(text: &str) -> Result<PathBuf, Rule> {
    let path = PathBuf::from(text);
    if path.is_absolute() { Ok(path) } else { Err(Rule::Form("the absolute path of a shared object")) }
}

fn identifier(text: &str) -> Result<Box<str>, Rule> {
    let begins = text.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_');
    if begins && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
        Ok(text.into())
    } else {
        Err(Rule::Form("the C identifier of a symbol of type struct engine_ops"))
    }
}

/// By what the engine is found, its project and its own name, and its kind if there is one of that name.
fn names(reader: &mut Reader<'_>) -> Result<(Name, Name, Option<Known>), ConfigError> {
    let project = reader.get(&PROJECT)?;
    let name = reader.get(&NAME)?;
    reader.faults_are(FaultClass::Internal);
    let known = Known::named(&name);
    let name = if known == Some(Known::Thirdparty) { reader.get(&ENG_NAME)? } else { name };
    Ok((project, name, known))
}

/// Reads of `group` of the file at `path` by what the engine is found, and nothing else.
pub(crate) fn list(path: &Path, group: &Group<'_>) -> Result<ListedEngine, ConfigError> {
    let (project, name, _) = names(&mut Reader::new(path, group, GROUP, KEYS))?;
    Ok(ListedEngine { line: group.line, project, name })
}

/// Reads `group` of the file at `path`.
pub(crate) fn read(
    path: &Path,
    group: &Group<'_>,
    warnings: &mut Warnings<'_>,
) -> Result<EngineSection, ConfigError> {
    let mut reader = Reader::new(path, group, GROUP, KEYS);
    let (project, name, known) = names(&mut reader)?;
    let Some(known) = known else {
        let nearest = Nearest::to(name.as_str(), Known::NAMES.map(|(name, _)| name));
        return Err(reader.refuse(&NAME, Rule::UnknownEngine { nearest }));
    };
    let kind = match known {
        Known::Slide => EngineKind::Slide,
        Known::Cslide => EngineKind::Cslide(cslide(&mut reader)?),
        Known::Thirdparty => EngineKind::Thirdparty(thirdparty(&mut reader)?),
        Known::Damon => EngineKind::Damon(damon(&mut reader)?),
        Known::Psi => EngineKind::Psi,
        Known::Memdcd => EngineKind::Memdcd,
    };
    // A plugin's keys are its own affair.
    if known != Known::Thirdparty {
        reader.warn(warnings);
    }
    Ok(EngineSection { line: group.line, project, name, kind })
}

fn cslide(reader: &mut Reader<'_>) -> Result<CslideEngine, ConfigError> {
    Ok(CslideEngine {
        node_pairs: reader.get(&NODE_PAIR)?,
        hot_threshold: reader.get(&HOT_THRESHOLD)?,
        node_mig_quota: reader.get(&NODE_MIG_QUOTA)?,
        node_hot_reserve: reader.get(&NODE_HOT_RESERVE)?,
    })
}

fn thirdparty(reader: &mut Reader<'_>) -> Result<ThirdpartyEngine, ConfigError> {
    Ok(ThirdpartyEngine {
        library: reader.get(&LIBNAME)?,
        operations: reader.get(&OPS_NAME)?,
        isolate: reader.get(&ISOLATE)?,
        keys: reader.all(),
        siblings: SiblingGroups::default(),
    })
}

fn damon(reader: &mut Reader<'_>) -> Result<DamonEngine, ConfigError> {
    let engine = DamonEngine {
        min_size: reader.get(&MIN_SIZE)?,
        max_size: reader.get(&MAX_SIZE)?,
        min_accesses: reader.get(&MIN_ACCESSES)?,
        max_accesses: reader.get(&MAX_ACCESSES)?,
        min_age: reader.get(&MIN_AGE)?,
        max_age: reader.get(&MAX_AGE)?,
        action: reader.get(&ACTION)?,
    };
    for (least, most) in [
        ((&MIN_SIZE, &engine.min_size), (&MAX_SIZE, &engine.max_size)),
        ((&MIN_ACCESSES, &engine.min_accesses), (&MAX_ACCESSES, &engine.max_accesses)),
        ((&MIN_AGE, &engine.min_age), (&MAX_AGE, &engine.max_age)),
    ] {
        reader.check_order(least, Order::AtMost, most)?;
    }
    Ok(engine)
}
