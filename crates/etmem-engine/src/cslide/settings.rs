//! What a cslide task asks for: its own keys, its engine's and its project's, checked against each other.

use super::NAME;
use super::keys;
use crate::contract::EngineError;
use crate::node_pairs::{self, NodePair};
use etmem_config::section::project::PAGE;
use etmem_config::{EngineSection, ProjectSection, TaskSection};
use etmem_core::address::{BLOCK_SIZE, PAGE_SIZE};
use etmem_core::kernel::mapping::{Mapping, VmFlag};
use etmem_core::kernel::nodes::{Node, NodeMemory, NumaNodes};
use etmem_core::kernel::process::Target;
use etmem_core::kernel::wishes::{ScanWishes, Wishes};
use etmem_core::policy::exchange::{self, QuotaLimits};
use etmem_core::policy::pairs::Pair;
use etmem_core::scan::{self, Schedule};
use std::time::Duration;

/// The flag of mappings whose pages come from the pool of huge pages.
pub(super) const HUGE_POOL: &str = "ht";

/// What the keys of an engine mean to all its tasks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineSettings {
    /// The pairs of nodes; at least one, every node once.
    pub node_pairs: Vec<NodePair>,
    /// A page counted below it is cold.
    pub hot_threshold: u32,
    /// What may move in a cycle, per pair.
    pub limits: QuotaLimits,
}

impl EngineSettings {
    /// Those of `section`.
    ///
    /// # Errors
    /// It is not one that was read from a file as such an engine.
    pub fn new(section: &EngineSection) -> Result<Self, EngineError> {
        Ok(Self {
            node_pairs: section.get(&keys::NODE_PAIR)?,
            hot_threshold: section.get(&keys::HOT_THRESHOLD)?,
            limits: QuotaLimits {
                quota: section.get(&keys::NODE_MIG_QUOTA)?,
                reserve: section.get(&keys::NODE_HOT_RESERVE)?,
            },
        })
    }
}

/// A cslide task, ready to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The task's name.
    pub task: String,
    /// Whose memory.
    pub target: Target,
    /// How often to look.
    pub schedule: Schedule,
    /// Time between two cycles.
    pub sleep: Duration,
    /// Flags that a mapping must have to be looked at.
    pub vm_flags: Vec<VmFlag>,
    /// Only mappings without a file behind them.
    pub anon_only: bool,
    /// Which memory of a node its pages come from.
    pub kind: Kind,
    /// How to see.
    pub wishes: Wishes,
    /// A page that counts as much is hot.
    pub hot_threshold: u16,
    /// What may move in a cycle.
    pub limits: QuotaLimits,
}

/// The two kinds of memory that a node has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// The pool of huge pages of 2 MiB.
    HugePool,
    /// All other.
    Ordinary,
}

impl Kind {
    /// Both, in the order in which the quota is given to them.
    pub(super) const ALL: [Self; 2] = [Self::HugePool, Self::Ordinary];

    /// How much of it `node` has.
    pub(super) const fn of(self, node: &Node) -> NodeMemory {
        match self {
            Self::HugePool => node.huge_pool,
            Self::Ordinary => node.memory,
        }
    }

    /// The least that moves.
    pub(super) const fn page(self) -> u64 {
        match self {
            Self::HugePool => BLOCK_SIZE,
            Self::Ordinary => PAGE_SIZE,
        }
    }
}

impl Settings {
    /// The settings of `task` of `engine` in `project`.
    ///
    /// # Errors
    /// What does not go together.
    pub fn new(
        project: &ProjectSection,
        engine: &EngineSettings,
        task: &TaskSection,
    ) -> Result<Self, EngineError> {
        let Some(scan) = &project.page else {
            return Err(EngineError::ScanType { engine: NAME, needed: PAGE.name });
        };
        let vm_flags = task.get(&keys::VM_FLAGS)?;
        let of_huge_pool = vm_flags.iter().any(|flag| VmFlag::new(HUGE_POOL) == Some(*flag));
        Ok(Self {
            task: task.name.to_string(),
            target: task.target.clone(),
            schedule: Schedule { loops: scan.loops, interval: scan.interval },
            sleep: scan.sleep,
            vm_flags,
            anon_only: task.get(&keys::ANON_ONLY)?,
            kind: if of_huge_pool { Kind::HugePool } else { Kind::Ordinary },
            wishes: Wishes {
                tracker: task.get(&keys::TRACKER)?,
                scan: ScanWishes {
                    only_marked: false,
                    as_huge: of_huge_pool,
                    ignore_host: task.get(&keys::IGN_HOST)?,
                },
                huge_pool: of_huge_pool,
                nodes: true,
                ..Wishes::default()
            },
            hot_threshold: exchange::hot_threshold(engine.hot_threshold, scan.loops),
            limits: engine.limits,
        })
    }

    /// Picks the mappings to look at, beside their flags.
    pub(super) fn picks(&self) -> fn(&Mapping) -> bool {
        if self.anon_only { scan::is_anonymous } else { scan::is_placeable }
    }
}

/// The pairs of `engine` on a machine with these nodes.
///
/// # Errors
/// Which node is not there.
pub(super) fn pairs(engine: &EngineSettings, nodes: &[Node]) -> Result<Vec<Pair>, EngineError> {
    node_pairs::decide(&engine.node_pairs, nodes)
}

/// Whether the machine has the nodes that `engine` names.
///
/// # Errors
/// Which is not there, or why the machine does not tell.
pub(super) fn check(engine: &EngineSettings, nodes: &dyn NumaNodes) -> Result<(), EngineError> {
    node_pairs::check(&engine.node_pairs, nodes)
}
