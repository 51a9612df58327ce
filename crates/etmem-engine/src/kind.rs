//! A kind of engine, as a row of the catalogue.

use crate::contract::{Engine, EngineError};
use crate::figures::Row;
use crate::scan_locks::ScanLocks;
use etmem_config::{EngineSection, KindKeys};

/// A kind of engine.
#[derive(Debug)]
pub struct Kind {
    /// Its name and its keys in files.
    pub keys: KindKeys,
    /// What it does, in a sentence.
    pub about: &'static str,
    /// The figures that no other engine counts.
    pub figures: &'static [&'static Row],
    /// The commands that its engines answer.
    pub commands: &'static [&'static str],
    /// Makes an engine whose scanners take turns with those of other engines; none for one whose policy comes from
    /// outside (`crate::hosted()`) and for one that this version does not have yet.
    pub make: Option<Make>,
}

/// How an engine is made of its section.
pub type Make = fn(&EngineSection, ScanLocks) -> Result<Box<dyn Engine>, EngineError>;
