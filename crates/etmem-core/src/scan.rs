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
//! [`Looks`] is the only scanner, of one process. An engine arms many processes, waits once, and looks at all of them, so that they
//! share their windows: slide the processes of a task ([`Looks::begin`]), cslide those of all tasks ([`Looks::arm`]).

mod forked;
mod wanted;
mod window;

pub use forked::{Suspected, leave_out_forked};
pub use wanted::{Wanted, is_anonymous, is_placeable, is_swappable};
pub use window::without;

use crate::address::AddressRange;
use crate::guard::SkipReason;
use crate::heat::{HeatMap, HeatUpdate};
use crate::kernel::mapping::{Mapping, MappingSource};
use crate::kernel::pacer::{Pacer, Stopped};
use crate::kernel::probe::AccessProbe;
use crate::kernel::process::{ProcessError, ProcessId};
use std::time::Duration;
use wanted::is_own_code;
use window::{WHOLE, clip, window};

/// How often and how far apart a cycle looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Schedule {
    /// Looks per cycle, 1 to 120.
    pub loops: u16,
    /// Time between two looks.
    pub interval: Duration,
}

impl Schedule {
    /// How long a cycle takes at least, with the `sleep` before it, but for the first of a process.
    #[must_use]
    pub fn cycle_time(&self, sleep: Duration) -> Duration {
        self.interval * u32::from(self.loops.saturating_sub(1)) + sleep
    }
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
    /// The process is left alone.
    #[error("{0}")]
    Left(SkipReason),
}

impl From<Stopped> for ScanEnd {
    fn from(_: Stopped) -> Self {
        Self::Stopped
    }
}

/// The part of a process that a cycle looks at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Slice {
    /// Most bytes of mappings; only where the probe arms by range.
    pub most: Option<u64>,
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
    /// Bytes of the process's own mappings that are executable, and so not wanted.
    pub executable: u64,
    /// Processor time that it took.
    pub processor_time: Duration,
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
    /// Where the next cycle goes on.
    resume: u64,
    /// Bytes of mappings left out of the last look because they are locked in memory.
    left_out: u64,
    /// Bytes of the process's own executable mappings.
    executable: u64,
    spent: Duration,
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
            resume: 0,
            left_out: 0,
            executable: 0,
            spent: Duration::ZERO,
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

    /// The counts.
    #[must_use]
    pub fn into_heat(self) -> HeatMap {
        self.heat
    }

    /// Begins a cycle that looks at `slice`, without what is locked in memory. `armed` says that the previous cycle of the same
    /// scanner armed the probe last, so that what was touched since counts. Returns whether touches count only from now on:
    /// then an interval passes before the first look.
    ///
    /// A cycle that looks at a part arms it first, since it was not looked at last: each part has observation windows of its own.
    ///
    /// # Errors
    /// When the process is gone, or the kernel refuses.
    pub fn begin(
        &mut self,
        probe: &mut dyn AccessProbe,
        armed: bool,
        slice: Slice,
        pacer: &dyn Pacer,
    ) -> Result<bool, ProcessError> {
        let start = pacer.processor_time();
        // Once a cycle: what is locked later, the kernel keeps in memory anyway.
        self.mappings.locked(self.process, &mut self.locked)?;
        let most = slice.most.filter(|_| probe.arms_by_range());
        if most.is_some() || !armed {
            self.list()?;
        }
        (self.window, self.resume) = window(&self.ranges, most, slice.resume);
        let arms = !armed || self.window != WHOLE;
        if arms {
            clip(&mut self.ranges, self.window);
            probe.prepare(&self.ranges)?;
        }
        self.spent += pacer.processor_time().saturating_sub(start);
        Ok(arms)
    }

    /// Adds what was touched since the last look or arming to the counts, and arms for the next look.
    ///
    /// # Errors
    /// [`ScanEnd`], after which the counts are lost and the process must be armed again.
    pub fn look(&mut self, probe: &mut dyn AccessProbe, pacer: &dyn Pacer) -> Result<(), ScanEnd> {
        let start = pacer.processor_time();
        // Listed again each time: a target that grows or unmaps in mid-scan is followed.
        self.left_out = self.list()?;
        self.check_guest(probe)?;
        let mut update = HeatUpdate::new(std::mem::take(&mut self.heat));
        probe.check(&self.ranges, &mut update)?;
        self.heat = update.finish();
        pacer.pace().or_stopped()?;
        probe.prepare(&self.ranges)?;
        self.spent += pacer.processor_time().saturating_sub(start);
        Ok(())
    }

    /// A process that has become a guest's since its task was started is not looked at by a probe that does not see the guest.
    fn check_guest(&self, probe: &dyn AccessProbe) -> Result<(), ProcessError> {
        let Some(because) = probe.blind_to_guests() else { return Ok(()) };
        if self.listed.iter().any(|mapping| mapping.guest) {
            let reason = format!(
                "the process runs a KVM guest: {because}; stop the project and start it again, so that it gets another probe"
            );
            return Err(ProcessError::refused("seeing what touches it", reason));
        }
        Ok(())
    }

    /// Processor time that it has taken so far.
    #[must_use]
    pub const fn spent(&self) -> Duration {
        self.spent
    }

    /// What is known to be in memory, in bytes.
    #[must_use]
    pub fn present(&self) -> u64 {
        self.heat.histogram().total()
    }

    /// What the cycle saw.
    #[must_use]
    pub fn finish(self) -> Observed {
        let Self { heat, ranges, window, resume, left_out: locked, executable, .. } = self;
        let processor_time = self.spent;
        Observed { heat, ranges, window, resume, locked, executable, processor_time }
    }

    /// Lists the ranges that are wanted, inside the window; returns bytes left out because they are locked.
    fn list(&mut self) -> Result<u64, ProcessError> {
        self.wanted.list(self.process, self.mappings, &mut self.listed, &mut self.ranges)?;
        self.executable =
            self.listed.iter().filter(|one| is_own_code(one)).map(|one| one.range.bytes()).sum();
        clip(&mut self.ranges, self.window);
        let before: u64 = self.ranges.iter().map(AddressRange::bytes).sum();
        if !self.locked.is_empty() {
            self.ranges = without(&self.ranges, &self.locked);
        }
        Ok(before - self.ranges.iter().map(AddressRange::bytes).sum::<u64>())
    }
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
    use crate::kernel::mapping::VmFlag;
    use crate::kernel::pacer::Pace;
    use crate::kernel::probe::AccessSink;
    use crate::kernel::process::Pid;
    use std::num::NonZeroU32;

    /// One mapping: a processor of a KVM guest, or not; a probe that does not see guests, or does.
    #[derive(Debug)]
    struct Guest(bool);

    impl MappingSource for Guest {
        fn mappings(&self, _: ProcessId, _: &[VmFlag], out: &mut Vec<Mapping>) -> Result<(), ProcessError> {
            let (range, guest) = (AddressRange::new(0x1000, 0x2000), self.0);
            let [writable, executable, shared, special, huge_pool] = [false; 5];
            *out = vec![Mapping { range, writable, executable, shared, inode: 1, special, huge_pool, guest }];
            Ok(())
        }
    }

    impl AccessProbe for Guest {
        fn prepare(&mut self, _: &[AddressRange]) -> Result<(), ProcessError> {
            Ok(())
        }

        fn check(&mut self, _: &[AddressRange], _: &mut dyn AccessSink) -> Result<(), ProcessError> {
            Ok(())
        }

        fn blind_to_guests(&self) -> Option<&'static str> {
            self.0.then_some("it has page tables of its own")
        }
    }

    #[derive(Debug)]
    struct NoTime;

    impl Pacer for NoTime {
        fn pause(&self, _: Duration) -> Pace {
            Pace::Continue
        }

        fn pace(&self) -> Pace {
            Pace::Continue
        }

        fn now(&self) -> Duration {
            Duration::ZERO
        }
    }

    #[test]
    fn a_guest_is_left_alone_by_a_probe_that_does_not_see_it() {
        let process = ProcessId { pid: Pid(NonZeroU32::MIN), start_time: 1 };
        let wanted = Wanted { is_wanted: is_swappable, flags: &[], without: &[] };
        for (guest, blind) in [(false, false), (false, true), (true, false), (true, true)] {
            let mappings = Guest(guest);
            let looked = Looks::new(process, &mappings, wanted).look(&mut Guest(blind), &NoTime);
            match looked {
                Ok(()) => assert!(!guest || !blind),
                Err(end) => {
                    assert!(guest && blind);
                    assert!(end.to_string().contains("KVM guest: it has page tables of its own"), "{end}");
                }
            }
        }
    }

    #[test]
    fn rests() {
        let ms = Duration::from_millis;
        for (percent, want) in [(None, 0), (Some(100), 0), (Some(50), 200), (Some(10), 1800), (Some(0), 0)] {
            assert_eq!(rest(ms(200), percent), ms(want), "{percent:?}");
        }
    }
}
