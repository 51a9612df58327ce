//! The finished counts of a process, read in address order.

use super::counts::{ABSENT, BlockCounts, COUNT_MAX};
use super::encoding::{ITEM_BYTES_MAX, Item, put_mixed, put_run};
use crate::address::{BLOCK_SIZE, PAGE_SIZE, PAGES_PER_BLOCK};
use crate::segments::{self, Reader, Segment};
use std::collections::VecDeque;

/// How often each present page of a process was touched.
#[derive(Debug, Default, Clone)]
pub struct HeatMap {
    pub(super) segments: VecDeque<Segment>,
}

/// A piece of the address space and its counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entry {
    /// Blocks whose base pages are all present with one count.
    Pages {
        /// How many blocks.
        blocks: u64,
        /// The count of every page.
        count: u16,
    },
    /// Huge pages with one count.
    Huge {
        /// How many huge pages.
        blocks: u64,
        /// The count of each.
        count: u16,
    },
    /// One block of base pages; its counts are in [`Cursor::counts`].
    Mixed,
}

impl HeatMap {
    /// Reads the map in ascending order of address.
    #[must_use]
    pub fn cursor(&self) -> Cursor<'_> {
        Cursor { map: self, segment: 0, position: 0, last: 0, block: None, counts: BlockCounts::EMPTY }
    }

    /// Bytes of memory present, for each count.
    #[must_use]
    pub fn histogram(&self) -> Histogram {
        let mut histogram = Histogram::default();
        let mut tally = Tally::default();
        let mut cursor = self.cursor();
        while let Some((_, entry)) = cursor.next() {
            match entry {
                Entry::Pages { blocks, count } | Entry::Huge { blocks, count } => {
                    histogram.add(count, blocks * BLOCK_SIZE);
                }
                Entry::Mixed => tally.block(cursor.counts()),
            }
        }
        tally.add_to(&mut histogram);
        histogram
    }

    /// Bytes of heap that the map holds.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        segments::heap_bytes(&self.segments)
    }
}

/// Bytes of memory for each count, 0 to [`COUNT_MAX`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Histogram(Box<[u64]>);

impl Default for Histogram {
    fn default() -> Self {
        Self(vec![0; usize::from(COUNT_MAX) + 1].into())
    }
}

impl Histogram {
    fn add(&mut self, count: u16, bytes: u64) {
        self.0[usize::from(count.min(COUNT_MAX))] += bytes;
    }

    /// Counts and the bytes that have them, coldest first.
    pub fn iter(&self) -> impl Iterator<Item = (u16, u64)> + '_ {
        (0u16..).zip(self.0.iter().copied())
    }

    /// Bytes present.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    /// Bytes whose count is below `threshold`.
    #[must_use]
    pub fn below(&self, threshold: u16) -> u64 {
        self.0.iter().take(usize::from(threshold)).sum()
    }
}

/// Pages by count. Neighbours mostly have one count, and adding to one number twice in a row makes the processor
/// wait for itself: hence four columns. The last row takes the absent pages, so that no page needs a branch.
struct Tally(Box<[[u64; 4]; TALLY_ROWS]>);

/// A power of two above [`COUNT_MAX`] and its absent row.
const TALLY_ROWS: usize = 512;

impl Default for Tally {
    fn default() -> Self {
        Self(Box::new([[0; 4]; TALLY_ROWS]))
    }
}

impl Tally {
    fn block(&mut self, counts: &BlockCounts) {
        for four in counts.0.chunks_exact(4) {
            for (column, &count) in four.iter().enumerate() {
                self.0[usize::from(count) % TALLY_ROWS][column] += 1;
            }
        }
    }

    fn add_to(&self, histogram: &mut Histogram) {
        const { assert!(ABSENT as usize % TALLY_ROWS > COUNT_MAX as usize) };
        for (count, columns) in (0..=COUNT_MAX).zip(self.0.iter()) {
            histogram.add(count, columns.iter().sum::<u64>() * PAGE_SIZE);
        }
    }
}

/// Walks a [`HeatMap`] in ascending order of address.
#[derive(Debug)]
pub struct Cursor<'a> {
    map: &'a HeatMap,
    segment: usize,
    position: usize,
    /// Where the item that came last begins.
    last: usize,
    /// The block that the next item of the segment describes, once the segment was entered.
    block: Option<u64>,
    counts: BlockCounts,
}

impl Cursor<'_> {
    /// The next entry and the address it starts at. (An iterator could not lend [`Cursor::counts`].)
    #[expect(clippy::should_implement_trait, reason = "a lending iterator; the trait cannot express it")]
    pub fn next(&mut self) -> Option<(u64, Entry)> {
        self.step(|reader, counts| reader.next_counts(counts))
    }

    /// The same without the counts of a mixed block, for [`Cursor::read_counts`].
    pub(crate) fn next_place(&mut self) -> Option<(u64, Entry)> {
        self.step(|reader, _| reader.skip_counts())
    }

    /// The next entry, of an item that `read` reads.
    fn step(
        &mut self,
        read: impl Fn(&mut Reader<'_>, &mut BlockCounts) -> Option<Item>,
    ) -> Option<(u64, Entry)> {
        loop {
            let segment = self.map.segments.get(self.segment)?;
            let block = self.block.unwrap_or(segment.first_block);
            let mut reader = Reader::new(&segment.bytes, self.position);
            let item = read(&mut reader, &mut self.counts);
            (self.last, self.position) = (self.position, reader.position());
            let (blocks, entry) = match item {
                None => {
                    self.segment += 1;
                    self.position = 0;
                    self.block = None;
                    continue;
                }
                Some(Item::Gap { blocks }) => (blocks, None),
                Some(Item::Run { blocks, count, huge: false }) => {
                    (blocks, Some(Entry::Pages { blocks, count }))
                }
                Some(Item::Run { blocks, count, huge: true }) => {
                    (blocks, Some(Entry::Huge { blocks, count }))
                }
                Some(Item::Mixed) => (1, Some(Entry::Mixed)),
            };
            self.block = Some(block + blocks);
            if let Some(entry) = entry {
                return Some((block * BLOCK_SIZE, entry));
            }
        }
    }

    /// Reads the counts of the block whose entry came last, where that was [`Entry::Mixed`].
    pub(crate) fn read_counts(&mut self) -> &BlockCounts {
        if let Some(segment) = self.map.segments.get(self.segment) {
            Reader::new(&segment.bytes, self.last).next_counts(&mut self.counts);
        }
        &self.counts
    }

    /// The counts of the block whose entry came last, where that was [`Entry::Mixed`].
    #[must_use]
    pub const fn counts(&self) -> &BlockCounts {
        &self.counts
    }
}

/// A run of blocks that is still growing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct OpenRun {
    first_block: u64,
    blocks: u64,
    count: u16,
    huge: bool,
}

/// Writes a [`HeatMap`], block after block in ascending order.
#[derive(Debug, Default)]
pub(crate) struct Writer {
    items: segments::Writer<ITEM_BYTES_MAX>,
    run: Option<OpenRun>,
}

impl Writer {
    /// Appends one block of base pages, in the form that its counts ask for.
    pub(crate) fn pages(&mut self, block: u64, counts: &BlockCounts) {
        let extent = counts.extent();
        if extent.present == 0 {
            return;
        }
        if extent.present == PAGES_PER_BLOCK && extent.low == extent.high {
            self.equal_blocks(block, 1, extent.low, false);
            return;
        }
        self.close_run();
        self.items.item(block, 1, |out| put_mixed(out, counts, extent.present, extent.high));
    }

    /// Appends blocks that are huge pages, or whose base pages are all present, with one count.
    pub(crate) fn equal_blocks(&mut self, block: u64, blocks: u64, count: u16, huge: bool) {
        match &mut self.run {
            Some(run) if run.count == count && run.huge == huge && run.first_block + run.blocks == block => {
                run.blocks += blocks;
            }
            _ => {
                self.close_run();
                self.run = Some(OpenRun { first_block: block, blocks, count, huge });
            }
        }
    }

    fn close_run(&mut self) {
        if let Some(run) = self.run.take() {
            self.items.item(run.first_block, run.blocks, |out| put_run(out, run.blocks, run.count, run.huge));
        }
    }

    pub(crate) fn finish(mut self) -> HeatMap {
        self.close_run();
        HeatMap { segments: self.items.finish() }
    }
}
