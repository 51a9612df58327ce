//! Pages of a block, a bit each.

use crate::address::PAGES_PER_BLOCK;
use std::ops::Range;

const WORDS: usize = PAGES_PER_BLOCK / 64;

/// Bytes that it takes where it is written down.
pub(crate) const BYTES: usize = PAGES_PER_BLOCK / 8;

/// Pages of a block, a bit each.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct PageBits([u64; WORDS]);

impl PageBits {
    /// The pages of which `is_inside` holds.
    pub(crate) fn of<T: Copy>(block: &[T; PAGES_PER_BLOCK], is_inside: impl Fn(T) -> bool) -> Self {
        let mut words = [0; WORDS];
        for (word, pages) in words.iter_mut().zip(block.as_chunks::<64>().0) {
            for (byte, pages) in (0..).zip(pages.as_chunks::<8>().0) {
                let inside = pages.map(|page| u8::from(is_inside(page)));
                // Gathers the lowest bits of eight bytes in the highest byte of the product.
                let bits = u64::from_le_bytes(inside).wrapping_mul(0x0102_0408_1020_4080) >> 56;
                *word |= bits << (8 * byte);
            }
        }
        Self(words)
    }

    /// As [`PageBits::to_bytes`] wrote them.
    pub(crate) fn from_bytes(bytes: &[u8; BYTES]) -> Self {
        let words = bytes.as_chunks().0;
        Self(std::array::from_fn(|word| u64::from_le_bytes(words[word])))
    }

    /// A byte for eight pages, the first in its lowest bit.
    pub(crate) fn to_bytes(self) -> [u8; BYTES] {
        let mut bytes = [0; BYTES];
        for (bytes, word) in bytes.as_chunks_mut().0.iter_mut().zip(self.0) {
            *bytes = word.to_le_bytes();
        }
        bytes
    }

    /// Those in it, in ascending order.
    pub(crate) fn pages(&self) -> impl Iterator<Item = u16> + '_ {
        (0u16..).step_by(64).zip(self.0).flat_map(|(first, mut word)| {
            std::iter::from_fn(move || {
                let bit = u16::try_from(word.trailing_zeros()).ok().filter(|bit| *bit < 64)?;
                word &= word - 1;
                Some(first + bit)
            })
        })
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.0.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// Adds pages.
    pub(crate) fn insert(&mut self, pages: Range<usize>) {
        let words = (0..).step_by(64).zip(&mut self.0).skip(pages.start / 64);
        for (first, word) in words.take_while(|(first, _)| *first < pages.end) {
            let (from, to) = (pages.start.max(first) - first, pages.end.min(first + 64) - first);
            if from < to {
                *word |= u64::MAX << from & u64::MAX >> (64 - to);
            }
        }
    }

    /// The pages that are not in it.
    pub(crate) fn others(self) -> Self {
        Self(self.0.map(|word| !word))
    }

    /// Those that are in one of both.
    pub(crate) fn joined(self, other: Self) -> Self {
        Self(std::array::from_fn(|word| self.0[word] | other.0[word]))
    }

    /// Whether none is in it.
    pub(crate) fn is_empty(&self) -> bool {
        self.0 == [0; WORDS]
    }

    /// Whether all are in it.
    pub(crate) fn is_all(&self) -> bool {
        self.0 == [u64::MAX; WORDS]
    }

    /// The runs of neighbours in it, in ascending order.
    pub(crate) const fn runs(self) -> Runs {
        Runs { left: self, word: 0 }
    }
}

/// The runs of a [`PageBits`]: the first page of each, and the one after its last.
#[derive(Debug)]
pub(crate) struct Runs {
    left: PageBits,
    /// All words before this one are empty.
    word: usize,
}

impl Iterator for Runs {
    type Item = (u64, u64);

    fn next(&mut self) -> Option<(u64, u64)> {
        let words = &mut self.left.0;
        while *words.get(self.word)? == 0 {
            self.word += 1;
        }
        let first = self.word * 64 + words[self.word].trailing_zeros() as usize;
        let mut end = first;
        loop {
            let word = &mut words[self.word];
            let from = end % 64;
            let run = ((!(*word >> from)).trailing_zeros() as usize).min(64 - from);
            end += run;
            if from + run < 64 {
                // The lowest bits up to `end` go, and with them the run.
                *word &= u64::MAX << (from + run);
                break;
            }
            *word = 0;
            self.word += 1;
            if self.word == words.len() || words[self.word] & 1 == 0 {
                break;
            }
        }
        Some((first as u64, end as u64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn runs() {
        let mut bits = PageBits::default();
        bits.insert(60..130);
        bits.insert(131..132);
        bits.insert(7..7);
        assert_eq!(bits.runs().collect::<Vec<_>>(), [(60, 130), (131, 132)]);
        assert_eq!(PageBits::default().others().runs().collect::<Vec<_>>(), [(0, 512)]);
        assert_eq!(PageBits::default().runs().next(), None);
    }

    proptest! {
        #[test]
        fn each_question_has_the_same_answer(
            block in proptest::collection::vec(0u16..4, PAGES_PER_BLOCK),
            first in 0..=PAGES_PER_BLOCK,
            end in 0..=PAGES_PER_BLOCK,
        ) {
            let inside: Vec<usize> = (0..PAGES_PER_BLOCK).filter(|page| block[*page] == 1).collect();
            let ends = (first.min(end), first.max(end));
            let bits = PageBits::of(block.as_slice().try_into().unwrap(), |page| page == 1);
            prop_assert_eq!(bits.pages().map(usize::from).collect::<Vec<_>>(), &inside[..]);
            prop_assert_eq!(bits.len(), inside.len());
            prop_assert_eq!((bits.is_empty(), bits.is_all()), (inside.is_empty(), inside.len() == PAGES_PER_BLOCK));
            prop_assert_eq!(PageBits::from_bytes(&bits.to_bytes()), bits);
            prop_assert!(bits.joined(bits.others()).is_all());
            let runs: Vec<u64> = bits.runs().flat_map(|(first, end)| first..end).collect();
            prop_assert_eq!(runs, inside.iter().map(|page| *page as u64).collect::<Vec<_>>());
            let mut more = bits;
            more.insert(ends.0..ends.1);
            let both = |page: &usize| inside.contains(page) || (ends.0..ends.1).contains(page);
            let both: Vec<usize> = (0..PAGES_PER_BLOCK).filter(both).collect();
            prop_assert_eq!(more.pages().map(usize::from).collect::<Vec<_>>(), both);
        }
    }
}
