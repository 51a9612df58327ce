//! What an engine balloon, its project and a task ask for.

use super::keys;
use crate::contract::EngineError;
use etmem_config::section::project::{INTERVAL, WITHOUT_SCAN};
use etmem_config::{EngineSection, ProjectSection, TaskSection};
use etmem_core::kernel::pressure::Share;
use std::path::PathBuf;
use std::time::Duration;

/// When the host is short of memory.
#[derive(Debug, Clone, Copy)]
pub(super) struct HostSettings {
    /// Percent of its memory that are to be available.
    pub(super) free: u64,
    /// The share of time in which programs may wait; none: however long.
    pub(super) pressure: Option<Share>,
}

/// A task, ready to run.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    pub(super) host: HostSettings,
    pub(super) socket: PathBuf,
    /// What the guest is always left with, in bytes.
    pub(super) least: u64,
    pub(super) shares: u32,
    /// From one round to the next, and from one report of the guest to the next.
    pub(super) interval: Duration,
}

impl HostSettings {
    /// Those of `section`.
    ///
    /// # Errors
    /// It is not one that was read from a file as such an engine.
    pub(super) fn new(section: &EngineSection) -> Result<Self, EngineError> {
        Ok(Self {
            free: section.get(&keys::HOST_FREE)?.get().into(),
            pressure: section.get(&keys::HOST_PRESSURE)?.and_then(Share::nearest_to_percent),
        })
    }

    /// With what the project and the task say.
    ///
    /// # Errors
    /// The project has another `scan_type`.
    pub(super) fn with(self, project: &ProjectSection, task: &TaskSection) -> Result<Settings, EngineError> {
        if project.scan_type != WITHOUT_SCAN.name {
            return Err(EngineError::ScanType { engine: super::NAME, needed: WITHOUT_SCAN.name });
        }
        Ok(Settings {
            host: self,
            socket: task.get(&keys::QMP_SOCKET)?,
            least: task.get(&keys::BALLOON_MIN)?,
            shares: task.get(&keys::SHARES)?,
            interval: project.written.get(&INTERVAL)?,
        })
    }
}
