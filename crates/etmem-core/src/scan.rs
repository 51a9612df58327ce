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

use crate::address::{AddressRange, BLOCK_SIZE, block_of};
use crate::heat::{HeatMap, HeatUpdate};
use crate::kernel::mapping::{Mapping, MappingSource, VmFlag};
use crate::kernel::pacer::{Pace, Pacer};
use crate::kernel::probe::AccessProbe;
use crate::kernel::process::{ProcessError, ProcessId};
use std::time::Duration;

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

/// Whether swap may hold this mapping, by slide's rule: anonymous private memory, which is neither shared nor
/// executable and has no inode or is writable.
///
/// A writable private mapping of a file is in: the pages that were written to are anonymous.
#[must_use]
pub const fn is_swappable(mapping: &Mapping) -> bool {
    !mapping.shared && !mapping.executable && !mapping.special && (mapping.inode == 0 || mapping.writable)
}

/// Whether the pages of this mapping may lie on one NUMA node or another: all that is not the kernel's own.
#[must_use]
pub const fn is_placeable(mapping: &Mapping) -> bool {
    !mapping.special
}

/// The same, of anonymous mappings alone: those without a file behind them.
#[must_use]
pub const fn is_anonymous(mapping: &Mapping) -> bool {
    !mapping.special && mapping.inode == 0
}

/// Which mappings of a process are looked at.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// Picks them.
    pub is_wanted: fn(&Mapping) -> bool,
    /// All of these flags have to be set on them.
    pub flags: &'a [VmFlag],
    /// Left out where they meet one of these.
    pub without: &'a [AddressRange],
}

impl Wanted<'_> {
    /// The ranges of `process` that are wanted now, in ascending order, neighbours as one; `listed` is room to work in.
    fn list(
        &self,
        process: ProcessId,
        mappings: &dyn MappingSource,
        listed: &mut Vec<Mapping>,
        ranges: &mut Vec<AddressRange>,
    ) -> Result<(), ProcessError> {
        mappings.mappings(process, self.flags, listed)?;
        ranges.clear();
        for mapping in listed.iter().filter(|mapping| (self.is_wanted)(mapping)) {
            let apart = |range: &AddressRange| range.intersection(mapping.range).is_empty();
            if !self.without.iter().all(apart) {
                continue;
            }
            match ranges.last_mut() {
                Some(last) if last.end == mapping.range.start => last.end = mapping.range.end,
                _ => ranges.push(mapping.range),
            }
        }
        Ok(())
    }
}

/// What a cycle of looks may cost, and where it goes on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Effort {
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
        self.window.start == 0 && self.window.end == u64::MAX
    }
}

/// How long to rest after having used a processor for `spent`, so that it is no more than `percent` of the time.
#[must_use]
pub fn rest(spent: Duration, percent: Option<u32>) -> Duration {
    let Some(percent) = percent.filter(|percent| (1..100).contains(percent)) else { return Duration::ZERO };
    let nanoseconds = spent.as_nanos() * u128::from(100 - percent) / u128::from(percent);
    Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(u64::MAX))
}

/// One cycle of looks at all of `process`, however much it costs.
///
/// `armed` says that the probe's last arming was by the previous cycle of the same scanner, so that the first
/// look need not be thrown away. `wanted` picks the mappings.
///
/// # Errors
/// [`ScanEnd`], after which the counts are lost and the process must be armed anew.
pub fn observe(
    process: ProcessId,
    mappings: &dyn MappingSource,
    wanted: Wanted<'_>,
    probe: &mut dyn AccessProbe,
    schedule: Schedule,
    armed: bool,
    pacer: &dyn Pacer,
) -> Result<HeatMap, ScanEnd> {
    let mut looking = Looking::new(process, mappings, wanted, pacer);
    Ok(looking.cycle(probe, schedule, armed, Effort::default())?.heat)
}

/// A process and how it is looked at.
#[derive(Debug)]
pub struct Looking<'a> {
    process: ProcessId,
    mappings: &'a dyn MappingSource,
    wanted: Wanted<'a>,
    pacer: &'a dyn Pacer,
    listed: Vec<Mapping>,
    locked: Vec<AddressRange>,
    ranges: Vec<AddressRange>,
}

impl<'a> Looking<'a> {
    /// Looks at the mappings of `process` that are `wanted`.
    #[must_use]
    pub const fn new(
        process: ProcessId,
        mappings: &'a dyn MappingSource,
        wanted: Wanted<'a>,
        pacer: &'a dyn Pacer,
    ) -> Self {
        Self { process, mappings, wanted, pacer, listed: Vec::new(), locked: Vec::new(), ranges: Vec::new() }
    }

    /// One cycle of looks, as [`observe`], within `effort`. A cycle that looks at a slice arms it anew, since it was not
    /// looked at last: each slice has observation windows of its own.
    ///
    /// # Errors
    /// As [`observe`].
    pub fn cycle(
        &mut self,
        probe: &mut dyn AccessProbe,
        schedule: Schedule,
        armed: bool,
        effort: Effort,
    ) -> Result<Observed, ScanEnd> {
        let start = self.pacer.processor_time();
        let mut rested = start;
        let mut heat = HeatMap::default();
        // Once a cycle: what is locked later, the kernel keeps by itself.
        self.mappings.locked(self.process, &mut self.locked)?;
        let slice = effort.slice.filter(|_| probe.arms_by_range());
        if slice.is_some() || !armed {
            self.list(AddressRange::new(0, u64::MAX))?;
        }
        let (window, resume) = window(&self.ranges, slice, effort.resume);
        clip(&mut self.ranges, window);
        let is_whole = window == AddressRange::new(0, u64::MAX);
        if !armed || !is_whole {
            probe.prepare(&self.ranges)?;
            self.pause(schedule.interval, &mut rested, effort)?;
        }
        let mut locked = 0;
        for look in 1..=schedule.loops {
            // Listed anew each time: a target that grows or unmaps in mid-scan is followed.
            locked = self.list(window)?;
            let mut update = HeatUpdate::new(heat);
            probe.check(&self.ranges, &mut update)?;
            heat = update.finish();
            if self.pacer.pace() == Pace::Stop {
                return Err(ScanEnd::Stopped);
            }
            probe.prepare(&self.ranges)?;
            if look < schedule.loops {
                self.pause(schedule.interval, &mut rested, effort)?;
            }
        }
        let end = self.pacer.processor_time();
        Ok(Observed {
            heat,
            ranges: std::mem::take(&mut self.ranges),
            window,
            resume,
            locked,
            processor_time: end.saturating_sub(start),
            unrested: end.saturating_sub(rested),
        })
    }

    /// Looks at what is present and what of it was touched since the probe was armed, without arming anew.
    ///
    /// # Errors
    /// As the probe.
    pub fn glance(probe: &mut dyn AccessProbe, ranges: &[AddressRange]) -> Result<HeatMap, ProcessError> {
        let mut update = HeatUpdate::new(HeatMap::default());
        probe.check(ranges, &mut update)?;
        Ok(update.finish())
    }

    fn pause(&self, interval: Duration, rested: &mut Duration, effort: Effort) -> Result<(), ScanEnd> {
        let now = self.pacer.processor_time();
        let spent = now.saturating_sub(*rested);
        *rested = now;
        match self.pacer.pause(interval.max(rest(spent, effort.processor_percent))) {
            Pace::Continue => Ok(()),
            Pace::Stop => Err(ScanEnd::Stopped),
        }
    }

    /// Lists the ranges that are wanted, inside `window`; returns bytes left out because they are locked.
    fn list(&mut self, window: AddressRange) -> Result<u64, ScanEnd> {
        self.wanted.list(self.process, self.mappings, &mut self.listed, &mut self.ranges)?;
        clip(&mut self.ranges, window);
        let before: u64 = self.ranges.iter().map(AddressRange::bytes).sum();
        if !self.locked.is_empty() {
            self.ranges = without(&self.ranges, &self.locked);
        }
        Ok(before - self.ranges.iter().map(AddressRange::bytes).sum::<u64>())
    }
}

/// The looks of one cycle at one process, for whoever looks at many processes in the same windows: each is armed once,
/// the probes of all side by side, and then looked at as often as the schedule says.
#[derive(Debug)]
pub struct Looks<'a> {
    process: ProcessId,
    wanted: Wanted<'a>,
    heat: HeatMap,
    listed: Vec<Mapping>,
    ranges: Vec<AddressRange>,
}

impl<'a> Looks<'a> {
    /// No look yet at `process`, of which the `wanted` mappings count.
    #[must_use]
    pub fn new(process: ProcessId, wanted: Wanted<'a>) -> Self {
        Self { process, wanted, heat: HeatMap::default(), listed: Vec::new(), ranges: Vec::new() }
    }

    /// Forgets what was touched until now.
    ///
    /// # Errors
    /// When the process is gone, or the kernel refuses.
    pub fn arm(
        &mut self,
        mappings: &dyn MappingSource,
        probe: &mut dyn AccessProbe,
    ) -> Result<(), ProcessError> {
        self.list(mappings)?;
        probe.prepare(&self.ranges)
    }

    /// Adds what was touched since the last look or arming to the counts, and arms for the next.
    ///
    /// # Errors
    /// [`ScanEnd`], after which the counts are lost and the process must be armed anew.
    pub fn look(
        &mut self,
        mappings: &dyn MappingSource,
        probe: &mut dyn AccessProbe,
        pacer: &dyn Pacer,
    ) -> Result<(), ScanEnd> {
        // Listed anew each time: a target that grows or unmaps in mid-scan is followed.
        self.list(mappings)?;
        let mut update = HeatUpdate::new(std::mem::take(&mut self.heat));
        probe.check(&self.ranges, &mut update)?;
        self.heat = update.finish();
        if pacer.pace() == Pace::Stop {
            return Err(ScanEnd::Stopped);
        }
        probe.prepare(&self.ranges)?;
        Ok(())
    }

    /// The counts.
    #[must_use]
    pub fn into_heat(self) -> HeatMap {
        self.heat
    }

    fn list(&mut self, mappings: &dyn MappingSource) -> Result<(), ProcessError> {
        self.wanted.list(self.process, mappings, &mut self.listed, &mut self.ranges)
    }
}

/// The window that a cycle looks at, and where the next one goes on: all of it without a slice that is too small for that.
fn window(ranges: &[AddressRange], slice: Option<u64>, resume: u64) -> (AddressRange, u64) {
    let whole = AddressRange::new(0, u64::MAX);
    let total: u64 = ranges.iter().map(AddressRange::bytes).sum();
    let Some(slice) = slice.map(|slice| slice.max(BLOCK_SIZE)).filter(|slice| *slice < total) else {
        return (whole, 0);
    };
    let start = if ranges.last().is_some_and(|last| last.end > resume) { block_of(resume) } else { 0 };
    let mut left = slice;
    for range in ranges.iter().filter(|range| range.end > start) {
        let from = range.start.max(start);
        if range.end - from > left {
            let end = block_of(from + left).max(block_of(from) + BLOCK_SIZE);
            return (AddressRange::new(start, end), end);
        }
        left -= range.end - from;
    }
    (AddressRange::new(start, u64::MAX), 0)
}

/// Keeps of `ranges` what lies in `window`.
fn clip(ranges: &mut Vec<AddressRange>, window: AddressRange) {
    for range in ranges.iter_mut() {
        *range = range.intersection(window);
    }
    ranges.retain(|range| !range.is_empty());
}

/// `ranges` without `holes`; both ascend.
fn without(ranges: &[AddressRange], holes: &[AddressRange]) -> Vec<AddressRange> {
    let mut left = Vec::with_capacity(ranges.len());
    for range in ranges {
        let mut start = range.start;
        for hole in holes.iter().filter(|hole| hole.end > range.start && hole.start < range.end) {
            left.push(AddressRange::new(start, hole.start));
            start = hole.end;
        }
        left.push(AddressRange::new(start, range.end));
    }
    left.retain(|range| !range.is_empty());
    left
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn which_mappings_swap_may_hold() {
        let anonymous = Mapping {
            range: AddressRange::new(0x1000, 0x2000),
            writable: true,
            executable: false,
            shared: false,
            inode: 0,
            special: false,
        };
        for (name, mapping, want) in [
            ("heap", anonymous, true),
            ("read-only anonymous", Mapping { writable: false, ..anonymous }, true),
            ("shared", Mapping { shared: true, ..anonymous }, false),
            ("executable", Mapping { executable: true, ..anonymous }, false),
            ("private file, writable", Mapping { inode: 7, ..anonymous }, true),
            ("private file, read-only", Mapping { inode: 7, writable: false, ..anonymous }, false),
            ("vvar", Mapping { special: true, writable: false, ..anonymous }, false),
        ] {
            assert_eq!(is_swappable(&mapping), want, "{name}");
            assert_eq!(is_placeable(&mapping), name != "vvar", "{name}");
            assert_eq!(is_anonymous(&mapping), name != "vvar" && mapping.inode == 0, "{name}");
        }
    }

    fn range(from: u64, to: u64) -> AddressRange {
        AddressRange::new(from * BLOCK_SIZE, to * BLOCK_SIZE)
    }

    #[test]
    fn slices_go_round() {
        let ranges = [range(10, 14), range(20, 21), range(30, 40)];
        let all = AddressRange::new(0, u64::MAX);
        assert_eq!(window(&ranges, None, 7), (all, 0));
        assert_eq!(window(&ranges, Some(15 * BLOCK_SIZE), 0), (all, 0), "it is large enough");
        let mut resume = 0;
        let mut seen = Vec::new();
        for _ in 0..4 {
            let (window, next) = window(&ranges, Some(6 * BLOCK_SIZE), resume);
            let mut clipped = ranges.to_vec();
            clip(&mut clipped, window);
            seen.push(clipped);
            resume = next;
        }
        let want = [
            vec![range(10, 14), range(20, 21), range(30, 31)],
            vec![range(31, 37)],
            vec![range(37, 40)],
            vec![range(10, 14), range(20, 21), range(30, 31)],
        ];
        assert_eq!(seen, want);
        // Where the rest has gone meanwhile, it begins anew; the smallest slice is a block.
        assert_eq!(window(&ranges, Some(1), 50 * BLOCK_SIZE), (range(0, 11), 11 * BLOCK_SIZE));
    }

    #[test]
    fn locked_ranges_are_left_out() {
        let ranges = [range(1, 5), range(6, 9)];
        assert_eq!(without(&ranges, &[range(0, 1), range(5, 6)]), ranges);
        assert_eq!(
            without(&ranges, &[range(2, 3), range(4, 7), range(8, 20)]),
            [range(1, 2), range(3, 4), range(7, 8)]
        );
        assert_eq!(without(&ranges, &[range(0, 20)]), []);
    }

    #[test]
    fn rests() {
        let ms = Duration::from_millis;
        for (percent, want) in [(None, 0), (Some(100), 0), (Some(50), 200), (Some(10), 1800), (Some(0), 0)] {
            assert_eq!(rest(ms(200), percent), ms(want), "{percent:?}");
        }
    }
}
