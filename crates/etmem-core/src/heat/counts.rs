//! The counts of one block, spread out for arithmetic.

use crate::address::PAGES_PER_BLOCK;
use crate::kernel::probe::Access;

/// The highest count there is: 120 scans, three for a write.
pub const COUNT_MAX: u16 = 360;

/// Stands for a page that is not in memory.
pub const ABSENT: u16 = u16::MAX;

/// A count per page of a block; [`ABSENT`] where there is no page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockCounts(pub [u16; PAGES_PER_BLOCK]);

/// What an encoder wants to know of a block at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Extent {
    /// Pages present.
    pub(super) present: usize,
    /// Lowest count of a present page; [`ABSENT`] without any.
    pub(super) low: u16,
    /// Highest count of a present page; 0 without any.
    pub(super) high: u16,
}

impl BlockCounts {
    /// A block without pages.
    pub const EMPTY: Self = Self([ABSENT; PAGES_PER_BLOCK]);

    /// A block whose pages are all present and have the same count.
    #[must_use]
    pub const fn uniform(count: u16) -> Self {
        Self([count; PAGES_PER_BLOCK])
    }

    /// Adds one scan: pages seen gain its weight, pages not seen are gone, new pages start at its weight.
    pub(super) fn add(&mut self, seen: &[Access; PAGES_PER_BLOCK]) {
        for (count, access) in self.0.iter_mut().zip(seen) {
            let before = if *count == ABSENT { 0 } else { *count };
            let after = (before + u16::from(access.weight())).min(COUNT_MAX);
            *count = if access.is_present() { after } else { ABSENT };
        }
    }

    pub(super) fn extent(&self) -> Extent {
        let mut extent = Extent { present: 0, low: ABSENT, high: 0 };
        let mut absent: u16 = 0;
        for &count in &self.0 {
            let is_absent = count == ABSENT;
            absent += u16::from(is_absent);
            extent.low = extent.low.min(count);
            extent.high = extent.high.max(if is_absent { 0 } else { count });
        }
        extent.present = PAGES_PER_BLOCK - usize::from(absent);
        extent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_gain_vanish_and_begin() {
        let mut counts = BlockCounts::EMPTY;
        counts.0[0] = 4;
        counts.0[1] = 4;
        counts.0[3] = COUNT_MAX - 1;
        let mut seen = [Access::ABSENT; PAGES_PER_BLOCK];
        seen[0] = Access::WRITTEN;
        seen[2] = Access::READ;
        seen[3] = Access::WRITTEN;
        counts.add(&seen);
        assert_eq!(counts.0[..5], [7, ABSENT, 1, COUNT_MAX, ABSENT]);
        assert_eq!(counts.extent(), Extent { present: 3, low: 1, high: COUNT_MAX });
        assert_eq!(BlockCounts::EMPTY.extent(), Extent { present: 0, low: ABSENT, high: 0 });
    }
}
