//! What an engine damon and its project ask for.

use super::keys::{self, RegionScan};
use crate::contract::EngineError;
use crate::node_pairs::{self, NodePair};
use etmem_config::EngineSection;
use etmem_core::feedback::Goal;
use etmem_core::guard::Guards;
use etmem_core::kernel::Kernel;
use etmem_core::kernel::monitoring::{Action, Attributes, Bounds, Quota, Scheme, Way};
use etmem_core::kernel::nodes::NumaNodes;
use etmem_core::kernel::pressure::Share;
use etmem_core::kernel::process::ProcessError;
use etmem_core::policy::pairs::Pair;
use std::time::Duration;

/// How often the kernel is asked what it has done: as often as it looks which mappings there are, within these.
const OFTEN: Duration = Duration::from_secs(1);
const SELDOM: Duration = Duration::from_secs(10);

/// What the keys of an engine mean to all its tasks.
#[derive(Debug, Clone)]
pub(super) struct EngineSettings {
    scheme: Scheme,
    guards: Guards,
    goal: Option<Goal>,
    /// `None` if memory does not move between nodes.
    migration: Option<Migration>,
}

/// Between which nodes memory moves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Migration {
    action: Action,
    pairs: Vec<NodePair>,
}

/// The same, with its project.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    pub(super) attributes: Attributes,
    pub(super) scheme: Scheme,
    /// When nothing is paged out.
    pub(super) guards: Guards,
    /// How much may be refaulted; none: it does not matter.
    pub(super) goal: Option<Goal>,
    /// Time between two cycles.
    pub(super) period: Duration,
}

impl EngineSettings {
    /// Those of `section`.
    ///
    /// # Errors
    /// It is not one that was read from a file as such an engine.
    pub(super) fn new(section: &EngineSection) -> Result<Self, EngineError> {
        let one_percent = Duration::from_millis(10);
        let scheme = Scheme {
            action: section.get(&keys::ACTION)?,
            size: Bounds { min: section.get(&keys::MIN_SIZE)?, max: section.get(&keys::MAX_SIZE)? },
            accesses: Bounds {
                min: section.get(&keys::MIN_ACCESSES)?,
                max: section.get(&keys::MAX_ACCESSES)?,
            },
            age: Bounds { min: section.get(&keys::MIN_AGE)?, max: section.get(&keys::MAX_AGE)? },
            quota: Quota {
                bytes_per_second: section.get(&keys::MAX_RATE)?,
                time_per_second: section.get(&keys::MAX_CPU)?.map(|most| one_percent * most.get().into()),
            },
        };
        let action = scheme.action;
        let pairs = section.get(&keys::NODE_PAIR)?;
        Ok(Self {
            migration: action.migrates().then_some(Migration { action, pairs }),
            scheme,
            guards: Guards {
                swap_use_percent: section.get(&keys::MAX_SWAP_USE)?.get(),
                pressure: section.get(&keys::MAX_PRESSURE)?.and_then(Share::nearest_to_percent),
            },
            goal: section.get(&keys::MAX_REFAULT)?.and_then(Goal::percent_per_minute),
        })
    }

    /// Between which nodes memory moves, if it does.
    pub(super) fn migration(&self) -> Option<&Migration> {
        self.migration.as_ref()
    }

    /// With what the project says of looking.
    pub(super) fn with(&self, scan: &RegionScan) -> Settings {
        Settings {
            attributes: Attributes {
                sample: scan.sample_interval,
                aggregation: scan.aggregation_interval,
                update: scan.update_interval,
                regions: Bounds { min: scan.min_regions, max: scan.max_regions },
            },
            scheme: self.scheme.clone(),
            guards: self.guards,
            goal: self.goal,
            period: scan.update_interval.clamp(OFTEN, SELDOM),
        }
    }
}

impl Migration {
    /// The action, one that moves memory between nodes.
    pub(super) fn action(&self) -> Action {
        self.action
    }

    /// Whether the machine has its nodes.
    ///
    /// # Errors
    /// Which is not there, or why the machine does not tell.
    pub(super) fn check(&self, nodes: &dyn NumaNodes) -> Result<(), EngineError> {
        node_pairs::check(&self.pairs, nodes)
    }

    /// Which node of each pair is the fast one.
    ///
    /// # Errors
    /// As [`check`](Self::check).
    pub(super) fn pairs(&self, kernel: &Kernel) -> Result<Vec<Pair>, EngineError> {
        let nodes = kernel.moving.nodes().map(|numa| numa.nodes.nodes());
        // A kernel without nodes has none of them.
        let nodes = nodes.unwrap_or_else(|| Ok(Vec::new()));
        node_pairs::decide(&self.pairs, &nodes.map_err(|error| node_pairs::refusal(&self.pairs, &error))?)
    }

    /// From which nodes memory moves to which.
    ///
    /// # Errors
    /// As [`check`](Self::check).
    pub(super) fn ways(&self, kernel: &Kernel) -> Result<Vec<Way>, ProcessError> {
        let pairs = self.pairs(kernel).map_err(|error| ProcessError::refused(node_pairs::NAME, error))?;
        let way = |Pair { fast, slow, .. }: Pair| {
            if self.action == Action::MigrateHot {
                Way { from: slow, to: fast }
            } else {
                Way { from: fast, to: slow }
            }
        };
        Ok(pairs.into_iter().map(way).collect())
    }
}

impl Settings {
    /// Whether pages go to swap.
    pub(super) fn pages_out(&self) -> bool {
        self.scheme.action == Action::PageOut
    }
}
