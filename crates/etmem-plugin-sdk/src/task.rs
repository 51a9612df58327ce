//! A task as a policy sees it.

use crate::process::Target;
use std::time::Duration;

/// When a project scans: the keys `loop`, `interval` and `sleep` of its group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rhythm {
    /// Scans in a cycle.
    pub looks: u32,
    /// Between two scans.
    pub interval: Duration,
    /// Between two cycles.
    pub sleep: Duration,
}

/// A task.
#[derive(Debug)]
#[non_exhaustive]
pub struct Task<S> {
    /// Its name.
    pub name: String,
    /// Which processes it works on.
    pub target: Target,
    /// When its project scans; none if the project does not scan pages (`scan_type`).
    pub rhythm: Option<Rhythm>,
    /// `max_threads` of its group: at least 1.
    pub max_threads: u32,
    /// What the policy read from its group.
    pub settings: S,
}
