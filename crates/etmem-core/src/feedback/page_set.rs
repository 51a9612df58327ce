//! A compact set of pages: those that were given to a mover.

use super::standing::Standing;
use super::standings::{BlockStanding, Reading, Standings, Writing};
use super::walk::Part;
use crate::address::{AddressRange, BLOCK_SIZE, PAGE_SIZE, append, block_of};
use crate::page_bits::PageBits;

/// In the set; those outside are unknown.
const INSIDE: u8 = 0;
const OUTSIDE: u8 = Standing::UNKNOWN.0;

/// Pages, held as [`Standings`] are: nothing per page for whole blocks, a bit for each page of other blocks.
#[derive(Debug, Default, Clone)]
pub struct PageSet(Standings);

impl PageSet {
    /// Whether no page is in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The pages as ranges that ascend; neighbours are one range.
    #[must_use]
    pub fn into_ranges(self) -> Vec<AddressRange> {
        let mut ranges: Vec<AddressRange> = Vec::new();
        let mut add = |start, end| append(&mut ranges, AddressRange::new(start, end));
        let (mut walk, mut block) = (SetWalk::new(self), 0);
        loop {
            let (blocks, part) = walk.at(block);
            let start = block * BLOCK_SIZE;
            match part {
                Part::Nothing if blocks == u64::MAX => return ranges,
                Part::Nothing => {}
                Part::Whole => add(start, start + blocks * BLOCK_SIZE),
                Part::Some(bits) => {
                    for (first, end) in bits.runs() {
                        add(start + first * PAGE_SIZE, start + end * PAGE_SIZE);
                    }
                }
            }
            block += blocks;
        }
    }

    /// The pages of both.
    #[must_use]
    pub fn joined(self, other: Self) -> Self {
        if self.is_empty() || other.is_empty() {
            return if self.is_empty() { other } else { self };
        }
        let (mut one, mut two) = (SetWalk::new(self), SetWalk::new(other));
        let (mut writing, mut block) = (Writing::default(), 0);
        loop {
            let ((blocks, part), (others_blocks, other)) = (one.at(block), two.at(block));
            let blocks = blocks.min(others_blocks);
            match part.joined(other) {
                Part::Nothing if blocks == u64::MAX => return Self(writing.finish()),
                Part::Nothing => {}
                Part::Whole => writing.alike(block, blocks, INSIDE),
                Part::Some(bits) => writing.two(block, &bits, [OUTSIDE, INSIDE]),
            }
            block += blocks;
        }
    }
}

/// Makes a [`PageSet`] of ranges that ascend.
#[derive(Debug, Default)]
pub struct PageSetBuilder {
    writing: Writing,
    /// A block of which not all pages came yet, and those that did.
    open: Option<(u64, PageBits)>,
}

impl PageSetBuilder {
    /// Adds the pages of `range`, which comes after all that were added before, or lies in the last block of those and leaves out some of it.
    pub fn add(&mut self, range: AddressRange) {
        let mut at = range.start;
        while at < range.end {
            let (start, block) = (block_of(at), at / BLOCK_SIZE);
            let blocks = (range.end - start) / BLOCK_SIZE;
            if at == start && blocks > 0 {
                self.close();
                self.writing.alike(block, blocks, INSIDE);
                at += blocks * BLOCK_SIZE;
                continue;
            }
            let end = range.end.min(start + BLOCK_SIZE);
            if self.open.is_none_or(|(open, _)| open != block) {
                self.close();
                self.open = Some((block, PageBits::default()));
            }
            if let Some((_, bits)) = &mut self.open {
                let page = |address: u64| usize::try_from((address - start) / PAGE_SIZE).unwrap_or(0);
                bits.insert(page(at)..page(end));
            }
            at = end;
        }
    }

    fn close(&mut self) {
        if let Some((block, bits)) = self.open.take() {
            self.writing.two(block, &bits, [OUTSIDE, INSIDE]);
        }
    }

    /// The set.
    #[must_use]
    pub fn finish(mut self) -> PageSet {
        self.close();
        PageSet(self.writing.finish())
    }
}

/// Asks a set for block after block.
#[derive(Debug)]
pub(super) struct SetWalk(Reading);

impl SetWalk {
    pub(super) fn new(set: PageSet) -> Self {
        Self(Reading::new(set.0))
    }

    /// Which part of `block` is in the set, and for how many blocks from there on. Blocks ascend.
    pub(super) fn at(&mut self, block: u64) -> (u64, Part) {
        let (blocks, known) = self.0.at(block);
        match known {
            BlockStanding::Alike(INSIDE) => (blocks, Part::Whole),
            BlockStanding::Alike(_) => (blocks, Part::Nothing),
            BlockStanding::Mixed => {
                (1, Part::Some(PageBits::of(&self.0.block, |standing| standing == INSIDE)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address::PAGES_PER_BLOCK;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]
        #[test]
        fn holds_what_was_added(steps in prop::collection::vec((0u64..700, 1u64..1500, 0usize..2), 0..40)) {
            let mut builders = [PageSetBuilder::default(), PageSetBuilder::default()];
            let (mut at, mut want) = (100, BTreeSet::new());
            for (gap, pages, set) in steps {
                let start = at + gap;
                at = start + pages;
                want.extend(start..at);
                builders[set].add(AddressRange::new(start * PAGE_SIZE, at * PAGE_SIZE));
            }
            let [one, other] = builders.map(PageSetBuilder::finish);
            let mut walk = SetWalk::new(one.joined(other));
            let mut got = BTreeSet::new();
            for block in 0..=at / PAGES_PER_BLOCK as u64 {
                let first = block * PAGES_PER_BLOCK as u64;
                match walk.at(block).1 {
                    Part::Nothing => {}
                    Part::Whole => got.extend(first..first + PAGES_PER_BLOCK as u64),
                    Part::Some(bits) => {
                        got.extend(bits.pages().map(|page| first + u64::from(page)));
                    }
                }
            }
            prop_assert_eq!(got, want);
        }
    }

    #[test]
    fn a_page_takes_a_bit_at_most() {
        for (name, step, bound) in [("whole", 1, 0.0002), ("every second", 2, 0.14), ("one in 64", 64, 0.06)]
        {
            let mut builder = PageSetBuilder::default();
            let pages = 2000 * PAGES_PER_BLOCK as u64;
            for page in (0..pages).step_by(step) {
                builder.add(AddressRange::new(page * PAGE_SIZE, (page + 1) * PAGE_SIZE));
            }
            let bytes = builder.finish().0.heap_bytes() as f64 / pages as f64;
            assert!(bytes <= bound, "{name}: {bytes} bytes per page of the range, at most {bound}");
        }
    }
}
