//! Ranges cut into regions for DAMON, and what its counts say of each block.

use etmem_core::address::{AddressRange, BLOCK_SIZE};
use etmem_core::kernel::probe::Access;

/// Most regions of a process. Each costs a folder of files, and a look in each sampling interval.
pub(super) const MOST_REGIONS: usize = 16_384;

/// The shortest sampling interval, in microseconds, and what each region adds to it where there are many: a look takes the
/// kernel about 1 us, so that some twentieth of a processor is spent on looks.
const SAMPLE_LEAST: u64 = 5_000;
const SAMPLE_PER_REGION: u64 = 20;

/// How often the most touched block must have been found touched before some count as touched often.
pub(super) const OFTEN_LEAST: u64 = 4;

/// A region that DAMON reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tried {
    /// Where it lies.
    pub(super) range: AddressRange,
    /// In how many sampling intervals it was found touched.
    pub(super) accesses: u64,
}

/// The regions for `ranges`, which ascend: what they hold of each cell of a grid, from its first to its last address.
/// The cells are blocks or, if these were more than `most`, the smallest powers of two of blocks that are not.
pub(super) fn lay_out(ranges: &[AddressRange], most: usize) -> Vec<AddressRange> {
    let mut cell = BLOCK_SIZE;
    loop {
        if let Some(regions) = cells(ranges, cell, most.max(1)) {
            return regions;
        }
        cell = cell.saturating_mul(2);
    }
}

/// What `ranges` hold of each cell; `None` if that is more than `most` regions.
fn cells(ranges: &[AddressRange], cell: u64, most: usize) -> Option<Vec<AddressRange>> {
    let mut regions: Vec<AddressRange> = Vec::new();
    for range in ranges.iter().filter(|range| !range.is_empty()) {
        let mut start = range.start;
        while start < range.end {
            let end = (start / cell).saturating_add(1).saturating_mul(cell).min(range.end);
            let count = regions.len();
            match regions.last_mut() {
                Some(last) if last.start / cell == start / cell => last.end = end,
                Some(_) if count == most => return None,
                Some(_) | None => regions.push(AddressRange::new(start, end)),
            }
            start = end;
        }
    }
    Some(regions)
}

/// The sampling interval for this number of regions, in microseconds.
pub(super) fn sampling_interval(regions: usize) -> u64 {
    (regions as u64).saturating_mul(SAMPLE_PER_REGION).max(SAMPLE_LEAST)
}

/// What DAMON counted, asked for block after block in ascending order.
#[derive(Debug)]
pub(super) struct Counted {
    tried: Vec<Tried>,
    next: usize,
    often: u64,
}

impl Counted {
    /// Of these regions, in any order.
    pub(super) fn new(mut tried: Vec<Tried>) -> Self {
        tried.sort_unstable_by_key(|region| region.range);
        let most = tried.iter().map(|region| region.accesses).max().unwrap_or(0);
        let often = if most >= OFTEN_LEAST { most.div_ceil(2) } else { u64::MAX };
        Self { tried, next: 0, often }
    }

    /// What is known of the block that starts at `start`. Memory of which DAMON did not know yet has come since: it
    /// was touched.
    pub(super) fn block(&mut self, start: u64) -> Access {
        let end = start.saturating_add(BLOCK_SIZE);
        while self.tried.get(self.next).is_some_and(|region| region.range.end <= start) {
            self.next += 1;
        }
        let known = self.tried[self.next..].iter().take_while(|region| region.range.start < end);
        match known.map(|region| region.accesses).max() {
            Some(0) => Access::IDLE,
            Some(accesses) if accesses >= self.often => Access::WRITTEN,
            Some(_) | None => Access::READ,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn blocks(start: u64, end: u64) -> AddressRange {
        AddressRange::new(start * BLOCK_SIZE, end * BLOCK_SIZE)
    }

    #[test]
    fn a_region_is_a_block() {
        assert_eq!(lay_out(&[], 9), []);
        assert_eq!(lay_out(&[blocks(3, 6)], 9), [blocks(3, 4), blocks(4, 5), blocks(5, 6)]);
        assert_eq!(lay_out(&[blocks(3, 6)], 2), [blocks(3, 4), blocks(4, 6)]);
        let parts = [AddressRange::new(4096, 8192), AddressRange::new(12_288, BLOCK_SIZE + 4096)];
        assert_eq!(
            lay_out(&parts, 9),
            [AddressRange::new(4096, BLOCK_SIZE), AddressRange::new(BLOCK_SIZE, BLOCK_SIZE + 4096)]
        );
    }

    #[test]
    fn many_regions_are_looked_at_less_often() {
        assert_eq!(sampling_interval(0), 5_000);
        assert_eq!(sampling_interval(250), 5_000);
        assert_eq!(sampling_interval(MOST_REGIONS), 327_680);
    }

    #[test]
    fn how_often_becomes_a_weight() {
        let weights = |accesses: &[u64]| -> Vec<Access> {
            let tried = (1..=accesses.len() as u64).zip(accesses);
            let tried =
                tried.map(|(number, &accesses)| Tried { range: blocks(number, number + 1), accesses });
            // DAMON's order is not promised.
            let mut tried: Vec<Tried> = tried.collect();
            tried.reverse();
            let mut counted = Counted::new(tried);
            (1..=accesses.len() as u64 + 1).map(|number| counted.block(number * BLOCK_SIZE)).collect()
        };
        let (idle, read, often) = (Access::IDLE, Access::READ, Access::WRITTEN);
        assert_eq!(weights(&[0, 200, 100, 99, 1]), [idle, often, often, read, read, read]);
        assert_eq!(weights(&[0, 3, 1]), [idle, read, read, read]);
        assert_eq!(weights(&[0, 0]), [idle, idle, read]);
    }

    #[test]
    fn several_regions_of_a_block_and_several_blocks_of_a_region() {
        let parts = |start, end, accesses| Tried { range: AddressRange::new(start, end), accesses };
        let mut counted = Counted::new(vec![
            parts(BLOCK_SIZE, BLOCK_SIZE + 4096, 0),
            parts(BLOCK_SIZE + 4096, 2 * BLOCK_SIZE, 1),
            Tried { range: blocks(4, 8), accesses: 9 },
        ]);
        assert_eq!(counted.block(BLOCK_SIZE), Access::READ);
        assert_eq!(counted.block(4 * BLOCK_SIZE), Access::WRITTEN);
        assert_eq!(counted.block(7 * BLOCK_SIZE), Access::WRITTEN);
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 10_000, ..ProptestConfig::default() })]

        /// Regions ascend, are never more than asked for, and hold every wanted byte.
        #[test]
        fn all_is_covered(
            steps in proptest::collection::vec((1u64..2000, 1u64..3000), 0..40),
            most in 1usize..50,
        ) {
            let mut at = 0;
            let ranges: Vec<AddressRange> = steps.iter().map(|(gap, pages)| {
                let start = at + gap * 4096;
                at = start + pages * 4096;
                AddressRange::new(start, at)
            }).collect();
            let regions = lay_out(&ranges, most);
            prop_assert!(regions.len() <= most);
            prop_assert!(regions.windows(2).all(|pair| pair[0].end <= pair[1].start));
            for range in &ranges {
                let covered: u64 = regions.iter().map(|region| region.intersection(*range).bytes()).sum();
                prop_assert_eq!(covered, range.bytes());
            }
            let edges = |regions: &[AddressRange]| (regions.first().map(|one| one.start), regions.last().map(|one| one.end));
            prop_assert_eq!(edges(&regions), edges(&ranges));
        }
    }
}
