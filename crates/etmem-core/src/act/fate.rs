//! What became of the pages of a batch: by looking where they were before, and where they are now.

use crate::address::{AddressRange, PAGE_SIZE, append};
use crate::kernel::mover::{Moved, Residence};

/// What became of the pages of a batch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Fate {
    /// Left memory. Some may be back already.
    pub(super) left: Vec<AddressRange>,
    /// Never left memory.
    pub(super) stayed: Vec<AddressRange>,
    /// Bytes that left.
    pub(super) bytes_left: u64,
    /// Bytes that stayed, though the kernel took them.
    pub(super) bytes_stayed: u64,
    /// Bytes that the kernel refused.
    pub(super) refused: u64,
    /// Bytes that the kernel freed instead of swapping, as the process had allowed (`MADV_FREE`).
    pub(super) freed: u64,
    /// Bytes that were not in memory when their turn came.
    pub(super) vanished: u64,
}

/// What became of one page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Left,
    Stayed,
    /// In memory before, and now neither there nor in swap.
    Gone,
    /// Not in memory before.
    Vanished,
}

impl End {
    const fn of(before: Residence, after: Residence) -> Self {
        match (before, after) {
            (Residence::Nowhere | Residence::Swap, _) => Self::Vanished,
            (Residence::Memory { file: false, .. }, Residence::Nowhere) => Self::Gone,
            // A page of a file needs no swap: it is read from there again.
            (Residence::Memory { .. }, Residence::Nowhere | Residence::Swap) => Self::Left,
            // In another frame: it left, and was read back before we looked.
            (Residence::Memory { frame, .. }, Residence::Memory { frame: now, .. }) => {
                if frame == now {
                    Self::Stayed
                } else {
                    Self::Left
                }
            }
        }
    }
}

impl Fate {
    /// Of the pages of `ranges`, by where they were `before` and are `after` the kernel answered `moved`.
    pub(super) fn of(
        ranges: &[AddressRange],
        before: &[Residence],
        after: &[Residence],
        moved: &Moved,
    ) -> Self {
        let mut fate = Self::default();
        let (mut gone, mut still) = (0, 0);
        let mut ends = before.iter().zip(after).map(|(before, after)| End::of(*before, *after)).peekable();
        for range in ranges {
            let mut at = range.start;
            // Neighbours mostly share their fate.
            while let Some(end) = (at < range.end).then(|| ends.next()).flatten() {
                let mut part = AddressRange::new(at, at + PAGE_SIZE);
                while part.end < range.end && ends.next_if_eq(&end).is_some() {
                    part.end += PAGE_SIZE;
                }
                match end {
                    End::Left => {
                        append(&mut fate.left, part);
                        fate.bytes_left += part.bytes();
                    }
                    End::Stayed => {
                        append(&mut fate.stayed, part);
                        still += part.bytes();
                    }
                    End::Gone => gone += part.bytes(),
                    End::Vanished => fate.vanished += part.bytes(),
                }
                at = part.end;
            }
        }
        fate.refused = moved.refused.min(still);
        fate.bytes_stayed = still - fate.refused;
        // What the kernel did not find any more was unmapped in between.
        let unmapped = moved.vanished.saturating_sub(fate.vanished).min(gone);
        fate.vanished += unmapped;
        fate.freed = gone - unmapped;
        fate
    }

    /// What the kernel answered, where nothing can be looked at.
    pub(super) fn as_told(ranges: &[AddressRange], moved: &Moved) -> Self {
        let (refused, vanished) = (moved.refused, moved.vanished);
        Self { left: ranges.to_vec(), bytes_left: moved.applied, refused, vanished, ..Self::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn memory(frame: u64) -> Residence {
        Residence::Memory { frame, file: false, shared: false }
    }

    #[test]
    fn only_what_is_no_longer_where_it_was_has_left() {
        let of_file = Residence::Memory { frame: 9, file: true, shared: false };
        for (before, after, want) in [
            (memory(7), Residence::Swap, End::Left),
            (memory(7), memory(8), End::Left),
            (memory(7), memory(7), End::Stayed),
            // Where the kernel hides frames, what is there has stayed.
            (memory(0), memory(0), End::Stayed),
            (memory(7), Residence::Nowhere, End::Gone),
            (of_file, Residence::Nowhere, End::Left),
            (Residence::Swap, Residence::Swap, End::Vanished),
            (Residence::Swap, memory(7), End::Vanished),
            (Residence::Nowhere, memory(7), End::Vanished),
        ] {
            assert_eq!(End::of(before, after), want, "{before:?} {after:?}");
        }
    }

    #[test]
    fn every_page_has_one_fate() {
        let page = |first: u64, end: u64| AddressRange::new(first * PAGE_SIZE, end * PAGE_SIZE);
        let before = [1, 2, 3, 4, 5, 6].map(memory);
        let after =
            [Residence::Swap, Residence::Nowhere, Residence::Nowhere, memory(4), memory(5), memory(60)];
        let moved = Moved { applied: 4 * PAGE_SIZE, vanished: PAGE_SIZE, refused: PAGE_SIZE };
        let fate = Fate::of(&[page(10, 13), page(20, 23)], &before, &after, &moved);
        let expected = Fate {
            left: vec![page(10, 11), page(22, 23)],
            stayed: vec![page(20, 22)],
            bytes_left: 2 * PAGE_SIZE,
            bytes_stayed: PAGE_SIZE,
            refused: PAGE_SIZE,
            freed: PAGE_SIZE,
            vanished: PAGE_SIZE,
        };
        assert_eq!(fate, expected);
    }
}
