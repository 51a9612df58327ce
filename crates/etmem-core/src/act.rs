//! Carrying out a plan: batches of ranges to a mover, within a budget, stopping when told to.

use crate::address::AddressRange;
use crate::kernel::mover::SwapOut;
use crate::kernel::pacer::{Pace, Pacer};
use crate::plan::{Budget, Ended, Outcome, Piece, Plan};

/// Ranges per call of the mover (Linux takes 1024 per `process_madvise`: `UIO_MAXIOV`).
const BATCH_RANGES: usize = 1024;

/// Bytes per call of the mover. Between two calls the work looks whether it should stop; 64 MiB to compressed
/// memory take about 0.1 s.
const BATCH_BYTES: u64 = 64 * 1024 * 1024;

/// Moves what `plan` holds, in address order, each page once, at most `budget`.
pub fn swap_out(plan: &Plan<'_>, budget: Budget, mover: &mut dyn SwapOut, pacer: &dyn Pacer) -> Outcome {
    let mut outcome = Outcome { planned: plan.bytes(), ..Outcome::default() };
    let mut batch = Batch { ranges: Vec::with_capacity(BATCH_RANGES), huge: Vec::new(), bytes: 0 };
    let mut left = budget.bytes;
    'plan: for Piece { mut range, huge } in plan.pieces() {
        if range.bytes() > left {
            outcome.over_budget += range.bytes() - left;
            range.end = range.start + left;
        }
        left -= range.bytes();
        while !range.is_empty() {
            let piece = batch.take(&mut range, huge);
            if piece.is_empty() && !batch.send(&mut outcome, mover, pacer) {
                break 'plan;
            }
        }
    }
    if outcome.ended.is_none() {
        batch.send(&mut outcome, mover, pacer);
    }
    outcome
}

/// What an act would have asked the mover for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rehearsal {
    /// Bytes in all.
    pub bytes: u64,
    /// In so many ranges.
    pub ranges: u64,
}

/// Everything of [`swap_out`] but the moving.
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

#[derive(Debug)]
struct Batch {
    /// Neighbours are one range.
    ranges: Vec<AddressRange>,
    /// Those parts of the ranges that are huge pages.
    huge: Vec<AddressRange>,
    bytes: u64,
}

/// Appends `range`, which lies behind all in `ranges`.
fn append(ranges: &mut Vec<AddressRange>, range: AddressRange) {
    match ranges.last_mut() {
        Some(last) if last.end == range.start => last.end = range.end,
        _ => ranges.push(range),
    }
}

impl Batch {
    /// Takes as much of the front of `range` as fits; an empty piece where nothing does.
    fn take(&mut self, range: &mut AddressRange, huge: bool) -> AddressRange {
        let is_full = self.ranges.len() == BATCH_RANGES
            && self.ranges.last().is_none_or(|last| last.end != range.start);
        let room = if is_full { 0 } else { BATCH_BYTES - self.bytes };
        let piece = AddressRange::new(range.start, range.end.min(range.start + room));
        if !piece.is_empty() {
            append(&mut self.ranges, piece);
            if huge {
                append(&mut self.huge, piece);
            }
            self.bytes += piece.bytes();
            range.start = piece.end;
        }
        piece
    }

    /// Gives the batch to the mover; false where the act ends here.
    fn send(&mut self, outcome: &mut Outcome, mover: &mut dyn SwapOut, pacer: &dyn Pacer) -> bool {
        if self.ranges.is_empty() {
            return true;
        }
        if pacer.pace() == Pace::Stop {
            outcome.ended = Some(Ended::Stopped);
            return false;
        }
        outcome.tried += self.bytes;
        let result = mover.swap_out_pages(&self.ranges, &self.huge);
        self.ranges.clear();
        self.huge.clear();
        self.bytes = 0;
        match result {
            Ok(moved) => {
                outcome.applied += moved.applied;
                outcome.vanished += moved.vanished;
                outcome.refused += moved.refused;
                true
            }
            Err(error) => {
                outcome.ended = Some(Ended::Process(error));
                false
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address::{BLOCK_SIZE, PAGE_SIZE, PAGES_PER_BLOCK};
    use crate::heat::{HeatMap, HeatUpdate};
    use crate::kernel::mover::Moved;
    use crate::kernel::probe::{Access, AccessSink, Block};
    use crate::kernel::process::ProcessError;
    use crate::plan::Selection;
    use std::sync::Mutex;
    use std::time::Duration;

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
        swap_out(&plan, Budget { bytes: budget }, recorder, &StopAfter(Mutex::new(calls)))
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
    fn huge_pages_are_told_from_base_pages() {
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
        // Cut where a batch is full: after 64 MiB.
        assert_eq!(recorder.calls, [vec![range(1, 33)], vec![range(33, 44), range(51, 52)]]);
        assert_eq!(recorder.huge, [range(3, 33), range(33, 43), range(51, 52)]);
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
                let (outcome, rehearsal) = rehearse(&plan, Budget { bytes });
                assert_eq!((outcome.planned, outcome.over_budget), (acted.planned, acted.over_budget));
                assert_eq!((rehearsal.bytes, outcome.tried, outcome.applied), (acted.tried, 0, 0));
                assert_eq!(rehearsal.ranges == 0, bytes == 0);
            }
            assert_eq!(rehearse(&plan, Budget { bytes: u64::MAX }).1.ranges, plan.ranges().count() as u64);
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
}
