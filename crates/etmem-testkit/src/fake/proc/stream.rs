//! The bytes that a read of `idle_pages` gives, and when it stops.
//!
//! In go runs of pages in ascending order of address; out come the bytes of `kernel.md`, cut as the kernel cuts them:
//!
//! - The kernel gathers entries in a buffer of its own of at most 8000 bytes, of which it keeps 9 free, and hands
//!   that on when it is full; each such piece begins with an address. So a buffer of 20 bytes takes an address
//!   and two entries.
//! - An entry that does not follow on the one before it needs an address, for which 10 bytes and one more must be
//!   free; one of the same kind that follows joins the byte before it, up to 15 pages.
//! - Holes are entries within a page table only, and only behind a page; where a whole table is missing nothing is
//!   written and the next page brings its address. Holes at the end of a read are not written.
//!
//! The numbers are those that make the real reads of the fixtures come out; see the tests.

use std::ops::Range;

use super::script::{BLOCK, GIGANTIC, PAGE};

/// The most that the kernel gathers before it hands on.
const GATHERED: usize = 8000;
/// What it keeps free: room for an address.
const KEPT_FREE: usize = 9;
/// An address and an entry.
const WITH_ADDRESS: usize = 10;
/// Sets the address.
const COMMAND: u8 = 0xa0;
/// The most pages of one entry.
const MOST: u64 = 15;

/// The kinds of entries, by their numbers in the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// A base page that was accessed.
    Accessed = 0,
    /// A huge page that was accessed.
    HugeAccessed = 1,
    /// A page of 1 GiB, whatever was done to it.
    Gigantic = 2,
    /// A base page that was written.
    Dirty = 3,
    /// A huge page that was written.
    HugeDirty = 4,
    /// A base page that was not touched.
    Idle = 5,
    /// A huge page that was not touched.
    HugeIdle = 6,
    /// 2 MiB of base pages, in a scan that looks at huge pages only.
    Table = 7,
    /// A base page that is not there.
    Hole = 8,
}

impl Kind {
    /// Bytes of memory that one page of this kind stands for.
    #[must_use]
    pub const fn bytes(self) -> u64 {
        match self {
            Self::Accessed | Self::Dirty | Self::Idle | Self::Hole => PAGE,
            Self::HugeAccessed | Self::HugeDirty | Self::HugeIdle | Self::Table => BLOCK,
            Self::Gigantic => GIGANTIC,
        }
    }
}

/// The buffer is full; the walk stops before this address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Full(pub u64);

/// A stream that is being written.
#[derive(Debug)]
pub struct Stream {
    out: Vec<u8>,
    room: usize,
    piece: usize,
    most: usize,
    next: u64,
    gap: Option<Range<u64>>,
}

impl Stream {
    /// A stream for a reader's buffer of `room` bytes; `None` if not even one entry fits.
    #[must_use]
    pub fn new(room: usize) -> Option<Self> {
        let mut stream = Self { out: Vec::new(), room, piece: 0, most: 0, next: 0, gap: None };
        stream.begin_piece().then_some(stream)
    }

    fn begin_piece(&mut self) -> bool {
        let most = GATHERED.min(self.room - self.out.len()).saturating_sub(KEPT_FREE);
        let fits = most > WITH_ADDRESS;
        if fits {
            (self.piece, self.most) = (self.out.len(), most);
        }
        fits
    }

    fn length(&self) -> usize {
        self.out.len() - self.piece
    }

    /// Pages of `kind` at `range`; the page that holds its start counts whole.
    ///
    /// # Errors
    /// The buffer is full.
    pub fn pages(&mut self, kind: Kind, range: Range<u64>) -> Result<(), Full> {
        self.write_gap()?;
        self.entries(kind, range)
    }

    /// Page tables over `range`, which begins and ends with one; those written already are left out.
    ///
    /// # Errors
    /// The buffer is full.
    pub fn table(&mut self, range: Range<u64>) -> Result<(), Full> {
        let start = if self.length() == 0 { range.start } else { range.start.max(self.next) };
        self.entries(Kind::Table, start..range.end)
    }

    /// No pages at `range`.
    pub fn nothing(&mut self, range: Range<u64>) {
        match &mut self.gap {
            Some(gap) if gap.end == range.start => gap.end = range.end,
            _ => self.gap = Some(range),
        }
    }

    /// The holes before the next page: as far as they share a table with the page before them, and all the way if no
    /// whole table is missing in between.
    fn write_gap(&mut self) -> Result<(), Full> {
        let Some(gap) = self.gap.take() else { return Ok(()) };
        if self.length() == 0 || gap.start != self.next {
            return Ok(());
        }
        let first_table = gap.start.next_multiple_of(BLOCK);
        let table_missing = first_table + BLOCK <= gap.end;
        let end = if table_missing { first_table } else { gap.end };
        self.entries(Kind::Hole, gap.start..end)
    }

    fn entries(&mut self, kind: Kind, range: Range<u64>) -> Result<(), Full> {
        let size = kind.bytes();
        let code = (kind as u8) << 4;
        let mut at = range.start - range.start % size;
        while at < range.end {
            if self.length() == 0 || at != self.next {
                if self.length() + WITH_ADDRESS >= self.most {
                    self.hand_on(at)?;
                    continue;
                }
                if kind == Kind::Hole {
                    return Ok(());
                }
                self.out.push(COMMAND);
                self.out.extend(at.to_be_bytes());
                self.out.push(code);
            }
            let left = (range.end - at).div_ceil(size);
            let is_full = self.length() >= self.most;
            let pages = match self.out.last_mut() {
                Some(last) if *last & 0xf0 == code && u64::from(*last & 0x0f) < MOST => {
                    let pages = left.min(MOST - u64::from(*last & 0x0f));
                    *last += count(pages);
                    pages
                }
                _ if is_full => {
                    self.hand_on(at)?;
                    continue;
                }
                _ => self.run(code, left),
            };
            at += pages * size;
            self.next = at;
        }
        Ok(())
    }

    /// As many of `left` pages as fit, 15 to the byte: how many.
    fn run(&mut self, code: u8, left: u64) -> u64 {
        let free = self.most - self.length();
        let full = usize::try_from(left / MOST).unwrap_or(usize::MAX).min(free);
        if full == 0 {
            self.out.push(code | count(left));
            return left;
        }
        self.out.resize(self.out.len() + full, code | 0x0f);
        full as u64 * MOST
    }

    /// Hands on what was gathered, and begins to gather again.
    fn hand_on(&mut self, at: u64) -> Result<(), Full> {
        if self.begin_piece() { Ok(()) } else { Err(Full(at)) }
    }

    /// What the reader gets.
    #[must_use]
    pub fn finish(mut self) -> Vec<u8> {
        let hole = (Kind::Hole as u8) << 4;
        while self.length() > KEPT_FREE && self.out.last().is_some_and(|last| last & 0xf0 == hole) {
            self.out.pop();
        }
        self.out
    }
}

fn count(pages: u64) -> u8 {
    u8::try_from(pages.min(MOST)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: u64 = 0x7000_0000_0000;
    const ADDRESS: [u8; 9] = [0xa0, 0, 0, 0x70, 0, 0, 0, 0, 0];

    fn page(number: u64) -> u64 {
        START + number * PAGE
    }

    fn with_address(bytes: &[u8]) -> Vec<u8> {
        [&ADDRESS, bytes].concat()
    }

    #[test]
    fn the_least_buffer_takes_two_entries() {
        assert!(Stream::new(19).is_none() && Stream::new(0).is_none());
        let mut stream = Stream::new(20).unwrap();
        stream.pages(Kind::Idle, page(0)..page(2)).unwrap();
        stream.pages(Kind::Accessed, page(2)..page(5)).unwrap();
        assert_eq!(stream.pages(Kind::Idle, page(5)..page(20)), Err(Full(page(5))));
        assert_eq!(stream.finish(), with_address(&[0x52, 0x03]));
    }

    #[test]
    fn runs_join_and_are_cut_at_15() {
        let mut stream = Stream::new(64).unwrap();
        for at in 0..20 {
            stream.pages(Kind::Accessed, page(at)..page(at + 1)).unwrap();
        }
        stream.nothing(page(20)..page(22));
        stream.nothing(page(22)..page(24));
        stream.pages(Kind::Accessed, page(24)..page(26)).unwrap();
        stream.nothing(page(26)..page(40));
        stream.pages(Kind::Accessed, page(40)..page(64)).unwrap();
        stream.nothing(page(64)..page(70));
        assert_eq!(stream.finish(), with_address(&[0x0f, 0x05, 0x84, 0x02, 0x8e, 0x0f, 0x09]));
    }

    #[test]
    fn a_missing_table_is_not_written() {
        let mut stream = Stream::new(64).unwrap();
        stream.nothing(page(0)..page(500));
        stream.pages(Kind::Idle, page(500)..page(501)).unwrap();
        stream.nothing(page(501)..page(512 * 3 + 1));
        stream.pages(Kind::Idle, page(512 * 3 + 1)..page(512 * 3 + 2)).unwrap();
        let mut want = vec![0xa0];
        want.extend(page(500).to_be_bytes());
        want.extend([0x51, 0x8b, 0xa0]);
        want.extend(page(512 * 3 + 1).to_be_bytes());
        want.push(0x51);
        assert_eq!(stream.finish(), want);
    }

    #[test]
    fn holes_at_the_end_are_dropped_also_where_the_buffer_ends() {
        let mut stream = Stream::new(20).unwrap();
        stream.pages(Kind::Idle, page(0)..page(1)).unwrap();
        stream.nothing(page(1)..page(40));
        assert_eq!(stream.pages(Kind::Idle, page(40)..page(41)), Err(Full(page(16))));
        assert_eq!(stream.finish(), with_address(&[0x51]));
    }

    #[test]
    fn what_the_kernel_gathers_is_handed_on_in_pieces_with_addresses() {
        let mut stream = Stream::new(65536).unwrap();
        stream.pages(Kind::Idle, page(0)..page(15 * 10_000)).unwrap();
        let bytes = stream.finish();
        // 7991 bytes to a piece, 9 of them the address.
        let second = page(7982 * 15);
        assert_eq!(bytes[..9], ADDRESS);
        assert_eq!(bytes[7991], COMMAND);
        assert_eq!(bytes[7992..8000], second.to_be_bytes());
        assert_eq!(bytes.len(), 10_000 + 18);
        assert!(bytes[8000..].iter().all(|byte| *byte == 0x5f));
    }

    #[test]
    fn a_huge_page_counts_whole_from_where_it_begins() {
        let mut stream = Stream::new(64).unwrap();
        stream.pages(Kind::HugeAccessed, page(7)..page(1024)).unwrap();
        assert_eq!(stream.finish(), with_address(&[0x12]));
    }
}
