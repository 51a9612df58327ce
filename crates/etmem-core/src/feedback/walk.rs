//! Streams of blocks side by side: what each says of a block, and for how many blocks from there on.

use crate::address::{AddressRange, BLOCK_SIZE, PAGE_SIZE, PAGES_PER_BLOCK};
use crate::heat::{BlockCounts, Cursor, Entry, HeatMap};
use crate::page_bits::PageBits;

/// What a [`HeatMap`] says of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Counted {
    /// No page is present.
    Nothing,
    /// All pages have one count.
    Alike { count: u16, huge: bool },
    /// As [`HeatWalk::counts`] has it.
    Mixed,
}

/// Asks a [`HeatMap`] for block after block.
#[derive(Debug)]
pub(super) struct HeatWalk<'a> {
    cursor: Cursor<'a>,
    /// The blocks that `entry` describes.
    first_block: u64,
    next_block: u64,
    entry: Option<Entry>,
}

impl<'a> HeatWalk<'a> {
    pub(super) fn new(heat: &'a HeatMap) -> Self {
        let mut walk = Self { cursor: heat.cursor(), first_block: 0, next_block: 0, entry: None };
        walk.step();
        walk
    }

    fn step(&mut self) {
        let next = self.cursor.next();
        (self.first_block, self.entry) = match next {
            Some((start, entry)) => (start / BLOCK_SIZE, Some(entry)),
            None => (u64::MAX, None),
        };
        self.next_block = self.first_block.saturating_add(match self.entry {
            Some(Entry::Pages { blocks, .. } | Entry::Huge { blocks, .. }) => blocks,
            Some(Entry::Mixed) | None => 1,
        });
    }

    /// What it says of `block`, and for how many blocks from there on. Blocks ascend.
    pub(super) fn at(&mut self, block: u64) -> (u64, Counted) {
        while self.entry.is_some() && self.next_block <= block {
            self.step();
        }
        if block < self.first_block {
            return (self.first_block - block, Counted::Nothing);
        }
        match self.entry {
            None => (u64::MAX, Counted::Nothing),
            Some(Entry::Mixed) => (1, Counted::Mixed),
            Some(Entry::Pages { count, .. }) => {
                (self.next_block - block, Counted::Alike { count, huge: false })
            }
            Some(Entry::Huge { count, .. }) => {
                (self.next_block - block, Counted::Alike { count, huge: true })
            }
        }
    }

    /// The first block from `block` on of which it says anything.
    pub(super) fn next_known(&mut self, block: u64) -> Option<u64> {
        match self.at(block) {
            (alike, Counted::Nothing) => block.checked_add(alike).filter(|_| self.entry.is_some()),
            (_, Counted::Alike { .. } | Counted::Mixed) => Some(block),
        }
    }

    /// The counts of the block asked for last, where that was mixed.
    pub(super) const fn counts(&self) -> &BlockCounts {
        self.cursor.counts()
    }
}

/// Which part of a block lies in some ranges.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Nothing,
    Whole,
    Some(PageBits),
}

impl Part {
    /// What is in one of both.
    pub(super) fn joined(self, other: Self) -> Self {
        match (self, other) {
            (Self::Nothing, part) | (part, Self::Nothing) => part,
            (Self::Whole, _) | (_, Self::Whole) => Self::Whole,
            (Self::Some(one), Self::Some(other)) => {
                let both = one.joined(other);
                if both.is_all() { Self::Whole } else { Self::Some(both) }
            }
        }
    }

    /// How many pages of the block are in it.
    pub(super) fn len(self) -> u64 {
        match self {
            Self::Nothing => 0,
            Self::Whole => PAGES_PER_BLOCK as u64,
            Self::Some(bits) => bits.len() as u64,
        }
    }
}

/// Asks ranges, which ascend and do not overlap, for block after block.
#[derive(Debug)]
pub(super) struct RangeWalk<I: Iterator<Item = AddressRange>> {
    ranges: std::iter::Peekable<I>,
}

impl<I: Iterator<Item = AddressRange>> RangeWalk<I> {
    pub(super) fn new(ranges: impl IntoIterator<IntoIter = I>) -> Self {
        Self { ranges: ranges.into_iter().peekable() }
    }

    /// Which part of `block` they hold, and for how many blocks from there on. Blocks ascend.
    pub(super) fn at(&mut self, block: u64) -> (u64, Part) {
        let (start, end) = (block * BLOCK_SIZE, block.saturating_add(1).saturating_mul(BLOCK_SIZE));
        let mut bits = PageBits::default();
        while let Some(&range) = self.ranges.peek() {
            if range.start <= start && range.end >= end {
                return (range.end / BLOCK_SIZE - block, Part::Whole);
            }
            if range.start >= end {
                if bits.is_empty() {
                    return (range.start / BLOCK_SIZE - block, Part::Nothing);
                }
                return (1, Part::Some(bits));
            }
            let inside = range.intersection(AddressRange::new(start, end));
            if !inside.is_empty() {
                let page = |address: u64| usize::try_from((address - start) / PAGE_SIZE).unwrap_or(0);
                bits.insert(page(inside.start)..page(inside.end));
            }
            if range.end > end {
                return (1, Part::Some(bits));
            }
            self.ranges.next();
        }
        if bits.is_empty() { (u64::MAX, Part::Nothing) } else { (1, Part::Some(bits)) }
    }
}
