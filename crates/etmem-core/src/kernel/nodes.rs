//! NUMA nodes: what memory the machine has where, on which node a page lies, and moving it to another.

use super::process::{ProcessError, ProcessId};
use crate::address::AddressRange;
use std::fmt;
use std::ops::AddAssign;
use std::sync::Arc;

/// The two ports to a machine's nodes.
#[derive(Debug, Clone)]
pub struct Numa {
    /// Tells which nodes there are.
    pub nodes: Arc<dyn NumaNodes>,
    /// Moves pages between them.
    pub mover: Arc<dyn NodeMover>,
}

/// The number of a node, as in `/sys/devices/system/node/nodeN`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, derive_more::Display)]
pub struct NodeId(pub u16);

/// Memory of one kind on a node, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct NodeMemory {
    /// All of it.
    pub total: u64,
    /// What is not in use.
    pub free: u64,
}

/// A node and what is known of its speed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Which.
    pub id: NodeId,
    /// Whether any processor belongs to it: memory expanders (CXL, persistent memory) have none.
    pub has_processors: bool,
    /// Its memory tier (`/sys/devices/virtual/memory_tiering`): the lower, the faster. `None` if the kernel does not tell.
    pub tier: Option<u32>,
    /// Ordinary memory: `MemTotal` and `MemFree` of the node's `meminfo`.
    pub memory: NodeMemory,
    /// The pool of huge pages of 2 MiB: `nr_hugepages` and `free_hugepages` of the node's `hugepages-2048kB`.
    pub huge_pool: NodeMemory,
    /// Distances to all nodes of the machine, this one too, as the firmware tells them: 10 is local.
    pub distances: Vec<(NodeId, u32)>,
}

/// Tells which nodes there are and how full they are.
pub trait NumaNodes: fmt::Debug + Send + Sync {
    /// The nodes that have memory, in ascending order.
    ///
    /// # Errors
    /// When the kernel does not tell.
    fn nodes(&self) -> Result<Vec<Node>, ProcessError>;
}

/// Where a page lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// On this node.
    Node(NodeId),
    /// Nowhere: not in memory, or not mapped.
    Absent,
    /// The kernel does not say.
    Unknown,
}

/// What became of the pages of one call: how many, by reason.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Migrated {
    /// On the wanted node now, and not before.
    pub moved: u64,
    /// No longer mapped, or not in memory (`ENOENT`, `EFAULT`).
    pub vanished: u64,
    /// In use elsewhere just now, such as pinned for input and output (`EBUSY`, `EAGAIN`).
    pub busy: u64,
    /// Shared with other processes, which the kernel moves only for a privileged caller (`EACCES`).
    pub shared: u64,
    /// The wanted node had no room, or its pool of huge pages none (`ENOMEM`).
    pub no_room: u64,
    /// All other reasons.
    pub refused: u64,
}

impl Migrated {
    /// How many pages did not move, whatever the reason.
    #[must_use]
    pub const fn failed(&self) -> u64 {
        self.vanished + self.busy + self.shared + self.no_room + self.refused
    }
}

impl AddAssign for Migrated {
    fn add_assign(&mut self, more: Self) {
        let Self { moved, vanished, busy, shared, no_room, refused } = more;
        self.moved += moved;
        self.vanished += vanished;
        self.busy += busy;
        self.shared += shared;
        self.no_room += no_room;
        self.refused += refused;
    }
}

/// Looks up and moves pages of one process.
pub trait NodePages: fmt::Debug {
    /// Where each of `pages` (addresses of pages) lies, in their order, into `places` (cleared first).
    ///
    /// # Errors
    /// When the process is gone, replaced its program, or the kernel refuses the call as a whole.
    fn where_are(&mut self, pages: &[u64], places: &mut Vec<Place>) -> Result<(), ProcessError>;

    /// Moves `pages` to `node`; a huge page is named once, by its first address, and moves as a whole. Works in batches
    /// of its own; the caller asks for so much at once as may be done without a look at a stop.
    ///
    /// # Errors
    /// As `where_are`; what was moved until then stays moved.
    fn move_to(&mut self, pages: &[u64], node: NodeId) -> Result<Migrated, ProcessError>;
}

/// Where a program itself wants its memory, by mbind(2), set_mempolicy(2) or a cpuset.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OwnPlacement {
    /// Ranges with a policy of the program's own, in ascending order.
    pub bound: Vec<AddressRange>,
    /// How many bytes of these are in memory.
    pub bound_bytes: u64,
    /// How many bytes of the process are in memory at all.
    pub present_bytes: u64,
    /// The only nodes that its cpuset allows; `None` if the kernel does not say.
    pub allowed: Option<Vec<NodeId>>,
}

impl OwnPlacement {
    /// Whether its cpuset allows this node.
    #[must_use]
    pub fn allows(&self, node: NodeId) -> bool {
        self.allowed.as_ref().is_none_or(|allowed| allowed.contains(&node))
    }
}

/// Makes movers between nodes. One per kernel interface.
pub trait NodeMover: fmt::Debug + Send + Sync {
    /// Its short name, for the log.
    fn name(&self) -> &'static str;

    /// A mover for `process`, bound to it and to the program it runs now, as [`super::mover::PageMover::attach`] has it.
    ///
    /// # Errors
    /// When the process is gone or the kernel refuses.
    fn attach(&self, process: ProcessId) -> Result<Box<dyn NodePages>, ProcessError>;

    /// Where the program that `process` runs wants its memory.
    ///
    /// # Errors
    /// When the process is gone or the kernel refuses.
    fn own_placement(&self, process: ProcessId) -> Result<OwnPlacement, ProcessError> {
        let _ = process;
        Ok(OwnPlacement::default())
    }

    /// How many bytes of ordinary memory the kernel wants free on `node`: with less it begins to reclaim there.
    ///
    /// # Errors
    /// When the kernel does not say.
    fn watermark(&self, node: NodeId) -> Result<u64, ProcessError>;
}
