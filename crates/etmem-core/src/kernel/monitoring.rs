//! The kernel watches processes and acts on what it sees itself (DAMON and its schemes). Of control groups it watches all memory that
//! is counted there, and moves it between NUMA nodes.

use super::groups::Group;
use super::nodes::NodeId;
use super::process::{ProcessError, ProcessId};
use crate::address::AddressRange;
use std::fmt;
use std::ops::AddAssign;
use std::time::Duration;

/// How the kernel watches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attributes {
    /// Between two samples of a region.
    pub sample: Duration,
    /// Over which samples are counted.
    pub aggregation: Duration,
    /// Between two looks at which mappings there are.
    pub update: Duration,
    /// Least and greatest number of regions.
    pub regions: Bounds<u64>,
}

/// The least and the greatest, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds<T> {
    /// The least.
    pub min: T,
    /// The greatest.
    pub max: T,
}

/// What is done with a region.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// madvise(MADV_WILLNEED).
    WillNeed,
    /// madvise(MADV_COLD).
    Cold,
    /// madvise(MADV_PAGEOUT).
    PageOut,
    /// madvise(MADV_HUGEPAGE).
    HugePage,
    /// madvise(MADV_NOHUGEPAGE).
    NoHugePage,
    /// It is counted and reported.
    Stat,
    /// What is hot moves to another NUMA node (Linux 6.11 and later).
    MigrateHot,
    /// What is cold moves to another NUMA node (Linux 6.11 and later).
    MigrateCold,
}

impl Action {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::WillNeed,
        Self::Cold,
        Self::PageOut,
        Self::HugePage,
        Self::NoHugePage,
        Self::Stat,
        Self::MigrateHot,
        Self::MigrateCold,
    ];

    /// The kernel's word for it, which is also that of files.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::WillNeed => "willneed",
            Self::Cold => "cold",
            Self::PageOut => "pageout",
            Self::HugePage => "hugepage",
            Self::NoHugePage => "nohugepage",
            Self::Stat => "stat",
            Self::MigrateHot => "migrate_hot",
            Self::MigrateCold => "migrate_cold",
        }
    }

    /// Whether it moves memory between NUMA nodes: then the kernel watches physical memory, and whose memory a page is, its control
    /// group says.
    #[must_use]
    pub const fn migrates(self) -> bool {
        matches!(self, Self::MigrateHot | Self::MigrateCold)
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// How much a scheme may do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Quota {
    /// Most bytes a second that it acts on; `None` for no limit.
    pub bytes_per_second: Option<u64>,
    /// Most time that it acts, of a second; `None` for no limit.
    pub time_per_second: Option<Duration>,
}

/// A part of a [`Quota`], as the kernel takes one: for each of several schemes, none of which knows of the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuotaShare {
    /// Most bytes in [`over`](Self::over); 0 for no limit.
    pub bytes: u64,
    /// Most time in milliseconds in [`over`](Self::over); 0 for no limit.
    pub milliseconds: u64,
    /// The time after which both begin again.
    pub over: Duration,
}

impl Quota {
    /// What each of `schemes` may do, so that all together keep within this: an even part. The kernel counts whole milliseconds, so
    /// the parts of many are for several seconds at a time.
    #[must_use]
    pub fn share(self, schemes: usize) -> QuotaShare {
        let schemes = u64::try_from(schemes).unwrap_or(u64::MAX).max(1);
        let time =
            self.time_per_second.map(|time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX).max(1));
        let seconds = time.map_or(1, |time| schemes.div_ceil(time));
        // Less than one would be no limit.
        let part = |whole: u64| (whole.saturating_mul(seconds) / schemes).max(1);
        QuotaShare {
            bytes: self.bytes_per_second.map_or(0, part),
            milliseconds: time.map_or(0, part),
            over: Duration::from_secs(seconds),
        }
    }
}

/// From which node memory moves, and to which.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Way {
    /// The node whose memory is watched.
    pub from: NodeId,
    /// Where what fits goes.
    pub to: NodeId,
}

/// Which regions are acted on, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scheme {
    /// What is done.
    pub action: Action,
    /// Size of a region in bytes.
    pub size: Bounds<u64>,
    /// Accesses in an aggregation interval.
    pub accesses: Bounds<u32>,
    /// For how many aggregation intervals the accesses have been about the same.
    pub age: Bounds<u32>,
    /// How much.
    pub quota: Quota,
}

/// What a scheme did since the watching began, as the kernel counts it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Done {
    /// Regions that fitted; one that fits again and again is counted each time.
    pub tried_regions: u64,
    /// Their bytes.
    pub tried: u64,
    /// Bytes to which the action was applied. What became of the pages, the kernel counts for actions that move memory between nodes
    /// only: then these are the bytes that moved.
    pub applied: u64,
    /// How often the quota was used up.
    pub quota_exceeded: u64,
}

/// A region that fitted the scheme.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Region {
    /// Where it lies.
    pub range: AddressRange,
    /// Accesses in the last aggregation interval.
    pub accesses: u64,
    /// For how many aggregation intervals that has been about the same.
    pub age: u64,
}

impl AddAssign for Done {
    fn add_assign(&mut self, more: Self) {
        let Self { tried_regions, tried, applied, quota_exceeded } = more;
        self.tried_regions += tried_regions;
        self.tried += tried;
        self.applied += applied;
        self.quota_exceeded += quota_exceeded;
    }
}

/// How processes came to be watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Watching {
    /// They were already.
    AsBefore,
    /// Some were added while the others were watched on.
    Added,
    /// Watching began; nothing that was counted before holds.
    Begun,
    /// No process is watched.
    Nothing,
}

/// Makes monitors.
pub trait Monitoring: fmt::Debug + Send + Sync {
    /// Sets up a monitor that watches no process yet.
    ///
    /// # Errors
    /// The kernel has no DAMON or refuses a value, or another program has it.
    fn begin(&self, attributes: &Attributes, scheme: &Scheme) -> Result<Box<dyn Monitor>, ProcessError>;

    /// Whether the kernel can move memory of control groups between nodes by `action`. Sets something up for that, and takes it back.
    ///
    /// # Errors
    /// What it lacks, or that another program has DAMON.
    fn can_migrate(&self, action: Action) -> Result<(), ProcessError>;

    /// Sets up a monitor that watches no control group yet; what fits `scheme`, whose action is to move memory between nodes, goes
    /// these `ways`.
    ///
    /// # Errors
    /// As [`begin`](Self::begin).
    fn begin_for_groups(
        &self,
        attributes: &Attributes,
        scheme: &Scheme,
        ways: &[Way],
    ) -> Result<Box<dyn GroupMonitor>, ProcessError>;
}

/// Watches processes and acts on their regions by a scheme. What it set in the kernel is taken back when it is dropped.
pub trait Monitor: fmt::Debug + Send {
    /// Watches `processes` and no others. Called before each question: processes come and go.
    ///
    /// # Errors
    /// What the kernel refuses. A process that has ended meanwhile is no error.
    fn watch(&mut self, processes: &[ProcessId]) -> Result<Watching, ProcessError>;

    /// Whether the scheme acts; while not, the kernel watches on and only counts.
    ///
    /// # Errors
    /// What the kernel refuses.
    fn set_acting(&mut self, acts: bool) -> Result<(), ProcessError>;

    /// What the scheme did while it acted, since it was last asked.
    ///
    /// # Errors
    /// What the kernel refuses.
    fn done(&mut self) -> Result<Done, ProcessError>;

    /// The regions that fit the scheme now.
    ///
    /// # Errors
    /// What the kernel refuses.
    fn regions(&mut self) -> Result<Vec<Region>, ProcessError>;
}

/// Watches the memory of control groups and moves what fits a scheme between nodes. What it set in the kernel is taken back when it is
/// dropped.
pub trait GroupMonitor: fmt::Debug + Send {
    /// Watches the memory that is counted in `groups` themselves, not in groups below them, and no other. Called before each
    /// question: groups come and go. Those that are watched now, by path: one that was removed meanwhile is not, and not all are where
    /// the kernel is asked for more than it has been set up for.
    ///
    /// # Errors
    /// What the kernel refuses.
    fn watch(&mut self, groups: &[Group]) -> Result<Vec<Group>, ProcessError>;

    /// As [`Monitor::set_acting`].
    ///
    /// # Errors
    /// What the kernel refuses.
    fn set_acting(&mut self, acts: bool) -> Result<(), ProcessError>;

    /// What the scheme did while it acted, since it was last asked, of each group that is watched.
    ///
    /// # Errors
    /// What the kernel refuses.
    fn done(&mut self) -> Result<Vec<(Group, Done)>, ProcessError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotas_are_shared_evenly_and_never_exceeded() {
        let quota = |bytes, milliseconds: Option<u64>| Quota {
            bytes_per_second: bytes,
            time_per_second: milliseconds.map(Duration::from_millis),
        };
        for (quota, schemes, want) in [
            (quota(None, None), 3, (0, 0, 1)),
            (quota(Some(50 << 20), Some(50)), 1, (50 << 20, 50, 1)),
            (quota(Some(50 << 20), Some(50)), 0, (50 << 20, 50, 1)),
            (quota(Some(1000), None), 3, (333, 0, 1)),
            (quota(Some(2), None), 3, (1, 0, 1)),
            (quota(None, Some(10)), 10, (0, 1, 1)),
            // No part of a millisecond: 1 ms in 2 s, and as many bytes.
            (quota(Some(1100), Some(10)), 11, (200, 1, 2)),
            (quota(Some(1000), Some(10)), 25, (120, 1, 3)),
        ] {
            let QuotaShare { bytes, milliseconds, over } = quota.share(schemes);
            assert_eq!((bytes, milliseconds, over.as_secs()), want, "{quota:?} among {schemes}");
            let all = (schemes as u64).max(1);
            let seconds = over.as_secs();
            assert!(bytes == 1 || bytes * all <= quota.bytes_per_second.unwrap_or(0) * seconds);
            assert!(
                u128::from(milliseconds * all)
                    <= quota.time_per_second.unwrap_or_default().as_millis() * u128::from(seconds)
            );
        }
    }
}
