//! What an engine ksm, its project and a task ask for.

use super::keys::{self, AtStop};
use crate::contract::EngineError;
use etmem_config::section::project::{INTERVAL, WITHOUT_SCAN};
use etmem_config::{EngineSection, ProjectSection};
use etmem_core::kernel::merging::Speed;
use std::time::Duration;

/// What the keys of an engine mean to all its tasks.
#[derive(Debug, Clone)]
pub(super) struct EngineSettings {
    /// The speed on a kernel with an advisor.
    pub(super) advised: Speed,
    /// Whether merged pages are separated at the end.
    pub(super) separate: bool,
}

/// The same, with its project.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    pub(super) engine: EngineSettings,
    /// From one round to the next.
    pub(super) interval: Duration,
}

impl EngineSettings {
    /// Those of `section`.
    ///
    /// # Errors
    /// It is not one that was read from a file as such an engine.
    pub(super) fn new(section: &EngineSection) -> Result<Self, EngineError> {
        Ok(Self {
            advised: Speed::Advisor {
                processor_percent: section.get(&keys::MAX_CPU)?.get(),
                full_scan: section.get(&keys::SCAN_TIME)?,
            },
            separate: section.get(&keys::AT_STOP)? == AtStop::Separate,
        })
    }

    /// With what `project` says.
    ///
    /// # Errors
    /// It has another `scan_type`.
    pub(super) fn with(&self, project: &ProjectSection) -> Result<Settings, EngineError> {
        if project.scan_type != WITHOUT_SCAN.name {
            return Err(EngineError::ScanType { engine: super::NAME, needed: WITHOUT_SCAN.name });
        }
        Ok(Settings { engine: self.clone(), interval: project.written.get(&INTERVAL)? })
    }
}
