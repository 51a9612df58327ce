//! Whether a process is worth a cycle, whether the machine or its cgroup must be left alone, and how much may leave.
//!
//! [`gate`] and [`room`] answer before the scan, `room` once more after it. Where the answer is no, a [`SkipReason`] says why.

mod skip_reason;

pub use skip_reason::SkipReason;

use crate::address::PAGE_SIZE;
use crate::kernel::groups::GroupLimits;
use crate::kernel::memory::{MemoryState, SwapLimit};
use crate::kernel::pressure::{Pressure, Share};
use crate::kernel::process::ProcessMemory;
use std::fmt;

/// Limits under which a task leaves a process alone. Absent ones do not limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Gates {
    /// Act only while free memory is below this percentage of the total (`sysmem_threshold`).
    pub free_below_percent: Option<u8>,
    /// Act only on a process with more bytes in memory than this (`swap_threshold`); only together with
    /// `free_below_percent`.
    pub resident_above: Option<u64>,
}

impl Gates {
    /// Whether no process is left alone by them, whatever its figures.
    #[must_use]
    pub const fn are_open(self) -> bool {
        self.free_below_percent.is_none()
    }
}

/// Whether the swap cache takes more than `high_percent` of memory.
#[must_use]
pub const fn swap_cache_is_above(high_percent: u8, memory: &MemoryState) -> bool {
    memory.swap_cached as u128 * 100 > memory.total as u128 * high_percent as u128
}

/// Limits that keep a task from doing harm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Guards {
    /// Most of swap that may be in use, in percent (`max_swap_use`).
    pub swap_use_percent: u8,
    /// Most pressure under which pages are moved (`max_pressure`); none: whatever it is.
    pub pressure: Option<Share>,
}

/// What bounds an act.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bound {
    /// What swap has left below `max_swap_use`.
    Swap,
    /// What zram may still take below its limit.
    ZramLimit,
    /// What the process's cgroup may still put in swap.
    GroupSwap,
    /// What the process's cgroup has beyond what it is promised.
    GroupProtected,
    /// What the goal has paid for, after too much refaulted.
    Probation,
    /// Nothing moves until the goal has paid for what refaulted.
    Paused,
    /// Little leaves first, and more when that stayed out.
    First,
    /// All was touched at once, and it is not known yet how often that is so.
    Swept,
    /// The probe does not see what touches the process.
    Blind,
    /// Compressed it would take nearly as much of memory.
    Incompressible,
    /// Writes to swap fail.
    SwapFails,
    /// Swap was taken away while pages were leaving.
    SwapOff,
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Swap => "no room in swap below max_swap_use",
            Self::ZramLimit => "no room in zram below its mem_limit",
            Self::GroupSwap => "over its cgroup's memory.swap.max",
            Self::GroupProtected => "promised by its cgroup's memory.min or memory.low",
            Self::Probation => "held back after too much came back",
            Self::Paused => "held back as too much came back",
            Self::First => "left for later, as little leaves first",
            Self::Swept => "held back as all of it was touched at once",
            Self::Blind => "held back as the probe does not see what touches it",
            Self::Incompressible => "held back as it hardly compresses",
            Self::SwapFails => "stuck in the swap cache as writes to swap fail",
            Self::SwapOff => "kept as swap was taken away meanwhile (swapoff)",
        })
    }
}

/// How much may leave, and what bounds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// In bytes.
    pub bytes: u64,
    /// Where more is wanted, why not.
    pub bound: Bound,
}

impl Room {
    /// The lesser of this and another room.
    #[must_use]
    pub const fn or(self, bytes: u64, bound: Bound) -> Self {
        if bytes < self.bytes { Self { bytes, bound } } else { self }
    }
}

/// Memory is not short where at least this share of it is available, in percent.
const PLENTY_PERCENT: u64 = 10;

/// Whether swap can take anything.
///
/// # Errors
/// Why not.
pub fn swap_has_room(memory: &MemoryState) -> Result<(), SkipReason> {
    if memory.swap_total == 0 {
        return Err(SkipReason::NoSwap);
    }
    if memory.swap_free == 0 {
        let fine = percent(memory.available, memory.total) >= PLENTY_PERCENT && memory.total > 0;
        let available = memory.available;
        return Err(if fine { SkipReason::SwapFullMemoryFine { available } } else { SkipReason::SwapFull });
    }
    Ok(())
}

/// Whether to look at a process at all, in the original's order: without `sysmem_threshold` always; with it, only while
/// free memory is short, and then by the process's own size or by how much of it is in swap already.
///
/// # Errors
/// Why not.
pub fn gate(gates: Gates, memory: &MemoryState, process: &ProcessMemory) -> Result<(), SkipReason> {
    let Some(below) = gates.free_below_percent else { return Ok(()) };
    let free_percent = percent(memory.free, memory.total);
    if free_percent >= u64::from(below) {
        return Err(SkipReason::MemoryFree { free_percent, below });
    }
    if let Some(above) = gates.resident_above {
        if process.resident <= above {
            return Err(SkipReason::Small { resident: process.resident, above });
        }
    } else {
        let share = process.share(below);
        if share <= process.swapped {
            return Err(SkipReason::SwappedEnough { swapped: process.swapped, share });
        }
    }
    Ok(())
}

/// How much of a process may leave now.
///
/// # Errors
/// Why nothing may.
pub fn room(
    guards: Guards,
    memory: &MemoryState,
    pressure: Option<Pressure>,
    groups: GroupLimits,
) -> Result<Room, SkipReason> {
    swap_has_room(memory)?;
    let used = memory.swap_total.saturating_sub(memory.swap_free);
    let most = u128::from(memory.swap_total) * u128::from(guards.swap_use_percent) / 100;
    let left = u64::try_from(most).unwrap_or(u64::MAX).saturating_sub(used) & !(PAGE_SIZE - 1);
    if left == 0 {
        let most = guards.swap_use_percent;
        // Less than a page below it is at it.
        let used_percent = percent(used, memory.swap_total).max(most.into());
        return Err(SkipReason::SwapUse { used_percent, most });
    }
    is_calm(guards, pressure)?;
    let mut room = Room { bytes: left.min(memory.swap_free), bound: Bound::Swap };
    if let Some(SwapLimit { limit, room: left }) = memory.swap_limit {
        room = room.or(left & !(PAGE_SIZE - 1), Bound::ZramLimit);
        if left < PAGE_SIZE {
            return Err(SkipReason::ZramLimit { limit });
        }
    }
    if memory.swap_stuck > 0 {
        return Err(SkipReason::SwapFails { stuck: memory.swap_stuck });
    }
    if let Some(swap) = groups.swap {
        room = room.or(swap.bound.saturating_sub(swap.used), Bound::GroupSwap);
        if swap.bound <= swap.used {
            return Err(SkipReason::GroupSwap(swap));
        }
    }
    if let Some(protection) = groups.protection {
        room = room.or(protection.used.saturating_sub(protection.bound), Bound::GroupProtected);
        if protection.used <= protection.bound {
            return Err(SkipReason::GroupProtected(protection));
        }
    }
    Ok(room)
}

/// Whether programs wait for memory no more than they may.
///
/// # Errors
/// They do.
pub fn is_calm(guards: Guards, pressure: Option<Pressure>) -> Result<(), SkipReason> {
    match (pressure, guards.pressure) {
        (Some(Pressure { some_avg10: some, .. }), Some(most)) if some > most => {
            Err(SkipReason::Pressure { some, most })
        }
        (_, _) => Ok(()),
    }
}

fn percent(part: u64, whole: u64) -> u64 {
    part.saturating_mul(100).checked_div(whole).unwrap_or(100)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::groups::GroupUse;

    const MIB: u64 = 1 << 20;
    const GIB: u64 = 1 << 30;

    #[test]
    fn the_swap_cache_and_its_high_watermark() {
        let memory = |total, swap_cached| MemoryState { total, swap_cached, ..MemoryState::default() };
        assert!(!swap_cache_is_above(5, &memory(1000, 50)));
        assert!(swap_cache_is_above(5, &memory(1000, 51)));
        assert!(!swap_cache_is_above(100, &memory(u64::MAX, u64::MAX)));
        assert!(!swap_cache_is_above(1, &memory(0, 0)));
    }

    #[test]
    fn gates_in_the_originals_order() {
        let memory = |free| MemoryState { total: 100 * GIB, free, ..MemoryState::default() };
        let process = |resident, swapped| ProcessMemory { resident, swapped, ..ProcessMemory::default() };
        let gates = |percent, above| Gates { free_below_percent: percent, resident_above: above };
        for (name, gates, memory, process, want) in [
            ("no limits", gates(None, None), memory(100 * GIB), process(0, 0), Ok(())),
            ("size alone does not limit", gates(None, Some(GIB)), memory(0), process(0, 0), Ok(())),
            (
                "enough is free",
                gates(Some(50), None),
                memory(50 * GIB),
                process(10 * GIB, 0),
                Err(SkipReason::MemoryFree { free_percent: 50, below: 50 }),
            ),
            ("memory is short", gates(Some(51), None), memory(50 * GIB), process(10 * GIB, 0), Ok(())),
            ("large enough", gates(Some(51), Some(GIB)), memory(GIB), process(GIB + 1, 0), Ok(())),
            (
                "too small",
                gates(Some(51), Some(GIB)),
                memory(GIB),
                process(GIB, 9 * GIB),
                Err(SkipReason::Small { resident: GIB, above: GIB }),
            ),
            (
                "half of it is in swap",
                gates(Some(50), None),
                memory(GIB),
                process(5 * GIB, 5 * GIB + 100),
                Err(SkipReason::SwappedEnough { swapped: 5 * GIB + 100, share: (10 * GIB + 100) / 100 * 50 }),
            ),
            ("less of it is in swap", gates(Some(50), None), memory(GIB), process(6 * GIB, 4 * GIB), Ok(())),
        ] {
            assert_eq!(gate(gates, &memory, &process), want, "{name}");
        }
    }

    #[test]
    fn room_in_swap() {
        let memory = |swap_total, swap_free| MemoryState { swap_total, swap_free, ..MemoryState::default() };
        assert_eq!(swap_has_room(&memory(0, 0)), Err(SkipReason::NoSwap));
        assert_eq!(swap_has_room(&memory(GIB, 0)), Err(SkipReason::SwapFull));
        assert_eq!(swap_has_room(&memory(GIB, 1)), Ok(()));
        let plenty = MemoryState { total: 10 * GIB, available: GIB, ..memory(GIB, 0) };
        assert_eq!(swap_has_room(&plenty), Err(SkipReason::SwapFullMemoryFine { available: GIB }));
        let short = MemoryState { available: GIB - 1, ..plenty };
        assert_eq!(swap_has_room(&short), Err(SkipReason::SwapFull));
    }

    #[test]
    fn each_guard_alone() {
        let guards = Guards { swap_use_percent: 80, pressure: Some(Share::of_percent(20)) };
        let memory = |used: u64| MemoryState {
            total: 1000 * MIB,
            swap_total: 100 * MIB,
            swap_free: (100 - used) * MIB,
            ..MemoryState::default()
        };
        let none = GroupLimits::default();
        let group = |bound: u64, used: u64| GroupUse { bound: bound * MIB, used: used * MIB };
        let swap = |bound, used| GroupLimits { swap: Some(group(bound, used)), ..none };
        let promise = |bound, used| GroupLimits { protection: Some(group(bound, used)), ..none };
        let pressure = |hundredths| {
            Some(Pressure { some_avg10: Share::of_hundredths(hundredths), ..Pressure::default() })
        };
        let room_of = |mib: u64, bound| Ok(Room { bytes: mib * MIB, bound });
        for (name, memory, pressure, groups, want) in [
            ("nothing in swap", memory(0), None, none, room_of(80, Bound::Swap)),
            ("some", memory(79), None, none, room_of(1, Bound::Swap)),
            ("at the bound", memory(80), None, none, Err(SkipReason::SwapUse { used_percent: 80, most: 80 })),
            ("above", memory(99), None, none, Err(SkipReason::SwapUse { used_percent: 99, most: 80 })),
            ("full", memory(100), None, none, Err(SkipReason::SwapFull)),
            ("no swap", MemoryState::default(), None, none, Err(SkipReason::NoSwap)),
            ("at the pressure", memory(0), pressure(2000), none, room_of(80, Bound::Swap)),
            (
                "above the pressure",
                memory(0),
                pressure(2001),
                none,
                Err(SkipReason::Pressure { some: Share::of_hundredths(2001), most: Share::of_percent(20) }),
            ),
            ("no swap for the group", memory(0), None, swap(0, 0), Err(SkipReason::GroupSwap(group(0, 0)))),
            ("its swap used up", memory(0), None, swap(5, 6), Err(SkipReason::GroupSwap(group(5, 6)))),
            ("some of it left", memory(0), None, swap(50, 20), room_of(30, Bound::GroupSwap)),
            ("more than there is", memory(0), None, swap(500, 20), room_of(80, Bound::Swap)),
            (
                "promised more than it has",
                memory(0),
                None,
                promise(50, 20),
                Err(SkipReason::GroupProtected(group(50, 20))),
            ),
            ("promised some", memory(0), None, promise(50, 60), room_of(10, Bound::GroupProtected)),
        ] {
            assert_eq!(room(guards, &memory, pressure, groups), want, "{name}");
        }
        let limited = |room| MemoryState { swap_limit: Some(SwapLimit { limit: MIB, room }), ..memory(0) };
        assert_eq!(room(guards, &limited(30 * MIB + 1), None, none), room_of(30, Bound::ZramLimit));
        assert_eq!(room(guards, &limited(4095), None, none), Err(SkipReason::ZramLimit { limit: MIB }));
        let stuck = MemoryState { swap_stuck: MIB, ..memory(0) };
        assert_eq!(room(guards, &stuck, None, none), Err(SkipReason::SwapFails { stuck: MIB }));
        let whatever = Guards { pressure: None, ..guards };
        assert_eq!(room(whatever, &memory(0), pressure(9999), none), room_of(80, Bound::Swap));
        let all = Guards { swap_use_percent: 100, ..guards };
        assert_eq!(room(all, &memory(99), None, none), room_of(1, Bound::Swap));
    }

    #[test]
    fn shares_are_written_as_psi_writes_them() {
        assert_eq!(Share::of_hundredths(1203).to_string(), "12.03 %");
        assert_eq!(Share::of_percent(100), Share::of_hundredths(10_000));
    }
}
