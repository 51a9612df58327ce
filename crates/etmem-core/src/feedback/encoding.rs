//! The byte stream that holds standings.
//!
//! A segment is a sequence of items, each a tag byte and what the tag says, for consecutive blocks:
//!
//! | tag | holds | then |
//! | --- | --- | --- |
//! | gap | blocks of which nothing is known | number of blocks |
//! | run | blocks whose pages all stand alike | number of blocks, standing |
//! | few | one block of which few pages differ | the others' standing, how many, then two bytes of index and a standing for each |
//! | 1, 2, 4 bits | one block | its 2, 4 or 16 standings, then the number of one of them for each page |
//! | 8 bits | one block | 512 standings |
//!
//! Gaps, numbers and segments are those of [`crate::segments`].

use crate::address::PAGES_PER_BLOCK;
use crate::page_bits::PageBits;
use crate::segments::{GAP, Reader, put_number};

/// What is known of each page of a block, as [`super::Standing`] has it.
pub(super) type BlockStandings = [u8; PAGES_PER_BLOCK];

const RUN: u8 = 1;
const FEW: u8 = 2;
const BITS: [(u8, usize, usize); 3] = [(3, 1, 2), (4, 2, 4), (5, 4, 16)];
const BYTES: u8 = 6;

/// Pages of a `few` item, less than which take more bits otherwise.
const FEW_MAX: usize = 20;

/// Most bytes that one item takes.
pub(super) const ITEM_BYTES_MAX: usize = 1 + PAGES_PER_BLOCK;

/// One item of the stream, without the standings of a mixed block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Item {
    /// Nothing is known.
    Gap { blocks: u64 },
    /// All pages stand alike.
    Run { blocks: u64, standing: u8 },
    /// One block; its standings are in the caller's scratch.
    Mixed,
}

pub(super) fn put_run(out: &mut Vec<u8>, blocks: u64, standing: u8) {
    out.push(RUN);
    put_number(out, blocks);
    out.push(standing);
}

/// Numbers that are added up side by side.
const COLUMNS: usize = 4;

/// The ways in which the pages of a block stand.
pub(super) struct Palette {
    number: [u8; 256],
    ways: [u8; 256],
    pages: [u16; 256],
    pub(super) len: usize,
}

impl Palette {
    /// Of `block`.
    pub(super) fn of(block: &BlockStandings) -> Self {
        let mut palette = Self { number: [u8::MAX; 256], ways: [0; 256], pages: [0; 256], len: 0 };
        // Neighbours mostly stand alike, and adding to one number twice in a row makes the processor wait for itself.
        let mut columns = [[0u16; 256]; COLUMNS];
        for pages in block.chunks_exact(COLUMNS) {
            for (column, &standing) in columns.iter_mut().zip(pages) {
                column[usize::from(standing)] += 1;
            }
        }
        let seen: [u16; 256] =
            std::array::from_fn(|standing| columns.iter().map(|column| column[standing]).sum());
        for (standing, &pages) in (0u8..=u8::MAX).zip(&seen).filter(|(_, pages)| **pages > 0) {
            palette.number[usize::from(standing)] = palette.len.to_le_bytes()[0];
            palette.ways[palette.len] = standing;
            palette.pages[palette.len] = pages;
            palette.len += 1;
        }
        palette
    }

    /// In which way most pages stand, and how many do not.
    fn most(&self) -> (u8, usize) {
        let most = (0..self.len).max_by_key(|&way| self.pages[way]).unwrap_or(0);
        (self.ways[most], PAGES_PER_BLOCK - usize::from(self.pages[most]))
    }
}

/// Writes one block whose pages stand in more than one way, in its smallest form.
pub(super) fn put_mixed(out: &mut Vec<u8>, block: &BlockStandings, palette: &Palette) {
    let (most, others) = palette.most();
    if others <= FEW_MAX {
        let pages = (0u16..).zip(block.iter().copied());
        return put_few(out, most, others, pages.filter(|(_, standing)| *standing != most));
    }
    let Some(&(tag, bits, ways)) = BITS.iter().find(|(_, _, ways)| palette.len <= *ways) else {
        out.push(BYTES);
        out.extend_from_slice(block);
        return;
    };
    out.push(tag);
    out.extend_from_slice(&palette.ways[..ways]);
    for pages in block.chunks_exact(8 / bits) {
        let number = |standing: &u8| palette.number[usize::from(*standing)];
        out.push(pages.iter().rev().fold(0, |byte, standing| (byte << bits) | number(standing)));
    }
}

/// Writes one block of which all pages stand as `most`, but for a `few`: `others`, by their numbers.
fn put_few(out: &mut Vec<u8>, most: u8, few: usize, others: impl Iterator<Item = (u16, u8)>) {
    out.extend([FEW, most, few.to_le_bytes()[0]]);
    for (page, standing) in others {
        out.extend_from_slice(&page.to_le_bytes());
        out.push(standing);
    }
}

/// Writes one block whose pages stand in two ways: those in `bits` in the second of `ways`, the others in the first.
pub(super) fn put_two(out: &mut Vec<u8>, bits: &PageBits, ways: [u8; 2]) {
    let [outside, inside] = ways;
    match (bits.len(), PAGES_PER_BLOCK - bits.len()) {
        (few @ ..=FEW_MAX, _) => put_few(out, outside, few, bits.pages().map(|page| (page, inside))),
        (_, few @ ..=FEW_MAX) => put_few(out, inside, few, bits.others().pages().map(|page| (page, outside))),
        _ => {
            out.push(BITS[0].0);
            out.extend(ways);
            out.extend(bits.to_bytes());
        }
    }
}

impl Reader<'_> {
    /// The next item; the standings of a mixed one go to `block`.
    pub(super) fn next_standings(&mut self, block: &mut BlockStandings) -> Option<Item> {
        Some(match self.tag()? {
            GAP => Item::Gap { blocks: self.number() },
            RUN => Item::Run { blocks: self.number(), standing: self.take(1)[0] },
            FEW => {
                let head = self.take(2);
                block.fill(head[0]);
                for page in self.take(3 * usize::from(head[1])).chunks_exact(3) {
                    block[usize::from(u16::from_le_bytes([page[0], page[1]])) % PAGES_PER_BLOCK] = page[2];
                }
                Item::Mixed
            }
            BYTES => {
                block.copy_from_slice(self.take(PAGES_PER_BLOCK));
                Item::Mixed
            }
            tag => {
                let (_, bits, ways) = BITS[usize::from(tag - BITS[0].0)];
                let ways = self.take(ways);
                let packed = self.take(PAGES_PER_BLOCK * bits / 8);
                for (pages, &byte) in block.chunks_exact_mut(8 / bits).zip(packed) {
                    let mut left = byte;
                    for page in pages {
                        *page = ways[usize::from(left) % ways.len()];
                        left >>= bits;
                    }
                }
                Item::Mixed
            }
        })
    }
}
