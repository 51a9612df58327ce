//! A decoder that knows one page at a time, written from the table in the module's description and nothing else.

use etmem_core::address::{AddressRange, BLOCK_SIZE, PAGE_SIZE};
use etmem_core::idle_pages::StreamError;
use etmem_core::kernel::probe::{Access, AccessSink, Block};

/// Neighbours that are alike, base pages or huge ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Piece {
    pub(crate) start: u64,
    pub(crate) end: u64,
    pub(crate) access: Access,
    pub(crate) huge: bool,
}

/// What a probe's sink was given, neighbours as one piece.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Pieces(pub(crate) Vec<Piece>);

impl Pieces {
    fn push(&mut self, start: u64, end: u64, access: Access, huge: bool) {
        if start >= end || !access.is_present() {
            return;
        }
        match self.0.last_mut() {
            Some(last) if last.end == start && last.access == access && last.huge == huge => last.end = end,
            last => {
                assert!(last.is_none_or(|last| last.end <= start), "pieces ascend: {start:#x}");
                self.0.push(Piece { start, end, access, huge });
            }
        }
    }
}

impl AccessSink for Pieces {
    fn block(&mut self, start: u64, block: Block<'_>) {
        match block {
            Block::Huge(access) => self.push(start, start + BLOCK_SIZE, access, true),
            Block::Pages(pages) => {
                for (page, access) in (0u64..).zip(pages) {
                    let address = start + page * PAGE_SIZE;
                    self.push(address, address + PAGE_SIZE, *access, false);
                }
            }
        }
    }

    fn equal_blocks(&mut self, start: u64, blocks: u64, access: Access) {
        assert!(start.is_multiple_of(BLOCK_SIZE) && blocks > 0);
        self.push(start, start + blocks * BLOCK_SIZE, access, false);
    }

    fn equal_huge_blocks(&mut self, start: u64, blocks: u64, access: Access) {
        assert!(start.is_multiple_of(BLOCK_SIZE) && blocks > 0);
        self.push(start, start + blocks * BLOCK_SIZE, access, true);
    }
}

/// What a stream gave: pieces, the address reached, pages skipped, and why it ended.
#[derive(Debug, PartialEq)]
pub(crate) struct Decoded {
    pub(crate) pieces: Pieces,
    pub(crate) reached: Option<u64>,
    pub(crate) skipped: u64,
    pub(crate) end: Result<(), StreamError>,
}

/// Decodes `bytes` of a kernel whose base pages have `1 << shift` bytes.
pub(crate) fn decode_slowly(bytes: &[u8], shift: u32, ranges: &[AddressRange]) -> Decoded {
    let (pte, pmd, pud) = (1u64 << shift, 1u64 << ((shift - 3) * 2 + 3), 1u64 << ((shift - 3) * 3 + 3));
    let mut pieces = Pieces::default();
    let mut address: Option<u64> = None;
    let mut skipped = 0;
    let mut offset = 0;
    let end = loop {
        if offset == bytes.len() {
            break Ok(());
        }
        let byte = bytes[offset];
        if byte == 0xA0 {
            if bytes.len() - offset < 9 {
                break Err(StreamError::Truncated { offset });
            }
            let mut to = 0;
            for digit in &bytes[offset + 1..offset + 9] {
                to = (to << 8) | u64::from(*digit);
            }
            if let Some(from) = address
                && to < from
            {
                break Err(StreamError::Backwards { offset, from, to });
            }
            address = Some(to);
            offset += 9;
            continue;
        }
        let (size, access, huge) = match byte / 16 {
            0 => (pte, Access::READ, false),
            1 => (pmd, Access::READ, true),
            2 => (pud, Access::READ, true),
            3 => (pte, Access::WRITTEN, false),
            4 => (pmd, Access::WRITTEN, true),
            5 => (pte, Access::IDLE, false),
            6 => (pmd, Access::IDLE, true),
            7 => (pmd, Access::IDLE, false),
            8 => (pte, Access::ABSENT, false),
            9 => (pmd, Access::ABSENT, false),
            _ => break Err(StreamError::UnknownType { offset, byte }),
        };
        let Some(mut at) = address else { break Err(StreamError::NoAddress { offset, byte }) };
        if byte.is_multiple_of(16) {
            break Err(StreamError::NoPages { offset, byte });
        }
        for _ in 0..byte % 16 {
            if !at.is_multiple_of(size) {
                skipped += u64::from(access != Access::ABSENT);
            } else {
                for range in ranges {
                    let (start, end) = (at.max(range.start), (at + size).min(range.end));
                    let whole = start == at && end == at + size;
                    pieces.push(start, end, access, huge && whole);
                }
            }
            at += size;
        }
        address = Some(at);
        offset += 1;
    };
    Decoded { pieces, reached: address, skipped, end }
}
