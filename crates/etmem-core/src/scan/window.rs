//! The part of a process that one cycle looks at.

use crate::address::{AddressRange, BLOCK_SIZE, block_of};

/// The whole address space.
pub(super) const WHOLE: AddressRange = AddressRange::new(0, u64::MAX);

/// The window that a cycle looks at, and where the next one goes on: everything, unless `slice` is less than that.
pub(super) fn window(ranges: &[AddressRange], slice: Option<u64>, resume: u64) -> (AddressRange, u64) {
    let total: u64 = ranges.iter().map(AddressRange::bytes).sum();
    let Some(slice) = slice.map(|slice| slice.max(BLOCK_SIZE)).filter(|slice| *slice < total) else {
        return (WHOLE, 0);
    };
    let start = if ranges.last().is_some_and(|last| last.end > resume) { block_of(resume) } else { 0 };
    let mut left = slice;
    for range in ranges.iter().filter(|range| range.end > start) {
        let from = range.start.max(start);
        if range.end - from > left {
            let end = block_of(from + left).max(block_of(from) + BLOCK_SIZE);
            return (AddressRange::new(start, end), end);
        }
        left -= range.end - from;
    }
    (AddressRange::new(start, u64::MAX), 0)
}

/// Keeps of `ranges` what lies in `window`.
pub(super) fn clip(ranges: &mut Vec<AddressRange>, window: AddressRange) {
    for range in ranges.iter_mut() {
        *range = range.intersection(window);
    }
    ranges.retain(|range| !range.is_empty());
}

/// `ranges` without `holes`; both ascend.
#[must_use]
pub fn without(ranges: &[AddressRange], holes: &[AddressRange]) -> Vec<AddressRange> {
    let mut left = Vec::with_capacity(ranges.len());
    for range in ranges {
        let mut start = range.start;
        for hole in holes.iter().filter(|hole| hole.end > range.start && hole.start < range.end) {
            left.push(AddressRange::new(start, hole.start));
            start = hole.end;
        }
        left.push(AddressRange::new(start, range.end));
    }
    left.retain(|range| !range.is_empty());
    left
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(from: u64, to: u64) -> AddressRange {
        AddressRange::new(from * BLOCK_SIZE, to * BLOCK_SIZE)
    }

    #[test]
    fn slices_go_round() {
        let ranges = [range(10, 14), range(20, 21), range(30, 40)];
        assert_eq!(window(&ranges, None, 7), (WHOLE, 0));
        assert_eq!(window(&ranges, Some(15 * BLOCK_SIZE), 0), (WHOLE, 0), "it is large enough");
        let mut resume = 0;
        let mut seen = Vec::new();
        for _ in 0..4 {
            let (window, next) = window(&ranges, Some(6 * BLOCK_SIZE), resume);
            let mut clipped = ranges.to_vec();
            clip(&mut clipped, window);
            seen.push(clipped);
            resume = next;
        }
        let want = [
            vec![range(10, 14), range(20, 21), range(30, 31)],
            vec![range(31, 37)],
            vec![range(37, 40)],
            vec![range(10, 14), range(20, 21), range(30, 31)],
        ];
        assert_eq!(seen, want);
        // Where the rest has gone meanwhile, it begins again; the smallest slice is a block.
        assert_eq!(window(&ranges, Some(1), 50 * BLOCK_SIZE), (range(0, 11), 11 * BLOCK_SIZE));
    }

    #[test]
    fn locked_ranges_are_left_out() {
        let ranges = [range(1, 5), range(6, 9)];
        assert_eq!(without(&ranges, &[range(0, 1), range(5, 6)]), ranges);
        assert_eq!(
            without(&ranges, &[range(2, 3), range(4, 7), range(8, 20)]),
            [range(1, 2), range(3, 4), range(7, 8)]
        );
        assert_eq!(without(&ranges, &[range(0, 20)]), []);
    }
}
