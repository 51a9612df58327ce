//! From ranges to the spans of one run of the walk, and from the blocks it found back to the ranges.
//!
//! The walk knows whole blocks only. Ranges that share or touch a block become one span, so that no table is copied
//! twice; what lies outside the ranges is made absent again before anybody sees it.

use super::entry;
use crate::sys::page_walk::{Slot, Span, Table};
use etmem_core::address::{AddressRange, BLOCK_SIZE, PAGE_SIZE, PAGES_PER_BLOCK, block_of};
use etmem_core::kernel::probe::{Access, AccessSink, Block};

/// The pages of a block.
type Pages = [Access; PAGES_PER_BLOCK];

/// Fills `spans` with the blocks of `ranges` (ascending) from address `from` up to `limit`; returns those filled.
pub(super) fn fill<'a>(ranges: &[AddressRange], from: u64, limit: u64, spans: &'a mut [Span]) -> &'a [Span] {
    let mut filled = 0usize;
    let first = ranges.partition_point(|range| range.end <= from);
    for range in ranges.iter().skip(first) {
        let start = block_of(range.start).max(from);
        let end = range.end.min(limit).next_multiple_of(BLOCK_SIZE);
        if range.is_empty() || start >= end {
            continue;
        }
        match filled.checked_sub(1).and_then(|last| spans.get_mut(last)) {
            Some(last) if start <= last.end => last.end = last.end.max(end),
            _ => {
                let Some(span) = spans.get_mut(filled) else { break };
                *span = Span { start, end };
                filled += 1;
            }
        }
    }
    &spans[..filled]
}

/// Gives the blocks that the walk found to a sink, without what lies outside the ranges.
pub(super) struct Clip<'a> {
    /// The ranges that end after the last block given.
    ranges: &'a [AddressRange],
    sink: &'a mut dyn AccessSink,
}

impl<'a> Clip<'a> {
    /// Gives blocks to `sink`, as far as they lie in `ranges` (ascending).
    pub(super) fn new(ranges: &'a [AddressRange], sink: &'a mut dyn AccessSink) -> Self {
        Self { ranges, sink }
    }

    /// Gives the block of `slot`, whose page table is `table` where it is not a huge page. Blocks ascend.
    pub(super) fn give(&mut self, slot: Slot, table: &Table) {
        let block = AddressRange::new(slot.address, slot.address + BLOCK_SIZE);
        while let Some((_, later)) = self.ranges.split_first().filter(|(first, _)| first.end <= block.start) {
            self.ranges = later;
        }
        let Some(first) = self.ranges.first().filter(|first| first.start < block.end) else { return };
        let whole = first.intersection(block) == block;
        let huge = entry::is_huge(slot.entry).then(|| entry::access(slot.entry));
        match huge {
            Some(access) if !access.is_present() => return,
            Some(access) if whole => return self.sink.block(block.start, Block::Huge(access)),
            Some(_) => {}
            None => match entry::uniform(table) {
                Some(access) if !access.is_present() => return,
                Some(access) if whole => return self.sink.equal_blocks(block.start, 1, access),
                Some(_) | None => {}
            },
        }
        let mut pages = [Access::ABSENT; PAGES_PER_BLOCK];
        match huge {
            // A huge page of which only a part was asked for counts as base pages: the rest is not to be moved.
            Some(access) => pages.fill(access),
            None => entry::decode(table, &mut pages),
        }
        if !whole {
            pages = self.only_wanted(block, &pages);
        }
        self.sink.block(block.start, Block::Pages(&pages));
    }

    /// `pages` of `block`, absent where no range holds them.
    fn only_wanted(&self, block: AddressRange, pages: &Pages) -> Pages {
        let mut wanted = [Access::ABSENT; PAGES_PER_BLOCK];
        for range in self.ranges.iter().take_while(|range| range.start < block.end) {
            let part = range.intersection(block);
            let index = |address: u64| {
                usize::try_from((address - block.start) / PAGE_SIZE).unwrap_or(PAGES_PER_BLOCK)
            };
            if !part.is_empty() {
                let (from, to) = (index(part.start), index(part.end));
                wanted[from..to].copy_from_slice(&pages[from..to]);
            }
        }
        wanted
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::{BTreeMap, BTreeSet};

    const LIMIT: u64 = 1 << 47;

    fn range(start: u64, end: u64) -> AddressRange {
        AddressRange::new(start, end)
    }

    #[test]
    fn ranges_become_spans() {
        let block = BLOCK_SIZE;
        let mut space = [Span::default(); 3];
        let mut filled = |ranges: &[AddressRange], from| fill(ranges, from, LIMIT, &mut space).to_vec();
        let span = |start, end| Span { start: start * block, end: end * block };
        assert_eq!(filled(&[], 0), []);
        assert_eq!(filled(&[range(4096, 8192)], 0), [span(0, 1)]);
        // Two in one block, one in the next: one span.
        let near = [range(4096, 8192), range(12288, 16384), range(block, block + 4096)];
        assert_eq!(filled(&near, 0), [span(0, 2)]);
        assert_eq!(filled(&near, block), [span(1, 2)]);
        assert_eq!(filled(&near, 2 * block), []);
        // More than there is room for: the rest comes with the next request.
        let far: Vec<_> = (0..5).map(|n| range(n * 2 * block, n * 2 * block + 1)).collect();
        assert_eq!(filled(&far, 0), [span(0, 1), span(2, 3), span(4, 5)]);
        assert_eq!(filled(&far, 5 * block), [span(6, 7), span(8, 9)]);
        // The kernel's half, where [vsyscall] lies, is none of ours.
        assert_eq!(filled(&[range(LIMIT - 4096, u64::MAX)], 0), [span((1 << 26) - 1, 1 << 26)]);
        assert_eq!(filled(&[range(0xffff_ffff_ff60_0000, 0xffff_ffff_ff60_1000)], 0), []);
        assert_eq!(filled(&[range(8192, 4096)], 0), []);
    }

    #[derive(Default)]
    struct Pages(BTreeMap<u64, Access>, Vec<u64>);

    impl AccessSink for Pages {
        fn block(&mut self, start: u64, block: Block<'_>) {
            assert!(self.1.last().is_none_or(|last| *last < start), "blocks ascend, each once");
            self.1.push(start);
            for index in 0..PAGES_PER_BLOCK {
                let access = match block {
                    Block::Pages(pages) => pages[index],
                    Block::Huge(access) => access,
                };
                if access.is_present() {
                    self.0.insert(start + index as u64 * PAGE_SIZE, access);
                }
            }
        }
    }

    const ACCESSED_DIRTY: u64 = 0x8000_0001_2340_0067;
    const IDLE: u64 = 0x8000_0001_2340_0005;

    #[test]
    fn huge_pages() {
        let slot = Slot { address: BLOCK_SIZE, entry: ACCESSED_DIRTY | 0x80 };
        let table = [0; PAGES_PER_BLOCK];
        let mut pages = Pages::default();
        Clip::new(&[range(4096, 3 * BLOCK_SIZE)], &mut pages).give(slot, &table);
        assert_eq!((pages.0.len(), pages.0[&BLOCK_SIZE]), (512, Access::WRITTEN));
        let mut part = Pages::default();
        Clip::new(&[range(4096, BLOCK_SIZE + 8192)], &mut part).give(slot, &table);
        assert_eq!(part.0.keys().copied().collect::<Vec<_>>(), [BLOCK_SIZE, BLOCK_SIZE + 4096]);
        // The huge zero page.
        let mut none = Pages::default();
        let zero = Slot { entry: slot.entry | 0x200, ..slot };
        Clip::new(&[range(0, 3 * BLOCK_SIZE)], &mut none).give(zero, &table);
        assert!(none.1.is_empty());
    }

    /// Ranges in the first 16 blocks, by page, some of them touching.
    fn ranges() -> impl Strategy<Value = Vec<AddressRange>> {
        prop::collection::vec((0u64..200, 1u64..900), 0..20).prop_map(|steps| {
            let mut at = 0;
            let mut ranges = Vec::new();
            for (gap, pages) in steps {
                let start = at + gap;
                at = start + pages;
                ranges.push(range(start * PAGE_SIZE, at * PAGE_SIZE));
            }
            ranges
        })
    }

    proptest! {
        /// Walk, clip and decode over a small machine agree with asking for each page alone.
        #[test]
        fn exactly_the_pages_asked_for(ranges in ranges(), room in 1usize..4, seed: u64) {
            // Some blocks are alike throughout, or hold nothing.
            let kind = |address: u64| seed.rotate_left(17) >> (address / BLOCK_SIZE % 32 * 2) & 3;
            let entry = |address: u64| match (kind(address), (address / PAGE_SIZE).wrapping_mul(seed | 1) >> 7 & 3) {
                (0, _) | (3, 0) => 0,
                (1, _) | (3, 1) => IDLE,
                (2, _) | (3, _) => ACCESSED_DIRTY,
                _ => unreachable!(),
            };
            let is_huge = |block: u64| seed >> (block / BLOCK_SIZE % 64) & 1 == 1;
            let mut space = vec![Span::default(); room];
            let mut pages = Pages::default();
            let mut walked = BTreeSet::new();
            let mut clip = Clip::new(&ranges, &mut pages);
            let mut from = 0;
            loop {
                let spans = fill(&ranges, from, LIMIT, &mut space);
                let Some(last) = spans.last() else { break };
                from = last.end;
                for span in spans {
                    let mut address = span.start;
                    while address < span.end {
                        prop_assert!(walked.insert(address), "no block is walked twice");
                        let mut table = [0; PAGES_PER_BLOCK];
                        for (index, slot) in table.iter_mut().enumerate() {
                            *slot = entry(address + index as u64 * PAGE_SIZE);
                        }
                        let upper = if is_huge(address) { IDLE | 0x80 } else { 0x67 };
                        clip.give(Slot { address, entry: upper }, &table);
                        address += BLOCK_SIZE;
                    }
                }
            }
            let mut want = BTreeMap::new();
            for range in &ranges {
                let mut address = range.start;
                while address < range.end {
                    match (is_huge(block_of(address)), entry(address)) {
                        (true, _) | (false, IDLE) => { want.insert(address, Access::IDLE); }
                        (false, ACCESSED_DIRTY) => { want.insert(address, Access::WRITTEN); }
                        (false, _) => {}
                    }
                    address += PAGE_SIZE;
                }
            }
            prop_assert_eq!(pages.0, want);
        }
    }
}
