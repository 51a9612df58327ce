//! How much of a group may be reclaimed: never below what it keeps.

use super::settings::Settings;
use etmem_core::kernel::groups::{GroupMemory, GroupUse};
use etmem_core::kernel::memory::MemoryState;

/// How much more may go to swap, in bytes.
pub(super) fn swap_room(settings: &Settings, machine: &MemoryState, group: &GroupMemory) -> u64 {
    let used = machine.swap_total.saturating_sub(machine.swap_free);
    let most = u128::from(machine.swap_total) * u128::from(settings.swap_use_percent) / 100;
    let below_use = u64::try_from(most).unwrap_or(u64::MAX).saturating_sub(used);
    let of_zram = machine.swap_limit.map_or(u64::MAX, |limit| limit.room);
    let left = |limit: GroupUse| limit.bound.saturating_sub(limit.used);
    below_use.min(machine.swap_free).min(of_zram).min(group.limits.swap.map_or(u64::MAX, left))
}

/// How much of a group may leave.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Room {
    /// What the group keeps: a round never asks for what is below.
    pub(super) floor: u64,
    /// What is above.
    pub(super) bytes: u64,
    /// Of what may leave, what the kernel's lists do not have as in use: anonymous pages, and those of files.
    pub(super) inactive_anon: u64,
    pub(super) inactive_file: u64,
    /// Whether a promise of the group, or of one above, is what bounds it.
    pub(super) promised: bool,
}

impl Room {
    /// That of `group`, of which `swap_room` bytes may go to swap.
    pub(super) fn of(settings: &Settings, group: &GroupMemory, swap_room: u64) -> Self {
        let reclaimable = group.file.saturating_add(group.anon.min(swap_room));
        let fixed = group.current.saturating_sub(reclaimable);
        let own = settings.floor_bytes.saturating_add(fixed).max(share(group.limit, settings.floor_ratio));
        let floor = own.max(group.promise);
        let beyond = group.current.saturating_sub(floor);
        // A group above may be promised memory as well: what it has beyond that is the most that may leave.
        let above = group.limits.protection.map_or(u64::MAX, |limit| limit.used.saturating_sub(limit.bound));
        let bytes = beyond.min(above);
        let inactive_anon = group.anon.saturating_sub(group.active_anon).min(swap_room);
        let inactive_file = group.file.saturating_sub(group.active_file);
        Self {
            floor: group.current - bytes,
            bytes,
            inactive_anon,
            inactive_file,
            promised: group.promise > own || above < beyond,
        }
    }

    /// Both together.
    pub(super) fn inactive(&self) -> u64 {
        self.inactive_anon.saturating_add(self.inactive_file).min(self.bytes)
    }

    /// What a round asks for at `rate`, of whole pages.
    pub(super) fn request(&self, rate: f64, most: u64) -> u64 {
        share(Some(self.bytes), rate).min(self.bytes).min(most) & !(etmem_core::address::PAGE_SIZE - 1)
    }
}

/// `ratio` of `bytes`.
fn share(bytes: Option<u64>, ratio: f64) -> u64 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "exact up to 8 PiB, never negative, and saturates"
    )]
    let share = |bytes: u64| (bytes as f64 * ratio) as u64;
    bytes.map_or(0, share)
}

#[cfg(test)]
mod tests {
    use super::super::tests::settings;
    use super::*;
    use etmem_core::kernel::groups::GroupLimits;

    const MIB: u64 = 1 << 20;

    fn group() -> GroupMemory {
        GroupMemory { current: 100 * MIB, file: 30 * MIB, anon: 60 * MIB, ..GroupMemory::default() }
    }

    fn floor(keys: &str, group: GroupMemory) -> (u64, bool) {
        let room = Room::of(&settings(keys), &group, 1 << 40);
        assert_eq!(room.floor + room.bytes, group.current);
        assert_eq!(room.inactive(), room.bytes);
        (room.floor / MIB, room.promised)
    }

    #[test]
    fn the_highest_of_all_floors() {
        let protection = |bound, used| GroupLimits {
            protection: Some(GroupUse { bound: bound * MIB, used: used * MIB }),
            ..GroupLimits::default()
        };
        assert_eq!(floor("", group()), (10, false), "what cannot be reclaimed");
        assert_eq!(floor("limit_min_bytes=20971520", group()), (30, false));
        assert_eq!(floor("limit_min_bytes=1073741824", group()), (100, false), "more than it has");
        assert_eq!(
            floor("limit_min_ratio=0.5", GroupMemory { limit: Some(90 * MIB), ..group() }),
            (45, false)
        );
        assert_eq!(
            floor("limit_min_ratio=3", GroupMemory { limit: Some(90 * MIB), ..group() }),
            (100, false)
        );
        assert_eq!(floor("", GroupMemory { promise: 70 * MIB, ..group() }), (70, true));
        assert_eq!(floor("", GroupMemory { promise: u64::MAX, ..group() }), (100, true));
        // The group above has 300 MiB of which 295 are promised: 5 may leave.
        assert_eq!(floor("", GroupMemory { limits: protection(295, 300), ..group() }), (95, true));
        assert_eq!(floor("", GroupMemory { limits: protection(400, 300), ..group() }), (100, true));
    }

    #[test]
    fn anonymous_memory_leaves_as_far_as_swap_has_room() {
        let settings = settings("max_swap_use=50");
        let machine = MemoryState { swap_total: 100, swap_free: 80, ..MemoryState::default() };
        assert_eq!(swap_room(&settings, &machine, &group()), 30);
        let full = MemoryState { swap_free: 40, ..machine };
        assert_eq!(swap_room(&settings, &full, &group()), 0);
        let swap = Some(GroupUse { bound: 25, used: 20 });
        let limits = GroupLimits { swap, ..GroupLimits::default() };
        assert_eq!(swap_room(&settings, &machine, &GroupMemory { limits, ..group() }), 5);
        let room = Room::of(&settings, &group(), 20 * MIB);
        assert_eq!((room.floor, room.bytes), (50 * MIB, 50 * MIB));
    }

    #[test]
    fn a_request_is_of_whole_pages_and_never_below_the_floor() {
        let room = Room { bytes: 100_000, ..Room::default() };
        for (rate, most, want) in
            [(0.05, u64::MAX, 4096), (0.01, u64::MAX, 0), (9.0, u64::MAX, 98_304), (1.0, 8191, 4096)]
        {
            assert_eq!(room.request(rate, most), want, "{rate}");
        }
    }
}
