//! What a psi task asks for.

use super::keys::{self, Preference};
use crate::contract::EngineError;
use etmem_config::{ProjectSection, TaskSection};
use etmem_core::feedback::Goal;
use etmem_core::kernel::groups::GroupPattern;
use etmem_core::throttle::Rate;
use std::time::Duration;

/// A psi task, ready to run.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Settings {
    /// The task's name, for notes.
    pub(super) task: String,
    /// Which control groups.
    pub(super) groups: GroupPattern,
    /// From one round to the next.
    pub(super) interval: Duration,
    /// Shares of time, in percent, in which programs wait for memory, and for input and output, from which on nothing is
    /// reclaimed; no bound: however long.
    pub(super) pressure: f64,
    pub(super) io_pressure: Option<f64>,
    /// How much may be refaulted; none: it does not matter.
    pub(super) goal: Option<Goal>,
    /// The share that is reclaimed in a round, and its bounds.
    pub(super) rate: f64,
    pub(super) rate_min: f64,
    pub(super) rate_max: f64,
    /// What is always left: bytes, and a share of the limit.
    pub(super) floor_bytes: u64,
    pub(super) floor_ratio: f64,
    /// Most bytes of a group in a round.
    pub(super) most: u64,
    pub(super) preference: Preference,
    /// How fast pages may leave.
    pub(super) max_rate: Rate,
    /// Most of swap that may be in use, in percent.
    pub(super) swap_use_percent: u8,
    pub(super) dry_run: bool,
}

impl Settings {
    /// The settings of `task` in `project`.
    ///
    /// # Errors
    /// The project has another `scan_type`.
    pub(super) fn new(project: &ProjectSection, task: &TaskSection) -> Result<Self, EngineError> {
        if project.scan_type != keys::SCAN.name {
            return Err(EngineError::ScanType { engine: super::NAME, needed: keys::SCAN.name });
        }
        Ok(Self {
            task: task.name.to_string(),
            groups: task.get(&keys::CG_DIR)?,
            interval: keys::PsiScan::new(project)?.interval,
            pressure: task.get(&keys::PRESSURE)?,
            io_pressure: task.get(&keys::IO_PRESSURE)?,
            goal: task.get(&keys::MAX_REFAULT)?.and_then(Goal::percent_per_minute),
            rate: task.get(&keys::RECLAIM_RATE)?,
            rate_min: task.get(&keys::RECLAIM_RATE_MIN)?,
            rate_max: task.get(&keys::RECLAIM_RATE_MAX)?,
            floor_bytes: task.get(&keys::LIMIT_MIN_BYTES)?,
            floor_ratio: task.get(&keys::LIMIT_MIN_RATIO)?,
            most: task.get(&keys::RECLAIM_MAX_BYTES)?,
            preference: task.get(&keys::SWAPPINESS)?,
            max_rate: task.get(&keys::MAX_RATE)?,
            swap_use_percent: task.get(&keys::MAX_SWAP_USE)?.get(),
            dry_run: task.get(&keys::DRY_RUN)?,
        })
    }

    /// What a person should know of rates that do not go together, as etmem 1.x takes them.
    pub(super) fn notes(&self) -> Vec<String> {
        let Self { task, rate, rate_min, rate_max, .. } = self;
        let mut notes = Vec::new();
        if rate_min > rate_max {
            notes.push(format!(
                "task {task}: reclaim_rate_min={rate_min} is more than reclaim_rate_max={rate_max}; {rate_max} is used"
            ));
        } else if rate < rate_min || rate > rate_max {
            let used = rate.clamp(*rate_min, *rate_max);
            notes.push(format!(
                "task {task}: reclaim_rate={rate} is outside of its bounds {rate_min} and {rate_max}; {used} is used"
            ));
        }
        if self.dry_run {
            notes.push(format!("task {task}: dry_run=yes: it looks and decides, and reclaims nothing"));
        }
        notes
    }
}
