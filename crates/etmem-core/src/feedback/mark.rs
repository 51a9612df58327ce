//! The end of an act: what really left, and that it is out now.

use super::page_set::{PageSet, SetWalk};
use super::standing::Standing;
use super::standings::{BlockStanding, Reading, Standings, Writing};
use super::walk::{Counted, HeatWalk, Part};
use crate::address::{PAGE_SIZE, PAGES_PER_BLOCK};
use crate::heat::HeatMap;

/// What became of the pages that were given to the mover.
#[derive(Debug, Default, Clone)]
pub struct Marked {
    /// How each page stands now.
    pub standings: Standings,
    /// Bytes that left.
    pub left: u64,
    /// Bytes still in memory and not touched: the kernel left them alone without a word.
    pub stayed: u64,
}

/// Marks the pages in `given` as out. `after` is a look at them after the act, where there was one: pages that are still
/// there and were not touched never left. Pages that are there and were touched left and refaulted, which the next cycle
/// will find.
#[must_use]
pub fn mark_out(before: Standings, given: PageSet, after: Option<&HeatMap>) -> Marked {
    let mut marking = Marking {
        before: Reading::new(before),
        after: Writing::default(),
        seen: after.map(HeatWalk::new),
        left: 0,
        stayed: 0,
    };
    let mut given = SetWalk::new(given);
    let mut block = 0;
    while let Some(blocks) = marking.step(block, &mut given) {
        block += blocks;
    }
    Marked {
        standings: marking.after.finish(),
        left: marking.left * PAGE_SIZE,
        stayed: marking.stayed * PAGE_SIZE,
    }
}

struct Marking<'a> {
    before: Reading,
    after: Writing,
    seen: Option<HeatWalk<'a>>,
    /// In pages.
    left: u64,
    stayed: u64,
}

impl Marking<'_> {
    /// Blocks from `block` on: how many were marked or left as they are; none at the end.
    fn step(&mut self, block: u64, given: &mut SetWalk) -> Option<u64> {
        let (known_blocks, known) = self.before.at(block);
        let (given_blocks, part) = given.at(block);
        let (seen_blocks, seen) = match (&mut self.seen, part) {
            (Some(walk), Part::Whole | Part::Some(_)) => walk.at(block),
            (Some(_) | None, _) => (u64::MAX, Counted::Nothing),
        };
        let blocks = known_blocks.min(given_blocks).min(seen_blocks);
        match (known, part, seen) {
            (BlockStanding::Alike(standing), Part::Nothing, _) => {
                if blocks == u64::MAX {
                    return None;
                }
                self.after.alike(block, blocks, standing);
                return Some(blocks);
            }
            (BlockStanding::Mixed, Part::Nothing, _) => {
                self.after.block(block, &self.before.block);
                return Some(1);
            }
            (
                BlockStanding::Alike(standing),
                Part::Whole,
                Counted::Nothing | Counted::Alike { count: 1.., .. },
            ) => {
                self.after.alike(block, blocks, Standing(standing).moved_out().0);
                self.left += blocks * PAGES_PER_BLOCK as u64;
                return Some(blocks);
            }
            (BlockStanding::Alike(_) | BlockStanding::Mixed, Part::Whole | Part::Some(_), _) => {}
        }
        let mut standings = match known {
            BlockStanding::Alike(standing) => [standing; PAGES_PER_BLOCK],
            BlockStanding::Mixed => self.before.block,
        };
        for (page, standing) in standings.iter_mut().enumerate() {
            let is_given = match part {
                Part::Nothing => false,
                Part::Whole => true,
                Part::Some(bits) => bits.holds(page),
            };
            let count = match (seen, &self.seen) {
                (Counted::Alike { count, .. }, _) => Some(count),
                (Counted::Mixed, Some(walk)) => Some(walk.counts().0[page]),
                (Counted::Mixed, None) | (Counted::Nothing, _) => None,
            };
            match (is_given, count) {
                (false, _) => {}
                (true, Some(0)) => self.stayed += 1,
                (true, Some(_) | None) => {
                    *standing = Standing(*standing).moved_out().0;
                    self.left += 1;
                }
            }
        }
        self.after.block(block, &standings);
        Some(1)
    }
}
