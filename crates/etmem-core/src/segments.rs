//! A stream of items about blocks, in segments: what heat and the standings of feedback have in common.
//!
//! An item is a tag byte and what the tag says, for consecutive blocks; a gap stands for blocks without an item. Which other
//! items there are is their owners' affair. Streams are only ever written and read by this process, so reading trusts
//! what writing wrote.

use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// The tag of a gap.
pub(crate) const GAP: u8 = 0;

/// A segment is closed before it would grow over this many bytes.
const SEGMENT_BYTES: usize = 64 * 1024;

/// A piece of the stream, with the block that its first item describes.
#[derive(Debug, Default, Clone, Serialize, Deserialize)]
pub(crate) struct Segment {
    pub(crate) first_block: u64,
    pub(crate) bytes: Vec<u8>,
}

/// Bytes of heap that `segments` take.
pub(crate) fn heap_bytes(segments: &VecDeque<Segment>) -> usize {
    let bytes: usize = segments.iter().map(|segment| segment.bytes.capacity()).sum();
    bytes + segments.capacity() * size_of::<Segment>()
}

/// Appends a number in little-endian base 128 (the high bit says that another byte follows).
pub(crate) fn put_number(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number.to_le_bytes()[0] | 0x80);
        number >>= 7;
    }
    out.push(number.to_le_bytes()[0]);
}

/// Appends a gap.
pub(crate) fn put_gap(out: &mut Vec<u8>, blocks: u64) {
    out.push(GAP);
    put_number(out, blocks);
}

/// Reads a segment front to back; its owners add how to read their items.
#[derive(Debug, Clone)]
pub(crate) struct Reader<'a> {
    bytes: &'a [u8],
    position: usize,
}

impl<'a> Reader<'a> {
    pub(crate) const fn new(bytes: &'a [u8], position: usize) -> Self {
        Self { bytes, position }
    }

    /// Where the next item starts.
    pub(crate) const fn position(&self) -> usize {
        self.position
    }

    /// The tag of the next item; none at the end.
    pub(crate) fn tag(&mut self) -> Option<u8> {
        let &tag = self.bytes.get(self.position)?;
        self.position += 1;
        Some(tag)
    }

    pub(crate) fn take(&mut self, length: usize) -> &'a [u8] {
        let taken = &self.bytes[self.position..self.position + length];
        self.position += length;
        taken
    }

    pub(crate) fn number(&mut self) -> u64 {
        let (mut number, mut shift) = (0, 0);
        loop {
            let byte = self.take(1)[0];
            number |= u64::from(byte & 0x7F) << shift;
            if byte & 0x80 == 0 {
                return number;
            }
            shift += 7;
        }
    }
}

/// Writes a stream whose items have at most `ITEM_BYTES_MAX` bytes, block after block in ascending order.
#[derive(Debug, Default)]
pub(crate) struct Writer<const ITEM_BYTES_MAX: usize> {
    closed: VecDeque<Segment>,
    open: Segment,
    /// The block after the last item of the open segment.
    next_block: u64,
}

impl<const ITEM_BYTES_MAX: usize> Writer<ITEM_BYTES_MAX> {
    /// Appends what `put` writes: an item that describes `blocks` blocks from `block` on.
    pub(crate) fn item(&mut self, block: u64, blocks: u64, put: impl FnOnce(&mut Vec<u8>)) {
        // A gap and an item must still fit, so that a full segment never grows by half its size for one item.
        if self.open.bytes.len() + 2 * ITEM_BYTES_MAX > SEGMENT_BYTES {
            let mut full = std::mem::take(&mut self.open);
            full.bytes.shrink_to_fit();
            self.closed.push_back(full);
            self.open.bytes.reserve_exact(SEGMENT_BYTES);
        }
        if self.open.bytes.is_empty() {
            self.open.first_block = block;
        } else if block > self.next_block {
            put_gap(&mut self.open.bytes, block - self.next_block);
        }
        put(&mut self.open.bytes);
        self.next_block = block + blocks;
    }

    pub(crate) fn finish(mut self) -> VecDeque<Segment> {
        if !self.open.bytes.is_empty() {
            self.open.bytes.shrink_to_fit();
            self.closed.push_back(self.open);
        }
        self.closed
    }
}
