//! Which device the type of an entry in swap means.
//!
//! `/proc/swaps` lists devices in the order of their types (`swap_start`, mm/swapfile.c). The types are 0, 1, 2 and so on until a
//! `swapoff` leaves a hole, which that list does not show. A page of our own that we page out shows the type of the device that it went
//! to, which is that of the highest priority.

use super::list::Swap;
use crate::process::stat::check_own_pid;
use crate::root::ProcRoot;
use crate::sys::machine::{is_procfs, page_bytes};
use crate::sys::pidfd;
use etmem_core::address::AddressRange;
use etmem_core::kernel::process::Pid;
use std::fs::File;
use std::os::unix::fs::FileExt;

/// Types beyond this one are no devices: the kernel marks pages that migrate, and others, in the same way
/// (`MAX_SWAPFILES`, include/linux/swap.h).
pub(super) const TYPES: usize = 24;

/// Room that the device of the highest priority must have for our page to go there for sure.
const ROOM: u64 = 4 << 20;

/// The place of a device in the list for each type that is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SwapTypes {
    places: [Option<usize>; TYPES],
    /// From this type on, places are right only if no higher type than the last is seen.
    assumed_from: usize,
    last: usize,
}

impl SwapTypes {
    /// Of `devices` devices, of which the one at the place `anchor.0` has the type `anchor.1`, if that is known.
    pub(super) fn of(devices: usize, anchor: Option<(usize, usize)>) -> Self {
        let mut places = [None; TYPES];
        if devices == 1 {
            return Self { places: [Some(0); TYPES], assumed_from: TYPES, last: TYPES };
        }
        let Some((place, kind)) = anchor.filter(|(place, kind)| place <= kind && *kind < TYPES) else {
            for (kind, place) in places.iter_mut().zip(0..devices) {
                *kind = Some(place);
            }
            return Self { places, assumed_from: 0, last: devices.saturating_sub(1) };
        };
        places[kind] = Some(place);
        // Below: without a hole, one after the other; with one, only a single device is certain.
        for (below, known) in places.iter_mut().enumerate().take(kind) {
            *known = if place == kind { Some(below) } else { (place == 1).then_some(0) };
        }
        let above = devices - 1 - place.min(devices - 1);
        if above == 1 {
            places[kind + 1..].fill(Some(place + 1));
            return Self { places, assumed_from: TYPES, last: TYPES };
        }
        for number in 1..=above.min(TYPES - 1 - kind) {
            places[kind + number] = Some(place + number);
        }
        Self { places, assumed_from: kind + 1, last: kind + above }
    }

    /// The device of `kind`, where `highest` is the highest type that was seen.
    pub(super) fn place(&self, kind: usize, highest: usize) -> Option<usize> {
        let has_hole = (self.last + 1..TYPES).contains(&highest);
        if has_hole && kind >= self.assumed_from {
            return None;
        }
        self.places.get(kind).copied().flatten()
    }
}

/// The place of a device in `swaps` and its type, found by a page of our own.
pub(super) fn anchor(proc: &ProcRoot, swaps: &[Swap]) -> Option<(usize, usize)> {
    let (place, highest) = swaps.iter().enumerate().max_by_key(|(_, swap)| swap.priority)?;
    let is_alone = swaps.iter().filter(|swap| swap.priority == highest.priority).count() == 1;
    let is_real = is_procfs(proc.path()).unwrap_or(false) && check_own_pid(proc).is_ok();
    (is_alone && highest.free >= ROOM && is_real).then(|| own_type(proc)).flatten().map(|kind| (place, kind))
}

/// The type of the device to which a page of our own goes.
fn own_type(proc: &ProcRoot) -> Option<usize> {
    let bytes = usize::try_from(page_bytes()).ok()?;
    let mut page = memmap2::MmapMut::map_anon(bytes).ok()?;
    // No page of one value, which may go nowhere.
    for (number, byte) in (0u32..).zip(page.iter_mut()) {
        *byte = number.wrapping_mul(2_654_435_761).to_le_bytes()[3];
    }
    // The daemon's own memory is locked.
    let _ = page.unlock();
    let start = page.as_ptr().addr() as u64;
    let own = pidfd::open(Pid::new(std::process::id())?).ok()?;
    pidfd::page_out(&own, &[AddressRange::new(start, start + page_bytes())]).ok()?;
    let mut entry = [0; 8];
    File::open(proc.own("pagemap")).ok()?.read_exact_at(&mut entry, start / page_bytes() * 8).ok()?;
    let super::entries::Entry::Swap { kind, .. } = super::entries::Entry::of(u64::from_ne_bytes(entry))
    else {
        return None;
    };
    Some(kind).filter(|kind| *kind < TYPES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_with_and_without_holes() {
        // Devices, anchor, the highest type seen; then the place of each type from 0 on.
        for (devices, anchor, highest, want) in [
            (1, None, 3, vec![Some(0), Some(0), Some(0), Some(0)]),
            (2, None, 1, vec![Some(0), Some(1), None]),
            // A type that no device has without a hole: nothing is certain.
            (2, None, 2, vec![None, None, None]),
            (2, Some((0, 0)), 1, vec![Some(0), Some(1)]),
            // The first was removed: the two have the types 1 and 2.
            (2, Some((0, 1)), 2, vec![None, Some(0), Some(1)]),
            // One in the middle was removed.
            (2, Some((1, 2)), 2, vec![Some(0), Some(0), Some(1), None]),
            (2, Some((0, 0)), 5, vec![Some(0), Some(1), Some(1), Some(1), Some(1), Some(1)]),
            (3, Some((0, 0)), 2, vec![Some(0), Some(1), Some(2)]),
            (3, Some((0, 0)), 3, vec![Some(0), None, None, None]),
            (3, Some((2, 2)), 2, vec![Some(0), Some(1), Some(2)]),
            (3, Some((2, 3)), 3, vec![None, None, None, Some(2)]),
            (3, Some((1, 2)), 3, vec![Some(0), Some(0), Some(1), Some(2)]),
        ] {
            let types = SwapTypes::of(devices, anchor);
            let got: Vec<_> = (0..want.len()).map(|kind| types.place(kind, highest)).collect();
            assert_eq!(got, want, "{devices} {anchor:?} {highest}");
            assert_eq!(types.place(31, highest), None, "a page that migrates");
        }
    }
}
