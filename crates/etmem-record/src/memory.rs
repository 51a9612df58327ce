//! What is known of the memory of a process at a look: which pages are there, and which of them were touched since the look before.
//!
//! A look is written as what is unlike the look before, block by block:
//!
//! ```text
//! items := (blocks since the item before) tag [blocks that are alike] [pages present] [pages touched] [pages written]
//! ```
//!
//! Pages are written as what is unlike a guess: as at the look before, as at two of the last three, or none. The second is for memory
//! that is used by chance: a page that is touched once is then written once, not again at the next look because it is not touched.
//! Blocks without an item are as at the look before.

use crate::bits::PageBits;
use crate::number::{put, take};
use etmem_core::address::{BLOCK_SIZE, PAGE_SIZE, PAGES_PER_BLOCK};
use etmem_core::heat::{ABSENT, Entry, HeatMap};
use etmem_core::kernel::probe::Access;
use std::collections::BTreeMap;

/// Most blocks of a process: 2 TiB in memory.
pub const BLOCKS_MAX: usize = 1 << 20;

/// Programs have their memory below this, also with page tables of five levels (`Documentation/arch/x86/x86_64/5level-paging.rst`),
/// and machines have theirs.
pub(crate) const ADDRESSES_END: u64 = 1 << 57;

/// The number of the block there.
pub(crate) const BLOCKS_END: u64 = ADDRESSES_END / BLOCK_SIZE;

/// Tags of items of several blocks.
const GONE: u8 = 0;
const ALIKE: u8 = 1;
const ALIKE_HUGE: u8 = 4;
/// The first of the tags of single blocks: 12 for each way to say what is present, 3 for each guess of what was touched.
const MIXED: u8 = 16;
const SAME: u8 = 0;
const ALL: u8 = 1;
const CHANGED: u8 = 2;

/// A block of a process at a look. What was written was touched, and what was touched is present.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BlockPages {
    /// Pages in memory.
    pub present: PageBits,
    /// Of these, pages that were touched.
    pub touched: PageBits,
    /// Of these, pages that were written.
    pub written: PageBits,
    /// Whether it is one huge page.
    pub huge: bool,
}

impl BlockPages {
    /// All of a block was accessed like this.
    fn alike(access: Access, huge: bool) -> Self {
        let pages = |is: bool| if is { PageBits::ALL } else { PageBits::NONE };
        let touched = access.weight() > 0;
        Self {
            present: PageBits::ALL,
            touched: pages(touched),
            written: pages(access == Access::WRITTEN),
            huge,
        }
    }

    /// How all pages of the block were accessed, if all were in the same way.
    #[must_use]
    pub fn uniform(&self) -> Option<Access> {
        let all = |pages: PageBits| pages == PageBits::ALL;
        match (all(self.present), self.touched.is_empty(), all(self.touched)) {
            (true, true, _) => Some(Access::IDLE),
            (true, _, true) if self.written.is_empty() => Some(Access::READ),
            (true, _, true) if all(self.written) => Some(Access::WRITTEN),
            _ => None,
        }
    }

    /// How page number `page` was accessed.
    #[must_use]
    pub const fn access(&self, page: usize) -> Access {
        Access::from_bits(self.present.has(page), self.touched.has(page), self.written.has(page))
    }
}

/// A block, and what was touched at the two looks before.
#[derive(Debug, Clone, Copy, Default)]
struct Known {
    now: BlockPages,
    before: [PageBits; 2],
    /// The last look that has an item for it.
    look: u64,
}

impl Known {
    /// What each guess says of the pages that were touched.
    fn guesses(&self) -> [PageBits; 4] {
        let Self { now, before: [one, two], .. } = self;
        [PageBits::NONE, now.touched, PageBits::majority(now.touched, *one, *two), PageBits::ALL]
    }

    fn next(&mut self, now: BlockPages, look: u64) {
        self.before = [self.now.touched, self.before[0]];
        (self.now, self.look) = (now, look);
    }
}

/// What each guess says of the pages that were written.
fn written_guesses(touched: PageBits, before: &BlockPages) -> [PageBits; 3] {
    [touched, touched.and(before.written), PageBits::NONE]
}

/// Why bytes are not a look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// They end within an item, or are no item.
    #[error("an item is cut off or unknown")]
    Item,
    /// More memory than a record may have.
    #[error("it has more than {} GiB in memory", (*.0 as u64 * BLOCK_SIZE) >> 30)]
    TooMuch(usize),
}

/// The memory of a process as the last look found it.
#[derive(Debug, Clone)]
pub struct Memory {
    blocks: BTreeMap<u64, Known>,
    looks: u64,
    most: usize,
}

impl Default for Memory {
    fn default() -> Self {
        Self::of_at_most(BLOCKS_MAX)
    }
}

/// Blocks that are written as one item.
struct Run {
    tag: u8,
    start: u64,
    end: u64,
}

/// Writes the items of a look.
#[derive(Default)]
struct Items {
    out: Vec<u8>,
    next: u64,
    run: Option<Run>,
}

impl Items {
    fn end_run(&mut self) {
        if let Some(Run { tag, start, end }) = self.run.take() {
            self.begin(start, tag);
            put(end - start, &mut self.out);
            self.next = end;
        }
    }

    fn begin(&mut self, block: u64, tag: u8) {
        put(block - self.next, &mut self.out);
        self.out.push(tag);
        self.next = block + 1;
    }

    /// Blocks from `start` up to `end` are all as `tag` says.
    fn alike(&mut self, tag: u8, start: u64, end: u64) {
        match &mut self.run {
            Some(run) if run.tag == tag && run.end == start => run.end = end,
            _ => {
                self.end_run();
                self.run = Some(Run { tag, start, end });
            }
        }
    }

    fn mixed(&mut self, block: u64, before: &Known, now: &BlockPages) {
        self.end_run();
        let presence = match now.present {
            present if present == before.now.present => SAME,
            PageBits::ALL => ALL,
            _ => CHANGED,
        };
        let (guess, touched) = best(&before.guesses(), now.touched);
        let (written_guess, written) = best(&written_guesses(now.touched, &before.now), now.written);
        self.begin(block, MIXED + presence * 12 + guess * 3 + written_guess);
        if presence == CHANGED {
            now.present.unlike(before.now.present).write(&mut self.out);
        }
        touched.write(&mut self.out);
        written.write(&mut self.out);
    }
}

/// The number of the guess that is best, and what is unlike it.
fn best(guesses: &[PageBits], pages: PageBits) -> (u8, PageBits) {
    let unlike = (0u8..).zip(guesses).map(|(number, guess)| (number, pages.unlike(*guess)));
    unlike.min_by_key(|(_, unlike)| unlike.cost()).unwrap_or((0, pages))
}

impl Memory {
    /// One of at most `most` blocks.
    #[must_use]
    pub fn of_at_most(most: usize) -> Self {
        Self { blocks: BTreeMap::new(), looks: 0, most }
    }

    /// The blocks that have pages in memory, by their number (address / 2 MiB), ascending.
    pub fn blocks(&self) -> impl Iterator<Item = (u64, &BlockPages)> {
        self.blocks.iter().map(|(block, known)| (*block, &known.now))
    }

    /// The same of the blocks from number `start` up to `end`.
    pub fn blocks_between(&self, start: u64, end: u64) -> impl Iterator<Item = (u64, &BlockPages)> {
        self.blocks.range(start..end.max(start)).map(|(block, known)| (*block, &known.now))
    }

    /// Block number `block`, if it has pages in memory.
    #[must_use]
    pub fn block(&self, block: u64) -> Option<&BlockPages> {
        self.blocks.get(&block).map(|known| &known.now)
    }

    /// Bytes in memory, and of these bytes touched.
    #[must_use]
    pub fn bytes(&self) -> (u64, u64) {
        self.blocks().fold((0, 0), |(present, touched), (_, block)| {
            let add = |sum: u64, pages: PageBits| sum + u64::from(pages.count()) * PAGE_SIZE;
            (add(present, block.present), add(touched, block.touched))
        })
    }

    /// Takes in a look, in which `heat` counts each page once (0: idle, 1: read, 3: written), and returns its bytes.
    ///
    /// # Errors
    /// [`Malformed::TooMuch`], after which no more looks can be written.
    pub fn write(&mut self, heat: &HeatMap) -> Result<Vec<u8>, Malformed> {
        self.looks += 1;
        let mut items = Items::default();
        let mut cursor = heat.cursor();
        let mut gone_from = 0;
        while let Some((address, entry)) = cursor.next() {
            let first = address / BLOCK_SIZE;
            self.leave(gone_from, first, &mut items);
            let (blocks, now) = match entry {
                Entry::Pages { blocks, count } => (blocks, BlockPages::alike(access(count), false)),
                Entry::Huge { blocks, count } => (blocks, BlockPages::alike(access(count), true)),
                Entry::Mixed => (1, counted(&cursor.counts().0)),
            };
            for block in first..first + blocks {
                self.saw(block, now, &mut items)?;
            }
            gone_from = first + blocks;
        }
        self.leave(gone_from, BLOCKS_END, &mut items);
        items.end_run();
        self.end_look();
        Ok(items.out)
    }

    fn saw(&mut self, block: u64, now: BlockPages, items: &mut Items) -> Result<(), Malformed> {
        let look = self.looks;
        if now.present.is_empty() {
            self.leave(block, block + 1, items);
            return Ok(());
        }
        let known = self.known(block)?;
        if known.now != now {
            match now.uniform() {
                Some(access) => {
                    let tag = if now.huge { ALIKE_HUGE } else { ALIKE };
                    items.alike(tag + access.weight().min(2), block, block + 1);
                }
                None => items.mixed(block, known, &now),
            }
            known.next(now, look);
        }
        Ok(())
    }

    /// Blocks from `start` up to `end` have no page any more.
    fn leave(&mut self, start: u64, end: u64, items: &mut Items) {
        if start >= end {
            return;
        }
        let gone: Vec<u64> = self.blocks.range(start..end).map(|(block, _)| *block).collect();
        for block in gone {
            items.alike(GONE, block, block + 1);
            self.blocks.remove(&block);
        }
    }

    /// Blocks without an item are as they were.
    fn end_look(&mut self) {
        let look = self.looks;
        for known in self.blocks.values_mut().filter(|known| known.look != look) {
            known.next(known.now, look);
        }
    }

    /// Takes in a look that [`Memory::write`] wrote.
    ///
    /// # Errors
    /// [`Malformed`], after which what is known is of no use.
    pub fn read(&mut self, mut bytes: &[u8]) -> Result<(), Malformed> {
        self.looks += 1;
        let bytes = &mut bytes;
        let mut next = 0u64;
        while !bytes.is_empty() {
            next = self.read_item(next, bytes)?;
        }
        self.end_look();
        Ok(())
    }

    /// Reads the item of a block from `next` on; returns the block after it.
    fn read_item(&mut self, next: u64, bytes: &mut &[u8]) -> Result<u64, Malformed> {
        let cut = Malformed::Item;
        let start = take(bytes).and_then(|gap| next.checked_add(gap)).ok_or(cut)?;
        let (tag, rest) = bytes.split_first().ok_or(cut)?;
        *bytes = rest;
        let blocks = if *tag < MIXED { take(bytes).ok_or(cut)? } else { 1 };
        let end = start.checked_add(blocks).filter(|end| *end <= BLOCKS_END).ok_or(cut)?;
        match *tag {
            GONE => self.leave(start, end, &mut Items::default()),
            tag @ ALIKE..MIXED => {
                let (number, huge) =
                    if tag < ALIKE_HUGE { (tag - ALIKE, false) } else { (tag - ALIKE_HUGE, true) };
                let accesses = [Access::IDLE, Access::READ, Access::WRITTEN];
                let now = BlockPages::alike(*accesses.get(usize::from(number)).ok_or(cut)?, huge);
                for block in start..end {
                    self.known(block)?;
                    self.set(block, now);
                }
            }
            tag => {
                let known = *self.known(start)?;
                let now = read_mixed(tag - MIXED, &known, bytes).ok_or(cut)?;
                self.set(start, now);
            }
        }
        Ok(end)
    }

    fn known(&mut self, block: u64) -> Result<&mut Known, Malformed> {
        if self.blocks.len() >= self.most && !self.blocks.contains_key(&block) {
            return Err(Malformed::TooMuch(self.most));
        }
        Ok(self.blocks.entry(block).or_default())
    }

    fn set(&mut self, block: u64, now: BlockPages) {
        if now.present.is_empty() {
            self.blocks.remove(&block);
        } else if let Some(known) = self.blocks.get_mut(&block) {
            known.next(now, self.looks);
        }
    }
}

/// The block of an item, whose tag is number `tag` of those of single blocks.
fn read_mixed(tag: u8, before: &Known, bytes: &mut &[u8]) -> Option<BlockPages> {
    let present = match tag / 12 {
        SAME => before.now.present,
        ALL => PageBits::ALL,
        CHANGED => PageBits::read(bytes)?.unlike(before.now.present),
        _ => return None,
    };
    let guess = before.guesses()[usize::from(tag % 12 / 3)];
    let touched = PageBits::read(bytes)?.unlike(guess).and(present);
    let guess = written_guesses(touched, &before.now)[usize::from(tag % 3)];
    let written = PageBits::read(bytes)?.unlike(guess).and(touched);
    Some(BlockPages { present, touched, written, huge: false })
}

/// How a page with this count was accessed at the only look.
const fn access(count: u16) -> Access {
    match count {
        0 => Access::IDLE,
        1 | 2 => Access::READ,
        ABSENT => Access::ABSENT,
        _ => Access::WRITTEN,
    }
}

fn counted(counts: &[u16; PAGES_PER_BLOCK]) -> BlockPages {
    let mut block = BlockPages::default();
    for (page, count) in counts.iter().enumerate() {
        let access = access(*count);
        if access.is_present() {
            block.present.add(page);
        }
        if access.is_present() && access.weight() > 0 {
            block.touched.add(page);
        }
        if access == Access::WRITTEN {
            block.written.add(page);
        }
    }
    block
}

#[cfg(test)]
#[path = "../tests/unit/memory.rs"]
mod tests;
