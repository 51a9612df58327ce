//! What stands in a page: computed from the seed and the page's number alone, so that it can be checked later.
//!
//! The first half of a page is random, the second half zero: every compressor brings it to about half.

use crate::size::PAGE;

/// 64-bit words in a page.
pub const WORDS: usize = PAGE / 8;

/// The words of a page, first to last.
pub fn words(seed: u64, page: usize) -> impl Iterator<Item = u64> {
    let mut random = Random::new(seed ^ (page as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    (0..WORDS).map(move |at| if at < WORDS / 2 { random.next() } else { 0 })
}

/// As many random bytes, a multiple of eight.
pub fn noise(seed: u64, bytes: usize) -> Vec<u8> {
    let mut random = Random::new(seed);
    (0..bytes / 8).flat_map(|_| random.next().to_ne_bytes()).collect()
}

/// `bytes` of which half are random and half are `name` over and over: a record that compresses as data does.
pub fn record(seed: u64, name: &str, bytes: usize) -> Vec<u8> {
    let half = bytes / 2;
    let mut record = noise(seed, half);
    record.extend(name.repeat(half.div_ceil(name.len())).into_bytes());
    record.truncate(bytes);
    record
}

/// The word of a page that is touched while the page is hot. It moves by a cache line from page to page: the same
/// place in every page would measure the cache's sets and not the memory.
pub fn touched_word(page: usize) -> usize {
    page * 8 % WORDS
}

/// A small fast random sequence (xorshift64*), the same for the same seed.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// A sequence of its own for each seed.
    pub fn new(seed: u64) -> Self {
        // One round of splitmix64: near seeds give far sequences, and the state is not zero.
        let mut state = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        state = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        state = (state ^ (state >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        Self((state ^ (state >> 31)) | 1)
    }

    /// The next number.
    #[expect(clippy::should_implement_trait, reason = "an endless sequence needs no Option")]
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A number below `bound`, which is less than 2^32.
    pub fn below(&mut self, bound: usize) -> usize {
        let scaled = ((self.next() >> 32) * bound as u64) >> 32;
        usize::try_from(scaled).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_can_be_computed_again_and_differs_from_the_next() {
        let page: Vec<u64> = words(7, 3).collect();
        assert_eq!(page, words(7, 3).collect::<Vec<_>>());
        assert_ne!(page, words(7, 4).collect::<Vec<_>>());
        assert_ne!(page, words(8, 3).collect::<Vec<_>>());
        assert_eq!(page.iter().filter(|word| **word == 0).count(), WORDS / 2);
    }

    #[test]
    fn noise_can_be_computed_again_and_is_as_long_as_asked() {
        assert_eq!((noise(7, 64).len(), noise(7, 64)), (64, noise(7, 64)));
        assert_ne!(noise(7, 64), noise(8, 64));
    }

    #[test]
    fn every_page_is_hit_sooner_or_later() {
        let mut random = Random::new(1);
        let mut hit = [0; 64];
        (0..6400).for_each(|_| hit[random.below(64)] += 1);
        assert!(hit.iter().all(|times| *times > 40), "{hit:?}");
    }
}
