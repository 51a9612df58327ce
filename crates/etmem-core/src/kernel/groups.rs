//! What control groups (cgroup v2) promise and forbid their processes.

use super::process::{ProcessError, ProcessId};
use std::fmt;

/// What the groups of a process, its own and those above, say of its memory, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct GroupLimits {
    /// Where a group promises memory (`memory.min`, `memory.low`, the greater of both): of the group that has least beyond
    /// its promise, the promise and what it has (`memory.current`).
    pub protection: Option<GroupUse>,
    /// Where a group limits swap: of the group that has least room, the limit and what it uses. Limits are `memory.swap.max`,
    /// `memory.swap.high`, above which the kernel slows the group down, and `memory.zswap.max` where the group may use no other
    /// swap than zswap (`memory.zswap.writeback`).
    pub swap: Option<GroupUse>,
}

/// A bound of a group and what it uses of it, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct GroupUse {
    /// The bound.
    pub bound: u64,
    /// What is used.
    pub used: u64,
}

/// Tells what control groups say.
pub trait ControlGroups: fmt::Debug + Send + Sync {
    /// What they say of `process`; nothing where the machine has no cgroup v2, or none with memory in it.
    ///
    /// # Errors
    /// When the process is gone, or the kernel's answer cannot be read.
    fn limits(&self, process: ProcessId) -> Result<GroupLimits, ProcessError>;
}
