//! What is known of all pages of a process, read and written in address order.

use super::encoding::{BlockStandings, ITEM_BYTES_MAX, Item, Palette, put_mixed, put_run, put_two};
use super::standing::Standing;
use crate::address::{BLOCK_SIZE, PAGE_SIZE, PAGES_PER_BLOCK};
use crate::page_bits::PageBits;
use crate::segments::{self, Reader, Segment};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

const UNKNOWN: u8 = Standing::UNKNOWN.0;

/// What is known of the pages of a process between two cycles.
#[derive(Debug, Default, Clone, Serialize, Deserialize)]
pub struct Standings {
    segments: VecDeque<Segment>,
}

impl Standings {
    /// What is known of the page at `address`. Slow: it reads from the front; for tests and single questions.
    #[must_use]
    pub fn of(&self, address: u64) -> Standing {
        let mut reading = Reading::new(self.clone());
        let (_, before) = reading.at(address / BLOCK_SIZE);
        let index = usize::try_from(address % BLOCK_SIZE / PAGE_SIZE).unwrap_or(0);
        match before {
            BlockStanding::Alike(standing) => Standing(standing),
            BlockStanding::Mixed => Standing(reading.block[index]),
        }
    }

    /// Whether nothing is known.
    pub(super) fn is_empty(&self) -> bool {
        self.segments.is_empty()
    }

    /// Bytes of heap that it holds.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        segments::heap_bytes(&self.segments)
    }
}

/// How the pages of one block stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BlockStanding {
    /// All alike.
    Alike(u8),
    /// As [`Reading::block`] has it.
    Mixed,
}

/// Reads a stream once, dropping each segment as it is passed.
#[derive(Debug)]
pub(super) struct Reading {
    segments: VecDeque<Segment>,
    position: usize,
    /// The blocks that the item read last describes.
    first_block: u64,
    next_block: u64,
    item: Item,
    /// The standings of the block asked for last, where they are mixed.
    pub(super) block: BlockStandings,
}

impl Reading {
    pub(super) fn new(standings: Standings) -> Self {
        let next_block = standings.segments.front().map_or(0, |segment| segment.first_block);
        Self {
            segments: standings.segments,
            position: 0,
            first_block: 0,
            next_block,
            item: Item::Gap { blocks: 0 },
            block: [UNKNOWN; PAGES_PER_BLOCK],
        }
    }

    /// How the pages of `block` stand, and for how many blocks from there on that is so. Blocks ascend.
    pub(super) fn at(&mut self, block: u64) -> (u64, BlockStanding) {
        while self.next_block <= block {
            let Some(segment) = self.segments.front() else {
                return (u64::MAX, BlockStanding::Alike(UNKNOWN));
            };
            let mut reader = Reader::new(&segment.bytes, self.position);
            let item = reader.next_standings(&mut self.block);
            self.position = reader.position();
            let Some(item) = item else {
                self.segments.pop_front();
                self.position = 0;
                let Some(next) = self.segments.front() else {
                    return (u64::MAX, BlockStanding::Alike(UNKNOWN));
                };
                self.next_block = next.first_block;
                self.item = Item::Gap { blocks: 0 };
                continue;
            };
            self.item = item;
            self.first_block = self.next_block;
            self.next_block += match item {
                Item::Gap { blocks } | Item::Run { blocks, .. } => blocks,
                Item::Mixed => 1,
            };
        }
        let alike = self.next_block - block;
        match self.item {
            Item::Run { standing, .. } if block >= self.first_block => {
                (alike, BlockStanding::Alike(standing))
            }
            Item::Mixed if block >= self.first_block => (1, BlockStanding::Mixed),
            Item::Gap { .. } if self.first_block <= block => (alike, BlockStanding::Alike(UNKNOWN)),
            Item::Gap { .. } | Item::Run { .. } | Item::Mixed => {
                // Before the first block of a segment.
                (self.first_block.max(block + 1) - block, BlockStanding::Alike(UNKNOWN))
            }
        }
    }

    /// The first block from `block` on of which anything is known; none after the last.
    pub(super) fn next_known(&mut self, mut block: u64) -> Option<u64> {
        loop {
            let (alike, known) = self.at(block);
            if known != BlockStanding::Alike(UNKNOWN) {
                return Some(block);
            }
            block = block.checked_add(alike)?;
        }
    }
}

/// Writes [`Standings`], block after block in ascending order.
#[derive(Debug, Default)]
pub(super) struct Writing {
    items: segments::Writer<ITEM_BYTES_MAX>,
    /// First block, number of blocks, standing.
    run: Option<(u64, u64, u8)>,
}

impl Writing {
    /// Appends one block.
    pub(super) fn block(&mut self, block: u64, standings: &BlockStandings) {
        let palette = Palette::of(standings);
        if palette.len == 1 {
            return self.alike(block, 1, standings[0]);
        }
        self.close_run();
        self.items.item(block, 1, |out| put_mixed(out, standings, &palette));
    }

    /// Appends one block: the pages in `bits` stand in the second of `ways`, the others in the first.
    pub(super) fn two(&mut self, block: u64, bits: &PageBits, ways: [u8; 2]) {
        match bits.len() {
            0 => self.alike(block, 1, ways[0]),
            PAGES_PER_BLOCK => self.alike(block, 1, ways[1]),
            _ => {
                self.close_run();
                self.items.item(block, 1, |out| put_two(out, bits, ways));
            }
        }
    }

    /// Appends blocks whose pages all stand alike.
    pub(super) fn alike(&mut self, block: u64, blocks: u64, standing: u8) {
        match &mut self.run {
            _ if standing == UNKNOWN => {}
            Some((first, length, open)) if *open == standing && *first + *length == block => {
                *length += blocks
            }
            _ => {
                self.close_run();
                self.run = Some((block, blocks, standing));
            }
        }
    }

    fn close_run(&mut self) {
        if let Some((first, blocks, standing)) = self.run.take() {
            self.items.item(first, blocks, |out| put_run(out, blocks, standing));
        }
    }

    pub(super) fn finish(mut self) -> Standings {
        self.close_run();
        Standings { segments: self.items.finish() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Debug, Clone)]
    enum Shape {
        Alike(u64, u8),
        Mixed(Vec<u8>),
    }

    fn shape() -> impl Strategy<Value = Shape> {
        let few = prop::sample::select(vec![0u8, 7, 32, 255]);
        let some = 0u8..16;
        prop_oneof![
            (1u64..50, few.clone()).prop_map(|(blocks, standing)| Shape::Alike(blocks, standing)),
            prop::collection::vec(few, PAGES_PER_BLOCK).prop_map(Shape::Mixed),
            prop::collection::vec(some, PAGES_PER_BLOCK).prop_map(Shape::Mixed),
            prop::collection::vec(any::<u8>(), PAGES_PER_BLOCK).prop_map(Shape::Mixed),
            (0..PAGES_PER_BLOCK, any::<u8>()).prop_map(|(page, standing)| {
                let mut pages = vec![3; PAGES_PER_BLOCK];
                pages[page] = standing;
                Shape::Mixed(pages)
            }),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]
        #[test]
        fn what_is_written_is_read(shapes in prop::collection::vec((0u64..4, shape()), 1..200)) {
            let mut writing = Writing::default();
            let mut at = 0x3f80_0000;
            let mut want = Vec::new();
            for (gap, shape) in &shapes {
                for _ in 0..*gap {
                    want.push([UNKNOWN; PAGES_PER_BLOCK]);
                }
                at += gap;
                match shape {
                    Shape::Alike(blocks, standing) => {
                        writing.alike(at, *blocks, *standing);
                        at += blocks;
                        want.extend((0..*blocks).map(|_| [*standing; PAGES_PER_BLOCK]));
                    }
                    Shape::Mixed(pages) => {
                        let pages: BlockStandings = pages.clone().try_into().unwrap();
                        writing.block(at, &pages);
                        at += 1;
                        want.push(pages);
                    }
                }
            }
            let mut reading = Reading::new(writing.finish());
            for (block, want) in (0x3f80_0000..).zip(&want) {
                let (alike, known) = reading.at(block);
                prop_assert!(alike >= 1);
                match known {
                    BlockStanding::Alike(standing) => prop_assert_eq!(&[standing; PAGES_PER_BLOCK], want),
                    BlockStanding::Mixed => prop_assert_eq!(&reading.block, want),
                }
            }
            prop_assert_eq!(reading.at(at).1, BlockStanding::Alike(UNKNOWN));
            prop_assert_eq!(reading.at(at + 5), (u64::MAX, BlockStanding::Alike(UNKNOWN)));
        }
    }

    fn bytes_per_page(blocks: u64, way: impl Fn(usize) -> u8) -> f64 {
        let mut writing = Writing::default();
        for block in 0..blocks {
            let mut standings = [0; PAGES_PER_BLOCK];
            for (index, standing) in standings.iter_mut().enumerate() {
                *standing = way(index);
            }
            writing.block(block, &standings);
        }
        writing.finish().heap_bytes() as f64 / (blocks * PAGES_PER_BLOCK as u64) as f64
    }

    #[test]
    fn a_page_costs_what_the_module_says() {
        let out = Standing::idle(crate::age::Age::TOUCHED).moved_out().0;
        for (name, bytes, bound) in [
            ("all out", bytes_per_page(100_000, |_| out), 0.0001),
            ("every second out", bytes_per_page(2000, |page| if page % 2 == 0 { out } else { 0 }), 0.14),
            ("one in 64 out", bytes_per_page(2000, |page| if page % 64 == 0 { out } else { 0 }), 0.06),
            ("four ways", bytes_per_page(2000, |page| [out, 0, 1, 2][page % 4]), 0.27),
            ("sixteen ways", bytes_per_page(2000, |page| page.to_le_bytes()[0] % 16), 0.55),
            ("all ways", bytes_per_page(2000, |page| page.to_le_bytes()[0]), 1.03),
        ] {
            assert!(bytes <= bound, "{name}: {bytes} bytes per page, at most {bound}");
        }
    }
}
