//! A task as a policy sees it.

use crate::process::Target;
use std::time::Duration;

/// When a project looks: the keys `loop`, `interval` and `sleep` of its group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rhythm {
    /// Looks in a cycle.
    pub looks: u32,
    /// Between two looks.
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
    /// What its processes are.
    pub target: Target,
    /// When its project looks; nothing in a project that does not scan pages (`scan_type`).
    pub rhythm: Option<Rhythm>,
    /// `max_threads` of its group: at least 1.
    pub max_threads: u32,
    /// What the policy read of its group.
    pub settings: S,
}
