//! What to move, how much at most, and what became of it.
//!
//! A [`Plan`] is heat and a [`Selection`]: its ranges are made as they are read, in address order, so a plan
//! of millions of single pages costs nothing, and a dry run is a plan without an act.

use crate::address::{AddressRange, BLOCK_SIZE, PAGE_SIZE, PAGES_PER_BLOCK};
use crate::heat::{Cursor, Entry, HeatMap, Histogram};
use crate::kernel::process::ProcessError;
use crate::page_bits::{PageBits, Runs};
use std::time::Duration;

/// Which pages of a [`HeatMap`]: all below a count, and of those at the count some bytes, lowest address
/// first. A huge page is taken as a whole or not at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Selection {
    /// Pages whose count is below this are taken.
    pub below: u16,
    /// Of the pages whose count is exactly `below`, at most this many bytes are taken.
    pub bytes_at: u64,
}

impl Selection {
    /// Every page whose count is below `threshold`.
    #[must_use]
    pub const fn below(threshold: u16) -> Self {
        Self { below: threshold, bytes_at: 0 }
    }
}

/// Pages to move out of memory.
#[derive(Debug, Clone, Copy)]
pub struct Plan<'a> {
    heat: &'a HeatMap,
    selection: Selection,
    bytes: u64,
}

impl<'a> Plan<'a> {
    /// The pages of `heat` that `selection` picks. `histogram` is that of `heat`.
    #[must_use]
    pub fn new(heat: &'a HeatMap, histogram: &Histogram, selection: Selection) -> Self {
        let at = histogram.iter().find(|(count, _)| *count == selection.below).map_or(0, |(_, bytes)| bytes);
        let bytes = histogram.below(selection.below) + at.min(selection.bytes_at);
        Self { heat, selection, bytes }
    }

    /// Bytes it would move (with huge pages at the edge of `bytes_at`, at most).
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Its ranges, in ascending order; neighbours are one range.
    #[must_use]
    pub fn ranges(&self) -> Ranges<'a> {
        Ranges { pieces: self.pieces(), held: None }
    }

    /// Its ranges, in ascending order, huge pages apart from base pages. Neighbours may come as several pieces.
    #[must_use]
    pub fn pieces(&self) -> Pieces<'a> {
        Pieces {
            cursor: self.heat.cursor(),
            selection: self.selection,
            left_at: self.selection.bytes_at,
            mixed: None,
        }
    }
}

/// A range of a [`Plan`] whose pages are all huge, or all base pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece {
    /// Where it lies.
    pub range: AddressRange,
    /// Made of huge pages.
    pub huge: bool,
}

/// The pieces of a [`Plan`].
#[derive(Debug)]
pub struct Pieces<'a> {
    cursor: Cursor<'a>,
    selection: Selection,
    left_at: u64,
    /// The mixed block being read, and its selected pages not yet given out.
    mixed: Option<(u64, Runs)>,
}

/// The ranges of a [`Plan`].
#[derive(Debug)]
pub struct Ranges<'a> {
    pieces: Pieces<'a>,
    /// A range that may still grow.
    held: Option<AddressRange>,
}

impl Pieces<'_> {
    /// How many of `pages` pages of `size` bytes with `count` are taken, lowest address first.
    fn taken(&mut self, count: u16, pages: u64, size: u64) -> u64 {
        if count < self.selection.below {
            return pages;
        }
        if count > self.selection.below {
            return 0;
        }
        let pages = pages.min(self.left_at / size);
        self.left_at -= pages * size;
        pages
    }

    fn selected_pages(&mut self) -> PageBits {
        let below = self.selection.below;
        // Absent ones never are.
        let mut set = PageBits::of(&self.cursor.counts().0, |count| count < below);
        if self.left_at >= PAGE_SIZE {
            for (page, &count) in self.cursor.counts().0.iter().enumerate() {
                if count == below && self.left_at >= PAGE_SIZE {
                    set.insert(page..page + 1);
                    self.left_at -= PAGE_SIZE;
                }
            }
        }
        set
    }
}

impl Iterator for Pieces<'_> {
    type Item = Piece;

    fn next(&mut self) -> Option<Piece> {
        let piece = |start, end, huge| Some(Piece { range: AddressRange::new(start, end), huge });
        loop {
            if let Some((start, runs)) = &mut self.mixed {
                if let Some((first, end)) = runs.next() {
                    let start = *start;
                    return piece(start + first * PAGE_SIZE, start + end * PAGE_SIZE, false);
                }
                self.mixed = None;
            }
            let (start, entry) = self.cursor.next()?;
            match entry {
                Entry::Pages { blocks, count } => {
                    let pages = self.taken(count, blocks * PAGES_PER_BLOCK as u64, PAGE_SIZE);
                    if pages > 0 {
                        return piece(start, start + pages * PAGE_SIZE, false);
                    }
                }
                Entry::Huge { blocks, count } => {
                    let pages = self.taken(count, blocks, BLOCK_SIZE);
                    if pages > 0 {
                        return piece(start, start + pages * BLOCK_SIZE, true);
                    }
                }
                Entry::Mixed => self.mixed = Some((start, self.selected_pages().runs())),
            }
        }
    }
}

impl Iterator for Ranges<'_> {
    type Item = AddressRange;

    fn next(&mut self) -> Option<AddressRange> {
        loop {
            match (self.pieces.next().map(|piece| piece.range), self.held) {
                (Some(piece), Some(held)) if held.end == piece.start => {
                    self.held = Some(AddressRange::new(held.start, piece.end));
                }
                (Some(piece), held) => {
                    self.held = Some(piece);
                    if held.is_some() {
                        return held;
                    }
                }
                (None, _) => return self.held.take(),
            }
        }
    }
}

/// The most that one act may move.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// In bytes.
    pub bytes: u64,
    /// When it ends, by the pacer's clock; never, if none.
    pub until: Option<Duration>,
}

/// What became of a plan, in bytes. `tried = applied + stayed + freed + vanished + refused`, and what was planned and not tried
/// was touched, is left for later, over the budget, or `ended` says that the act was cut short.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outcome {
    /// What was cold.
    pub planned: u64,
    /// Given to the mover.
    pub tried: u64,
    /// No longer in memory, or read back since.
    pub applied: u64,
    /// Taken by the kernel, and never left memory: shared, pinned or in use.
    pub stayed: u64,
    /// Freed by the kernel instead of swapped, as the process had allowed (`MADV_FREE`).
    pub freed: u64,
    /// Unmapped since they were scanned.
    pub vanished: u64,
    /// Mappings that cannot be paged out.
    pub refused: u64,
    /// Touched since they were scanned: left alone.
    pub touched: u64,
    /// Left for the next cycles, as no more leaves in one.
    pub later: u64,
    /// Left where they are because there is no room for them, or they may not leave.
    pub over_budget: u64,
    /// Why the act ended before the plan did.
    pub ended: Option<Ended>,
}

impl Outcome {
    /// Adds what became of another part of the plan, which came after this one.
    pub fn append(&mut self, other: Self) {
        let Self {
            planned,
            tried,
            applied,
            stayed,
            freed,
            vanished,
            refused,
            touched,
            later,
            over_budget,
            ended,
        } = other;
        self.planned += planned;
        self.tried += tried;
        self.applied += applied;
        self.stayed += stayed;
        self.freed += freed;
        self.vanished += vanished;
        self.refused += refused;
        self.touched += touched;
        self.later += later;
        self.over_budget += over_budget;
        self.ended = self.ended.take().or(ended);
    }
}

/// Why an act ended early.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// A stop was asked for.
    Stopped,
    /// The process is gone, or the kernel refused.
    Process(ProcessError),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::heat::HeatUpdate;
    use crate::kernel::probe::{Access, AccessSink, Block};
    use proptest::prelude::*;

    /// A scan whose blocks are given as accesses, or as huge pages.
    fn heat(blocks: &[(u64, Result<Vec<Access>, Access>)]) -> HeatMap {
        let mut update = HeatUpdate::new(HeatMap::default());
        for (block, content) in blocks {
            match content {
                Ok(pages) => {
                    let mut seen = [Access::ABSENT; PAGES_PER_BLOCK];
                    seen.copy_from_slice(pages);
                    update.block(block * BLOCK_SIZE, Block::Pages(&seen));
                }
                Err(access) => update.block(block * BLOCK_SIZE, Block::Huge(*access)),
            }
        }
        update.finish()
    }

    fn pages_of(ranges: &[AddressRange]) -> Vec<u64> {
        ranges.iter().flat_map(|range| (range.start..range.end).step_by(4096)).collect()
    }

    fn block() -> impl Strategy<Value = Result<Vec<Access>, Access>> {
        let present = prop_oneof![Just(Access::IDLE), Just(Access::READ), Just(Access::WRITTEN)];
        let any = prop_oneof![present.clone(), Just(Access::ABSENT)];
        prop_oneof![
            present.clone().prop_map(Err),
            present.prop_map(|access| Ok(vec![access; PAGES_PER_BLOCK])),
            proptest::collection::vec(any, PAGES_PER_BLOCK).prop_map(Ok),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]
        #[test]
        fn ranges_hold_what_the_selection_says(
            blocks in proptest::collection::vec((1..4u64, block()), 1..12),
            below in 0..5u16,
            bytes_at in prop_oneof![Just(0u64), 0..40_000_000u64],
        ) {
            let mut at = 100;
            let blocks: Vec<_> = blocks.into_iter().map(|(gap, block)| { at += gap; (at, block) }).collect();
            let heat = heat(&blocks);
            let selection = Selection { below, bytes_at };
            let plan = Plan::new(&heat, &heat.histogram(), selection);
            let ranges: Vec<_> = plan.ranges().collect();

            let mut left = bytes_at;
            let mut want = Vec::new();
            for (block, content) in &blocks {
                let start = block * BLOCK_SIZE;
                match content {
                    Ok(pages) => {
                        for (index, access) in (0u64..).zip(pages).filter(|(_, access)| access.is_present()) {
                            let count = u16::from(access.weight());
                            let at = count == below && left >= PAGE_SIZE;
                            if at {
                                left -= PAGE_SIZE;
                            }
                            if count < below || at {
                                want.push(start + index * PAGE_SIZE);
                            }
                        }
                    }
                    Err(access) => {
                        let count = u16::from(access.weight());
                        let at = count == below && left >= BLOCK_SIZE;
                        if at {
                            left -= BLOCK_SIZE;
                        }
                        if count < below || at {
                            want.extend((start..start + BLOCK_SIZE).step_by(4096));
                        }
                    }
                }
            }
            prop_assert_eq!(pages_of(&ranges), want);
            for pair in ranges.windows(2) {
                prop_assert!(pair[0].end < pair[1].start, "neighbours are one range");
            }
            let sum: u64 = ranges.iter().map(AddressRange::bytes).sum();
            prop_assert!(sum <= plan.bytes());
            if bytes_at == 0 {
                prop_assert_eq!(sum, plan.bytes());
            }
        }
    }
}
