//! The workload's memory: regions that can be given back one by one, each with known content.
//!
//! Plain vectors, a page longer than needed and rounded up to a page. The allocator maps big ones each on its own,
//! so dropping one unmaps it.

use std::ops::Range;

use super::content::{self, Random, WORDS};
use super::footprint::HotRule;
use super::options::{Layout, Options};
use crate::size::PAGE;

/// All regions and which of their pages are hot.
#[derive(Debug)]
pub struct Memory {
    seed: u64,
    regions: Vec<Region>,
    hot: Vec<HotPage>,
    step: Option<usize>,
}

#[derive(Debug)]
struct Region {
    words: Vec<u64>,
    /// Index of the first word of the first whole page.
    offset: usize,
    pages: usize,
    /// Number of its first page among all pages ever made.
    first: usize,
    /// Its hot pages, numbered from 0.
    hot: Vec<usize>,
    /// Which pages are or were hot.
    ever_hot: Vec<bool>,
    touches: u64,
}

#[derive(Debug, Clone, Copy)]
struct HotPage {
    region: usize,
    word: usize,
}

impl Memory {
    /// Two regions, filled.
    pub fn new(options: &Options) -> Self {
        let pages = options.memory / PAGE;
        let hot_pages = options.hot / PAGE;
        let step = match options.layout {
            Layout::Scattered if hot_pages > 0 => Some(pages / hot_pages),
            Layout::Scattered | Layout::Blocks => None,
        };
        let mut memory = Self { seed: options.seed, regions: Vec::new(), hot: Vec::new(), step };
        let halves = [(pages / 2, hot_pages / 2), (pages - pages / 2, hot_pages - hot_pages / 2)];
        for (pages, hot_pages) in halves {
            let hot = match step {
                Some(step) => (0..pages).step_by(step).collect(),
                None => (0..hot_pages).collect(),
            };
            memory.add(pages, hot);
        }
        memory
    }

    /// Adds a region that follows the same rule in a scattered layout and is cold in one of blocks.
    pub fn grow(&mut self, bytes: usize) -> Range<usize> {
        let pages = bytes / PAGE;
        let hot = self.step.map_or_else(Vec::new, |step| (0..pages).step_by(step).collect());
        self.add(pages, hot)
    }

    /// Unmaps the second region and all after it.
    pub fn drop_half(&mut self) {
        self.regions.truncate(1);
        self.list_hot();
    }

    /// Makes the pages behind the hot ones hot in their place, in each region; behind the last comes the first.
    pub fn jump(&mut self) {
        for region in &mut self.regions {
            let by = if self.step.is_some() { 1 } else { region.hot.len() };
            for page in &mut region.hot {
                *page = (*page + by) % region.pages;
                region.ever_hot[*page] = true;
            }
        }
        self.list_hot();
    }

    fn add(&mut self, pages: usize, hot: Vec<usize>) -> Range<usize> {
        let first = self.regions.last().map_or(0, |region| region.first + region.pages);
        let region = Region::new(self.seed, first, pages, hot);
        let range = region.range();
        self.regions.push(region);
        self.list_hot();
        range
    }

    fn list_hot(&mut self) {
        let each = |(number, region): (usize, &Region)| {
            let words: Vec<HotPage> = region
                .hot
                .iter()
                .map(|page| HotPage { region: number, word: region.touched_word(*page) })
                .collect();
            words
        };
        self.hot = self.regions.iter().enumerate().flat_map(each).collect();
    }

    /// Whether there is anything to touch.
    pub fn has_hot(&self) -> bool {
        !self.hot.is_empty()
    }

    /// Reads and writes one word in each of `times` hot pages chosen at random. Needs [`Memory::has_hot`].
    pub fn touch(&mut self, random: &mut Random, times: u64) {
        for _ in 0..times {
            let page = self.hot[random.below(self.hot.len())];
            let region = &mut self.regions[page.region];
            let word = &mut region.words[page.word];
            *word = word.wrapping_add(1);
            region.touches += 1;
        }
    }

    /// Reads every word back: the bytes read, or the address of the first that is not what was written.
    ///
    /// # Errors
    /// The address of a damaged word, or of a region whose hot words miss touches.
    pub fn verify(&self) -> Result<usize, usize> {
        self.regions.iter().map(|region| region.verify(self.seed)).sum()
    }

    /// The ranges of addresses.
    pub fn ranges(&self) -> Vec<Range<usize>> {
        self.regions.iter().map(Region::range).collect()
    }

    /// Which of them are hot.
    pub fn hot_rule(&self) -> HotRule {
        self.step.map_or_else(
            || HotRule::Ranges(self.regions.iter().flat_map(Region::hot_ranges).collect()),
            HotRule::Every,
        )
    }
}

impl Region {
    fn new(seed: u64, first: usize, pages: usize, hot: Vec<usize>) -> Self {
        let mut words = vec![0; (pages + 1) * WORDS];
        let offset = words.as_ptr().align_offset(PAGE);
        for (page, place) in words[offset..].chunks_exact_mut(WORDS).take(pages).enumerate() {
            place.iter_mut().zip(content::words(seed, first + page)).for_each(|(word, value)| *word = value);
        }
        let mut ever_hot = vec![false; pages];
        hot.iter().for_each(|page| ever_hot[*page] = true);
        Self { words, offset, pages, first, hot, ever_hot, touches: 0 }
    }

    /// The addresses of its hot pages, as few ranges as there are.
    fn hot_ranges(&self) -> Vec<Range<usize>> {
        let mut ranges: Vec<Range<usize>> = Vec::new();
        for page in &self.hot {
            let (start, end) = (self.address(page * WORDS), self.address((page + 1) * WORDS));
            match ranges.last_mut() {
                Some(last) if last.end == start => last.end = end,
                _ => ranges.push(start..end),
            }
        }
        ranges
    }

    fn touched_word(&self, page: usize) -> usize {
        self.offset + page * WORDS + content::touched_word(page)
    }

    /// Address of the word with this index, counted from the first page.
    fn address(&self, word: usize) -> usize {
        self.words.as_ptr().addr() + (self.offset + word) * 8
    }

    fn range(&self) -> Range<usize> {
        self.address(0)..self.address(self.pages * WORDS)
    }

    fn verify(&self, seed: u64) -> Result<usize, usize> {
        let mut touches = 0_u64;
        for page in 0..self.pages {
            let touched = self.ever_hot[page].then(|| content::touched_word(page));
            let start = self.offset + page * WORDS;
            let found = &self.words[start..start + WORDS];
            for (at, (word, expected)) in
                found.iter().zip(content::words(seed, self.first + page)).enumerate()
            {
                if Some(at) == touched {
                    touches = touches.wrapping_add(word.wrapping_sub(expected));
                } else if *word != expected {
                    return Err(self.address(page * WORDS + at));
                }
            }
        }
        // Every touch added one, so a hot word that went back to an older value is missed here.
        if touches == self.touches { Ok(self.pages * PAGE) } else { Err(self.address(0)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::size::MIB;

    fn memory(layout: Layout) -> Memory {
        Memory::new(&Options { layout, ..Options::new(MIB, MIB / 8) })
    }

    #[test]
    fn touched_memory_is_whole_in_both_layouts() {
        for layout in [Layout::Blocks, Layout::Scattered] {
            let mut memory = memory(layout);
            memory.touch(&mut Random::new(1), 100_000);
            assert_eq!(memory.verify(), Ok(MIB));
            assert_eq!(memory.hot.len(), MIB / 8 / PAGE);
        }
    }

    #[test]
    fn one_flipped_bit_is_found_in_cold_and_hot_pages_and_in_touched_words() {
        for word in [5 * WORDS + 7, 100 * WORDS, content::touched_word(0)] {
            let mut memory = memory(Layout::Blocks);
            let region = &mut memory.regions[0];
            let at = region.offset + word;
            region.words[at] ^= 1 << 40;
            let named = memory.verify().unwrap_err();
            let expected = memory.regions[0].address(if word < WORDS { 0 } else { word });
            assert_eq!(named, expected);
        }
    }

    #[test]
    fn the_hot_part_jumps_and_what_was_touched_stays_whole() {
        let mut memory = memory(Layout::Blocks);
        let mut seen = Vec::new();
        for _ in 0..9 {
            memory.touch(&mut Random::new(1), 10_000);
            let HotRule::Ranges(ranges) = memory.hot_rule() else { panic!("blocks are ranges") };
            assert_eq!(ranges.iter().map(ExactSizeIterator::len).sum::<usize>(), MIB / 8);
            seen.push(ranges);
            memory.jump();
        }
        assert_eq!(seen[0], seen[8], "behind the last comes the first");
        assert!(seen[..8].windows(2).all(|pair| pair[0] != pair[1]));
        assert_eq!(memory.verify(), Ok(MIB));
    }

    #[test]
    fn half_can_go_and_more_can_come() {
        let mut memory = memory(Layout::Blocks);
        let whole = memory.ranges();
        assert!(whole.iter().all(|range| range.start % PAGE == 0));
        memory.drop_half();
        assert_eq!((memory.verify(), memory.ranges()), (Ok(MIB / 2), whole[..1].to_vec()));
        assert_eq!(memory.hot.len(), MIB / 16 / PAGE);
        memory.grow(MIB);
        memory.touch(&mut Random::new(1), 1000);
        assert_eq!(memory.verify(), Ok(MIB + MIB / 2));
    }

    #[test]
    fn the_rule_names_what_is_touched() {
        let blocks = memory(Layout::Blocks);
        let HotRule::Ranges(ranges) = blocks.hot_rule() else { panic!("blocks are ranges") };
        assert_eq!(ranges.iter().map(ExactSizeIterator::len).sum::<usize>(), MIB / 8);
        for page in &blocks.hot {
            let region = &blocks.regions[page.region];
            let address = region.address(page.word - region.offset);
            assert!(ranges.iter().any(|range| range.contains(&address)));
        }
        assert_eq!(memory(Layout::Scattered).hot_rule(), HotRule::Every(8));
    }
}
