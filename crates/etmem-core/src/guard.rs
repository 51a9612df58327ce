//! When the machine or a target must not be asked for more, and how much is left to ask for.

use crate::address::PAGE_SIZE;
use crate::kernel::groups::{GroupLimits, GroupUse};
use crate::kernel::memory::MemoryState;
use crate::kernel::pressure::{Pressure, Share};
use crate::policy::{self, SkipReason};
use std::fmt;

/// Limits that keep a task from doing harm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Guards {
    /// Most of swap that may be in use, in percent (`max_swap_use`).
    pub swap_use_percent: u8,
    /// Most pressure under which pages are moved (`max_pressure`); none: whatever it is.
    pub pressure: Option<Share>,
}

/// Figures of a group that keep its process from being moved, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GroupFigures {
    /// The bound.
    pub most: u64,
    /// What is used.
    pub used: u64,
}

impl From<GroupUse> for GroupFigures {
    fn from(group: GroupUse) -> Self {
        Self { most: group.bound, used: group.used }
    }
}

/// What bounds an act.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bound {
    /// What swap has left below `max_swap_use`.
    Swap,
    /// What the process's cgroup may still put in swap.
    GroupSwap,
    /// What the process's cgroup has beyond what it is promised.
    GroupProtected,
    /// What the goal has paid for, after too much came back.
    Probation,
    /// Nothing moves until the goal has paid for what came back.
    Paused,
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Swap => "no room in swap below max_swap_use",
            Self::GroupSwap => "over its cgroup's memory.swap.max",
            Self::GroupProtected => "promised by its cgroup's memory.min or memory.low",
            Self::Probation => "held back after too much came back",
            Self::Paused => "held back as too much came back",
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
    policy::room(memory)?;
    let used = memory.swap_total.saturating_sub(memory.swap_free);
    let most = u128::from(memory.swap_total) * u128::from(guards.swap_use_percent) / 100;
    let left = u64::try_from(most).unwrap_or(u64::MAX).saturating_sub(used) & !(PAGE_SIZE - 1);
    if left == 0 {
        let most = guards.swap_use_percent;
        // Less than a page below it is at it.
        let used_percent = policy::percent(used, memory.swap_total).max(most.into());
        return Err(SkipReason::SwapUse { used_percent, most });
    }
    if let (Some(Pressure { some_avg10: some, .. }), Some(most)) = (pressure, guards.pressure)
        && some > most
    {
        return Err(SkipReason::Pressure { some, most });
    }
    let mut room = Room { bytes: left.min(memory.swap_free), bound: Bound::Swap };
    if let Some(swap) = groups.swap {
        room = room.or(swap.bound.saturating_sub(swap.used), Bound::GroupSwap);
        if swap.bound <= swap.used {
            return Err(SkipReason::GroupSwap(swap.into()));
        }
    }
    if let Some(protection) = groups.protection {
        room = room.or(protection.used.saturating_sub(protection.bound), Bound::GroupProtected);
        if protection.used <= protection.bound {
            return Err(SkipReason::GroupProtected(protection.into()));
        }
    }
    Ok(room)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn each_guard_by_itself() {
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
        let figures = |most: u64, used: u64| GroupFigures { most: most * MIB, used: used * MIB };
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
            ("no swap for the group", memory(0), None, swap(0, 0), Err(SkipReason::GroupSwap(figures(0, 0)))),
            ("its swap used up", memory(0), None, swap(5, 6), Err(SkipReason::GroupSwap(figures(5, 6)))),
            ("some of it left", memory(0), None, swap(50, 20), room_of(30, Bound::GroupSwap)),
            ("more than there is", memory(0), None, swap(500, 20), room_of(80, Bound::Swap)),
            (
                "promised more than it has",
                memory(0),
                None,
                promise(50, 20),
                Err(SkipReason::GroupProtected(figures(50, 20))),
            ),
            ("promised some", memory(0), None, promise(50, 60), room_of(10, Bound::GroupProtected)),
        ] {
            assert_eq!(room(guards, &memory, pressure, groups), want, "{name}");
        }
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
