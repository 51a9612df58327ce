//! Streams of blocks side by side: what each says of a block, and for how many blocks from there on.

use crate::address::{AddressRange, BLOCK_SIZE, PAGE_SIZE, PAGES_PER_BLOCK};
use crate::heat::{BlockCounts, Cursor, Entry, HeatMap};

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
            (Self::Some(one), Self::Some(other)) => one.joined(other),
        }
    }

    /// Whether page number `page` of the block is in it.
    pub(super) const fn holds(self, page: usize) -> bool {
        match self {
            Self::Nothing => false,
            Self::Whole => true,
            Self::Some(bits) => bits.holds(page),
        }
    }
}

/// Pages of a block, a bit each.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct PageBits([u64; PAGES_PER_BLOCK / 64]);

impl PageBits {
    pub(super) const fn holds(&self, page: usize) -> bool {
        self.0[page / 64] >> (page % 64) & 1 == 1
    }

    /// The pages whose standing is as asked.
    pub(super) fn of(block: &[u8; PAGES_PER_BLOCK], is_inside: impl Fn(u8) -> bool) -> Self {
        let mut words = [0; PAGES_PER_BLOCK / 64];
        for (word, pages) in words.iter_mut().zip(block.chunks_exact(64)) {
            *word =
                pages.iter().rev().fold(0, |bits, standing| (bits << 1) | u64::from(is_inside(*standing)));
        }
        Self(words)
    }

    /// Those in it, in ascending order.
    pub(super) fn pages(&self) -> impl Iterator<Item = u16> + '_ {
        (0u16..).step_by(64).zip(self.0).flat_map(|(first, mut word)| {
            std::iter::from_fn(move || {
                let bit = u16::try_from(word.trailing_zeros()).ok().filter(|bit| *bit < 64)?;
                word &= word - 1;
                Some(first + bit)
            })
        })
    }

    /// A byte for eight pages, the first in its lowest bit.
    pub(super) fn bytes(&self) -> impl Iterator<Item = u8> + '_ {
        self.0.iter().flat_map(|word| word.to_le_bytes())
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.0.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// The pages that are not in it.
    pub(super) fn others(self) -> Self {
        Self(self.0.map(|word| !word))
    }

    fn joined(self, other: Self) -> Part {
        let words = std::array::from_fn(|word| self.0[word] | other.0[word]);
        if words.iter().all(|word| *word == u64::MAX) { Part::Whole } else { Part::Some(Self(words)) }
    }

    pub(super) fn insert(&mut self, pages: std::ops::Range<usize>) {
        for page in pages {
            self.0[page / 64] |= 1 << (page % 64);
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
                if bits == PageBits::default() {
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
        if bits == PageBits::default() { (u64::MAX, Part::Nothing) } else { (1, Part::Some(bits)) }
    }
}
