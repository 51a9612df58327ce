//! A small part of a plan leaves first: what was really idle stays out.
//!
//! A probe can be blind to a target: accesses that go through other page tables, accessed bits that another observer clears,
//! translations that stay cached. Then everything looks cold. The sample shows it before much has left.

use super::carry;
use super::tools::Tools;
use crate::address::{AddressRange, BLOCK_SIZE, PAGE_SIZE};
use crate::compressed::PAGE_BYTES;
use crate::kernel::mover::{Residence, SwapOut};
use crate::kernel::pacer::{Pace, Pacer};
use crate::kernel::process::ProcessError;
use crate::kernel::reader::MemoryReader;
use crate::plan::{Budget, Outcome, Piece, Plan};
use serde::{Deserialize, Serialize};
use std::iter::Peekable;
use std::slice;

/// Pages of a plan, spread over all of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sample {
    pieces: Vec<Piece>,
    bytes: u64,
}

/// What a sample showed, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trial {
    /// Left memory.
    pub left: u64,
    /// Of these, back in memory at the end of the watch.
    pub back: u64,
}

impl Sample {
    /// About `bytes` of `plan`: a page out of each stretch of equal length, where within is scattered. A huge page is taken as
    /// a whole.
    #[must_use]
    pub fn of(plan: &Plan<'_>, bytes: u64) -> Self {
        let wanted = (bytes / PAGE_SIZE).max(1);
        let stride = (plan.bytes() / PAGE_SIZE / wanted).max(1);
        let mut sample = Self::default();
        let (mut passed, mut number) = (0, 0);
        for Piece { range, huge } in plan.pieces() {
            let pages = range.bytes() / PAGE_SIZE;
            let mut page = place(number, stride);
            while page < passed + pages && sample.bytes < bytes {
                let at = range.start + page.saturating_sub(passed) * PAGE_SIZE;
                let taken = if huge { block(at, range) } else { AddressRange::new(at, at + PAGE_SIZE) };
                number += taken.bytes() / PAGE_SIZE;
                sample.take(taken, huge);
                page = place(number, stride).max(passed + (taken.end - range.start) / PAGE_SIZE);
            }
            passed += pages;
        }
        sample
    }

    fn take(&mut self, range: AddressRange, huge: bool) {
        self.bytes += range.bytes();
        self.pieces.push(Piece { range, huge });
    }

    /// Its ranges, which ascend.
    pub fn ranges(&self) -> impl Iterator<Item = AddressRange> + '_ {
        self.pieces.iter().map(|piece| piece.range)
    }

    /// Bytes of it.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Gives what stands in each of its pages that is in memory to `each`; nothing of one that is shared by copy-on-write with a forked
    /// process. Ends early where `pacer` says so.
    ///
    /// # Errors
    /// When the process is gone, or the kernel refuses.
    pub fn read(
        &self,
        reader: &mut dyn MemoryReader,
        pacer: &dyn Pacer,
        mut each: impl FnMut(Option<&[u8; PAGE_BYTES]>),
    ) -> Result<(), ProcessError> {
        let (mut there, mut page) = (Vec::new(), [0; PAGE_BYTES]);
        for range in self.ranges() {
            reader.residence(&[range], &mut there)?;
            for (at, place) in (range.start..range.end).step_by(PAGE_BYTES).zip(&there) {
                match place {
                    Residence::Memory { shared: true, file: false, .. } => each(None),
                    Residence::Memory { .. } if reader.read(at, &mut page)? => each(Some(&page)),
                    // To read what has left since would bring it back.
                    Residence::Memory { .. } | Residence::Swap | Residence::Nowhere => {}
                }
            }
            if pacer.pace() == Pace::Stop {
                break;
            }
        }
        Ok(())
    }

    /// What of `pieces` is not in it.
    pub(super) fn rest_of<'a>(
        &'a self,
        pieces: impl Iterator<Item = Piece> + 'a,
    ) -> impl Iterator<Item = Piece> + 'a {
        Rest { pieces, open: None, taken: self.pieces.iter().peekable() }
    }
}

/// Pieces without what was taken of them, both in address order.
struct Rest<'a, I> {
    pieces: I,
    /// What follows what was taken last in its piece.
    open: Option<Piece>,
    taken: Peekable<slice::Iter<'a, Piece>>,
}

impl<I: Iterator<Item = Piece>> Iterator for Rest<'_, I> {
    type Item = Piece;

    fn next(&mut self) -> Option<Piece> {
        loop {
            let piece = self.open.take().or_else(|| self.pieces.next())?;
            let Piece { range, huge } = piece;
            let Some(taken) = self.taken.next_if(|taken| taken.range.start < range.end) else {
                return Some(piece);
            };
            let part = |start, end| Some(Piece { range: AddressRange::new(start, end), huge });
            self.open = part(taken.range.end, range.end).filter(|piece| !piece.range.is_empty());
            let before = part(range.start, taken.range.start).filter(|piece| !piece.range.is_empty());
            if before.is_some() {
                return before;
            }
        }
    }
}

/// Page number `number` of a sample that takes one out of `stride`: where it lies in the plan.
const fn place(number: u64, stride: u64) -> u64 {
    // Scattered (a step of the generator of Knuth's MMIX), so that no pattern of the target's keeps step with it.
    let scattered =
        number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407) >> 33;
    number * stride + scattered % stride
}

/// The huge page of `range` that holds `at`.
fn block(at: u64, range: AddressRange) -> AddressRange {
    let start = (at & !(BLOCK_SIZE - 1)).max(range.start);
    AddressRange::new(start, (start + BLOCK_SIZE).min(range.end))
}

/// Moves `sample`. It is watched for a while, and then [`watched`] says what became of it.
pub fn leave_sample(sample: &Sample, budget: Budget, tools: &mut Tools<'_>) -> Outcome {
    carry(sample.pieces.iter().copied(), sample.bytes, budget, tools)
}

/// What of `sample` is in memory again, by what became of it at first. There is no trial where the kernel does not tell where
/// pages are.
///
/// # Errors
/// When the process is gone, or the kernel refuses.
pub fn watched(
    sample: &Sample,
    outcome: &Outcome,
    mover: &mut dyn SwapOut,
) -> Result<Option<Trial>, ProcessError> {
    let ranges: Vec<AddressRange> = sample.pieces.iter().map(|piece| piece.range).collect();
    let mut now = Vec::new();
    if !mover.residence(&ranges, &mut now)? {
        return Ok(None);
    }
    let there = now.iter().filter(|page| page.is_memory()).count() as u64 * PAGE_SIZE;
    let Outcome { applied, stayed, refused, touched, later, over_budget, freed, .. } = outcome;
    // What was freed and is used again is no evidence.
    let other = stayed + refused + touched + later + over_budget + freed;
    Ok(Some(Trial { left: *applied, back: there.saturating_sub(other).min(*applied) }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address::PAGES_PER_BLOCK;
    use crate::heat::{HeatMap, HeatUpdate};
    use crate::kernel::probe::{Access, AccessSink, Block};
    use crate::plan::Selection;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn heat(blocks: &[(bool, u8)]) -> HeatMap {
        let mut update = HeatUpdate::new(HeatMap::default());
        for (number, (huge, nth)) in (0u64..).zip(blocks) {
            if *huge {
                update.equal_huge_blocks(number * BLOCK_SIZE, 1, Access::IDLE);
                continue;
            }
            let mut pages = [Access::READ; PAGES_PER_BLOCK];
            pages.iter_mut().step_by(usize::from(*nth)).for_each(|page| *page = Access::IDLE);
            update.block(number * BLOCK_SIZE, Block::Pages(&pages));
        }
        update.finish()
    }

    fn pages(pieces: impl Iterator<Item = Piece>) -> Vec<u64> {
        pieces.flat_map(|piece| (piece.range.start..piece.range.end).step_by(4096)).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]
        /// A sample and the rest are the plan; no page is in both.
        #[test]
        fn a_sample_and_the_rest_are_the_plan(
            blocks in prop::collection::vec((any::<bool>(), 1u8..9), 1..30),
            wanted in 1u64..3000,
        ) {
            let heat = heat(&blocks);
            let plan = Plan::new(&heat, &heat.histogram(), Selection::below(1));
            let sample = Sample::of(&plan, wanted * PAGE_SIZE);
            let taken = pages(sample.pieces.iter().copied());
            prop_assert_eq!(taken.len() as u64 * PAGE_SIZE, sample.bytes());
            prop_assert!(taken.windows(2).all(|pair| pair[0] < pair[1]));
            let huge = blocks.iter().any(|(huge, _)| *huge);
            let most = wanted + if huge { PAGES_PER_BLOCK as u64 } else { 0 };
            prop_assert!(taken.len() as u64 <= most, "{} of {} pages", taken.len(), wanted);
            if !huge && plan.bytes() >= wanted * PAGE_SIZE {
                prop_assert!(taken.len() as u64 >= wanted / 2, "{} of {} pages", taken.len(), wanted);
            }
            let rest = pages(sample.rest_of(plan.pieces()));
            prop_assert_eq!(rest.len() + taken.len(), usize::try_from(plan.bytes() / PAGE_SIZE).unwrap());
            let all: BTreeSet<u64> = taken.into_iter().chain(rest).collect();
            prop_assert!(all.into_iter().eq(pages(plan.pieces())));
        }
    }

    #[test]
    fn a_sample_is_spread_over_the_whole_plan() {
        let heat = heat(&[(false, 1); 128]);
        let plan = Plan::new(&heat, &heat.histogram(), Selection::below(1));
        let sample = pages(Sample::of(&plan, 512 * PAGE_SIZE).pieces.into_iter());
        assert_eq!(sample.len(), 512);
        for part in 0..16 {
            let range = part * 8 * BLOCK_SIZE..(part + 1) * 8 * BLOCK_SIZE;
            let inside = sample.iter().filter(|at| range.contains(at)).count();
            assert!((31..=33).contains(&inside), "{inside} in part {part}");
        }
        // No step of a power of two holds all of them.
        let places: BTreeSet<u64> = sample.iter().map(|at| at / PAGE_SIZE % 64).collect();
        assert!(places.len() > 48, "{places:?}");
    }
}
