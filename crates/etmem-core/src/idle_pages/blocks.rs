//! Runs of equal pages to blocks of a probe, without what lies outside the ranges asked for.
//!
//! Counts are kept per 4 KiB whatever a base page is: a larger one is a row of neighbours that are always alike.

use super::stream::{Content, Decoder, Run, SPILL, StreamError};
use crate::address::{AddressRange, BLOCK_SIZE, PAGE_SIZE, PAGES_PER_BLOCK, block_of};
use crate::kernel::probe::{Access, AccessSink, Block};

/// A block without pages.
const ABSENT: [Access; PAGES_PER_BLOCK + SPILL] = [Access::ABSENT; PAGES_PER_BLOCK + SPILL];

/// The number of the page at `address` in `block`.
fn page_of(block: u64, address: u64) -> usize {
    usize::try_from((address - block) / PAGE_SIZE).map_or(PAGES_PER_BLOCK, |page| page.min(PAGES_PER_BLOCK))
}

/// Gives runs to a sink, block after block, each once. Call [`Blocks::finish`] after the last run.
pub struct Blocks<'a> {
    /// The ranges that end after what was given so far.
    ranges: &'a [AddressRange],
    sink: &'a mut dyn AccessSink,
    /// Everything below was given: a run that begins there is taken from here on.
    reached: u64,
    /// The block whose pages are being put together.
    open: Option<u64>,
    /// Its pages, and room for what the decoder writes after them.
    pages: [Access; PAGES_PER_BLOCK + SPILL],
}

impl std::fmt::Debug for Blocks<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Blocks")
            .field("reached", &self.reached)
            .field("open", &self.open)
            .finish_non_exhaustive()
    }
}

impl<'a> Blocks<'a> {
    /// Gives to `sink` what lies in `ranges`, which ascend and do not overlap.
    #[must_use]
    pub fn new(ranges: &'a [AddressRange], sink: &'a mut dyn AccessSink) -> Self {
        Self { ranges, sink, reached: 0, open: None, pages: ABSENT }
    }

    /// Takes all that `decoder` has.
    ///
    /// # Errors
    /// Why its stream ended early; what came before that was taken.
    pub fn take(&mut self, decoder: &mut Decoder<'_>) -> Result<(), StreamError> {
        loop {
            self.short_runs(decoder);
            match decoder.next() {
                Some(run) => self.run(&run?),
                None => return Ok(()),
            }
        }
    }

    /// Takes what comes next without making runs of it, where neighbours differ much: within a block of base pages all
    /// of which is wanted.
    fn short_runs(&mut self, decoder: &mut Decoder<'_>) {
        let Some(address) = decoder.reached() else { return };
        let block = block_of(address);
        let (Some(wanted), Some(end)) = (self.ranges.first(), block.checked_add(BLOCK_SIZE)) else { return };
        let inside = wanted.start <= block && end <= wanted.end && self.reached <= address;
        let fits = address.is_multiple_of(PAGE_SIZE) && decoder.sizes().base() == PAGE_SIZE;
        if !inside || !fits || !decoder.has_short_run() {
            return;
        }
        if self.open != Some(block) {
            self.close();
            self.pages = ABSENT;
            self.open = Some(block);
        }
        let first = page_of(block, address);
        let filled = decoder.fill(&mut self.pages[first..], PAGES_PER_BLOCK - first);
        self.reached = address + filled as u64 * PAGE_SIZE;
    }

    /// Takes `run`. Of what earlier runs held already, nothing is given again.
    pub fn run(&mut self, run: &Run) {
        let wanted = AddressRange::new(run.range.start.max(self.reached), run.range.end);
        self.reached = self.reached.max(run.range.end);
        while let Some((_, later)) = self.ranges.split_first().filter(|(first, _)| first.end <= wanted.start)
        {
            self.ranges = later;
        }
        let ranges = self.ranges;
        for range in ranges.iter().take_while(|range| range.start < wanted.end) {
            let part = range.intersection(wanted);
            match run.content {
                Content::Hole => {}
                Content::Pages(access) => self.base(part, access),
                Content::Huge { access, size } => self.huge(part, access, size),
            }
        }
    }

    /// Gives the block that is still open.
    pub fn finish(mut self) {
        self.close();
    }

    fn close(&mut self) {
        if let Some(block) = self.open.take()
            && let Some(pages) = self.pages.first_chunk()
        {
            self.sink.block(block, Block::Pages(pages));
        }
    }

    /// Base pages. Those only a part of which was asked for are left out.
    fn base(&mut self, part: AddressRange, access: Access) {
        let Some(mut start) = part.start.checked_next_multiple_of(PAGE_SIZE) else { return };
        let end = part.end & !(PAGE_SIZE - 1);
        while start < end {
            let blocks = if start.is_multiple_of(BLOCK_SIZE) { (end - start) / BLOCK_SIZE } else { 0 };
            if blocks > 0 {
                self.close();
                self.sink.equal_blocks(start, blocks, access);
                start += blocks * BLOCK_SIZE;
                continue;
            }
            let block = block_of(start);
            if self.open != Some(block) {
                self.close();
                self.pages = ABSENT;
                self.open = Some(block);
            }
            let stop = end.min(block.saturating_add(BLOCK_SIZE));
            self.pages[page_of(block, start)..page_of(block, stop)].fill(access);
            start = stop;
        }
    }

    /// Huge pages of `size` bytes. One of which only a part was asked for counts as base pages: the rest of it is not
    /// to be moved.
    fn huge(&mut self, part: AddressRange, access: Access, size: u64) {
        let first = part.start.checked_next_multiple_of(size).unwrap_or(part.end);
        let end = part.end - part.end % size;
        if first >= end {
            return self.base(part, access);
        }
        self.base(AddressRange::new(part.start, first), access);
        self.close();
        self.sink.equal_huge_pages(first, (end - first) / size, size, access);
        self.base(AddressRange::new(end, part.end), access);
    }
}
