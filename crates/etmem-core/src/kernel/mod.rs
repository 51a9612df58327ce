//! The ports: everything the data path may ask of a kernel.
//!
//! `etmem-linux` implements them over a real machine, `etmem-testkit` over a scripted one. The order in which
//! a cycle calls them: [`process`] (whose memory), [`memory`], [`pressure`] and [`groups`] (is there a need, and room), [`mapping`]
//! and [`probe`] (which pages were touched), [`cooperation`] (programs give memory back), [`mover`] or [`nodes`] (out of memory, or to
//! another node), [`swap_cache`]; every wait goes through [`pacer`], but for the one between two cycles, which a [`trigger`] may end.
//! [`claims`] keeps the scans of other programs away. [`reader`] reads memory and brings it back. [`levels`] says where memory is, and [`sinking`] writes compressed swap to a disk. [`decider`] asks another program instead, [`monitoring`] leaves all to the kernel, and [`merging`] has it keep equal pages once. [`balloon`] asks guests for memory. [`wishes`] is how a task says which probe and mover it wants.

pub mod balloon;
pub mod claims;
pub mod cooperation;
pub mod decider;
mod group_pattern;
pub mod groups;
pub mod levels;
pub mod mapping;
pub mod memory;
pub mod merging;
pub mod monitoring;
pub mod mover;
mod moving;
pub mod nodes;
pub mod pacer;
pub mod pressure;
pub mod probe;
pub mod process;
pub mod reader;
pub mod sinking;
pub mod swap_cache;
pub mod trigger;
pub mod wishes;

pub use moving::Moving;

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
    /// Others that may be tried where that one is blind to a target; no others if the task names its probe.
    pub other_probes: Vec<Arc<dyn probe::ProbeSource>>,
    /// Moves pages, as the task wishes.
    pub moving: Moving,
    /// Moves pages between NUMA nodes, where the task wishes that beside [`moving`](Self::moving).
    pub between: Option<nodes::Numa>,
    /// Tells the state of memory and swap.
    pub memory: Arc<dyn memory::SystemMemory>,
    /// Reads memory of processes.
    pub readers: Arc<dyn reader::MemoryReaders>,
    /// Reclaims the swap cache; `None` if this kernel has no interface for it.
    pub swap_cache: Option<Arc<dyn swap_cache::SwapCache>>,
    /// Tells how much programs wait for memory.
    pub pressure: Arc<dyn pressure::MemoryPressure>,
    /// Tells what control groups promise and forbid their processes.
    pub groups: Arc<dyn groups::ControlGroups>,
    /// Asks programs outside what to do with pages.
    pub deciders: Arc<dyn decider::Deciders>,
    /// Asks programs for memory before it is taken; `None` if the task does not ask.
    pub cooperation: Option<Arc<dyn cooperation::Cooperation>>,
    /// Writes compressed swap to the disk behind it; `None` if the task does not.
    pub sinking: Option<Arc<dyn sinking::Sinking>>,
    /// Has the kernel watch and act itself.
    pub monitoring: Arc<dyn monitoring::Monitoring>,
    /// Has it merge equal pages; `None` unless the task wishes that.
    pub merging: Option<Arc<dyn merging::Merging>>,
    /// Asks guests for memory; `None` unless the task wishes that.
    pub balloons: Option<Arc<dyn balloon::Balloons>>,
}
