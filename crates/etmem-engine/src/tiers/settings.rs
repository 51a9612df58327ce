//! What a tiers task asks for.

use super::keys;
use crate::contract::EngineError;
use etmem_config::section::project::PAGE;
use etmem_config::{ProjectSection, TaskSection};
use etmem_core::throttle::Rate;
use std::time::Duration;

/// A tiers task, ready to run.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Settings {
    /// The task's name, for notes.
    pub(super) task: String,
    /// What was not touched for so long is written to the disk.
    pub(super) after: Option<Duration>,
    /// From which share on a device is too full, and to which it then goes down, in percent.
    pub(super) high: u64,
    pub(super) low: u64,
    pub(super) rate: Rate,
    /// Most bytes in 24 hours.
    pub(super) per_day: Option<u64>,
    pub(super) dry_run: bool,
    /// Time between two cycles.
    pub(super) sleep: Duration,
}

impl Settings {
    /// The settings of `task` in `project`.
    ///
    /// # Errors
    /// The project has another `scan_type`.
    pub(super) fn new(project: &ProjectSection, task: &TaskSection) -> Result<Self, EngineError> {
        let Some(scan) = &project.page else {
            return Err(EngineError::ScanType { engine: super::NAME, needed: PAGE.name });
        };
        Ok(Self {
            task: task.name.to_string(),
            after: task.get(&keys::SINK_AFTER)?,
            high: task.get(&keys::SINK_HIGH)?.get().into(),
            low: task.get(&keys::SINK_LOW)?.get().into(),
            rate: task.get(&keys::SINK_RATE)?,
            per_day: task.get(&keys::SINK_PER_DAY)?,
            dry_run: task.get(&keys::DRY_RUN)?,
            sleep: scan.sleep,
        })
    }
}
