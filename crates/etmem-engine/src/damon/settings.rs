//! What an engine damon and its project ask for.

use super::keys::{self, RegionScan};
use crate::contract::EngineError;
use etmem_config::EngineSection;
use etmem_core::feedback::Goal;
use etmem_core::guard::Guards;
use etmem_core::kernel::monitoring::{Action, Attributes, Bounds, Quota, Scheme};
use etmem_core::kernel::pressure::Share;
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
        Ok(Self {
            scheme,
            guards: Guards {
                swap_use_percent: section.get(&keys::MAX_SWAP_USE)?.get(),
                pressure: section.get(&keys::MAX_PRESSURE)?.and_then(Share::nearest_to_percent),
            },
            goal: section.get(&keys::MAX_REFAULT)?.and_then(Goal::percent_per_minute),
        })
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

impl Settings {
    /// Whether pages go to swap.
    pub(super) fn pages_out(&self) -> bool {
        self.scheme.action == Action::PageOut
    }
}
