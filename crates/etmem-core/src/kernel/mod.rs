//! The ports: everything the data path may ask of a kernel.
//!
//! `etmem-linux` implements them over a real machine, `etmem-testkit` over a scripted one. The order in which
//! a cycle calls them is the order of the modules: [`process`] (whom), [`mapping`] (where), [`probe`] (what was
//! touched), [`memory`] (is there a need, and room), [`pressure`] and [`groups`] (must it be left alone), [`mover`] (out with it); every wait goes through [`pacer`]. [`wishes`] is how
//! a task says which probe and mover it wants.

pub mod groups;
pub mod mapping;
pub mod memory;
pub mod mover;
pub mod nodes;
pub mod pacer;
pub mod pressure;
pub mod probe;
pub mod process;
pub mod wishes;

use std::sync::Arc;

/// A machine as the data path sees it: one implementation of each port.
#[derive(Debug, Clone)]
pub struct Kernel {
    /// Finds processes.
    pub processes: Arc<dyn process::ProcessTable>,
    /// Lists the mappings of a process.
    pub mappings: Arc<dyn mapping::MappingSource>,
    /// Sees which pages were touched.
    pub probe: Arc<dyn probe::ProbeSource>,
    /// Moves pages out of memory.
    pub mover: Arc<dyn mover::PageMover>,
    /// Tells the state of memory and swap.
    pub memory: Arc<dyn memory::SystemMemory>,
    /// Tells of NUMA nodes and moves pages between them: there for a task that wishes for it.
    pub numa: Option<nodes::Numa>,
    /// Tells how much programs wait for memory.
    pub pressure: Arc<dyn pressure::MemoryPressure>,
    /// Tells what control groups promise and forbid their processes.
    pub groups: Arc<dyn groups::ControlGroups>,
}
