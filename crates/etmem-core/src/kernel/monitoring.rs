//! The kernel watches processes and acts on what it sees itself (DAMON and its schemes).

use super::process::{ProcessError, ProcessId};
use crate::address::AddressRange;
use std::fmt;
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
}

impl Action {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::WillNeed, Self::Cold, Self::PageOut, Self::HugePage, Self::NoHugePage, Self::Stat];

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
        }
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
    /// Bytes to which the action was applied; what became of the pages, the kernel does not count.
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
