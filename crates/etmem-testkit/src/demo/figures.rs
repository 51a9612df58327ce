//! What the demo looks at: the kernel's figures of the workload at one moment.

use std::fmt;

use anyhow::Result;

use super::waiting::{Shares, Spent};
use crate::clock::WallClock;
use crate::machine;
use crate::pagemap;
use crate::size::MIB;
use crate::workload::footprint::Places;
use crate::workload::{Pace, Workload};

/// One look at the workload.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Figures {
    /// Bytes in memory, all of the process (VmRSS).
    pub resident: usize,
    /// Bytes in swap, all of the process (VmSwap).
    pub swapped: usize,
    /// Where each page of the workload's own memory is.
    pub places: Places,
    /// Pages the process had to fetch back so far (majflt): every one is a page that left too early.
    pub fetched_back: u64,
    /// What it spent its time on so far; `None` if the kernel does not count that.
    pub spent: Option<Spent>,
    /// Bytes of memory that other programs could have (MemAvailable).
    pub available: usize,
}

impl Figures {
    /// Looks now.
    ///
    /// # Errors
    /// The workload has ended.
    pub fn look(clock: &WallClock, workload: &Workload) -> Result<Self> {
        let pid = workload.pid();
        Ok(Self {
            resident: pagemap::status_bytes(pid, "VmRSS")?,
            swapped: pagemap::status_bytes(pid, "VmSwap")?,
            places: workload.footprint().places()?,
            fetched_back: pagemap::stat_field(pid, 12)?,
            spent: Spent::look(clock, pid)?,
            available: machine::memory_available(),
        })
    }

    /// Pages that a fault fetched back since `earlier`.
    #[must_use]
    pub fn refaults_since(&self, earlier: &Self) -> u64 {
        self.fetched_back.saturating_sub(earlier.fetched_back)
    }

    /// What it spent its time on since `earlier`.
    #[must_use]
    pub fn shares_since(&self, earlier: &Self) -> Option<Shares> {
        Some(self.spent?.since(earlier.spent?))
    }
}

/// The live line of one second.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Live {
    /// Seconds since the project was started.
    pub seconds: u64,
    /// The figures.
    pub figures: Figures,
    /// How fast the workload was over the last second.
    pub now: Pace,
    /// How fast it was before the project was started.
    pub before: Pace,
}

impl fmt::Display for Live {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Figures { resident, swapped, places, .. } = self.figures;
        write!(
            out,
            "{:>4} s   resident {:>5} MiB   swapped {:>5} MiB   hot resident {:>6.2} %   {:>6.2} M ops/s ({:>3.0} %)",
            self.seconds,
            resident / MIB,
            swapped / MIB,
            places.hot.share_present() * 100.0,
            self.now.touches / 1e6,
            self.now.touches / self.before.touches * 100.0,
        )
    }
}
