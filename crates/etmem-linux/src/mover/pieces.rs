//! Cutting ranges into pieces for one call, and going on where a call stopped.

use etmem_core::address::{AddressRange, BLOCK_SIZE};

/// Most ranges that one call takes (`IOV_MAX`, `include/uapi/linux/uio.h`).
pub(super) const MOST_RANGES: usize = 1024;

/// Most bytes of one call: some 0.1 s of work to zram, so that a stop between two calls is prompt. A multiple of a
/// block.
pub(super) const MOST_BYTES: u64 = 64 * 1024 * 1024;

/// What is left of some ranges.
#[derive(Debug)]
pub(super) struct Remaining<'a> {
    ranges: &'a [AddressRange],
    /// How much of the first range is done, in bytes.
    done: u64,
}

impl<'a> Remaining<'a> {
    /// All of `ranges`.
    pub(super) fn new(ranges: &'a [AddressRange]) -> Self {
        Self { ranges, done: 0 }
    }

    /// Fills `pieces` with what one call should take next; empty at the end.
    ///
    /// A range is cut only at the end of a block: to cut within would split a huge page.
    pub(super) fn next_call(&self, pieces: &mut Vec<AddressRange>) {
        pieces.clear();
        let mut room = MOST_BYTES;
        let mut done = self.done;
        for range in self.ranges {
            let start = range.start + done.min(range.bytes());
            done = 0;
            if start >= range.end {
                continue;
            }
            let mut end = range.end;
            if end - start > room {
                end = (start + room) & !(BLOCK_SIZE - 1);
                if end <= start {
                    break;
                }
            }
            pieces.push(AddressRange::new(start, end));
            room -= end - start;
            if room == 0 || pieces.len() == MOST_RANGES || end < range.end {
                break;
            }
        }
    }

    /// Takes `bytes`, counted from the start of what is left, as done.
    pub(super) fn advance(&mut self, bytes: u64) {
        let mut done = self.done + bytes;
        while let Some((first, rest)) = self.ranges.split_first() {
            if done < first.bytes() {
                break;
            }
            done -= first.bytes();
            self.ranges = rest;
        }
        self.done = done;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn range(start: u64, end: u64) -> AddressRange {
        AddressRange::new(start, end)
    }

    #[test]
    fn large_ranges_are_cut_at_blocks() {
        let ranges = [range(4096, 3 * MOST_BYTES)];
        let mut remaining = Remaining::new(&ranges);
        let mut pieces = Vec::new();
        let mut seen = Vec::new();
        loop {
            remaining.next_call(&mut pieces);
            let [piece] = pieces[..] else { break };
            seen.push(piece);
            remaining.advance(piece.bytes());
        }
        assert_eq!(
            seen,
            [
                range(4096, MOST_BYTES),
                range(MOST_BYTES, 2 * MOST_BYTES),
                range(2 * MOST_BYTES, 3 * MOST_BYTES)
            ]
        );
    }

    proptest! {
        /// However far each call gets, every byte is asked for exactly once.
        #[test]
        fn every_byte_once(
            steps in prop::collection::vec((0u64..3000, 0u64..40_000), 0..3000),
            progress in prop::collection::vec(0u64..20, 1..10),
        ) {
            let mut at = 0;
            let ranges: Vec<AddressRange> = steps.iter().map(|(gap, pages)| {
                let start = at + gap * 4096;
                at = start + pages * 4096;
                range(start, at)
            }).collect();
            let mut remaining = Remaining::new(&ranges);
            let mut pieces = Vec::new();
            let mut asked: Vec<AddressRange> = Vec::new();
            for turn in 0.. {
                remaining.next_call(&mut pieces);
                if pieces.is_empty() {
                    break;
                }
                let total: u64 = pieces.iter().map(AddressRange::bytes).sum();
                prop_assert!(pieces.len() <= MOST_RANGES && total <= MOST_BYTES);
                prop_assert!(pieces.iter().all(|piece| !piece.is_empty()));
                // A call gets through some of its pieces, at least one.
                let through = 1 + usize::try_from(progress[turn % progress.len()]).unwrap() * pieces.len() / 20;
                let taken = &pieces[..through.min(pieces.len())];
                remaining.advance(taken.iter().map(AddressRange::bytes).sum());
                for piece in taken {
                    match asked.last_mut() {
                        Some(last) if last.end == piece.start => last.end = piece.end,
                        _ => asked.push(*piece),
                    }
                }
            }
            let mut want: Vec<AddressRange> = Vec::new();
            for range in ranges.iter().filter(|range| !range.is_empty()) {
                match want.last_mut() {
                    Some(last) if last.end == range.start => last.end = range.end,
                    _ => want.push(*range),
                }
            }
            prop_assert_eq!(asked, want);
        }
    }
}
