//! The end of an act: what really left, and that it is out now.

use super::page_set::{PageSet, SetWalk};
use super::standing::Standing;
use super::standings::{BlockStanding, Reading, Standings, Writing};
use super::walk::Part;
use crate::address::{PAGE_SIZE, PAGES_PER_BLOCK};

/// What became of the pages that were given to the mover.
#[derive(Debug, Default, Clone)]
pub struct Marked {
    /// How each page stands now.
    pub standings: Standings,
    /// Bytes that left.
    pub left: u64,
    /// Bytes that stayed.
    pub stayed: u64,
}

/// Marks the pages in `left` as out, and those in `kept` as pages that stayed. No page is in both.
#[must_use]
pub fn mark_out(before: Standings, left: PageSet, kept: PageSet) -> Marked {
    if left.is_empty() && kept.is_empty() {
        return Marked { standings: before, ..Marked::default() };
    }
    let mut marking = Marking {
        before: Reading::new(before),
        after: Writing::default(),
        given: [SetWalk::new(left), SetWalk::new(kept)],
        pages: [0; 2],
    };
    let mut block = 0;
    while let Some(blocks) = marking.step(block) {
        block += blocks;
    }
    let [left, stayed] = marking.pages.map(|pages| pages * PAGE_SIZE);
    Marked { standings: marking.after.finish(), left, stayed }
}

struct Marking {
    before: Reading,
    after: Writing,
    /// What left, and what stayed.
    given: [SetWalk; 2],
    pages: [u64; 2],
}

/// How a page of each set stands afterwards.
const AFTER: [fn(Standing) -> Standing; 2] = [Standing::moved_out, Standing::stayed];

impl Marking {
    /// Blocks from `block` on: how many were marked or left as they are; none at the end.
    fn step(&mut self, block: u64) -> Option<u64> {
        let (known_blocks, known) = self.before.at(block);
        let [left, kept] = &mut self.given;
        let ((left_blocks, left), (kept_blocks, kept)) = (left.at(block), kept.at(block));
        let blocks = known_blocks.min(left_blocks).min(kept_blocks);
        let whole = match (left, kept) {
            (Part::Whole, _) => Some(0),
            (_, Part::Whole) => Some(1),
            (Part::Nothing | Part::Some(_), Part::Nothing | Part::Some(_)) => None,
        };
        match (known, whole) {
            (BlockStanding::Alike(standing), Some(set)) => {
                self.after.alike(block, blocks, AFTER[set](Standing(standing)).0);
                self.pages[set] += blocks * PAGES_PER_BLOCK as u64;
                return Some(blocks);
            }
            (BlockStanding::Alike(standing), None) if (left, kept) == (Part::Nothing, Part::Nothing) => {
                if blocks == u64::MAX {
                    return None;
                }
                self.after.alike(block, blocks, standing);
                return Some(blocks);
            }
            (BlockStanding::Alike(_) | BlockStanding::Mixed, _) => {}
        }
        let mut standings = match known {
            BlockStanding::Alike(standing) => [standing; PAGES_PER_BLOCK],
            BlockStanding::Mixed => self.before.block,
        };
        for (set, part) in [left, kept].into_iter().enumerate() {
            let mark = |standing: &mut u8| *standing = AFTER[set](Standing(*standing)).0;
            match part {
                Part::Nothing => {}
                Part::Whole => standings.iter_mut().for_each(mark),
                Part::Some(bits) => bits.pages().for_each(|page| mark(&mut standings[usize::from(page)])),
            }
            self.pages[set] += part.len();
        }
        self.after.block(block, &standings);
        Some(1)
    }
}
