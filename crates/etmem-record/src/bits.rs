//! One bit for each page of a block, and its bytes: a list of the pages, the lengths of runs, or the bits themselves, the shortest of them.

use crate::number::{put, take};
use etmem_core::address::PAGES_PER_BLOCK;

/// Words of 64 pages.
const WORDS: usize = PAGES_PER_BLOCK / 64;

/// Most pages of a list: what is above names another form.
const LIST_MAX: usize = 127;
const RUNS: u8 = 128;
const WHOLE: u8 = 129;

/// Pages of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PageBits(pub(crate) [u64; WORDS]);

impl PageBits {
    /// No page.
    pub const NONE: Self = Self([0; WORDS]);
    /// Every page.
    pub const ALL: Self = Self([u64::MAX; WORDS]);

    fn zip(self, other: Self, with: impl Fn(u64, u64) -> u64) -> Self {
        let mut words = self.0;
        words.iter_mut().zip(other.0).for_each(|(word, other)| *word = with(*word, other));
        Self(words)
    }

    /// Pages that both have.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        self.zip(other, |one, other| one & other)
    }

    /// Pages that one of both has.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        self.zip(other, |one, other| one | other)
    }

    /// Pages that one has and the other has not.
    #[must_use]
    pub fn unlike(self, other: Self) -> Self {
        self.zip(other, |one, other| one ^ other)
    }

    /// Pages that it has and the other has not.
    #[must_use]
    pub fn without(self, other: Self) -> Self {
        self.zip(other, |one, other| one & !other)
    }

    /// Pages that two or three of three have.
    pub(crate) fn majority(one: Self, two: Self, three: Self) -> Self {
        one.and(two).or(one.and(three)).or(two.and(three))
    }

    /// How many pages.
    #[must_use]
    pub fn count(self) -> u32 {
        self.0.iter().map(|word| word.count_ones()).sum()
    }

    /// Whether it has no page.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self == Self::NONE
    }

    /// Whether it has page number `page`.
    #[must_use]
    pub const fn has(&self, page: usize) -> bool {
        page < PAGES_PER_BLOCK && self.0[page / 64] >> (page % 64) & 1 == 1
    }

    /// Takes in page number `page`, if a block has as many.
    pub const fn add(&mut self, page: usize) {
        if page < PAGES_PER_BLOCK {
            self.0[page / 64] |= 1 << (page % 64);
        }
    }

    /// The numbers of the pages, ascending.
    pub fn pages(self) -> impl Iterator<Item = usize> {
        self.0.into_iter().enumerate().flat_map(|(number, word)| {
            let mut rest = word;
            std::iter::from_fn(move || {
                let bit = usize::try_from(rest.trailing_zeros()).ok().filter(|bit| *bit < 64)?;
                rest &= rest - 1;
                Some(number * 64 + bit)
            })
        })
    }

    /// Where a run of pages begins or ends, ascending.
    fn edges(self) -> Self {
        let mut carried = 0;
        let mut words = self.0;
        for word in &mut words {
            let next = *word >> 63;
            *word ^= (*word << 1) | carried;
            carried = next;
        }
        Self(words)
    }

    /// About how many bytes it takes.
    pub(crate) fn cost(self) -> u32 {
        // As a list a byte each, as runs two for each run, and no more than the bits.
        (1 + self.count()).min(2 + self.edges().count()).min(65)
    }

    pub(crate) fn write(self, out: &mut Vec<u8>) {
        let (count, edges) = (self.count(), self.edges());
        let as_list = if count as usize <= LIST_MAX { 1 + count } else { u32::MAX };
        let as_runs = 2 + edges.count();
        if as_list.min(as_runs) > 65 {
            out.push(WHOLE);
            self.0.iter().for_each(|word| out.extend_from_slice(&word.to_le_bytes()));
        } else if as_list <= as_runs {
            out.push(u8::try_from(count).unwrap_or_default());
            put_gaps(self, out);
        } else {
            out.push(RUNS);
            put(u64::from(edges.count()), out);
            put_gaps(edges, out);
        }
    }

    /// Reads what [`PageBits::write`] wrote from the front of `bytes`; `None` if that is not it.
    pub(crate) fn read(bytes: &mut &[u8]) -> Option<Self> {
        let (form, rest) = bytes.split_first()?;
        *bytes = rest;
        match *form {
            WHOLE => {
                let mut words = [0; WORDS];
                for word in &mut words {
                    let (first, rest) = bytes.split_first_chunk()?;
                    *word = u64::from_le_bytes(*first);
                    *bytes = rest;
                }
                Some(Self(words))
            }
            RUNS => {
                let count = take(bytes)?;
                let edges = take_gaps(count, bytes)?;
                // Each page is as the one before it, but where there is an edge.
                let mut inside = false;
                let mut found = Self::NONE;
                for page in 0..PAGES_PER_BLOCK {
                    inside ^= edges.has(page);
                    if inside {
                        found.add(page);
                    }
                }
                Some(found)
            }
            count if usize::from(count) <= LIST_MAX => take_gaps(count.into(), bytes),
            _ => None,
        }
    }
}

/// Pages, each as the number of pages between it and the one before.
fn put_gaps(pages: PageBits, out: &mut Vec<u8>) {
    let mut next = 0;
    for page in pages.pages() {
        put((page - next) as u64, out);
        next = page + 1;
    }
}

fn take_gaps(count: u64, bytes: &mut &[u8]) -> Option<PageBits> {
    let (mut found, mut next) = (PageBits::NONE, 0u64);
    if count > PAGES_PER_BLOCK as u64 {
        return None;
    }
    for _ in 0..count {
        let page = next.checked_add(take(bytes)?)?;
        if page >= PAGES_PER_BLOCK as u64 {
            return None;
        }
        found.add(usize::try_from(page).ok()?);
        next = page + 1;
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bits(pages: impl IntoIterator<Item = usize>) -> PageBits {
        let mut bits = PageBits::NONE;
        pages.into_iter().for_each(|page| bits.add(page));
        bits
    }

    #[test]
    fn the_shortest_form_is_taken() {
        for (bits, longest) in [
            (PageBits::NONE, 1),
            (PageBits::ALL, 4),
            (bits([7]), 2),
            (bits(100..400), 6),
            (bits((0..512).step_by(2)), 65),
            (bits((0..512).step_by(9)), 58),
        ] {
            let mut out = Vec::new();
            bits.write(&mut out);
            assert!(out.len() <= longest, "{} bytes for {bits:?}", out.len());
            assert_eq!(PageBits::read(&mut &out[..]), Some(bits));
        }
    }

    #[test]
    fn pages_and_counts() {
        let some = bits([0, 63, 64, 511, 9999]);
        assert_eq!(some.pages().collect::<Vec<_>>(), [0, 63, 64, 511]);
        assert_eq!((some.count(), some.has(511), some.has(510), some.has(512)), (4, true, false, false));
        assert_eq!(some.without(bits([63])).count(), 3);
        let majority = PageBits::majority(bits([1, 2]), bits([2, 3]), bits([3, 4]));
        assert_eq!(majority, bits([2, 3]));
    }

    proptest! {
        #[test]
        fn any_pages_are_read_as_written(words: [u64; WORDS], thin: bool) {
            let mut bits = PageBits(words);
            if thin {
                bits = bits.and(PageBits(words.map(|word| word.rotate_left(7) & word.rotate_left(29))));
            }
            let mut out = Vec::new();
            bits.write(&mut out);
            out.push(77);
            let mut rest = &out[..];
            prop_assert_eq!(PageBits::read(&mut rest), Some(bits));
            prop_assert_eq!(rest, [77]);
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>) {
            let _ = PageBits::read(&mut &bytes[..]);
        }
    }
}
