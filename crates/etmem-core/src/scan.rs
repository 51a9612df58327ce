//! Looking at a process: which mappings, how often, how far apart.
//!
//! This is where a page's accessed bit becomes a count. A cycle is `loops` looks; each look asks the probe what
//! was touched since the look before it and adds that to the heat, then arms the probe for the next:
//!
//! ```text
//! first cycle    arm -- interval -- look,arm -- interval -- look,arm -- interval -- look,arm   (loops = 3)
//! later cycles   [sleep] look,arm -- interval -- look,arm -- interval -- look,arm
//! ```
//!
//! The first look at a process would tell of touches of unknown age, so the first cycle only arms there. Later
//! cycles begin with what was touched since the last look, which is the `sleep` between the cycles.
//!
//! [`Looks`] is the only scanner. Slide runs a whole cycle of it over one process ([`Looks::cycle`]); cslide arms the processes
//! of all tasks, then looks at each in turn, so that all have the same windows ([`Looks::arm`], [`Looks::look`]).

mod wanted;
mod window;

pub use wanted::{Wanted, is_anonymous, is_placeable, is_swappable};

use crate::address::AddressRange;
use crate::heat::{HeatMap, HeatUpdate};
use crate::kernel::mapping::{Mapping, MappingSource};
use crate::kernel::pacer::{Pacer, Stopped};
use crate::kernel::probe::AccessProbe;
use crate::kernel::process::{ProcessError, ProcessId};
use std::time::Duration;
use window::{WHOLE, clip, window, without};

/// How often and how far apart a cycle looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Schedule {
    /// Looks per cycle, 1 to 120.
    pub loops: u16,
    /// Time between two looks.
    pub interval: Duration,
}

/// Why a cycle over a process ended without heat.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScanEnd {
    /// A stop was asked for.
    #[error("stopped")]
    Stopped,
    /// The process is gone, or the kernel refused.
    #[error(transparent)]
    Process(#[from] ProcessError),
}

impl From<Stopped> for ScanEnd {
    fn from(_: Stopped) -> Self {
        Self::Stopped
    }
}

/// What a cycle of looks may cost, and where it goes on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ScanBudget {
    /// Most of a processor that looking may take, in percent: what a look has cost is rested before the next.
    pub processor_percent: Option<u32>,
    /// Most bytes of mappings to look at in a cycle; only where the probe arms by range.
    pub slice: Option<u64>,
    /// Where the last cycle stopped; 0 for the beginning.
    pub resume: u64,
}

/// What a cycle saw.
#[derive(Debug)]
pub struct Observed {
    /// How often each page was touched.
    pub heat: HeatMap,
    /// The ranges of the last look, in ascending order, none of them outside `window`.
    pub ranges: Vec<AddressRange>,
    /// The part of the address space that was looked at, whole blocks.
    pub window: AddressRange,
    /// Where the next cycle goes on; 0 where all of the process was looked at, or its end was reached.
    pub resume: u64,
    /// Bytes of mappings left out because they are locked in memory.
    pub locked: u64,
    /// Processor time that it took.
    pub processor_time: Duration,
    /// What of that is not rested yet.
    pub unrested: Duration,
}

impl Observed {
    /// Whether all of the process was looked at.
    #[must_use]
    pub const fn is_whole(&self) -> bool {
        self.window.start == WHOLE.start && self.window.end == WHOLE.end
    }
}

/// How long to rest after having used a processor for `spent`, so that it is no more than `percent` of the time.
#[must_use]
pub fn rest(spent: Duration, percent: Option<u32>) -> Duration {
    let Some(percent) = percent.filter(|percent| (1..100).contains(percent)) else { return Duration::ZERO };
    let nanoseconds = spent.as_nanos() * u128::from(100 - percent) / u128::from(percent);
    Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(u64::MAX))
}

/// The looks of one cycle at one process.
#[derive(Debug)]
pub struct Looks<'a> {
    process: ProcessId,
    mappings: &'a dyn MappingSource,
    wanted: Wanted<'a>,
    /// Looks stay inside.
    window: AddressRange,
    heat: HeatMap,
    listed: Vec<Mapping>,
    /// Left out.
    locked: Vec<AddressRange>,
    ranges: Vec<AddressRange>,
}

impl<'a> Looks<'a> {
    /// No look yet at `process`, of which the `wanted` mappings count.
    #[must_use]
    pub fn new(process: ProcessId, mappings: &'a dyn MappingSource, wanted: Wanted<'a>) -> Self {
        Self {
            process,
            mappings,
            wanted,
            window: WHOLE,
            heat: HeatMap::default(),
            listed: Vec::new(),
            locked: Vec::new(),
            ranges: Vec::new(),
        }
    }

    /// Forgets what was touched until now.
    ///
    /// # Errors
    /// When the process is gone, or the kernel refuses.
    pub fn arm(&mut self, probe: &mut dyn AccessProbe) -> Result<(), ProcessError> {
        self.list()?;
        probe.prepare(&self.ranges)
    }

    /// Adds what was touched since the last look or arming to the counts, and arms for the next look. Returns bytes of
    /// mappings left out because they are locked in memory.
    ///
    /// # Errors
    /// [`ScanEnd`], after which the counts are lost and the process must be armed again.
    pub fn look(&mut self, probe: &mut dyn AccessProbe, pacer: &dyn Pacer) -> Result<u64, ScanEnd> {
        // Listed again each time: a target that grows or unmaps in mid-scan is followed.
        let locked = self.list()?;
        let mut update = HeatUpdate::new(std::mem::take(&mut self.heat));
        probe.check(&self.ranges, &mut update)?;
        self.heat = update.finish();
        pacer.pace().or_stopped()?;
        probe.prepare(&self.ranges)?;
        Ok(locked)
    }

    /// The counts.
    #[must_use]
    pub fn into_heat(self) -> HeatMap {
        self.heat
    }

    /// A whole cycle within `budget`, without what is locked in memory. `armed` says that the previous cycle of the same
    /// scanner armed the probe last, so that the first look need not be thrown away.
    ///
    /// A cycle that looks at a slice arms it first, since it was not looked at last: each slice has observation windows of
    /// its own.
    ///
    /// # Errors
    /// [`ScanEnd`], after which the counts are lost and the process must be armed again.
    pub fn cycle(
        mut self,
        probe: &mut dyn AccessProbe,
        schedule: Schedule,
        armed: bool,
        budget: ScanBudget,
        pacer: &dyn Pacer,
    ) -> Result<Observed, ScanEnd> {
        let start = pacer.processor_time();
        let mut rested = start;
        // Once a cycle: what is locked later, the kernel keeps in memory anyway.
        self.mappings.locked(self.process, &mut self.locked)?;
        let slice = budget.slice.filter(|_| probe.arms_by_range());
        if slice.is_some() || !armed {
            self.list()?;
        }
        let (window, resume) = window(&self.ranges, slice, budget.resume);
        self.window = window;
        if !armed || window != WHOLE {
            clip(&mut self.ranges, window);
            probe.prepare(&self.ranges)?;
            pause(schedule.interval, &mut rested, budget, pacer)?;
        }
        let mut locked = 0;
        for look in 1..=schedule.loops {
            locked = self.look(probe, pacer)?;
            if look < schedule.loops {
                pause(schedule.interval, &mut rested, budget, pacer)?;
            }
        }
        let end = pacer.processor_time();
        Ok(Observed {
            heat: self.heat,
            ranges: self.ranges,
            window,
            resume,
            locked,
            processor_time: end.saturating_sub(start),
            unrested: end.saturating_sub(rested),
        })
    }

    /// Lists the ranges that are wanted, inside the window; returns bytes left out because they are locked.
    fn list(&mut self) -> Result<u64, ProcessError> {
        self.wanted.list(self.process, self.mappings, &mut self.listed, &mut self.ranges)?;
        clip(&mut self.ranges, self.window);
        let before: u64 = self.ranges.iter().map(AddressRange::bytes).sum();
        if !self.locked.is_empty() {
            self.ranges = without(&self.ranges, &self.locked);
        }
        Ok(before - self.ranges.iter().map(AddressRange::bytes).sum::<u64>())
    }
}

/// Waits for the next look: `interval`, or longer where looking took more of the processor than it may.
fn pause(
    interval: Duration,
    rested: &mut Duration,
    budget: ScanBudget,
    pacer: &dyn Pacer,
) -> Result<(), Stopped> {
    let now = pacer.processor_time();
    let spent = now.saturating_sub(*rested);
    *rested = now;
    pacer.pause(interval.max(rest(spent, budget.processor_percent))).or_stopped()
}

/// Looks at what is present and what of it was touched since the probe was armed, and leaves the probe as it is.
///
/// # Errors
/// As the probe.
pub fn glance(probe: &mut dyn AccessProbe, ranges: &[AddressRange]) -> Result<HeatMap, ProcessError> {
    let mut update = HeatUpdate::new(HeatMap::default());
    probe.check(ranges, &mut update)?;
    Ok(update.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rests() {
        let ms = Duration::from_millis;
        for (percent, want) in [(None, 0), (Some(100), 0), (Some(50), 200), (Some(10), 1800), (Some(0), 0)] {
            assert_eq!(rest(ms(200), percent), ms(want), "{percent:?}");
        }
    }
}
