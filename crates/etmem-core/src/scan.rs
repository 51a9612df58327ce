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

use crate::address::AddressRange;
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

/// One cycle of looks at `process`.
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
    let mut looks = Looks::new(process, wanted);
    if !armed {
        looks.arm(mappings, probe)?;
        pause(pacer, schedule.interval)?;
    }
    for look in 1..=schedule.loops {
        looks.look(mappings, probe, pacer)?;
        if look < schedule.loops {
            pause(pacer, schedule.interval)?;
        }
    }
    Ok(looks.into_heat())
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
        mappings.mappings(self.process, self.wanted.flags, &mut self.listed)?;
        self.ranges.clear();
        for mapping in self.listed.iter().filter(|mapping| (self.wanted.is_wanted)(mapping)) {
            let apart = |range: &AddressRange| range.intersection(mapping.range).is_empty();
            if !self.wanted.without.iter().all(apart) {
                continue;
            }
            match self.ranges.last_mut() {
                Some(last) if last.end == mapping.range.start => last.end = mapping.range.end,
                _ => self.ranges.push(mapping.range),
            }
        }
        Ok(())
    }
}

fn pause(pacer: &dyn Pacer, duration: Duration) -> Result<(), ScanEnd> {
    match pacer.pause(duration) {
        Pace::Continue => Ok(()),
        Pace::Stop => Err(ScanEnd::Stopped),
    }
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
}
