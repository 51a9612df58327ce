//! Carrying out a plan: batches of ranges to a mover, within a budget and at a rate, until a stop is asked for.
//!
//! Between a look and the act pages may be touched again, the more the longer the act takes. So where the probe can look
//! without clearing, each stretch of some batches is looked at once more before it leaves, and what was touched stays:
//!
//! ```text
//! plan -> stretch (64 MiB) -> recheck -> batches -> mover, which rests after each
//!                                           |-> where are its pages now? left, stayed, freed
//! ```
//!
//! What the kernel took is not what left: it keeps, without a word, pages that are shared, pinned or under writeback. So each
//! batch is looked at before and after. A [`Trial`] moves a small sample of a plan first, to see whether it comes back.

mod batch;
mod fate;
mod gathered;
mod recheck;
mod sample;
mod second_copies;
mod tools;

pub use sample::{Sample, Trial, leave_sample, watched};
pub use second_copies::{PassEnd, Progress, Reading, SecondCopies, free_second_copies};
pub use tools::Tools;

use crate::address::{AddressRange, BLOCK_SIZE};
use crate::plan::{Budget, Outcome, Piece, Plan};
use batch::{BATCH_RANGES, leave};
use gathered::Gathered;

/// Bytes looked at at once right before they leave, a multiple of a block, and ranges. Each look has a fixed price, and what
/// it saw ages while batch after batch leaves.
const STRETCH_BYTES: u64 = 64 * 1024 * 1024;
const STRETCH_RANGES: usize = 8 * BATCH_RANGES;

/// Moves what `plan` holds, in address order, each page once, at most `budget`.
pub fn swap_out(plan: &Plan<'_>, budget: Budget, tools: &mut Tools<'_>) -> Outcome {
    carry(plan.pieces(), plan.bytes(), budget, tools)
}

/// The same without the pages of `sample`.
pub fn swap_out_rest(plan: &Plan<'_>, sample: &Sample, budget: Budget, tools: &mut Tools<'_>) -> Outcome {
    carry(sample.rest_of(plan.pieces()), plan.bytes().saturating_sub(sample.bytes()), budget, tools)
}

/// Moves `pieces`, of `planned` bytes in all.
fn carry(
    pieces: impl Iterator<Item = Piece>,
    planned: u64,
    budget: Budget,
    tools: &mut Tools<'_>,
) -> Outcome {
    let mut outcome = Outcome { planned, ..Outcome::default() };
    if planned == 0 {
        // To find that out page by page takes as long as a look.
        return outcome;
    }
    let mut stretch = Gathered::new(STRETCH_BYTES, STRETCH_RANGES);
    let mut covered = 0;
    let mut goes_on = true;
    'plan: for Piece { mut range, huge } in pieces {
        while !range.is_empty() {
            let left = budget.bytes.saturating_sub(outcome.applied + stretch.bytes);
            // A huge page goes as a whole or not at all.
            let room = if huge { left & !(BLOCK_SIZE - 1) } else { left };
            let mut part = AddressRange::new(range.start, range.end.min(range.start.saturating_add(room)));
            let piece = stretch.take(&mut part, huge);
            covered += piece.bytes();
            range.start += piece.bytes();
            if !piece.is_empty() {
                continue;
            }
            if stretch.ranges.is_empty() {
                outcome.over_budget += range.bytes();
                break;
            }
            // What of the stretch stays is not paid for out of the budget.
            goes_on = leave(&mut stretch, &mut outcome, budget, tools);
            if !goes_on {
                break 'plan;
            }
        }
    }
    goes_on = goes_on && leave(&mut stretch, &mut outcome, budget, tools);
    if !goes_on && outcome.ended.is_none() {
        outcome.later += planned.saturating_sub(covered + outcome.over_budget);
    }
    outcome
}

/// What an act would have asked the mover for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rehearsal {
    /// Bytes in all.
    pub bytes: u64,
    /// Ranges they lie in.
    pub ranges: u64,
}

/// As [`swap_out`], but moves nothing.
#[must_use]
pub fn rehearse(plan: &Plan<'_>, budget: Budget) -> (Outcome, Rehearsal) {
    let mut outcome = Outcome { planned: plan.bytes(), ..Outcome::default() };
    let mut rehearsal = Rehearsal::default();
    for range in plan.ranges() {
        let bytes = range.bytes().min(budget.bytes - rehearsal.bytes);
        rehearsal.bytes += bytes;
        rehearsal.ranges += u64::from(bytes > 0);
        outcome.over_budget += range.bytes() - bytes;
    }
    (outcome, rehearsal)
}

#[cfg(test)]
mod tests {
    use super::batch::BATCH_RANGES;
    use super::*;
    use crate::address::{PAGE_SIZE, PAGES_PER_BLOCK};
    use crate::feedback::PageSetBuilder;
    use crate::heat::{HeatMap, HeatUpdate};
    use crate::kernel::mover::{Moved, Residence, SwapOut};
    use crate::kernel::pacer::{Pace, Pacer};
    use crate::kernel::probe::{Access, AccessProbe, AccessSink, Block};
    use crate::kernel::process::ProcessError;
    use crate::plan::{Ended, Selection};
    use crate::throttle::{Rate, Throttle};
    use std::sync::Mutex;
    use std::time::Duration;

    /// While nothing is known of the machine.
    const BATCH_BYTES: u64 = 16 << 20;

    #[derive(Debug)]
    struct StopAfter(Mutex<usize>);

    impl Pacer for StopAfter {
        fn pause(&self, _: Duration) -> Pace {
            Pace::Stop
        }

        fn pace(&self) -> Pace {
            let mut left = self.0.lock().unwrap();
            if *left == 0 {
                return Pace::Stop;
            }
            *left -= 1;
            Pace::Continue
        }

        fn now(&self) -> Duration {
            Duration::ZERO
        }
    }

    #[derive(Debug, Default)]
    struct Recorder {
        calls: Vec<Vec<AddressRange>>,
        huge: Vec<AddressRange>,
        fail_at: Option<usize>,
    }

    impl SwapOut for Recorder {
        fn swap_out(&mut self, ranges: &[AddressRange]) -> Result<Moved, ProcessError> {
            if self.fail_at == Some(self.calls.len()) {
                return Err(ProcessError::Exited);
            }
            self.calls.push(ranges.to_vec());
            Ok(Moved { applied: ranges.iter().map(AddressRange::bytes).sum(), ..Moved::default() })
        }

        fn swap_out_pages(
            &mut self,
            ranges: &[AddressRange],
            huge: &[AddressRange],
        ) -> Result<Moved, ProcessError> {
            self.huge.extend(huge);
            self.swap_out(ranges)
        }

        fn residence(&mut self, _: &[AddressRange], _: &mut Vec<Residence>) -> Result<bool, ProcessError> {
            Ok(false)
        }
    }

    fn idle_blocks(blocks: u64, alternating: bool) -> HeatMap {
        let mut seen = [Access::IDLE; PAGES_PER_BLOCK];
        if alternating {
            seen.iter_mut().step_by(2).for_each(|page| *page = Access::READ);
        }
        let mut update = HeatUpdate::new(HeatMap::default());
        for block in 0..blocks {
            update.block(block * BLOCK_SIZE, Block::Pages(&seen));
        }
        update.finish()
    }

    fn run(heat: &HeatMap, budget: u64, recorder: &mut Recorder, calls: usize) -> Outcome {
        let plan = Plan::new(heat, &heat.histogram(), Selection::below(1));
        let throttle = Mutex::new(Throttle::new(Rate::Unlimited, None));
        let mut tools = Tools {
            mover: recorder,
            probe: None,
            fresh_until: Duration::ZERO,
            throttle: &throttle,
            given: &mut PageSetBuilder::default(),
            kept: &mut PageSetBuilder::default(),
            pacer: &StopAfter(Mutex::new(calls)),
        };
        swap_out(&plan, Budget { bytes: budget, until: None }, &mut tools)
    }

    #[test]
    fn batches_are_bounded_and_nothing_is_given_twice() {
        for (blocks, alternating) in [(100, false), (33, true), (1, true)] {
            let heat = idle_blocks(blocks, alternating);
            let mut recorder = Recorder::default();
            let outcome = run(&heat, u64::MAX, &mut recorder, usize::MAX);
            let mut last = 0;
            for call in &recorder.calls {
                assert!(call.len() <= BATCH_RANGES);
                assert!(call.iter().map(AddressRange::bytes).sum::<u64>() <= BATCH_BYTES);
                for range in call {
                    assert!(range.start >= last && !range.is_empty());
                    last = range.end;
                }
            }
            let want = blocks * BLOCK_SIZE / if alternating { 2 } else { 1 };
            assert_eq!((outcome.planned, outcome.tried, outcome.applied), (want, want, want));
            assert_eq!(outcome.ended, None);
        }
    }

    #[test]
    fn huge_pages_are_distinguished_from_base_pages() {
        let block = |number: u64| number * BLOCK_SIZE;
        let mut update = HeatUpdate::new(HeatMap::default());
        update.equal_blocks(block(1), 2, Access::IDLE);
        update.equal_huge_blocks(block(3), 40, Access::IDLE);
        update.equal_blocks(block(43), 1, Access::IDLE);
        update.equal_huge_blocks(block(50), 1, Access::READ);
        update.equal_huge_blocks(block(51), 1, Access::IDLE);
        let mut recorder = Recorder::default();
        let outcome = run(&update.finish(), u64::MAX, &mut recorder, usize::MAX);
        assert_eq!(outcome.applied, block(44));
        let range = |from, to| AddressRange::new(block(from), block(to));
        // Cut where a batch is full: after 16 MiB.
        assert_eq!(recorder.calls.len(), 6);
        assert_eq!(recorder.calls[..2], [vec![range(1, 9)], vec![range(9, 17)]]);
        assert_eq!(recorder.calls[5], [range(41, 44), range(51, 52)]);
        assert_eq!(recorder.huge[..2], [range(3, 9), range(9, 17)]);
    }

    #[test]
    fn the_budget_is_kept_to_the_page() {
        let heat = idle_blocks(100, false);
        let mut recorder = Recorder::default();
        let outcome = run(&heat, 70 * 1024 * 1024 + PAGE_SIZE, &mut recorder, usize::MAX);
        assert_eq!(outcome.applied, 70 * 1024 * 1024 + PAGE_SIZE);
        assert_eq!(outcome.over_budget, outcome.planned - outcome.applied);
    }

    #[test]
    fn a_rehearsal_asks_for_what_an_act_would() {
        for (blocks, alternating) in [(100, false), (33, true)] {
            let heat = idle_blocks(blocks, alternating);
            let plan = Plan::new(&heat, &heat.histogram(), Selection::below(1));
            for bytes in [0, PAGE_SIZE, 7 * BLOCK_SIZE + PAGE_SIZE, u64::MAX] {
                let acted = run(&heat, bytes, &mut Recorder::default(), usize::MAX);
                let (outcome, rehearsal) = rehearse(&plan, Budget { bytes, until: None });
                assert_eq!((outcome.planned, outcome.over_budget), (acted.planned, acted.over_budget));
                assert_eq!((rehearsal.bytes, outcome.tried, outcome.applied), (acted.tried, 0, 0));
                assert_eq!(rehearsal.ranges == 0, bytes == 0);
            }
            assert_eq!(
                rehearse(&plan, Budget { bytes: u64::MAX, until: None }).1.ranges,
                plan.ranges().count() as u64
            );
        }
    }

    #[test]
    fn a_stop_and_a_lost_process_end_it() {
        let heat = idle_blocks(100, false);
        let outcome = run(&heat, u64::MAX, &mut Recorder::default(), 2);
        assert_eq!((outcome.applied, outcome.ended), (2 * BATCH_BYTES, Some(Ended::Stopped)));
        let mut recorder = Recorder { fail_at: Some(1), ..Recorder::default() };
        let outcome = run(&heat, u64::MAX, &mut recorder, usize::MAX);
        assert_eq!(outcome.applied, BATCH_BYTES);
        assert_eq!(outcome.ended, Some(Ended::Process(ProcessError::Exited)));
    }

    #[test]
    fn huge_pages_are_never_cut() {
        let mut update = HeatUpdate::new(HeatMap::default());
        let mut pages = [Access::ABSENT; PAGES_PER_BLOCK];
        pages[PAGES_PER_BLOCK - 1] = Access::IDLE;
        update.block(0, Block::Pages(&pages));
        update.equal_huge_blocks(BLOCK_SIZE, 40, Access::IDLE);
        let heat = update.finish();
        for budget in [u64::MAX, PAGE_SIZE + 5 * BLOCK_SIZE / 2, BLOCK_SIZE] {
            let mut recorder = Recorder::default();
            let outcome = run(&heat, budget, &mut recorder, usize::MAX);
            let cuts = recorder.calls.iter().flatten().flat_map(|range| [range.start, range.end]);
            for cut in cuts.filter(|cut| *cut > BLOCK_SIZE) {
                assert!(cut.is_multiple_of(BLOCK_SIZE), "{cut:#x}");
            }
            let room = budget.min(outcome.planned);
            assert_eq!(outcome.applied, PAGE_SIZE + (room - PAGE_SIZE) / BLOCK_SIZE * BLOCK_SIZE);
            assert_eq!(outcome.over_budget, outcome.planned - outcome.applied);
        }
    }

    /// Sees every third page touched, and every fifth gone; one block idle as a whole, and one touched.
    #[derive(Debug)]
    struct Glance;

    const IDLE_BLOCK: u64 = 7;
    const TOUCHED_BLOCK: u64 = 8;

    /// What it says of a page, by its number.
    fn glanced(page: u64) -> Access {
        match page / PAGES_PER_BLOCK as u64 {
            IDLE_BLOCK => Access::IDLE,
            TOUCHED_BLOCK => Access::WRITTEN,
            _ if page.is_multiple_of(5) => Access::ABSENT,
            _ if page.is_multiple_of(3) => Access::WRITTEN,
            _ => Access::IDLE,
        }
    }

    impl AccessProbe for Glance {
        fn prepare(&mut self, _: &[AddressRange]) -> Result<(), ProcessError> {
            panic!("a last look clears nothing")
        }

        fn check(&mut self, ranges: &[AddressRange], sink: &mut dyn AccessSink) -> Result<(), ProcessError> {
            for range in ranges {
                let mut start = range.start / BLOCK_SIZE * BLOCK_SIZE;
                while start < range.end {
                    let first = start / PAGE_SIZE;
                    let mut pages = [Access::ABSENT; PAGES_PER_BLOCK];
                    for (page, access) in (first..).zip(&mut pages) {
                        let at = page * PAGE_SIZE;
                        if at >= range.start && at < range.end {
                            *access = glanced(page);
                        }
                    }
                    match start / BLOCK_SIZE {
                        IDLE_BLOCK | TOUCHED_BLOCK => sink.equal_blocks(start, 1, pages[0]),
                        _ => sink.block(start, Block::Pages(&pages)),
                    }
                    start += BLOCK_SIZE;
                }
            }
            Ok(())
        }
    }

    #[test]
    fn what_was_touched_meanwhile_stays() {
        let heat = idle_blocks(15, false);
        let plan = Plan::new(&heat, &heat.histogram(), Selection::below(1));
        let mut recorder = Recorder::default();
        let mut given = PageSetBuilder::default();
        let throttle = Mutex::new(Throttle::new(Rate::Unlimited, None));
        let pacer = StopAfter(Mutex::new(usize::MAX));
        let mut tools = Tools {
            mover: &mut recorder,
            probe: Some(&mut Glance),
            fresh_until: Duration::ZERO,
            throttle: &throttle,
            given: &mut given,
            kept: &mut PageSetBuilder::default(),
            pacer: &pacer,
        };
        let outcome = swap_out(&plan, Budget { bytes: u64::MAX, until: None }, &mut tools);
        let pages = 15 * PAGES_PER_BLOCK as u64;
        let of =
            |access: Access| (0..pages).filter(|page| glanced(*page) == access).count() as u64 * PAGE_SIZE;
        assert_eq!(outcome.applied, of(Access::IDLE));
        assert_eq!(outcome.touched, of(Access::WRITTEN));
        assert_eq!(outcome.vanished, of(Access::ABSENT));
        assert_eq!(outcome.tried + outcome.touched, outcome.planned);
        let moved = recorder.calls.iter().flatten().flat_map(|range| (range.start..range.end).step_by(4096));
        assert!(moved.map(|at| at / PAGE_SIZE).all(|page| glanced(page) == Access::IDLE));
    }

    /// A clock that passes 1 ms with each reading, and as long as is waited.
    #[derive(Debug, Default)]
    struct Slow(Mutex<Duration>);

    impl Pacer for Slow {
        fn pause(&self, duration: Duration) -> Pace {
            *self.0.lock().unwrap() += duration;
            Pace::Continue
        }

        fn pace(&self) -> Pace {
            Pace::Continue
        }

        fn now(&self) -> Duration {
            *self.0.lock().unwrap() += Duration::from_millis(1);
            *self.0.lock().unwrap()
        }
    }

    #[test]
    fn no_more_than_the_rate_and_not_beyond_the_time() {
        let heat = idle_blocks(400, false);
        let plan = Plan::new(&heat, &heat.histogram(), Selection::below(1));
        let mut recorder = Recorder::default();
        let throttle = Mutex::new(Throttle::new(Rate::BytesPerSecond(16 << 20), None));
        let pacer = Slow::default();
        let mut tools = Tools {
            mover: &mut recorder,
            probe: None,
            fresh_until: Duration::ZERO,
            throttle: &throttle,
            given: &mut PageSetBuilder::default(),
            kept: &mut PageSetBuilder::default(),
            pacer: &pacer,
        };
        let until = Some(Duration::from_secs(10));
        let outcome = swap_out(&plan, Budget { bytes: u64::MAX, until }, &mut tools);
        // Ten seconds' worth, and the batch that goes at once, which is small as the rate is.
        assert!((156 << 20..=164 << 20).contains(&outcome.applied), "{outcome:?}");
        assert!(recorder.calls.iter().flatten().all(|range| range.bytes() <= 2 << 20));
        assert_eq!(outcome.applied + outcome.later, outcome.planned);
        assert_eq!(outcome.ended, None);
    }
}
