//! Which pages are cold: pure functions of heat and limits.
//!
//! Between NUMA nodes, [`pairs`] tells the fast node from the slow one, and [`exchange`] how much changes places. Whether a
//! process is looked at, and how much may leave, is decided in [`crate::guard`].

pub mod exchange;
pub mod pairs;

use crate::feedback::TOUCHED_RANK;
use crate::heat::{COUNT_MAX, Histogram};
use crate::kernel::process::ProcessMemory;
use crate::plan::Selection;

/// What slide calls cold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColdRule {
    /// Every page whose count is below T.
    Below(u16),
    /// The coldest pages, until this percentage of the process is left in memory.
    Keep(u8),
}

/// Which pages go, by the ranks that [`crate::feedback::settle()`] gave them: those that `rule` calls cold and that were
/// idle for `idle_cycles` cycles in a row, the coldest first, at most `bytes`. Also how many bytes are cold.
///
/// Above 1 cycle only pages go that were not touched at all, whatever the rule says.
#[must_use]
pub fn pick(
    rule: ColdRule,
    idle_cycles: u8,
    bytes: u64,
    ranks: &Histogram,
    process: &ProcessMemory,
) -> (Selection, u64) {
    let below = match rule {
        ColdRule::Below(0) => 0,
        ColdRule::Below(threshold) => (TOUCHED_RANK - 1).saturating_add(threshold).min(COUNT_MAX + 1),
        ColdRule::Keep(_) => COUNT_MAX + 1,
    };
    let below = match idle_cycles {
        0 | 1 => below,
        cycles => below.min((TOUCHED_RANK + 1).saturating_sub(cycles.into())),
    };
    let candidates = ranks.below(below);
    let cold = match rule {
        ColdRule::Below(_) => candidates,
        ColdRule::Keep(percent) => {
            let keep = process.share(percent);
            candidates.min(process.resident.saturating_sub(keep))
        }
    };
    (coldest(ranks, cold.min(bytes)), cold)
}

/// What of `selection` was not touched at all: of a page that was touched, and leaves as it was touched less than others, nothing
/// else is to be expected than that it comes back.
#[must_use]
pub const fn untouched(selection: Selection) -> Selection {
    if selection.below < TOUCHED_RANK { selection } else { Selection::below(TOUCHED_RANK) }
}

/// Bytes of the pages of these `ranks` that were not touched at all.
#[must_use]
pub fn untouched_bytes(ranks: &Histogram) -> u64 {
    ranks.below(TOUCHED_RANK)
}

/// The coldest `bytes` of what the histogram holds.
fn coldest(histogram: &Histogram, bytes: u64) -> Selection {
    let mut left = bytes;
    for (count, at) in histogram.iter() {
        if at >= left {
            return Selection { below: count, bytes_at: left };
        }
        left -= at;
    }
    Selection::below(COUNT_MAX + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address::{BLOCK_SIZE, PAGES_PER_BLOCK};
    use crate::heat::{HeatMap, HeatUpdate};
    use crate::kernel::probe::{Access, AccessSink, Block};
    use crate::plan::Plan;

    const GIB: u64 = 1 << 30;

    /// Blocks of 512 pages with the counts 0, 1, 3, 0, 1, 3, …
    fn heat(blocks: u64) -> HeatMap {
        let mut update = HeatUpdate::new(HeatMap::default());
        for block in 0..blocks {
            let access = [Access::IDLE, Access::READ, Access::WRITTEN][usize::try_from(block % 3).unwrap()];
            update.block(block * BLOCK_SIZE, Block::Pages(&[access; PAGES_PER_BLOCK]));
        }
        update.finish()
    }

    #[test]
    fn a_share_is_kept_and_the_coldest_go_first() {
        let heat = heat(300);
        let histogram = heat.histogram();
        let resident = 300 * BLOCK_SIZE;
        for (percent, swapped, want) in [
            (100, 0, 0),
            (90, 0, 30 * BLOCK_SIZE),
            (50, 0, 150 * BLOCK_SIZE),
            (1, 0, 297 * BLOCK_SIZE),
            (50, resident, 0),
            (25, resident, 150 * BLOCK_SIZE),
        ] {
            let process = ProcessMemory { resident, swapped, ..ProcessMemory::default() };
            let selection = pick(ColdRule::Keep(percent), 1, u64::MAX, &histogram, &process).0;
            let plan = Plan::new(&heat, &histogram, selection);
            let bytes: u64 = plan.ranges().map(|range| range.bytes()).sum();
            assert!(bytes.abs_diff(want) <= 8192, "{percent} %: {bytes} bytes go, wanted {want}");
        }
        let memory = ProcessMemory { resident, ..ProcessMemory::default() };
        let (half, _) = pick(ColdRule::Keep(50), 1, u64::MAX, &histogram, &memory);
        assert_eq!(half.below, 1, "all idle blocks, then blocks read");
    }

    #[test]
    fn more_wanted_than_there_is_takes_all() {
        let heat = heat(3);
        let memory = ProcessMemory { resident: GIB, ..ProcessMemory::default() };
        let (selection, _) = pick(ColdRule::Keep(1), 1, u64::MAX, &heat.histogram(), &memory);
        let plan = Plan::new(&heat, &heat.histogram(), selection);
        assert_eq!(plan.ranges().map(|range| range.bytes()).sum::<u64>(), 3 * BLOCK_SIZE);
    }
}
