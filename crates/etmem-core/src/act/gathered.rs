//! Ranges that are worked on together.

use crate::address::{AddressRange, BLOCK_SIZE, append};

/// Ranges that are worked on together, within bounds.
#[derive(Debug)]
pub(super) struct Gathered {
    /// Neighbours are one range.
    pub(super) ranges: Vec<AddressRange>,
    /// Those parts of the ranges that are huge pages.
    pub(super) huge: Vec<AddressRange>,
    pub(super) bytes: u64,
    most_bytes: u64,
    most_ranges: usize,
}

impl Gathered {
    pub(super) const fn new(most_bytes: u64, most_ranges: usize) -> Self {
        Self { ranges: Vec::new(), huge: Vec::new(), bytes: 0, most_bytes, most_ranges }
    }

    /// Takes as much of the front of `range` as fits; an empty piece where nothing does.
    pub(super) fn take(&mut self, range: &mut AddressRange, huge: bool) -> AddressRange {
        let is_full = self.ranges.len() == self.most_ranges
            && self.ranges.last().is_none_or(|last| last.end != range.start);
        let room = if is_full { 0 } else { self.most_bytes - self.bytes };
        // A huge page goes in one piece: to cut it would split it.
        let room = if huge { room & !(BLOCK_SIZE - 1) } else { room };
        let piece = AddressRange::new(range.start, range.end.min(range.start + room));
        if !piece.is_empty() {
            append(&mut self.ranges, piece);
            if huge {
                append(&mut self.huge, piece);
            }
            self.bytes += piece.bytes();
            range.start = piece.end;
        }
        piece
    }

    pub(super) fn clear(&mut self) {
        self.ranges.clear();
        self.huge.clear();
        self.bytes = 0;
    }

    /// Gives each part that is all huge pages, or all base pages, to `each`, with whether it is huge. Ends where `each`
    /// returns false, and returns whether it never did.
    pub(super) fn each_part(&self, mut each: impl FnMut(AddressRange, bool) -> bool) -> bool {
        let mut huge = self.huge.iter().peekable();
        for range in &self.ranges {
            let mut start = range.start;
            while start < range.end {
                while huge.next_if(|huge| huge.end <= start).is_some() {}
                let (end, is_huge) = match huge.peek() {
                    Some(huge) if huge.start <= start => (huge.end, true),
                    Some(huge) => (huge.start, false),
                    None => (range.end, false),
                };
                let end = end.min(range.end);
                if !each(AddressRange::new(start, end), is_huge) {
                    return false;
                }
                start = end;
            }
        }
        true
    }
}
