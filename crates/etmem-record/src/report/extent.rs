//! Where a process has its memory, and how it is laid out in rows: long gaps between parts of the address space are left out.

use crate::memory::Memory;
use etmem_core::address::{AddressRange, BLOCK_SIZE, PAGE_SIZE};
use std::collections::BTreeSet;

/// The shortest row: 64 pages, a word of bits.
const ROW_MIN: u64 = 64 * PAGE_SIZE;

/// Blocks that a process has had in memory.
#[derive(Debug, Clone, Default)]
pub struct Extent(BTreeSet<u64>);

/// The rows of a heat map: parts of the address space, each in rows of the same size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// Ascending; each is whole rows.
    pub parts: Vec<AddressRange>,
    /// Bytes of a row: a power of two.
    pub row: u64,
}

impl Extent {
    /// Takes in what a look found.
    pub fn saw(&mut self, memory: &Memory) {
        self.0.extend(memory.blocks().map(|(block, _)| block));
    }

    /// Whether there was no memory at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Parts that are at least `gap` bytes apart.
    fn parts(&self, gap: u64) -> Vec<AddressRange> {
        let mut parts: Vec<AddressRange> = Vec::new();
        for block in &self.0 {
            let range = AddressRange::new(block * BLOCK_SIZE, (block + 1) * BLOCK_SIZE);
            match parts.last_mut() {
                Some(last) if range.start - last.end < gap => last.end = range.end,
                _ => parts.push(range),
            }
        }
        parts
    }

    /// At most `rows` rows for all of it.
    #[must_use]
    pub fn layout(&self, rows: u64) -> Layout {
        let rows = rows.max(1);
        let mut row = ROW_MIN;
        loop {
            // A gap of two rows takes as much room as its mark.
            let parts = self.parts((2 * row).max(BLOCK_SIZE * 4));
            let whole = |part: &AddressRange| {
                AddressRange::new(part.start / row * row, part.end.div_ceil(row).saturating_mul(row))
            };
            let parts: Vec<AddressRange> = parts.iter().map(whole).collect();
            let needed: u64 = parts.iter().map(|part| part.bytes() / row).sum();
            if needed <= rows || row >= 1 << 62 {
                return Layout { parts, row };
            }
            row *= 2;
        }
    }
}

impl Layout {
    /// How many rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        let rows = self.parts.iter().map(|part| part.bytes() / self.row).sum::<u64>();
        usize::try_from(rows).unwrap_or(usize::MAX)
    }

    /// The rows in ascending order, and whether a gap is before each.
    pub fn ranges(&self) -> impl Iterator<Item = (AddressRange, bool)> + '_ {
        self.parts.iter().enumerate().flat_map(move |(number, part)| {
            (0..part.bytes() / self.row).map(move |row| {
                let start = part.start + row * self.row;
                (AddressRange::new(start, start + self.row), number > 0 && row == 0)
            })
        })
    }

    /// The number of the row that has `address`.
    #[must_use]
    pub fn row_of(&self, address: u64) -> Option<usize> {
        let mut before = 0;
        for part in &self.parts {
            if address < part.start {
                return None;
            }
            if address < part.end {
                return usize::try_from(before + (address - part.start) / self.row).ok();
            }
            before += part.bytes() / self.row;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::BLOCKS_END;
    use proptest::prelude::*;

    #[test]
    fn long_gaps_are_left_out() {
        let extent = Extent([2, 3, 4, 1000, 1001, 70_000_000].into());
        let layout = extent.layout(20);
        assert_eq!(layout.row, BLOCK_SIZE / 2);
        let parts: Vec<(u64, u64)> =
            layout.parts.iter().map(|part| (part.start / BLOCK_SIZE, part.bytes() / BLOCK_SIZE)).collect();
        assert_eq!(parts, [(2, 3), (1000, 2), (70_000_000, 1)]);
        assert_eq!((layout.rows(), layout.row_of(999 * BLOCK_SIZE)), (12, None));
        assert_eq!(layout.row_of(1000 * BLOCK_SIZE), Some(6));
        let gaps: Vec<usize> =
            (0..).zip(layout.ranges()).filter(|(_, (_, gap))| *gap).map(|(row, _)| row).collect();
        assert_eq!(gaps, [6, 10]);
    }

    proptest! {
        #[test]
        fn each_block_has_its_rows(blocks in prop::collection::btree_set(0u64..BLOCKS_END, 1..60), rows in 8u64..300) {
            let layout = Extent(blocks.clone()).layout(rows);
            prop_assert!(layout.rows() as u64 <= rows);
            for block in blocks {
                prop_assert!(layout.row_of(block * BLOCK_SIZE).is_some_and(|row| row < layout.rows()));
            }
        }
    }
}
