//! What a slide task remembers from cycle to cycle: how pages stand, what a look costs, how to hold back.

use super::settings::Settings;
use crate::report::Feedback;
use etmem_core::address::{AddressRange, BLOCK_SIZE};
use etmem_core::feedback::{
    AGE_MAX, BackOff, Cycle, Limits, PageSet, RefaultLimiter, Settled, Standings, came_back_by_faults,
    mark_out, settle,
};
use etmem_core::heat::HeatMap;
use etmem_core::kernel::process::{ProcessId, ProcessMemory};
use etmem_core::scan::{self, Observed};
use etmem_core::throttle::Throttle;
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Pages touched within this time are the working set.
const WORKING_SET: Duration = Duration::from_secs(120);

/// The first slice of a process of which it is not known what a look costs, in bytes.
const FIRST_SLICE: u64 = 1 << 30;

/// The smallest slice, in bytes.
const SMALLEST_SLICE: u64 = 32 * BLOCK_SIZE;

/// What is remembered of one process.
#[derive(Debug, Default)]
pub(super) struct Known {
    standings: Standings,
    cycles: u64,
    /// How often all of it was looked at, the round under way included.
    rounds: u64,
    /// Bytes touched in the last two minutes, and those of the slices of the round under way.
    working_set: u64,
    of_round: u64,
    /// Where the next slice begins.
    pub(super) resume: u64,
    /// Whether the last cycle looked at all of it.
    pub(super) was_whole: bool,
    /// Bytes looked at in the last cycle, and the processor time that took.
    cost: Option<(u64, Duration)>,
    /// Its figures at the end of the last cycle, behind what left then.
    figures: Option<ProcessMemory>,
}

/// What a task remembers; its threads share it.
#[derive(Debug)]
pub(super) struct Memory {
    known: Mutex<HashMap<ProcessId, Known>>,
    limiter: Mutex<RefaultLimiter>,
    pub(super) throttle: Mutex<Throttle>,
    /// How long to rest before the next cycle.
    rest: Mutex<Duration>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Each change is whole in itself, so a thread that panicked leaves it sound.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Memory {
    pub(super) fn new(settings: &Settings) -> Self {
        Self {
            known: Mutex::default(),
            limiter: Mutex::new(RefaultLimiter::new(settings.goal)),
            throttle: Mutex::new(Throttle::new(settings.rate, settings.moving_percent)),
            rest: Mutex::default(),
        }
    }

    /// Forgets the processes that are gone.
    pub(super) fn forget_all_but(&self, keep: &[ProcessId]) {
        lock(&self.known).retain(|process, _| keep.contains(process));
    }

    /// What is known of `process`, taken out until [`Memory::put_back`].
    pub(super) fn take(&self, process: ProcessId) -> Known {
        lock(&self.known).remove(&process).unwrap_or_default()
    }

    /// Remembers `known` of `process`.
    pub(super) fn put_back(&self, process: ProcessId, known: Known) {
        lock(&self.known).insert(process, known);
    }

    /// How long to wait until the next cycle, for which the task asks to be `sleep`.
    pub(super) fn period(&self, sleep: Duration) -> Duration {
        let look_every = lock(&self.limiter).look_every().unwrap_or(Duration::ZERO);
        sleep.max(*lock(&self.rest)).max(look_every)
    }

    /// A new cycle begins.
    pub(super) fn begin(&self) {
        *lock(&self.rest) = Duration::ZERO;
    }

    /// Takes note of processor time that has to be rested before the next cycle.
    pub(super) fn rest(&self, spent: Duration, settings: &Settings) {
        *lock(&self.rest) += scan::rest(spent, Some(settings.looking_percent));
    }

    /// Takes note of what a cycle saw of a process, whose figures are `figures` now: what holds for what comes next.
    pub(super) fn account(
        &self,
        known: &mut Known,
        settled: &Settled,
        exact: bool,
        figures: ProcessMemory,
        now: Duration,
    ) -> (u64, Limits) {
        let came_back = match known.figures {
            _ if exact => settled.came_back,
            Some(before) => came_back_by_faults(&before, &figures),
            None => 0,
        };
        let others: u64 = lock(&self.known).values().map(|known| known.working_set).sum();
        let mut limiter = lock(&self.limiter);
        limiter.came_back(now, came_back, others + known.working_set);
        (came_back, limiter.limits())
    }

    /// Takes note of the pages in `given`, which were given to the mover, and of a look behind that: bytes that left, and
    /// bytes that never did.
    pub(super) fn left(
        &self,
        known: &mut Known,
        given: PageSet,
        after: Option<&HeatMap>,
        figures: ProcessMemory,
    ) -> (u64, u64) {
        let marked = mark_out(std::mem::take(&mut known.standings), given, after);
        known.standings = marked.standings;
        known.figures = Some(figures);
        lock(&self.limiter).left(marked.left);
        (marked.left, marked.stayed)
    }

    /// The report's part of it.
    pub(super) fn feedback(&self, settled: &Settled, left: u64, limits: Limits) -> Feedback {
        let limiter = lock(&self.limiter);
        let throttle = lock(&self.throttle);
        Feedback {
            out: settled.out + left,
            working_set: settled.working_set,
            refaults_per_minute: limiter.rate(),
            back_off: limiter.state(),
            bytes_per_second: throttle.bytes_per_second(limits.halvings).filter(|_| !limits.paused),
            ability_bytes_per_second: Some(throttle.ability()).filter(|bytes| *bytes > 0),
        }
    }
}

impl Known {
    /// How many bytes to look at in a cycle, so that it takes no more of a processor than it may.
    pub(super) fn slice(&self, settings: &Settings) -> u64 {
        let Some((bytes, cost)) = self.cost.filter(|(_, cost)| !cost.is_zero()) else { return FIRST_SLICE };
        let may = settings.cycle_time().as_nanos() * u128::from(settings.looking_percent) / 100;
        let slice = u128::from(bytes) * may / cost.as_nanos();
        u64::try_from(slice).unwrap_or(u64::MAX).max(SMALLEST_SLICE)
    }

    /// Settles what a cycle saw.
    pub(super) fn settle(
        &mut self,
        seen: &Observed,
        settings: &Settings,
        paused_for: Option<Duration>,
    ) -> Settled {
        self.cycles += 1;
        self.rounds += u64::from(seen.window.start == 0);
        self.resume = seen.resume;
        self.was_whole = seen.is_whole();
        let bytes = seen.ranges.iter().map(AddressRange::bytes).sum();
        self.cost = Some((bytes, seen.processor_time));
        let cycle_time = settings.cycle_time().max(paused_for.unwrap_or_default());
        let cycles = WORKING_SET.as_millis().div_ceil(cycle_time.as_millis().max(1));
        // What was idle ever since it is known was not touched in that time.
        let cycles = cycles.min(self.rounds.into());
        let mut settled = settle(
            std::mem::take(&mut self.standings),
            &seen.heat,
            &Cycle {
                number: self.cycles,
                window: seen.window,
                ranges: &seen.ranges,
                working_set_cycles: u8::try_from(cycles).unwrap_or(u8::MAX).min(AGE_MAX),
                hold: settings.goal.is_some(),
            },
        );
        self.standings = std::mem::take(&mut settled.standings);
        self.of_round += settled.working_set;
        self.working_set = if self.resume == 0 { self.of_round } else { self.working_set.max(self.of_round) };
        if self.resume == 0 {
            self.of_round = 0;
        }
        settled.working_set = self.working_set;
        settled
    }
}

impl Memory {
    /// Most bytes that leave in an act of this length; without bound where that is not known yet.
    pub(super) fn per_cycle(&self, halvings: u32, length: Duration) -> u64 {
        lock(&self.throttle).bytes_within(halvings, length)
    }

    /// How the task is held back.
    pub(super) fn back_off(&self) -> BackOff {
        lock(&self.limiter).state()
    }

    /// How often the task looks while nothing moves; none where it goes at its own pace.
    pub(super) fn paused_for(&self) -> Option<Duration> {
        lock(&self.limiter).look_every()
    }
}
