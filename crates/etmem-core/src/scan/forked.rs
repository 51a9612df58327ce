//! Pages that a process shares by copy-on-write are taken out of what was seen of it.
//!
//! A forked process has its parent's pages until one of both writes to them. The kernel pages out no page that more than one mapping
//! has, and each of the processes would count it as its own. So such a page is neither counted nor moved. The same holds for pages
//! that the kernel has merged (KSM), and for its page full of zeroes.
//!
//! In come counts, and where pages are; out go counts without them. Where the pages of a process are takes the kernel as long as a
//! scan does. So it is asked of a sixteenth of each block first, and of the whole block only if some of that is shared. Of a process
//! that shared nothing in the cycle before, a sixteenth of the blocks is asked for first, each time another.

use crate::address::{AddressRange, BLOCK_SIZE, PAGE_SIZE};
use crate::heat::{ABSENT, BlockCounts, Entry, HeatMap, Writer};
use crate::kernel::mover::{Residence, SwapOut};
use crate::kernel::process::ProcessError;

/// Pages of a block that are asked for first.
const ASKED_FIRST: u64 = 32;

/// Blocks of which is asked at once.
const BLOCKS_AT_ONCE: usize = 256;

/// A process without shared pages is asked for one block out of this number.
const ONE_OF: u64 = 16;

/// Of the first blocks, this number, it is always asked.
const ALWAYS: u64 = 4;

/// Which blocks it is asked of first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Suspected {
    /// All, as the process may share pages.
    All,
    /// Some, others in each cycle, as it shared none in the cycle before. This is the number of the cycle.
    Some(u64),
}

impl Suspected {
    /// Whether it is asked of `block`, number `place` of those with pages in memory.
    const fn has(self, block: u64, place: u64) -> bool {
        match self {
            Self::All => true,
            Self::Some(cycle) => place < ALWAYS || (block % ONE_OF) == cycle % ONE_OF,
        }
    }
}

/// Takes the pages out of `heat` that `mover` says are shared. Returns the bytes that they have in memory.
///
/// # Errors
/// When the process is gone, or the kernel refuses.
pub fn leave_out_forked(
    heat: &mut HeatMap,
    suspected: Suspected,
    mover: &mut dyn SwapOut,
) -> Result<u64, ProcessError> {
    let mut room = Vec::new();
    let mut suspects = suspects(heat, suspected, mover, &mut room)?;
    if !suspects.is_empty() && suspected != Suspected::All {
        suspects = self::suspects(heat, Suspected::All, mover, &mut room)?;
    }
    if suspects.is_empty() {
        return Ok(0);
    }
    let (left, bytes) = without_shared(heat, &suspects, mover, &mut room)?;
    *heat = left;
    Ok(bytes)
}

/// The blocks of `heat` of which some page that was asked for is shared: their first addresses, in ascending order.
fn suspects(
    heat: &HeatMap,
    suspected: Suspected,
    mover: &mut dyn SwapOut,
    room: &mut Vec<Residence>,
) -> Result<Vec<u64>, ProcessError> {
    let (mut found, mut asked) = (Vec::new(), Vec::with_capacity(BLOCKS_AT_ONCE));
    let mut place = 0;
    let mut cursor = heat.cursor();
    while let Some((start, entry)) = cursor.next_place() {
        let blocks = match entry {
            Entry::Pages { blocks, .. } | Entry::Huge { blocks, .. } => blocks,
            Entry::Mixed => 1,
        };
        for block in 0..blocks {
            place += 1;
            if !suspected.has(start / BLOCK_SIZE + block, place - 1) {
                continue;
            }
            let (first, pages) = match entry {
                Entry::Pages { .. } | Entry::Huge { .. } => (0, ASKED_FIRST),
                Entry::Mixed => {
                    let (first, end) = present(cursor.read_counts());
                    (first, ASKED_FIRST.min(end - first))
                }
            };
            let at = start + block * BLOCK_SIZE + first * PAGE_SIZE;
            asked.push(AddressRange::new(at, at + pages * PAGE_SIZE));
            if asked.len() == BLOCKS_AT_ONCE {
                ask(&mut asked, mover, room, &mut found)?;
            }
        }
    }
    ask(&mut asked, mover, room, &mut found)?;
    Ok(found)
}

/// Adds the blocks of `asked`, which is empty afterwards, that have a shared page in it to `found`.
fn ask(
    asked: &mut Vec<AddressRange>,
    mover: &mut dyn SwapOut,
    room: &mut Vec<Residence>,
    found: &mut Vec<u64>,
) -> Result<(), ProcessError> {
    if !asked.is_empty() && mover.residence(asked, room)? {
        let mut places = room.iter();
        for range in asked.iter() {
            let pages = usize::try_from(range.bytes() / PAGE_SIZE).unwrap_or(usize::MAX);
            // All of them are taken, so that the next range begins with its own.
            let shared = places.by_ref().take(pages).filter(|place| is_shared(place)).count();
            if shared > 0 {
                found.push(range.start & !(BLOCK_SIZE - 1));
            }
        }
    }
    asked.clear();
    Ok(())
}

/// `heat` without the shared pages of the blocks `suspects`, and bytes that these pages have in memory.
fn without_shared(
    heat: &HeatMap,
    suspects: &[u64],
    mover: &mut dyn SwapOut,
    room: &mut Vec<Residence>,
) -> Result<(HeatMap, u64), ProcessError> {
    let (mut writer, mut bytes) = (Writer::default(), 0);
    let mut suspects = suspects.iter().copied().peekable();
    let mut cursor = heat.cursor();
    while let Some((start, entry)) = cursor.next() {
        let (blocks, count, huge) = match entry {
            Entry::Pages { blocks, count } => (blocks, count, false),
            Entry::Huge { blocks, count } => (blocks, count, true),
            Entry::Mixed => (1, ABSENT, false),
        };
        for at in (0..blocks).map(|block| start + block * BLOCK_SIZE) {
            let mut counts =
                if entry == Entry::Mixed { *cursor.counts() } else { BlockCounts::uniform(count) };
            let gone = match suspects.next_if_eq(&at) {
                Some(_) => take_out(&mut counts, at, mover, room)?,
                None => Gone::default(),
            };
            if entry != Entry::Mixed && gone.pages == 0 {
                writer.equal_blocks(at / BLOCK_SIZE, 1, count, huge);
            } else if !huge {
                writer.pages(at / BLOCK_SIZE, &counts);
            }
            // A huge page is shared as a whole.
            bytes += if huge && gone.pages > 0 { BLOCK_SIZE } else { gone.bytes };
        }
    }
    Ok((writer.finish(), bytes))
}

/// Pages that were taken out.
#[derive(Debug, Clone, Copy, Default)]
struct Gone {
    pages: u64,
    /// What they have in memory.
    bytes: u64,
}

/// Takes the shared pages of the block at `start` out of `counts`.
fn take_out(
    counts: &mut BlockCounts,
    start: u64,
    mover: &mut dyn SwapOut,
    room: &mut Vec<Residence>,
) -> Result<Gone, ProcessError> {
    let (first, end) = present(counts);
    let range = AddressRange::new(start + first * PAGE_SIZE, start + end * PAGE_SIZE);
    let (mut gone, mut frame_before) = (Gone::default(), 0);
    if range.is_empty() || !mover.residence(&[range], room)? {
        return Ok(gone);
    }
    let first = usize::try_from(first).unwrap_or(usize::MAX);
    for (count, place) in counts.0.iter_mut().skip(first).zip(room.iter()) {
        if let Residence::Memory { frame, shared: true, file } = *place
            && *count != ABSENT
        {
            *count = ABSENT;
            gone.pages += 1;
            // The page full of zeroes is one, and pages of files are counted as such.
            if !file && (frame == 0 || frame != frame_before) {
                gone.bytes += PAGE_SIZE;
            }
            frame_before = frame;
        }
    }
    Ok(gone)
}

const fn is_shared(place: &Residence) -> bool {
    matches!(place, Residence::Memory { shared: true, .. })
}

/// The first page that is present, and the one after the last; equal if there is none.
fn present(counts: &BlockCounts) -> (u64, u64) {
    let is_present = |count: &u16| *count != ABSENT;
    let first = counts.0.iter().position(is_present).unwrap_or(0);
    let end = counts.0.iter().rposition(is_present).map_or(first, |last| last + 1);
    (first as u64, end as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::heat::HeatUpdate;
    use crate::kernel::mover::Moved;
    use crate::kernel::probe::{Access, AccessSink, Block};
    use proptest::prelude::*;

    /// A process in which every page is in memory that `shared` does not leave out; a page is known by its number.
    #[derive(Debug)]
    struct Places {
        shared: fn(u64) -> bool,
        frame: fn(u64) -> u64,
        asked: u64,
    }

    impl SwapOut for Places {
        fn swap_out(&mut self, _: &[AddressRange]) -> Result<Moved, ProcessError> {
            Ok(Moved::default())
        }

        fn residence(
            &mut self,
            ranges: &[AddressRange],
            out: &mut Vec<Residence>,
        ) -> Result<bool, ProcessError> {
            out.clear();
            for range in ranges {
                for page in range.start / PAGE_SIZE..range.end / PAGE_SIZE {
                    let frame = (self.frame)(page);
                    out.push(Residence::Memory { frame, file: false, shared: (self.shared)(page) });
                }
            }
            self.asked += out.len() as u64;
            Ok(true)
        }
    }

    /// 600 blocks of pages, ten huge pages, and a block in which each third page is there.
    fn heat() -> HeatMap {
        let mut update = HeatUpdate::new(HeatMap::default());
        update.equal_blocks(0, 600, Access::IDLE);
        update.equal_huge_blocks(600 * BLOCK_SIZE, 10, Access::READ);
        let mut pages = [Access::ABSENT; 512];
        pages.iter_mut().step_by(3).for_each(|page| *page = Access::WRITTEN);
        update.block(610 * BLOCK_SIZE, Block::Pages(&pages));
        update.finish()
    }

    const ALL: u64 = 610 * BLOCK_SIZE + 171 * PAGE_SIZE;

    #[test]
    fn what_is_not_shared_costs_a_sixteenth_and_stays() {
        let (mut heat, mut places) = (heat(), Places { shared: |_| false, frame: |page| page, asked: 0 });
        assert_eq!(leave_out_forked(&mut heat, Suspected::All, &mut places), Ok(0));
        assert_eq!((heat.histogram().total(), places.asked), (ALL, 611 * ASKED_FIRST));
    }

    #[test]
    fn a_process_that_shared_nothing_is_asked_for_a_part_and_another_each_time() {
        // One block is shared.
        let shared = |page: u64| page / 512 == 401;
        let mut found = Vec::new();
        for cycle in 0..ONE_OF {
            let (mut heat, mut places) = (heat(), Places { shared, frame: |page| page + 1, asked: 0 });
            let out = leave_out_forked(&mut heat, Suspected::Some(cycle), &mut places).unwrap();
            if out == 0 {
                assert!(places.asked < 50 * ASKED_FIRST, "{} pages", places.asked);
            } else {
                found.push((cycle, out));
            }
        }
        assert_eq!(found, [(1, BLOCK_SIZE)]);
        // What most processes that fork share is found at once.
        let (mut heat, mut places) = (heat(), Places { shared: |_| true, frame: |page| page + 1, asked: 0 });
        assert_eq!(leave_out_forked(&mut heat, Suspected::Some(3), &mut places), Ok(ALL));
    }

    #[test]
    fn shared_pages_are_taken_out_page_by_page() {
        // Of the first block each second page, three of the huge pages, and all of the last block.
        let shared = |page: u64| match page / 512 {
            0 => page.is_multiple_of(2),
            602..605 | 610 => true,
            _ => false,
        };
        let (mut heat, mut places) = (heat(), Places { shared, frame: |page| page + 1, asked: 0 });
        let out = 256 * PAGE_SIZE + 3 * BLOCK_SIZE + 171 * PAGE_SIZE;
        assert_eq!(leave_out_forked(&mut heat, Suspected::All, &mut places), Ok(out));
        let histogram = heat.histogram();
        assert_eq!(histogram.total(), ALL - out);
        assert_eq!(histogram.iter().nth(1), Some((1, 7 * BLOCK_SIZE)), "huge pages stay as a whole");
        assert_eq!(histogram.below(1), 600 * BLOCK_SIZE - 256 * PAGE_SIZE);
    }

    #[test]
    fn the_page_full_of_zeroes_is_one() {
        let (mut heat, mut places) = (heat(), Places { shared: |page| page < 512, frame: |_| 7, asked: 0 });
        assert_eq!(leave_out_forked(&mut heat, Suspected::All, &mut places), Ok(PAGE_SIZE));
        assert_eq!(heat.histogram().total(), ALL - BLOCK_SIZE);
    }

    proptest! {
        /// Nothing but shared pages goes, whatever blocks look like.
        #[test]
        fn only_shared_pages_go(
            blocks in prop::collection::vec(prop::collection::vec(0u8..4, 512), 1..4),
        ) {
            let mut update = HeatUpdate::new(HeatMap::default());
            for (number, kinds) in (0u64..).zip(&blocks) {
                let pages: Vec<Access> =
                    kinds.iter().map(|kind| if *kind == 0 { Access::ABSENT } else { Access::READ }).collect();
                let pages: &[Access; 512] = pages.as_slice().try_into().unwrap();
                update.block(number * BLOCK_SIZE, Block::Pages(pages));
            }
            let mut heat = update.finish();
            let before = heat.histogram().total();
            let mut places = Places { shared: |page| page % 5 == 0, frame: |page| page + 1, asked: 0 };
            let out = leave_out_forked(&mut heat, Suspected::All, &mut places).unwrap();
            prop_assert_eq!(before - out, heat.histogram().total());
            let most = (0u64..).zip(blocks.concat()).filter(|(page, kind)| page % 5 == 0 && *kind > 0).count();
            prop_assert!(out / PAGE_SIZE <= most as u64);
        }
    }
}
