//! The messages to a decider, byte for byte those of etmem 1.x.
//!
//! ```text
//!  0 i32 command, 0        16 u32 type, 0xFFFFFF01           40 i32 status: 0 start, 1 in between, 2 end
//!  8 i32 pid               24 u64 bytes of the used entries  48 512 entries of 24 bytes:
//! 12 u32 userswap, 1       32 u64 pages in all messages         u64 address, u64 bytes, i32 count, 4 bytes of padding
//! ```
//!
//! All numbers are in the byte order of the machine; what no field covers is zero. The pages of a process go out in as many
//! messages as it takes. If one is enough it has the status *start*, which is also how a decider knows that no other follows.

use etmem_core::address::{BLOCK_SIZE, PAGE_SIZE};
use etmem_core::heat::{ABSENT, Cursor, Entry, HeatMap};
use etmem_core::kernel::process::Pid;

/// Bytes of a message.
pub(super) const SIZE: usize = ENTRIES_AT + ENTRIES * ENTRY;

/// Pages in a message.
const ENTRIES: usize = 512;
const ENTRY: usize = 24;
const ENTRIES_AT: usize = 48;

/// `SWAP_TYPE_VMA_ADDR`.
const TYPE: u32 = 0xFFFF_FF01;

/// A page and how often it was touched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Page {
    address: u64,
    bytes: u64,
    count: u16,
}

/// A message.
#[derive(Debug)]
pub(super) struct Message {
    /// All of it.
    pub(super) bytes: Box<[u8; SIZE]>,
    /// Bytes of memory that its pages hold.
    pub(super) memory: u64,
}

/// The messages about a process, one after the other.
#[derive(Debug)]
pub(super) struct Messages<'a> {
    pid: Pid,
    pages: Pages<'a>,
    /// Pages in all messages, and in those that have gone.
    total: u64,
    gone: u64,
}

impl<'a> Messages<'a> {
    /// Those about what `heat` says of the process `pid`: none if it has no page.
    pub(super) fn new(pid: Pid, heat: &'a HeatMap) -> Self {
        Self { pid, pages: Pages::new(heat), total: Pages::new(heat).count() as u64, gone: 0 }
    }

    /// How many are still to go.
    pub(super) const fn left(&self) -> u64 {
        (self.total - self.gone).div_ceil(ENTRIES as u64)
    }
}

impl Iterator for Messages<'_> {
    type Item = Message;

    fn next(&mut self) -> Option<Message> {
        let used = (self.total - self.gone).min(ENTRIES as u64);
        if used == 0 {
            return None;
        }
        let status: i32 = match (self.gone, self.gone + used == self.total) {
            (0, _) => 0,
            (_, false) => 1,
            (_, true) => 2,
        };
        let mut bytes = Box::new([0; SIZE]);
        let mut put = |at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
        put(8, &self.pid.get().to_ne_bytes());
        put(12, &1_u32.to_ne_bytes());
        put(16, &TYPE.to_ne_bytes());
        put(24, &(used * ENTRY as u64).to_ne_bytes());
        put(32, &self.total.to_ne_bytes());
        put(40, &status.to_ne_bytes());
        let mut memory = 0;
        let places = (ENTRIES_AT..).step_by(ENTRY).take(ENTRIES);
        for (at, page) in places.zip(self.pages.by_ref().take(ENTRIES)) {
            put(at, &page.address.to_ne_bytes());
            put(at + 8, &page.bytes.to_ne_bytes());
            put(at + 16, &i32::from(page.count).to_ne_bytes());
            memory += page.bytes;
        }
        self.gone += used;
        Some(Message { bytes, memory })
    }
}

/// The pages of a heat map in ascending order of address.
#[derive(Debug)]
struct Pages<'a> {
    cursor: Cursor<'a>,
    /// Pages with one count that are still to come: the next, and how many.
    run: Option<(Page, u64)>,
    /// The block whose counts the cursor holds, and the next page of it.
    block: Option<(u64, usize)>,
}

impl<'a> Pages<'a> {
    fn new(heat: &'a HeatMap) -> Self {
        Self { cursor: heat.cursor(), run: None, block: None }
    }

    /// The next page of the block whose counts the cursor holds.
    fn of_block(&mut self) -> Option<Page> {
        let (start, next) = self.block?;
        let counts = self.cursor.counts().0.iter().enumerate().skip(next);
        let (page, count) = counts.into_iter().find(|(_, count)| **count != ABSENT)?;
        self.block = Some((start, page + 1));
        Some(Page { address: start + page as u64 * PAGE_SIZE, bytes: PAGE_SIZE, count: *count })
    }
}

impl Iterator for Pages<'_> {
    type Item = Page;

    fn next(&mut self) -> Option<Page> {
        loop {
            if let Some((page, left)) = self.run.filter(|(_, left)| *left > 0) {
                let after = Page { address: page.address + page.bytes, ..page };
                self.run = Some((after, left - 1));
                return Some(page);
            }
            if let Some(page) = self.of_block() {
                return Some(page);
            }
            (self.run, self.block) = (None, None);
            let (address, entry) = self.cursor.next()?;
            match entry {
                Entry::Pages { blocks, count } => {
                    let page = Page { address, bytes: PAGE_SIZE, count };
                    self.run = Some((page, blocks * (BLOCK_SIZE / PAGE_SIZE)));
                }
                Entry::Huge { blocks, count } => {
                    self.run = Some((Page { address, bytes: BLOCK_SIZE, count }, blocks));
                }
                Entry::Mixed => self.block = Some((address, 0)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use etmem_core::address::PAGES_PER_BLOCK;
    use etmem_core::heat::HeatUpdate;
    use etmem_core::kernel::probe::{Access, AccessSink, Block};

    const START: u64 = 0x7f12_3420_0000;

    /// The heat of `pages` pages from `START` on, of which every third was written.
    fn heat(pages: usize) -> HeatMap {
        let mut update = HeatUpdate::new(HeatMap::default());
        for block in 0..pages.div_ceil(PAGES_PER_BLOCK) {
            let mut seen = [Access::ABSENT; PAGES_PER_BLOCK];
            for (page, access) in (block * PAGES_PER_BLOCK..pages).zip(&mut seen) {
                *access = if page % 3 == 0 { Access::WRITTEN } else { Access::IDLE };
            }
            update.block(START + block as u64 * BLOCK_SIZE, Block::Pages(&seen));
        }
        update.finish()
    }

    fn messages(pages: usize) -> Vec<Message> {
        Messages::new(Pid::new(0x0102_0304).unwrap(), &heat(pages)).collect()
    }

    /// The bytes as the table of the original has them, on a machine whose least byte comes first.
    fn golden(first: usize, used: usize, total: usize, status: u8) -> Vec<u8> {
        let mut bytes = vec![0_u8; 12_336];
        bytes[8..12].copy_from_slice(&[4, 3, 2, 1]);
        bytes[12] = 1;
        bytes[16..20].copy_from_slice(&[1, 0xff, 0xff, 0xff]);
        let low_two = |number: usize| -> [u8; 2] { number.to_le_bytes()[..2].try_into().unwrap() };
        bytes[24..26].copy_from_slice(&low_two(used * 24));
        bytes[32..34].copy_from_slice(&low_two(total));
        bytes[40] = status;
        for entry in 0..used {
            let (page, at) = (first + entry, 48 + entry * 24);
            // Bits 12 to 31 of the address.
            let low = 0x3420_0000_usize + page * 4096;
            bytes[at..at + 4].copy_from_slice(&low.to_le_bytes()[..4]);
            (bytes[at + 4], bytes[at + 5]) = (0x12, 0x7f);
            bytes[at + 9] = 0x10;
            bytes[at + 16] = if page % 3 == 0 { 3 } else { 0 };
        }
        bytes
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn golden_bytes() {
        // Of each: the first page, how many, the status.
        for (pages, want) in [
            (0, &[][..]),
            (1, &[(0, 1, 0)]),
            (511, &[(0, 511, 0)]),
            (512, &[(0, 512, 0)]),
            (513, &[(0, 512, 0), (512, 1, 2)]),
            (1024, &[(0, 512, 0), (512, 512, 2)]),
            (1025, &[(0, 512, 0), (512, 512, 1), (1024, 1, 2)]),
        ] {
            let sent = messages(pages);
            assert_eq!(sent.len(), want.len(), "{pages}");
            for (message, (first, used, status)) in sent.iter().zip(want) {
                assert!(message.bytes[..] == golden(*first, *used, pages, *status), "{pages}: {first}");
                assert_eq!(message.memory, *used as u64 * 4096);
            }
        }
    }

    #[test]
    fn huge_pages_and_holes() {
        let mut update = HeatUpdate::new(HeatMap::default());
        let mut seen = [Access::ABSENT; PAGES_PER_BLOCK];
        (seen[3], seen[511]) = (Access::READ, Access::IDLE);
        update.block(START, Block::Pages(&seen));
        update.block(START + BLOCK_SIZE, Block::Huge(Access::WRITTEN));
        update.block(START + 2 * BLOCK_SIZE, Block::Huge(Access::WRITTEN));
        update.equal_blocks(START + 4 * BLOCK_SIZE, 1, Access::IDLE);
        let heat = update.finish();
        let pages: Vec<Page> = Pages::new(&heat).collect();
        let page = |address, bytes, count| Page { address: START + address, bytes, count };
        assert_eq!(
            pages[..4],
            [
                page(3 * PAGE_SIZE, PAGE_SIZE, 1),
                page(511 * PAGE_SIZE, PAGE_SIZE, 0),
                page(BLOCK_SIZE, BLOCK_SIZE, 3),
                page(2 * BLOCK_SIZE, BLOCK_SIZE, 3),
            ]
        );
        assert_eq!((pages.len(), pages[4]), (4 + 512, page(4 * BLOCK_SIZE, PAGE_SIZE, 0)));
        let messages: Vec<Message> = Messages::new(Pid::new(1).unwrap(), &heat).collect();
        let memory: u64 = messages.iter().map(|message| message.memory).sum();
        assert_eq!((messages.len(), memory), (2, 2 * PAGE_SIZE + 3 * BLOCK_SIZE));
    }
}
