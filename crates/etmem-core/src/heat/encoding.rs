//! The byte stream that holds counts.
//!
//! A segment is a sequence of items, each a tag byte and what the tag says, for consecutive blocks:
//!
//! | tag | holds | then |
//! | --- | --- | --- |
//! | gap | blocks without pages | number of blocks |
//! | pages | blocks whose pages are all present with one count | number of blocks, count |
//! | huge | huge pages with one count | number of blocks, count |
//! | full 4, 8, 9 | one block; all ones stand for an absent page | 512 counts of that many bits |
//! | part 4, 8, 9 | one block | 64 bytes of presence bits, a count of that many bits per present page |
//! | few | one block of few pages | how many, then 16 bits each: index in the low 9, count in the high 7 |
//!
//! Gaps, numbers and segments are those of [`crate::segments`].

use super::counts::{ABSENT, BlockCounts};
use crate::address::PAGES_PER_BLOCK;
use crate::page_bits::{self, PageBits};
use crate::segments::{GAP, Reader, put_number};

const PAGES: u8 = 1;
const HUGE: u8 = 2;
const FEW: u8 = 3;
const FULL: u8 = 4;
const PART: u8 = 7;

const HALF: usize = PAGES_PER_BLOCK / 2;
/// Highest count in the seven bits that a page of a `few` item has.
const FEW_COUNT_MAX: u16 = 127;

/// Bits per count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Width {
    Four,
    Eight,
    Nine,
}

impl Width {
    /// The narrowest that holds `high` and leaves all ones free.
    const fn of(high: u16) -> Self {
        match high {
            0..15 => Self::Four,
            15..255 => Self::Eight,
            _ => Self::Nine,
        }
    }

    const fn tag_offset(self) -> u8 {
        match self {
            Self::Four => 0,
            Self::Eight => 1,
            Self::Nine => 2,
        }
    }

    const fn bytes(self, pages: usize) -> usize {
        match self {
            Self::Four => pages.div_ceil(2),
            Self::Eight => pages,
            Self::Nine => pages + pages.div_ceil(8),
        }
    }

    /// What stands for an absent page: all bits set.
    const fn absent(self) -> u16 {
        match self {
            Self::Four => 0xF,
            Self::Eight => 0xFF,
            Self::Nine => 0x1FF,
        }
    }
}

/// One item of the stream, without the counts of a mixed block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Item {
    /// Blocks without pages.
    Gap { blocks: u64 },
    /// Blocks of present base pages, or huge pages, all with one count.
    Run { blocks: u64, count: u16, huge: bool },
    /// One block of base pages; its counts are in the caller's scratch.
    Mixed,
}

/// Most bytes that one item takes.
pub(super) const ITEM_BYTES_MAX: usize = 1 + page_bits::BYTES + PAGES_PER_BLOCK + page_bits::BYTES;

fn low_byte16(number: u16) -> u8 {
    number.to_le_bytes()[0]
}

pub(super) fn put_run(out: &mut Vec<u8>, blocks: u64, count: u16, huge: bool) {
    out.push(if huge { HUGE } else { PAGES });
    put_number(out, blocks);
    put_number(out, u64::from(count));
}

/// Writes one block of base pages in its smallest form. `present` and `high` are those of the counts.
pub(super) fn put_mixed(out: &mut Vec<u8>, counts: &BlockCounts, present: usize, high: u16) {
    let width = Width::of(high);
    let part = page_bits::BYTES + width.bytes(present);
    let full = width.bytes(PAGES_PER_BLOCK);
    if high <= FEW_COUNT_MAX && 1 + 2 * present < part.min(full) {
        put_few(out, counts, present);
    } else if full <= part {
        out.push(FULL + width.tag_offset());
        put_full(out, counts, width);
    } else {
        out.push(PART + width.tag_offset());
        put_part(out, counts, width);
    }
}

fn put_few(out: &mut Vec<u8>, counts: &BlockCounts, present: usize) {
    out.push(FEW);
    put_number(out, present as u64);
    for (index, &count) in (0u16..).zip(&counts.0) {
        if count != ABSENT {
            out.extend_from_slice(&(index | (count << 9)).to_le_bytes());
        }
    }
}

fn put_full(out: &mut Vec<u8>, counts: &BlockCounts, width: Width) {
    let start = out.len();
    out.resize(start + width.bytes(PAGES_PER_BLOCK), 0);
    let bytes = &mut out[start..];
    match width {
        // Pages of the first half in the low nibbles, of the second in the high ones: both loops vectorise.
        Width::Four => {
            let (low, high) = counts.0.split_at(HALF);
            for ((byte, low), high) in bytes.iter_mut().zip(low).zip(high) {
                *byte = low_byte16((low & 0xF) | ((high & 0xF) << 4));
            }
        }
        Width::Eight => {
            for (byte, count) in bytes.iter_mut().zip(&counts.0) {
                *byte = low_byte16(*count);
            }
        }
        Width::Nine => {
            let (low, high) = bytes.split_at_mut(PAGES_PER_BLOCK);
            for (byte, count) in low.iter_mut().zip(&counts.0) {
                *byte = low_byte16(*count);
            }
            for (byte, pages) in high.iter_mut().zip(counts.0.chunks_exact(8)) {
                *byte = ninth_bits(pages);
            }
        }
    }
}

/// The ninth bits of up to eight counts.
fn ninth_bits(counts: &[u16]) -> u8 {
    counts.iter().rev().fold(0, |bits, count| (bits << 1) | low_byte16((count >> 8) & 1))
}

fn put_part(out: &mut Vec<u8>, counts: &BlockCounts, width: Width) {
    let presence = PageBits::of(&counts.0, |count| count != ABSENT);
    out.extend_from_slice(&presence.to_bytes());
    let mut packed = [0u16; PAGES_PER_BLOCK];
    let mut length = 0;
    presence.pages().for_each(|page| {
        packed[length] = counts.0[usize::from(page)];
        length += 1;
    });
    let packed = &packed[..length];
    match width {
        Width::Four => {
            out.extend(
                packed.chunks(2).map(|pair| low_byte16(pair[0] | (pair.get(1).copied().unwrap_or(0) << 4))),
            );
        }
        Width::Eight => out.extend(packed.iter().map(|&count| low_byte16(count))),
        Width::Nine => {
            out.extend(packed.iter().map(|&count| low_byte16(count)));
            out.extend(packed.chunks(8).map(ninth_bits));
        }
    }
}

/// Whether the item of a mixed block with `tag` has holes, and how wide its counts are; of no meaning for a block of few pages.
const fn form(tag: u8) -> (bool, Width) {
    let (part, offset) = if tag < PART { (false, tag.saturating_sub(FULL)) } else { (true, tag - PART) };
    (part, [Width::Four, Width::Eight, Width::Nine][offset as usize])
}

impl Reader<'_> {
    fn count(&mut self) -> u16 {
        u16::try_from(self.number()).unwrap_or(ABSENT)
    }

    /// The next item; the counts of a mixed one go to `counts`.
    pub(super) fn next_counts(&mut self, counts: &mut BlockCounts) -> Option<Item> {
        self.item(|reader, tag| match (tag, form(tag)) {
            (FEW, _) => reader.few(counts),
            (_, (true, width)) => reader.part(counts, width),
            (_, (false, width)) => reader.full(counts, width),
        })
    }

    /// The same without the counts of a mixed one.
    pub(super) fn skip_counts(&mut self) -> Option<Item> {
        self.item(|reader, tag| {
            let bytes = match (tag, form(tag)) {
                (FEW, _) => 2 * usize::try_from(reader.number()).unwrap_or(usize::MAX),
                (_, (true, width)) => width.bytes(reader.presence().len()),
                (_, (false, width)) => width.bytes(PAGES_PER_BLOCK),
            };
            reader.take(bytes);
        })
    }

    /// The next item; `mixed` reads what follows the tag of a mixed one.
    fn item(&mut self, mixed: impl FnOnce(&mut Self, u8)) -> Option<Item> {
        Some(match self.tag()? {
            GAP => Item::Gap { blocks: self.number() },
            PAGES => Item::Run { blocks: self.number(), count: self.count(), huge: false },
            HUGE => Item::Run { blocks: self.number(), count: self.count(), huge: true },
            tag => {
                mixed(self, tag);
                Item::Mixed
            }
        })
    }

    fn few(&mut self, counts: &mut BlockCounts) {
        *counts = BlockCounts::EMPTY;
        for _ in 0..self.number() {
            let pair = self.take(2);
            let page = u16::from_le_bytes([pair[0], pair[1]]);
            counts.0[usize::from(page & 0x1FF)] = page >> 9;
        }
    }

    fn full(&mut self, counts: &mut BlockCounts, width: Width) {
        let bytes = self.take(width.bytes(PAGES_PER_BLOCK));
        match width {
            Width::Four => {
                let (low, high) = counts.0.split_at_mut(HALF);
                for ((byte, low), high) in bytes.iter().zip(low).zip(high) {
                    *low = u16::from(byte & 0xF);
                    *high = u16::from(byte >> 4);
                }
            }
            Width::Eight => {
                for (byte, count) in bytes.iter().zip(&mut counts.0) {
                    *count = u16::from(*byte);
                }
            }
            Width::Nine => {
                let (low, high) = bytes.split_at(PAGES_PER_BLOCK);
                for (index, (byte, count)) in low.iter().zip(&mut counts.0).enumerate() {
                    *count = u16::from(*byte) | (u16::from((high[index / 8] >> (index % 8)) & 1) << 8);
                }
            }
        }
        for count in &mut counts.0 {
            *count = if *count == width.absent() { ABSENT } else { *count };
        }
    }

    fn part(&mut self, counts: &mut BlockCounts, width: Width) {
        let presence = self.presence();
        let present = presence.len();
        let bytes = self.take(width.bytes(present));
        let packed = |index: usize| match width {
            Width::Four => u16::from((bytes[index / 2] >> (4 * (index % 2))) & 0xF),
            Width::Eight => u16::from(bytes[index]),
            Width::Nine => {
                let high = (bytes[present + index / 8] >> (index % 8)) & 1;
                u16::from(bytes[index]) | (u16::from(high) << 8)
            }
        };
        *counts = BlockCounts::EMPTY;
        let mut index = 0;
        presence.pages().for_each(|page| {
            counts.0[usize::from(page)] = packed(index);
            index += 1;
        });
    }

    fn presence(&mut self) -> PageBits {
        let mut bytes = [0; page_bits::BYTES];
        bytes.copy_from_slice(self.take(page_bits::BYTES));
        PageBits::from_bytes(&bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::heat::COUNT_MAX;
    use crate::segments::put_gap;
    use proptest::prelude::*;

    fn round_trip(counts: &BlockCounts) -> usize {
        let extent = counts.extent();
        let mut bytes = Vec::new();
        put_mixed(&mut bytes, counts, extent.present, extent.high);
        let mut back = BlockCounts::uniform(99);
        let mut reader = Reader::new(&bytes, 0);
        assert_eq!(reader.next_counts(&mut back), Some(Item::Mixed));
        assert_eq!(&back, counts);
        assert_eq!(reader.next_counts(&mut back), None);
        let mut skips = Reader::new(&bytes, 0);
        assert_eq!((skips.skip_counts(), skips.position()), (Some(Item::Mixed), bytes.len()));
        assert!(bytes.len() <= ITEM_BYTES_MAX);
        bytes.len()
    }

    #[test]
    fn each_form_is_used_where_it_is_the_smallest() {
        let block = |present: &dyn Fn(usize) -> bool, high: u16| {
            let mut counts = BlockCounts::EMPTY;
            for page in (0..PAGES_PER_BLOCK).filter(|&page| present(page)) {
                counts.0[page] = if page % 3 == 0 { high } else { 0 };
            }
            round_trip(&counts)
        };
        assert_eq!(block(&|_| true, 9), 1 + 256);
        assert_eq!(block(&|_| true, 15), 1 + 512);
        assert_eq!(block(&|_| true, 254), 1 + 512);
        assert_eq!(block(&|_| true, 255), 1 + 576);
        assert_eq!(block(&|page| page % 2 == 0, 9), 1 + 64 + 128);
        assert_eq!(block(&|page| page % 2 == 0, 200), 1 + 64 + 256);
        assert_eq!(block(&|page| page % 2 == 0, 360), 1 + 64 + 256 + 32);
        assert_eq!(block(&|page| page < 10, 9), 1 + 1 + 20);
        assert_eq!(block(&|page| page != 7, 9), 1 + 256);
    }

    #[test]
    fn runs_and_gaps() {
        let mut bytes = Vec::new();
        put_gap(&mut bytes, 3_000_000);
        put_run(&mut bytes, 1, COUNT_MAX, true);
        put_run(&mut bytes, u64::MAX >> 21, 0, false);
        let mut reader = Reader::new(&bytes, 0);
        let mut scratch = BlockCounts::EMPTY;
        assert_eq!(reader.next_counts(&mut scratch), Some(Item::Gap { blocks: 3_000_000 }));
        assert_eq!(
            reader.next_counts(&mut scratch),
            Some(Item::Run { blocks: 1, count: COUNT_MAX, huge: true })
        );
        assert_eq!(
            reader.next_counts(&mut scratch),
            Some(Item::Run { blocks: u64::MAX >> 21, count: 0, huge: false })
        );
        assert_eq!(reader.next_counts(&mut scratch), None);
    }

    proptest! {
        #[test]
        fn any_block_comes_back(
            high in 0..=COUNT_MAX,
            share in 0.0..=1.0f64,
            pages in proptest::collection::vec((0.0..1.0f64, 0..=COUNT_MAX), PAGES_PER_BLOCK),
        ) {
            let mut counts = BlockCounts::EMPTY;
            for (count, (dice, value)) in counts.0.iter_mut().zip(pages) {
                if dice < share {
                    *count = value.min(high);
                }
            }
            round_trip(&counts);
        }
    }
}
