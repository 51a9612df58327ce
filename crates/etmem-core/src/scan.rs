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

/// Which mappings of a process are looked at.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// Picks them.
    pub is_wanted: fn(&Mapping) -> bool,
    /// All of these flags have to be set on them.
    pub flags: &'a [VmFlag],
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
    let mut listed = Vec::new();
    let mut ranges = Vec::new();
    let mut heat = HeatMap::default();
    if !armed {
        wanted_ranges(process, mappings, wanted, &mut listed, &mut ranges)?;
        probe.prepare(&ranges)?;
        pause(pacer, schedule.interval)?;
    }
    for look in 1..=schedule.loops {
        // Listed anew each time: a target that grows or unmaps in mid-scan is followed.
        wanted_ranges(process, mappings, wanted, &mut listed, &mut ranges)?;
        let mut update = HeatUpdate::new(heat);
        probe.check(&ranges, &mut update)?;
        heat = update.finish();
        if pacer.pace() == Pace::Stop {
            return Err(ScanEnd::Stopped);
        }
        probe.prepare(&ranges)?;
        if look < schedule.loops {
            pause(pacer, schedule.interval)?;
        }
    }
    Ok(heat)
}

fn pause(pacer: &dyn Pacer, duration: Duration) -> Result<(), ScanEnd> {
    match pacer.pause(duration) {
        Pace::Continue => Ok(()),
        Pace::Stop => Err(ScanEnd::Stopped),
    }
}

fn wanted_ranges(
    process: ProcessId,
    mappings: &dyn MappingSource,
    wanted: Wanted<'_>,
    listed: &mut Vec<Mapping>,
    ranges: &mut Vec<AddressRange>,
) -> Result<(), ScanEnd> {
    mappings.mappings(process, wanted.flags, listed)?;
    ranges.clear();
    for mapping in listed.iter().filter(|mapping| (wanted.is_wanted)(mapping)) {
        match ranges.last_mut() {
            Some(last) if last.end == mapping.range.start => last.end = mapping.range.end,
            _ => ranges.push(mapping.range),
        }
    }
    Ok(())
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
        }
    }
}
