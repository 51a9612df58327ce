//! What the demo looks at: the kernel's figures of the workload at one moment.

use std::fmt;

use anyhow::Result;

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
    /// Bytes of memory the machine could give to somebody else (MemAvailable).
    pub available: usize,
}

impl Figures {
    /// Looks now.
    ///
    /// # Errors
    /// The workload has ended.
    pub fn look(workload: &Workload) -> Result<Self> {
        let pid = workload.pid();
        Ok(Self {
            resident: pagemap::status_bytes(pid, "VmRSS")?,
            swapped: pagemap::status_bytes(pid, "VmSwap")?,
            places: workload.footprint().places()?,
            fetched_back: pagemap::stat_field(pid, 12)?,
            available: machine::memory_available(),
        })
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
