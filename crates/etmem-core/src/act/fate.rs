//! What became of the pages of a batch: by looking where they were before, and where they are now.

use crate::address::{AddressRange, PAGE_SIZE};
use crate::feedback::PageSetBuilder;
use crate::kernel::mover::{Moved, Residence};

/// What became of the pages of a batch, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Fate {
    /// What left memory. Some may be back already.
    pub(super) left: u64,
    /// What stayed, though the kernel took it.
    pub(super) stayed: u64,
    /// What the kernel refused.
    pub(super) refused: u64,
    /// What the kernel freed instead of swapping, as the process had allowed (`MADV_FREE`).
    pub(super) freed: u64,
    /// What was not in memory when its turn came.
    pub(super) vanished: u64,
}

/// Where pages are, before and after their turn.
#[derive(Debug, Default)]
pub(super) struct Places {
    pub(super) before: Vec<Residence>,
    pub(super) after: Vec<Residence>,
}

impl Places {
    /// Makes room for a batch of `pages`.
    pub(super) fn clear(&mut self, pages: usize) {
        for places in [&mut self.before, &mut self.after] {
            places.clear();
            places.reserve(pages);
        }
    }
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
    /// Of the pages of `ranges`, by their `places` before and after the kernel answered `moved`. Those that left, and those that never did, go
    /// to the sets.
    pub(super) fn of(
        ranges: &[AddressRange],
        places: &Places,
        moved: &Moved,
        [left, stayed]: [&mut PageSetBuilder; 2],
    ) -> Self {
        let mut fate = Self::default();
        let (mut gone, mut still) = (0, 0);
        let (mut before, mut after) = (&places.before[..], &places.after[..]);
        for range in ranges {
            let mut at = range.start;
            while at < range.end
                && let (Some(was), Some(is)) = (before.first(), after.first())
            {
                let end = End::of(*was, *is);
                // Neighbours mostly share their fate, and that is mostly swap.
                let most = usize::try_from((range.end - at) / PAGE_SIZE).unwrap_or(usize::MAX).max(1);
                let pairs = before.iter().zip(after).take(most);
                let swapped =
                    |(was, is): &(&Residence, &Residence)| was.is_memory() && **is == Residence::Swap;
                let alike = match pairs.clone().take_while(swapped).count() {
                    0 => pairs.take_while(|(was, is)| End::of(**was, **is) == end).count(),
                    swapped => swapped,
                };
                (before, after) = (&before[alike..], &after[alike..]);
                let part = AddressRange::new(at, at + alike as u64 * PAGE_SIZE);
                match end {
                    End::Left => {
                        left.add(part);
                        fate.left += part.bytes();
                    }
                    End::Stayed => {
                        stayed.add(part);
                        still += part.bytes();
                    }
                    End::Gone => gone += part.bytes(),
                    End::Vanished => fate.vanished += part.bytes(),
                }
                at = part.end;
            }
        }
        fate.refused = moved.refused.min(still);
        fate.stayed = still - fate.refused;
        // What the kernel did not find any more was unmapped in between.
        let unmapped = moved.vanished.saturating_sub(fate.vanished).min(gone);
        fate.vanished += unmapped;
        fate.freed = gone - unmapped;
        fate
    }

    /// What the kernel answered, where nothing can be looked at.
    pub(super) fn as_told(ranges: &[AddressRange], moved: &Moved, left: &mut PageSetBuilder) -> Self {
        ranges.iter().for_each(|range| left.add(*range));
        let Moved { applied, refused, vanished } = *moved;
        Self { left: applied, refused, vanished, ..Self::default() }
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
        let before = [1, 2, 3, 4, 5, 6].map(memory).to_vec();
        let after =
            vec![Residence::Swap, Residence::Nowhere, Residence::Nowhere, memory(4), memory(5), memory(60)];
        let moved = Moved { applied: 4 * PAGE_SIZE, vanished: PAGE_SIZE, refused: PAGE_SIZE };
        let (mut left, mut stayed) = (PageSetBuilder::default(), PageSetBuilder::default());
        let places = Places { before, after };
        let fate = Fate::of(&[page(10, 13), page(20, 23)], &places, &moved, [&mut left, &mut stayed]);
        let expected = Fate {
            left: 2 * PAGE_SIZE,
            stayed: PAGE_SIZE,
            refused: PAGE_SIZE,
            freed: PAGE_SIZE,
            vanished: PAGE_SIZE,
        };
        assert_eq!(fate, expected);
        assert_eq!(left.finish().into_ranges(), [page(10, 11), page(22, 23)]);
        assert_eq!(stayed.finish().into_ranges(), [page(20, 22)]);
    }
}
