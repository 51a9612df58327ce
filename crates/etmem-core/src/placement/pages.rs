//! The pages of a heat map one by one, base pages and huge ones.

use crate::address::{BLOCK_SIZE, PAGE_SIZE, PAGES_PER_BLOCK};
use crate::heat::{ABSENT, Cursor, Entry, HeatMap};
use std::ops::RangeInclusive;

/// Pages asked for at once (etmem 1.x takes as many).
pub(super) const BATCH_PAGES: usize = 65_536;

/// A page in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Page {
    pub(super) address: u64,
    pub(super) count: u16,
    /// One of 2 MiB, which is asked for and moved by this one address.
    pub(super) huge: bool,
}

/// The pages whose count is within some bounds, in address order.
#[derive(Debug)]
pub(super) struct HeatPages<'a> {
    cursor: Cursor<'a>,
    counts: RangeInclusive<u16>,
    run: Run,
}

#[derive(Debug, Clone, Copy)]
enum Run {
    /// `left` pages with one count, from `next` on.
    Equal { next: Page, left: u64 },
    /// The pages of the cursor's block from this one on.
    Mixed { start: u64, page: usize },
}

impl<'a> HeatPages<'a> {
    pub(super) fn new(heat: &'a HeatMap, counts: RangeInclusive<u16>) -> Self {
        let none = Page { address: 0, count: 0, huge: false };
        Self { cursor: heat.cursor(), counts, run: Run::Equal { next: none, left: 0 } }
    }
}

impl Iterator for HeatPages<'_> {
    type Item = Page;

    fn next(&mut self) -> Option<Page> {
        loop {
            match &mut self.run {
                Run::Equal { next, left } if *left > 0 => {
                    let page = *next;
                    next.address += if page.huge { BLOCK_SIZE } else { PAGE_SIZE };
                    *left -= 1;
                    return Some(page);
                }
                Run::Mixed { start, page } if *page < PAGES_PER_BLOCK => {
                    let (number, address) = (*page, *start);
                    *page += 1;
                    *start += PAGE_SIZE;
                    let count = self.cursor.counts().0[number];
                    if count != ABSENT && self.counts.contains(&count) {
                        return Some(Page { address, count, huge: false });
                    }
                    continue;
                }
                Run::Equal { .. } | Run::Mixed { .. } => {}
            }
            let (start, entry) = self.cursor.next()?;
            let equal = |blocks, count, huge| {
                let pages = if huge { 1 } else { PAGES_PER_BLOCK as u64 };
                let left = if self.counts.contains(&count) { blocks * pages } else { 0 };
                Run::Equal { next: Page { address: start, count, huge }, left }
            };
            self.run = match entry {
                Entry::Pages { blocks, count } => equal(blocks, count, false),
                Entry::Huge { blocks, count } => equal(blocks, count, true),
                Entry::Mixed => Run::Mixed { start, page: 0 },
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::heat::HeatUpdate;
    use crate::kernel::probe::{Access, AccessSink, Block};

    #[test]
    fn every_page_once_with_its_count() {
        let mut update = HeatUpdate::new(HeatMap::default());
        update.equal_huge_blocks(0, 2, Access::WRITTEN);
        update.equal_blocks(4 * BLOCK_SIZE, 1, Access::READ);
        let mut seen = [Access::ABSENT; PAGES_PER_BLOCK];
        (seen[3], seen[7], seen[511]) = (Access::IDLE, Access::READ, Access::WRITTEN);
        update.block(9 * BLOCK_SIZE, Block::Pages(&seen));
        let heat = update.finish();

        let page = |address, count, huge| Page { address, count, huge };
        let mixed = |number: u64, count| page(9 * BLOCK_SIZE + number * PAGE_SIZE, count, false);
        let all: Vec<Page> = HeatPages::new(&heat, 0..=u16::MAX).collect();
        assert_eq!(all.len(), 2 + 512 + 3);
        assert_eq!(all[..2], [page(0, 3, true), page(BLOCK_SIZE, 3, true)]);
        assert_eq!(all[2], page(4 * BLOCK_SIZE, 1, false));
        assert_eq!(all[513], page(5 * BLOCK_SIZE - PAGE_SIZE, 1, false));
        assert_eq!(all[514..], [mixed(3, 0), mixed(7, 1), mixed(511, 3)]);

        assert_eq!(HeatPages::new(&heat, 0..=0).collect::<Vec<_>>(), [mixed(3, 0)]);
        assert_eq!(HeatPages::new(&heat, 2..=360).count(), 3);
        assert_eq!(HeatPages::new(&HeatMap::default(), 0..=360).count(), 0);
    }
}
