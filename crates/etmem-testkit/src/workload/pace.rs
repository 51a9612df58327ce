//! How fast the workload goes, and how much of a processor it was given to go with.
//!
//! On a machine that does something else as well, a workload slows down without any doing of the daemon's. Two
//! marks tell both: touches in a second, and touches in a second of the workload's own processor time.

use std::time::Duration;

use anyhow::{Result, ensure};
use etmem_core::kernel::pacer::Pacer;

use super::client::{Sample, Workload};
use crate::clock::WallClock;
use crate::pagemap;

/// Clock ticks in a second (USER_HZ, the same on every x86-64 and arm64 kernel).
pub const TICKS: f64 = 100.0;

/// How far the workload was at a moment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Mark {
    sample: Sample,
    ticks: u64,
    at: Duration,
}

/// How fast it was between two moments; by default not at all.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Pace {
    /// Touches a second.
    pub touches: f64,
    /// Processor time it got, as a share of one processor.
    pub processor: f64,
}

impl Mark {
    /// Looks now.
    ///
    /// # Errors
    /// The workload has ended.
    pub fn look(clock: &WallClock, workload: &Workload) -> Result<Self> {
        let ticks = pagemap::processor_ticks(workload.pid())?;
        Ok(Self { sample: workload.sample(), ticks, at: clock.now() })
    }

    /// How fast it was since `earlier`.
    ///
    /// # Errors
    /// It touched nothing, or no time has passed.
    pub fn since(self, earlier: Self) -> Result<Pace> {
        let touches = self.sample.rate_since(earlier.sample);
        ensure!(touches > 0.0, "the workload touches nothing");
        let seconds = (self.at - earlier.at).as_secs_f64();
        Ok(Pace { touches, processor: (self.ticks - earlier.ticks) as f64 / TICKS / seconds })
    }
}

impl Pace {
    /// Touches in a second of the workload's own processor time: what it loses to other programs is left out,
    /// what it loses to faults and to flushed translations is not.
    pub fn touches_per_processor_second(self) -> f64 {
        self.touches / self.processor
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(ops: u64, milliseconds: u64, ticks: u64) -> Mark {
        Mark { sample: Sample { ops, milliseconds }, ticks, at: Duration::from_millis(milliseconds) }
    }

    #[test]
    fn half_a_processor_is_half_the_pace_and_the_same_by_its_own_time() {
        let whole = mark(3_000_000, 2000, 200).since(mark(1_000_000, 1000, 100)).unwrap();
        let half = mark(2_000_000, 2000, 150).since(mark(1_000_000, 1000, 100)).unwrap();
        assert!((whole.touches - 2.0 * half.touches).abs() < 1.0);
        assert!((whole.processor - 1.0).abs() < 1e-6 && (half.processor - 0.5).abs() < 1e-6);
        assert!((whole.touches_per_processor_second() - half.touches_per_processor_second()).abs() < 1.0);
    }

    #[test]
    fn no_touch_is_an_error() {
        assert!(mark(1, 2000, 1).since(mark(1, 1000, 1)).is_err());
    }
}
