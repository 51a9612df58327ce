//! Which pages are cold, and whether to look at all: pure functions of heat, limits and the state of memory.
//!
//! Between NUMA nodes it is [`pairs`] that tells the fast one from the slow one, and [`exchange`] how much changes places.
//! What guards the machine and the targets from the daemon itself is in [`crate::guard`].

pub mod exchange;
pub mod pairs;

use crate::feedback::TOUCHED_RANK;
use crate::guard::GroupFigures;
use crate::heat::{COUNT_MAX, Histogram};
use crate::kernel::memory::MemoryState;
use crate::kernel::pressure::Share;
use crate::kernel::process::ProcessMemory;
use crate::plan::Selection;
use std::fmt;

/// Limits under which a task leaves a process alone. Absent ones do not limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Gates {
    /// Act only while free memory is below this percentage of the total (`sysmem_threshold`).
    pub free_below_percent: Option<u8>,
    /// Act only on a process with more than so many bytes in memory (`swap_threshold`); looked at only together
    /// with `free_below_percent`.
    pub resident_above: Option<u64>,
}

/// Whether the swap cache takes more than `high_percent` of memory.
#[must_use]
pub const fn swap_cache_is_above(high_percent: u8, memory: &MemoryState) -> bool {
    memory.swap_cached as u128 * 100 > memory.total as u128 * high_percent as u128
}

/// Why a process was left alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SkipReason {
    /// The machine has no swap.
    NoSwap,
    /// Swap has no room left.
    SwapFull,
    /// Swap has no room left, though there is plenty of memory.
    SwapFullMemoryFine {
        /// Bytes of memory available.
        available: u64,
    },
    /// More of swap is in use than may be.
    SwapUse {
        /// In percent.
        used_percent: u64,
        /// The limit.
        most: u8,
    },
    /// Programs already wait for memory.
    Pressure {
        /// Share of the last ten seconds in which at least one did.
        some: Share,
        /// The limit.
        most: Share,
    },
    /// The process's cgroup may not use swap, or no more of it.
    GroupSwap(GroupFigures),
    /// The process's cgroup is promised its memory.
    GroupProtected(GroupFigures),
    /// There is free memory enough.
    MemoryFree {
        /// Free memory in percent of the total.
        free_percent: u64,
        /// The limit.
        below: u8,
    },
    /// The process is too small.
    Small {
        /// Bytes in memory.
        resident: u64,
        /// The limit in bytes.
        above: u64,
    },
    /// Enough of the process is in swap already.
    SwappedEnough {
        /// Bytes in swap.
        swapped: u64,
        /// As many as `sysmem_threshold` percent of the process.
        share: u64,
    },
}

impl fmt::Display for SkipReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSwap => {
                f.write_str("this machine has no swap, so nothing can be moved out: add some (swapon)")
            }
            Self::SwapFull => f.write_str("swap is full, so nothing can be moved out until there is room"),
            Self::SwapFullMemoryFine { available } => write!(
                f,
                "swap is full though {} MiB of memory are available, so nothing is moved out until there is room: \
                 make swap larger, or move less",
                available >> 20
            ),
            Self::SwapUse { used_percent, most } => write!(
                f,
                "{used_percent} % of swap is in use; max_swap_use={most} keeps the rest for the machine's own need"
            ),
            Self::Pressure { some, most } => write!(
                f,
                "programs wait for memory {some} of the time (PSI some avg10); max_pressure={most} moves nothing then"
            ),
            Self::GroupSwap(group) => write!(
                f,
                "its cgroup has no room in swap: memory.swap.max is {} MiB and {} MiB are used",
                group.most >> 20,
                group.used >> 20
            ),
            Self::GroupProtected(group) => write!(
                f,
                "its cgroup is promised {} MiB of memory (memory.min, memory.low) and has {} MiB",
                group.most >> 20,
                group.used >> 20
            ),
            Self::MemoryFree { free_percent, below } => {
                write!(f, "{free_percent} % of memory is free; sysmem_threshold acts below {below} %")
            }
            Self::Small { resident, above } => write!(
                f,
                "the process has {} MiB in memory; swap_threshold acts above {} MiB",
                resident >> 20,
                above >> 20
            ),
            Self::SwappedEnough { swapped, share } => write!(
                f,
                "{} MiB of the process are in swap already, no less than the {} MiB that sysmem_threshold asks for",
                swapped >> 20,
                share >> 20
            ),
        }
    }
}

/// As much of memory available is plenty, in percent.
const PLENTY_PERCENT: u64 = 10;

/// Whether swap can take anything.
///
/// # Errors
/// Why not.
pub fn room(memory: &MemoryState) -> Result<(), SkipReason> {
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

/// Whether to look at a process at all, in the original's order: always without `sysmem_threshold`; with it, only
/// when free memory is short; then by the process's own size, or by how much of it is in swap already.
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
        let share = share_of(process.resident + process.swapped, below);
        if share <= process.swapped {
            return Err(SkipReason::SwappedEnough { swapped: process.swapped, share });
        }
    }
    Ok(())
}

/// What slide calls cold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColdRule {
    /// Every page whose count is below T.
    Below(u16),
    /// So many of the coldest pages that this percentage of the process stays in memory.
    Keep(u8),
}

/// Which pages go, by the ranks that [`crate::feedback::settle()`] gave them: those that `rule` calls cold and that were
/// idle for `bar` cycles in a row, the coldest first, at most `bytes`. Also how many bytes are cold.
///
/// Above a bar of 1 only pages go that were not touched at all, whatever the rule says.
#[must_use]
pub fn pick(
    rule: ColdRule,
    bar: u8,
    bytes: u64,
    ranks: &Histogram,
    process: &ProcessMemory,
) -> (Selection, u64) {
    let below = match rule {
        ColdRule::Below(0) => 0,
        ColdRule::Below(threshold) => (TOUCHED_RANK - 1).saturating_add(threshold).min(COUNT_MAX + 1),
        ColdRule::Keep(_) => COUNT_MAX + 1,
    };
    let below = if bar > 1 { below.min((TOUCHED_RANK + 1).saturating_sub(bar.into())) } else { below };
    let candidates = ranks.below(below);
    let cold = match rule {
        ColdRule::Below(_) => candidates,
        ColdRule::Keep(percent) => {
            let keep = share_of(process.resident + process.swapped, percent);
            candidates.min(process.resident.saturating_sub(keep))
        }
    };
    (coldest(ranks, cold.min(bytes)), cold)
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
    Selection::below(crate::heat::COUNT_MAX + 1)
}

pub(crate) fn percent(part: u64, whole: u64) -> u64 {
    part.saturating_mul(100).checked_div(whole).unwrap_or(100)
}

/// `percent` of `whole`, divided first as the original does it.
const fn share_of(whole: u64, percent: u8) -> u64 {
    whole / 100 * percent as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address::{BLOCK_SIZE, PAGES_PER_BLOCK};
    use crate::heat::{HeatMap, HeatUpdate};
    use crate::kernel::probe::{Access, AccessSink, Block};
    use crate::plan::Plan;

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
        assert_eq!(room(&memory(0, 0)), Err(SkipReason::NoSwap));
        assert_eq!(room(&memory(GIB, 0)), Err(SkipReason::SwapFull));
        assert_eq!(room(&memory(GIB, 1)), Ok(()));
        let plenty = MemoryState { total: 10 * GIB, available: GIB, ..memory(GIB, 0) };
        assert_eq!(room(&plenty), Err(SkipReason::SwapFullMemoryFine { available: GIB }));
        let short = MemoryState { available: GIB - 1, ..plenty };
        assert_eq!(room(&short), Err(SkipReason::SwapFull));
    }

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
