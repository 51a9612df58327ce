//! Carrying out a plan: batches of ranges to a mover, within a budget and a rate, stopping when told to.
//!
//! Between a look and the act pages may be touched again, the more the longer the act takes. So where the probe can look
//! without clearing, each stretch of some batches is looked at once more before it leaves, and what was touched stays.

use crate::address::{AddressRange, BLOCK_SIZE, PAGE_SIZE};
use crate::feedback::PageSetBuilder;
use crate::kernel::mover::SwapOut;
use crate::kernel::pacer::{Pace, Pacer};
use crate::kernel::probe::{Access, AccessProbe, AccessSink, Block};
use crate::kernel::process::ProcessError;
use crate::plan::{Budget, Ended, Outcome, Piece, Plan};
use crate::throttle::Throttle;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Ranges per call of the mover (Linux takes 1024 per `process_madvise`: `UIO_MAXIOV`).
const BATCH_RANGES: usize = 1024;

/// Bytes looked at at once right before they leave, a multiple of a block, and ranges: a look has a price of its own, whatever
/// it is about, and what it tells ages while batch after batch leaves.
const STRETCH_BYTES: u64 = 64 * 1024 * 1024;
const STRETCH_RANGES: usize = 8 * BATCH_RANGES;

/// What an act works with.
#[derive(Debug)]
pub struct Tools<'a> {
    /// What moves the pages.
    pub mover: &'a mut dyn SwapOut,
    /// What looks at them once more before they leave; none where that is not to be done.
    pub probe: Option<&'a mut dyn AccessProbe>,
    /// Until when that is not needed, by the clock: what the plan was made from has hardly aged.
    pub fresh_until: Duration,
    /// How fast they may leave.
    pub throttle: &'a Mutex<Throttle>,
    /// By how many powers of two that is less.
    pub halvings: u32,
    /// Takes the pages that were given to the mover.
    pub given: &'a mut PageSetBuilder,
    /// The clock.
    pub pacer: &'a dyn Pacer,
}

/// Moves what `plan` holds, in address order, each page once, at most `budget`.
pub fn swap_out(plan: &Plan<'_>, budget: Budget, tools: &mut Tools<'_>) -> Outcome {
    let mut outcome = Outcome { planned: plan.bytes(), ..Outcome::default() };
    let mut stretch = Gathered::new(STRETCH_BYTES, STRETCH_RANGES);
    let mut left = budget.bytes;
    let mut covered = 0;
    let mut goes_on = true;
    'plan: for Piece { mut range, huge } in plan.pieces() {
        if range.bytes() > left {
            // A huge page goes as a whole or not at all.
            let room = if huge { left & !(BLOCK_SIZE - 1) } else { left };
            outcome.over_budget += range.bytes() - room;
            range.end = range.start + room;
        }
        left -= range.bytes();
        while !range.is_empty() {
            let piece = stretch.take(&mut range, huge);
            covered += piece.bytes();
            if piece.is_empty() {
                goes_on = stretch.leave(&mut outcome, budget, tools);
                if !goes_on {
                    break 'plan;
                }
            }
        }
    }
    goes_on = goes_on && stretch.leave(&mut outcome, budget, tools);
    if !goes_on && outcome.ended.is_none() {
        outcome.later += plan.bytes().saturating_sub(covered + outcome.over_budget);
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

/// Ranges that are worked on together, within bounds.
#[derive(Debug)]
struct Gathered {
    /// Neighbours are one range.
    ranges: Vec<AddressRange>,
    /// Those parts of the ranges that are huge pages.
    huge: Vec<AddressRange>,
    bytes: u64,
    most_bytes: u64,
    most_ranges: usize,
}

/// Appends `range`, which lies behind all in `ranges`.
fn append(ranges: &mut Vec<AddressRange>, range: AddressRange) {
    match ranges.last_mut() {
        Some(last) if last.end == range.start => last.end = range.end,
        _ => ranges.push(range),
    }
}

/// Gives each part of `ranges` that is of one kind to `each`, with whether it is `huge`, until that says no: whether it
/// never did.
fn each_part(
    ranges: &[AddressRange],
    huge: &[AddressRange],
    mut each: impl FnMut(AddressRange, bool) -> bool,
) -> bool {
    let mut huge = huge.iter().peekable();
    for range in ranges {
        let mut start = range.start;
        while start < range.end {
            while huge.next_if(|huge| huge.end <= start).is_some() {}
            let (end, is_huge) = match huge.peek() {
                Some(huge) if huge.start <= start => (huge.end, true),
                Some(huge) => (huge.start, false),
                None => (range.end, false),
            };
            let end = end.min(range.end);
            if !each(AddressRange::new(start, end), is_huge) {
                return false;
            }
            start = end;
        }
    }
    true
}

impl Gathered {
    fn new(most_bytes: u64, most_ranges: usize) -> Self {
        Self { ranges: Vec::new(), huge: Vec::new(), bytes: 0, most_bytes, most_ranges }
    }

    /// Takes as much of the front of `range` as fits; an empty piece where nothing does.
    fn take(&mut self, range: &mut AddressRange, huge: bool) -> AddressRange {
        let is_full = self.ranges.len() == self.most_ranges
            && self.ranges.last().is_none_or(|last| last.end != range.start);
        let room = if is_full { 0 } else { self.most_bytes - self.bytes };
        // A huge page goes in one piece: to cut it would split it.
        let room = if huge { room & !(BLOCK_SIZE - 1) } else { room };
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

    fn clear(&mut self) {
        self.ranges.clear();
        self.huge.clear();
        self.bytes = 0;
    }

    /// A stretch: looked at once more, what is still idle leaves batch by batch; false where the act ends here.
    fn leave(&mut self, outcome: &mut Outcome, budget: Budget, tools: &mut Tools<'_>) -> bool {
        if let Err(error) = self.look_again(outcome, tools) {
            outcome.ended = Some(Ended::Process(error));
            return false;
        }
        let throttle = tools.throttle.lock().unwrap_or_else(PoisonError::into_inner);
        let mut batch = Self::new(throttle.batch_bytes(tools.halvings), BATCH_RANGES);
        drop(throttle);
        let mut rest = self.bytes;
        let goes_on = each_part(&self.ranges, &self.huge, |mut part, huge| {
            while !part.is_empty() {
                let piece = batch.take(&mut part, huge);
                rest -= piece.bytes();
                if piece.is_empty() && !batch.send(outcome, budget, tools) {
                    return false;
                }
            }
            true
        });
        let goes_on = goes_on && batch.send(outcome, budget, tools);
        if !goes_on && outcome.ended.is_none() {
            outcome.later += rest;
        }
        self.clear();
        goes_on
    }

    /// Keeps what is still there and idle, where the probe can look without clearing.
    fn look_again(&mut self, outcome: &mut Outcome, tools: &mut Tools<'_>) -> Result<(), ProcessError> {
        let is_needed = !self.ranges.is_empty() && tools.pacer.now() >= tools.fresh_until;
        let Some(probe) = tools.probe.as_deref_mut().filter(|_| is_needed) else { return Ok(()) };
        let mut look = LastLook::default();
        probe.check(&self.ranges, &mut look)?;
        outcome.touched += look.touched;
        let gone = self.bytes.saturating_sub(look.touched + look.idle);
        outcome.tried += gone;
        outcome.vanished += gone;
        (self.ranges, self.huge, self.bytes) = (look.ranges, look.huge, look.idle);
        Ok(())
    }

    /// A batch: given to the mover when its time has come; false where the act ends here.
    fn send(&mut self, outcome: &mut Outcome, budget: Budget, tools: &mut Tools<'_>) -> bool {
        if self.ranges.is_empty() {
            return true;
        }
        let pacer = tools.pacer;
        let throttle = || tools.throttle.lock().unwrap_or_else(PoisonError::into_inner);
        let wait = throttle().wait(pacer.now());
        if budget.until.is_some_and(|until| pacer.now() + wait >= until) {
            outcome.later += self.bytes;
            return false;
        }
        let pace = if wait.is_zero() { pacer.pace() } else { pacer.pause(wait) };
        if pace == Pace::Stop {
            outcome.ended = Some(Ended::Stopped);
            return false;
        }
        let (start, processor) = (pacer.now(), pacer.processor_time());
        outcome.tried += self.bytes;
        let result = tools.mover.swap_out_pages(&self.ranges, &self.huge);
        let spent = pacer.processor_time().saturating_sub(processor);
        let mut throttle = tools.throttle.lock().unwrap_or_else(PoisonError::into_inner);
        throttle.moved(start, pacer.now(), spent, self.bytes, tools.halvings);
        match result {
            Ok(moved) => {
                outcome.applied += moved.applied;
                outcome.vanished += moved.vanished;
                outcome.refused += moved.refused;
                self.ranges.iter().for_each(|range| tools.given.add(*range));
                self.clear();
                true
            }
            Err(error) => {
                outcome.ended = Some(Ended::Process(error));
                false
            }
        }
    }
}

/// What of a stretch is still there and idle.
#[derive(Debug, Default)]
struct LastLook {
    ranges: Vec<AddressRange>,
    huge: Vec<AddressRange>,
    /// In bytes.
    idle: u64,
    touched: u64,
}

impl LastLook {
    fn take(&mut self, range: AddressRange, access: Access) {
        if access == Access::IDLE {
            append(&mut self.ranges, range);
            self.idle += range.bytes();
        } else if access.is_present() {
            self.touched += range.bytes();
        }
    }
}

impl AccessSink for LastLook {
    fn block(&mut self, start: u64, block: Block<'_>) {
        match block {
            Block::Huge(access) => {
                let range = AddressRange::new(start, start + BLOCK_SIZE);
                if access == Access::IDLE {
                    append(&mut self.huge, range);
                }
                self.take(range, access);
            }
            Block::Pages(pages) => {
                for (index, access) in (0u64..).zip(pages) {
                    let at = start + index * PAGE_SIZE;
                    self.take(AddressRange::new(at, at + PAGE_SIZE), *access);
                }
            }
        }
    }

    /// Nearly always: what was cold a moment ago.
    fn equal_blocks(&mut self, start: u64, blocks: u64, access: Access) {
        self.take(AddressRange::new(start, start + blocks * BLOCK_SIZE), access);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address::PAGES_PER_BLOCK;
    use crate::heat::{HeatMap, HeatUpdate};
    use crate::kernel::mover::Moved;
    use crate::kernel::probe::{Access, AccessSink, Block};
    use crate::kernel::process::ProcessError;
    use crate::plan::Selection;
    use crate::throttle::Rate;

    /// While nothing is known of the machine.
    const BATCH_BYTES: u64 = 16 << 20;
    use std::sync::Mutex;

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
        let throttle = Mutex::new(Throttle::new(Rate::Unlimited, None));
        let mut tools = Tools {
            mover: recorder,
            probe: None,
            fresh_until: Duration::ZERO,
            throttle: &throttle,
            halvings: 0,
            given: &mut PageSetBuilder::default(),
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
            halvings: 0,
            given: &mut given,
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
            halvings: 0,
            given: &mut PageSetBuilder::default(),
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
