//! Pages by how they were seen and how they stood, from which everything that is counted of a cycle follows.

use crate::address::PAGES_PER_BLOCK;

/// Neighbours mostly stand alike, and adding to one number twice in a row makes the processor wait for itself.
const COLUMNS: usize = 4;

/// Pages by seen and standing.
#[derive(Debug)]
pub(super) struct Tally {
    /// Pages of blocks that were counted page by page.
    mixed: Box<[[[u64; COLUMNS]; 256]; 3]>,
    /// Pages of whole blocks.
    alike: Box<[[u64; 256]; 3]>,
}

impl Default for Tally {
    fn default() -> Self {
        const { assert!(PAGES_PER_BLOCK.is_multiple_of(COLUMNS)) };
        Self { mixed: Box::new([[[0; COLUMNS]; 256]; 3]), alike: Box::new([[0; 256]; 3]) }
    }
}

impl Tally {
    /// One page, which is number `page` of its block.
    pub(super) const fn page(&mut self, seen: usize, standing: u8, page: usize) {
        self.mixed[seen][standing as usize][page % COLUMNS] += 1;
    }

    /// A number of pages at once.
    pub(super) fn alike(&mut self, seen: usize, standing: u8, pages: u64) {
        self.alike[seen][usize::from(standing)] += pages;
    }

    /// How they were seen, how they stood, and how many there are.
    pub(super) fn pages(&self) -> impl Iterator<Item = (usize, u8, u64)> + '_ {
        (0..3).flat_map(move |seen| {
            (0..=u8::MAX).filter_map(move |standing| {
                let index = usize::from(standing);
                let pages = self.mixed[seen][index].iter().sum::<u64>() + self.alike[seen][index];
                (pages > 0).then_some((seen, standing, pages))
            })
        })
    }
}
