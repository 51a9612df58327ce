//! Control groups as things of their own: which there are, what they use, how long their programs wait, and reclaim; and what
//! they promise and forbid their processes.
//!
//! A group is kept by the number that the kernel gave it, not by its path: a path comes back as another group.

pub use super::group_pattern::GroupPattern;

use super::pacer::Pacer;
use super::pressure::Share;
use super::process::{ProcessError, ProcessId};
use std::fmt;
use std::time::Duration;

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

/// A control group for as long as it exists.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Group {
    /// Its path below the root of its hierarchy, without a `/` at either end; empty for the root.
    pub path: Box<str>,
    /// The kernel's number of it (the inode of its folder), which no group gets again.
    pub id: u64,
}

impl Group {
    /// Whether it is the root, above all groups.
    #[must_use]
    pub fn is_root(&self) -> bool {
        self.path.is_empty()
    }
}

impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(if self.is_root() { "/" } else { &self.path })
    }
}

/// What a group and the groups below it have in memory, and what moved of it, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct GroupMemory {
    /// All that it uses (`memory.current`; of the root, the sum that `memory.stat` gives).
    pub current: u64,
    /// Its own limit: the lower of `memory.max` and `memory.high`.
    pub limit: Option<u64>,
    /// Its own promise: the greater of `memory.min` and `memory.low`.
    pub promise: u64,
    /// What it and the groups above it promise and forbid.
    pub limits: GroupLimits,
    /// File pages that can be dropped: active and inactive, without those to be written first.
    pub file: u64,
    /// Anonymous pages, and those of shared memory, which go to swap as well.
    pub anon: u64,
    /// Of the file pages, what the kernel's lists have as in use lately (`active_file`).
    pub active_file: u64,
    /// The same of the anonymous pages (`active_anon`).
    pub active_anon: u64,
    /// What it has in swap.
    pub swapped: u64,
    /// Memory that what it has in zswap takes; `None` if the kernel does not count it.
    pub zswap: Option<u64>,
    /// What has happened to it so far.
    pub counters: GroupCounters,
}

/// Sums since a group was made, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct GroupCounters {
    /// Anonymous pages read back that had been reclaimed (`workingset_refault_anon`).
    pub refaulted_anon: u64,
    /// The same of file pages (`workingset_refault_file`).
    pub refaulted_file: u64,
    /// Pages read back from swap, as far as the kernel counts them for groups: from zswap, and those full of zeroes; on newer
    /// kernels from devices as well.
    pub swapped_in: u64,
    /// How often it exceeded `memory.high` or reached `memory.max` (`memory.events`).
    pub limit_events: u64,
}

impl GroupCounters {
    /// What was read back since `before`, anonymous and of files. What left memory as cold and what left in use count alike, so
    /// this is right where pressure stall information sees nothing.
    #[must_use]
    pub fn refaulted_since(&self, before: &Self) -> (u64, u64) {
        let since = |figure: fn(&Self) -> u64| figure(self).saturating_sub(figure(before));
        let anon = since(|counters| counters.refaulted_anon).max(since(|counters| counters.swapped_in));
        (anon, since(|counters| counters.refaulted_file))
    }
}

/// For how long at least one program of a group waited (a line `some` of its `memory.pressure` or `io.pressure`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stall {
    /// Share of the last 10 s.
    pub avg10: Share,
    /// Share of the last 60 s.
    pub avg60: Share,
}

impl Stall {
    /// The larger of both: quick to rise, slow to fall.
    #[must_use]
    pub fn largest(&self) -> Share {
        self.avg10.max(self.avg60)
    }
}

/// How long programs of a group wait; `None` if the kernel does not say (`CONFIG_PSI`, `psi=1`, `cgroup.pressure`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct GroupPressure {
    /// For memory.
    pub memory: Option<Stall>,
    /// For input and output.
    pub io: Option<Stall>,
}

/// Which memory a reclaim takes first (`swappiness=` of `memory.reclaim`): 0 is file pages only, 200 anonymous pages first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, derive_more::Display)]
pub struct Swappiness(u8);

impl Swappiness {
    /// File pages only.
    pub const FILE_ONLY: Self = Self(0);
    /// The highest.
    pub const MOST: u8 = 200;

    /// This one; none above 200.
    #[must_use]
    pub const fn new(number: u8) -> Option<Self> {
        if number <= Self::MOST { Some(Self(number)) } else { None }
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u8 {
        self.0
    }
}

/// What became of a request to reclaim.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reclaimed {
    /// Bytes that left memory, as the kernel counted them; not what was asked for.
    pub got: u64,
    /// Less could be reclaimed than was asked for.
    pub no_more: bool,
}

/// What the kernel's last looks at a group say. A look sees uses through mappings, of anonymous pages and of files; it sees no read(2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// How long what the lists have as inactive was not used, at least.
    pub idle_for: Duration,
    /// How long ago the last look was.
    pub ago: Duration,
}

/// Why something could not be done with a group. The first two are outcomes, not faults.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GroupError {
    /// It was removed, or another group has its path by now.
    #[error("the group was removed")]
    Removed,
    /// Its memory is not counted apart.
    #[error(
        "its memory is not counted apart: the memory controller is not in the cgroup.subtree_control of the group above, or \
         the group is threaded"
    )]
    NoMemory,
    /// The kernel cannot reclaim in the way that was asked for (`swappiness=`).
    #[error("this kernel's memory.reclaim does not take swappiness=, which Linux 6.9 and later do")]
    NoSwappiness,
    /// The kernel refused.
    #[error("{call}: {reason}")]
    Refused {
        /// The file.
        call: String,
        /// What the kernel answered.
        reason: String,
    },
}

impl GroupError {
    /// The kernel refused `call`, a file.
    #[must_use]
    pub fn refused(call: impl ToString, reason: impl ToString) -> Self {
        Self::Refused { call: call.to_string(), reason: reason.to_string() }
    }
}

/// Tells what control groups say.
pub trait ControlGroups: fmt::Debug + Send + Sync {
    /// What they say of `process`; nothing if the machine has no cgroup v2 with memory in it.
    ///
    /// # Errors
    /// When the process is gone, or the kernel's answer cannot be read.
    fn limits(&self, process: ProcessId) -> Result<GroupLimits, ProcessError>;

    /// What they say may have changed: it is looked up again, once for each group. Called when a cycle begins, and before pages of
    /// its processes move.
    fn renew(&self) {}

    /// `bytes` of `process` have left memory for swap: what its groups say until they are looked up again takes that into account,
    /// so that processes of one group do not use the same room.
    fn moved_out(&self, process: ProcessId, bytes: u64) {
        let _ = (process, bytes);
    }

    /// The groups that `pattern` names now, by path; of groups of which one is above another, the upper one. None: an empty
    /// list. Called at the start of every cycle: groups come and go.
    ///
    /// # Errors
    /// When the machine has no control groups whose memory can be reclaimed: what is missing.
    fn find(&self, pattern: &GroupPattern) -> Result<Vec<Group>, GroupError>;

    /// `group` and all groups below it whose memory is counted apart, by path; memory of the others is counted in one above. None of a
    /// group that was removed.
    ///
    /// # Errors
    /// As [`find`](Self::find).
    fn with_those_below(&self, group: &Group) -> Result<Vec<Group>, GroupError>;

    /// What `group` has in memory.
    ///
    /// # Errors
    /// When it is gone, or has no figures of memory, or these cannot be read.
    fn memory(&self, group: &Group) -> Result<GroupMemory, GroupError>;

    /// How long programs of `group` wait.
    ///
    /// # Errors
    /// When it is gone, or the kernel's answer cannot be read.
    fn pressure(&self, group: &Group) -> Result<GroupPressure, GroupError>;

    /// Has the kernel look now at which pages of `groups`, and of the groups below them, were used since it looked last. `swaps`: at
    /// anonymous pages as well, as there is swap for them. Ends early where `pacer` says so. Whether it could be asked of any.
    fn look(&self, groups: &[Group], swaps: bool, pacer: &dyn Pacer) -> bool {
        let _ = (groups, swaps, pacer);
        false
    }

    /// What the kernel has seen of each of `groups` when it looked, for this task or for another reason, as of `now`; `None` if it does not say.
    fn seen(&self, groups: &[Group], now: Duration) -> Vec<Option<Seen>> {
        let _ = now;
        vec![None; groups.len()]
    }

    /// Asks the kernel to reclaim `bytes` of `group` and of the groups below it, and waits for it. The kernel takes what it is
    /// asked for, down to nothing: `bytes` must be no more than may leave, and no more than may pass without looking for a stop.
    ///
    /// # Errors
    /// When it is gone, or the kernel refuses.
    fn reclaim(
        &self,
        group: &Group,
        bytes: u64,
        swappiness: Option<Swappiness>,
    ) -> Result<Reclaimed, GroupError>;
}
