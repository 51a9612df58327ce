//! What a slide task remembers from cycle to cycle: how pages stand, what a look costs, how to hold back.

use super::compressing::Compressing;
use super::cooling::Step;
use super::easing::Waiting;
use super::next_pass::NextPass;
use super::settings::Settings;
use super::ticks::Ticks;
use crate::report::Feedback;
use etmem_core::address::{AddressRange, BLOCK_SIZE};
use etmem_core::age::{AGES, ByAge};
use etmem_core::feedback::{
    BackOff, Goal, PageSet, RefaultCost, RefaultLimiter, RefaultLimits, ScannedCycle, Settled, Standings,
    Trust, mark_out, refaulted_by_faults, settle,
};
use etmem_core::forecast::{AgeLimits, Forecast, Seen, Stage, Told};
use etmem_core::kernel::Kernel;
use etmem_core::kernel::memory::{MemoryState, SystemMemory};
use etmem_core::kernel::probe::ProbeSource;
use etmem_core::kernel::process::{ProcessId, ProcessMemory};
use etmem_core::scan::{self, Observed, Slice, Suspected};
use etmem_core::throttle::Throttle;
use serde::{Deserialize, Serialize};
use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Pages touched within this time are the working set.
const WORKING_SET: Duration = Duration::from_secs(120);

/// At most these cycles, however short they are.
const WORKING_SET_CYCLES_MAX: u64 = 31;

/// The first slice of a process of which it is not known what a look costs, in bytes.
const FIRST_SLICE: u64 = 1 << 30;

/// The smallest slice, in bytes.
const SMALLEST_SLICE: u64 = 32 * BLOCK_SIZE;

/// For how long in a row nothing leaves of a process that forks.
const FORKING_LONGEST: Duration = Duration::from_secs(600);

/// More than any age: nothing leaves.
#[expect(clippy::cast_possible_truncation, reason = "33 steps")]
const NO_AGE: u8 = AGES as u8;

/// What is remembered of one process.
#[derive(Debug, Default, Clone, Serialize, Deserialize)]
pub(super) struct ProcessHistory {
    standings: Standings,
    cycles: u64,
    /// How often all of it was looked at, the round under way included.
    rounds: u64,
    /// Bytes touched in the last two minutes, and those of the slices of the round under way.
    working_set: u64,
    of_round: u64,
    /// Bytes by how long they are idle, and those of the slices of the round under way.
    idle: ByAge,
    idle_of_round: ByAge,
    clock: Ticks,
    /// Where the next slice begins.
    resume: u64,
    /// Whether the last cycle looked at all of it.
    pub(super) was_whole: bool,
    /// Bytes looked at in the last cycle, and the processor time that took.
    cost: Option<(u64, Duration)>,
    /// Its figures at the end of the last cycle, after pages have left.
    figures: Option<ProcessMemory>,
    /// What the machine had read back from swap by then.
    swapped_in: Option<u64>,
    /// How often swap had been taken away by then.
    swapoffs: u64,
    /// Bytes of it that were out after the last cycle.
    out: u64,
    /// Whether it shared pages by copy-on-write in the last cycle.
    pub(super) shares: bool,
    /// Whether its probe is believed, and which of the task's probes that is.
    pub(super) trust: Trust,
    probe: usize,
    /// Whether it compresses.
    #[serde(skip)]
    pub(super) compressing: Compressing,
    /// When it is seen to that what is out is not in memory as well.
    #[serde(skip)]
    pub(super) next_pass: NextPass,
    /// How long it waits for processors.
    #[serde(skip)]
    pub(super) waiting: Waiting,
    /// How much of it goes to slow nodes in a cycle.
    pub(super) step_down: Step,
}

/// What is known of processes, and the sum of their working sets, in bytes.
#[derive(Debug, Default)]
struct Known {
    processes: HashMap<ProcessId, ProcessHistory>,
    working_set: u64,
    idle: ByAge,
}

impl Known {
    fn take(&mut self, process: ProcessId) -> ProcessHistory {
        let known = self.processes.remove(&process).unwrap_or_default();
        self.working_set -= known.working_set;
        self.idle.take_off(&known.idle);
        known
    }

    fn put_back(&mut self, process: ProcessId, known: ProcessHistory) {
        drop(self.take(process));
        self.working_set += known.working_set;
        self.idle.add_all(&known.idle);
        self.processes.insert(process, known);
    }

    fn forget_all_but(&mut self, keep: &HashSet<ProcessId>) {
        self.processes.retain(|process, _| keep.contains(process));
        self.working_set = self.processes.values().map(|known| known.working_set).sum();
        self.idle = ByAge::NONE;
        for known in self.processes.values() {
            self.idle.add_all(&known.idle);
        }
    }
}

/// What the machine says of its swap.
pub(super) struct SwapFigures<'a> {
    /// What was read back from it.
    pub(super) swapped_in: Option<u64>,
    /// Says what reading took: asked where it matters.
    pub(super) memory: &'a dyn SystemMemory,
}

/// What a task remembers; its threads share it.
#[derive(Debug)]
pub(super) struct TaskHistory {
    known: Mutex<Known>,
    limiter: Mutex<RefaultLimiter>,
    /// From which age on pages may leave, where the task asks for one: then the limiter only counts.
    forecast: Option<Mutex<Forecast>>,
    pub(super) throttle: Mutex<Throttle>,
    /// How much may refault.
    goal: Option<Goal>,
    /// What a page costs that is read back.
    cost: Mutex<RefaultCost>,
    /// How long to rest before the next cycle.
    rest: Mutex<Duration>,
    /// How long a cycle takes at least, by the task's settings.
    cycle_time: Duration,
    /// How much of a processor looking may take, in percent.
    looking_percent: u32,
    /// Whether pages that refaulted are left alone for some cycles.
    leaves_alone: bool,
    /// Whether nothing really leaves.
    dry_run: bool,
    /// `SwapTotal` when it was asked for last, and how often it was less than before.
    swap: Mutex<(u64, u64)>,
    /// What was stuck in the swap cache after the last act.
    stuck: Mutex<Option<u64>>,
    /// Since when nothing leaves of processes because of children that they have just forked.
    forking: Mutex<HashMap<ProcessId, Duration>>,
    /// Whether pages have left or refaulted since it was written down.
    is_news: AtomicBool,
}

/// What a task remembers of all its processes together.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Account {
    /// Ages are counted in it.
    cycle_time: Duration,
    limiter: RefaultLimiter,
    forecast: Option<Forecast>,
    swap: (u64, u64),
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Each change is whole in itself, so a thread that panicked leaves it sound.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl TaskHistory {
    pub(super) fn new(settings: &Settings) -> Self {
        let forecast = settings.age.map(|age| Forecast::new(settings.goal, age, settings.cycle_time()));
        let limits = settings.goal.filter(|_| forecast.is_none());
        Self {
            known: Mutex::default(),
            limiter: Mutex::new(RefaultLimiter::new(limits)),
            forecast: forecast.map(Mutex::new),
            throttle: Mutex::new(Throttle::new(settings.rate, settings.moving_percent)),
            goal: settings.goal,
            cost: Mutex::default(),
            rest: Mutex::default(),
            cycle_time: settings.cycle_time(),
            looking_percent: settings.looking_percent,
            leaves_alone: limits.is_some(),
            dry_run: settings.dry_run,
            swap: Mutex::default(),
            stuck: Mutex::default(),
            forking: Mutex::default(),
            is_news: AtomicBool::new(true),
        }
    }

    /// Goes on by `settings`, which those before can become ([`Settings::can_become`]).
    pub(super) fn change(&mut self, settings: &Settings) {
        let limits = settings.goal.filter(|_| self.forecast.is_none());
        lock(&self.limiter).change(limits);
        self.goal = settings.goal;
        self.leaves_alone = limits.is_some();
        if let Some((forecast, rule)) = self.forecast.as_ref().zip(settings.age) {
            // Ages are counted in the cycle time that they began with.
            lock(forecast).change(settings.goal, rule);
        } else {
            self.cycle_time = settings.cycle_time();
        }
        lock(&self.throttle).change(settings.rate, settings.moving_percent);
        self.looking_percent = settings.looking_percent;
    }

    /// Forgets the processes that are gone.
    /// A copy of what is known of each process.
    pub(super) fn all(&self) -> Vec<(ProcessId, ProcessHistory)> {
        lock(&self.known).processes.iter().map(|(process, known)| (*process, known.clone())).collect()
    }

    /// The account of the task.
    pub(super) fn what_is_owed(&self) -> Account {
        self.is_news.store(false, Ordering::Relaxed);
        Account {
            cycle_time: self.cycle_time,
            limiter: lock(&self.limiter).clone(),
            forecast: self.forecast.as_ref().map(|forecast| lock(forecast).clone()),
            swap: *lock(&self.swap),
        }
    }

    /// Whether pages have left or refaulted since that was asked for.
    pub(super) fn is_news(&self) -> bool {
        self.is_news.load(Ordering::Relaxed)
    }

    /// Goes on with `account`, of a task with the same goal and rule or with others. What is back by now did not refault if `forgives`.
    ///
    /// # Errors
    /// The task counts in another way than that one did.
    pub(super) fn go_on(&mut self, account: Account, forgives: bool) -> Result<(), String> {
        let Account { cycle_time, limiter, forecast, swap: (total, times) } = account;
        if cycle_time != self.cycle_time || forecast.is_some() != self.forecast.is_some() {
            return Err(String::from("its cycles are of another length or kind than they were"));
        }
        let mut now = lock(&self.limiter);
        let goal = now.goal();
        *now = limiter;
        now.change(goal);
        drop(now);
        if let Some((now, mut before)) = self.forecast.as_ref().zip(forecast) {
            let mut now = lock(now);
            before.go_on_as(&now);
            *now = before;
        }
        // As after swapoff: what was out is back without a touch.
        *lock(&self.swap) = (total, times + u64::from(forgives));
        Ok(())
    }

    /// Whether nothing is to leave of `process`, if it `has_forked` a child just now or is one: not for longer than some minutes in a row. A
    /// server that always forks would never have anything leave.
    pub(super) fn waits_for_child(&self, process: ProcessId, has_forked: bool, now: Duration) -> bool {
        let mut forking = lock(&self.forking);
        if !has_forked {
            forking.remove(&process);
            return false;
        }
        now.saturating_sub(*forking.entry(process).or_insert(now)) < FORKING_LONGEST
    }

    pub(super) fn forget_all_but(&self, keep: &[ProcessId]) {
        lock(&self.forking).retain(|process, _| keep.contains(process));
        lock(&self.known).forget_all_but(&keep.iter().copied().collect());
    }

    /// What is known of `process`, taken out until [`TaskHistory::put_back`].
    pub(super) fn take(&self, process: ProcessId) -> ProcessHistory {
        lock(&self.known).take(process)
    }

    /// Remembers `known` of `process`.
    pub(super) fn put_back(&self, process: ProcessId, known: ProcessHistory) {
        lock(&self.known).put_back(process, known);
    }

    /// How long to wait until the next cycle: `sleep` at least.
    pub(super) fn period(&self, sleep: Duration) -> Duration {
        let look_every = lock(&self.limiter).look_every().unwrap_or(Duration::ZERO);
        sleep.max(*lock(&self.rest)).max(look_every)
    }

    /// A new cycle begins.
    pub(super) fn begin(&self, memory: Option<MemoryState>) {
        *lock(&self.rest) = Duration::ZERO;
        if let Some(memory) = memory {
            self.has_lost_swap(&memory);
        }
    }

    /// Whether swap was taken away since this was asked last, by what `memory` has now.
    pub(super) fn has_lost_swap(&self, memory: &MemoryState) -> bool {
        let (total, times) = &mut *lock(&self.swap);
        let is_less = memory.swap_total < std::mem::replace(total, memory.swap_total);
        *times += u64::from(is_less);
        is_less
    }

    /// What of the `now` that is stuck in the swap cache was before this act: writes of the last one may have failed after it had ended.
    pub(super) fn stuck_before(&self, now: u64) -> u64 {
        lock(&self.stuck).map_or(now, |last| last.min(now))
    }

    /// Takes note of what is stuck after an act.
    pub(super) fn stuck_after(&self, now: u64) {
        *lock(&self.stuck) = Some(now);
    }

    fn swapoffs(&self) -> u64 {
        lock(&self.swap).1
    }

    /// How long to rest after having looked for so long.
    pub(super) fn rest_after(&self, spent: Duration) -> Duration {
        scan::rest(spent, Some(self.looking_percent))
    }

    /// Takes note of processor time that has to be rested before the next cycle.
    pub(super) fn rest(&self, spent: Duration) {
        *lock(&self.rest) += self.rest_after(spent);
    }

    /// Takes note of what refaulted, by the pages seen or, where those are not `exact`, by the process's `figures`; and not more
    /// than the machine has read back from swap at all: an address that was unmapped and mapped again looks like a refault.
    /// Returns bytes that refaulted and what holds for the act that follows.
    pub(super) fn account(
        &self,
        known: &mut ProcessHistory,
        settled: &Settled,
        exact: bool,
        figures: ProcessMemory,
        machine: &SwapFigures<'_>,
        now: Duration,
    ) -> (u64, RefaultLimits) {
        let swapped_in = machine.swapped_in;
        let refaulted = match known.figures {
            _ if exact => settled.refaulted,
            Some(before) => refaulted_by_faults(&before, &figures),
            None => 0,
        };
        let read_back = known.swapped_in.zip(swapped_in).map(|(before, now)| now.saturating_sub(before));
        let refaulted = refaulted.min(read_back.unwrap_or(u64::MAX));
        known.swapped_in = swapped_in;
        known.trust.settled(refaulted, known.out);
        self.is_news.fetch_or(refaulted > 0, Ordering::Relaxed);
        let (others, mut idle) = {
            let others = lock(&self.known);
            (others.working_set, others.idle)
        };
        idle.add_all(&known.idle);
        let working_set = others + known.working_set;
        let cost = self.cost(refaulted > 0, machine, now);
        let mut limiter = lock(&self.limiter);
        limiter.costs(cost);
        limiter.refaulted(now, refaulted, working_set);
        let limits = limiter.limits();
        lock(&self.throttle).halve(limits.halvings);
        let Some(forecast) = &self.forecast else { return (refaulted, limits) };
        let mut returned = settled.returned;
        if exact {
            returned.add_all(&settled.refaulted_by_age.share(refaulted, settled.refaulted));
        }
        let mut forecast = lock(forecast);
        forecast.costs(cost);
        forecast.saw(now, &Seen { returned: &returned, refaulted, idle: &idle, working_set });
        (refaulted, self.by_age(limits, forecast.limits(now)))
    }

    /// What a page costs that is read back. Asked where some were, or a minute later: it takes files of all that is swap.
    fn cost(&self, refaulted: bool, machine: &SwapFigures<'_>, now: Duration) -> Option<Duration> {
        let mut cost = lock(&self.cost);
        if cost.is_due(now, refaulted) {
            cost.saw(now, &machine.memory.reads());
        }
        cost.of_page()
    }

    /// What `limits` are `now` that others of the task have acted.
    pub(super) fn limits_now(&self, limits: RefaultLimits, now: Duration) -> RefaultLimits {
        match &self.forecast {
            Some(forecast) => self.by_age(limits, lock(forecast).limits(now)),
            None => limits,
        }
    }

    /// What may leave by its age. A dry run says what all of that is: none of it would show how much may follow.
    fn by_age(&self, limits: RefaultLimits, by_age: AgeLimits) -> RefaultLimits {
        let AgeLimits { age, bytes, bound } = by_age;
        let bytes = Some(bytes).filter(|_| !self.dry_run);
        RefaultLimits { idle_cycles: age.map_or(NO_AGE, |age| age.step()), bytes, bound, ..limits }
    }

    /// The forecast, where the task acts by one.
    pub(super) fn told(&self, now: Duration) -> Option<Told> {
        self.forecast.as_ref().map(|forecast| lock(forecast).told(now))
    }

    /// Takes note of the pages that `left`, and of those that were `kept` in memory.
    pub(super) fn moved(&self, known: &mut ProcessHistory, left: PageSet, kept: PageSet) {
        let marked = mark_out(std::mem::take(&mut known.standings), left, kept);
        self.is_news.fetch_or(marked.left > 0, Ordering::Relaxed);
        known.standings = marked.standings;
        lock(&self.limiter).left(marked.left);
        if let Some(forecast) = &self.forecast {
            lock(forecast).left(marked.left);
        }
    }

    /// Takes note that pages moved between nodes, if that `is_news`.
    pub(super) fn placed(&self, is_news: bool) {
        self.is_news.fetch_or(is_news, Ordering::Relaxed);
    }

    /// Takes note of how a process is at the end of its cycle, with `out` bytes of it out.
    pub(super) fn end(&self, known: &mut ProcessHistory, figures: ProcessMemory, out: u64) {
        known.figures = Some(figures);
        known.out = out;
    }

    /// Whether, `now`, a sample may leave though nothing else may.
    pub(super) fn may_sample(&self, now: Duration) -> bool {
        lock(&self.limiter).may_sample(now)
    }

    /// Takes note that such a sample stayed out.
    pub(super) fn stayed_out(&self) {
        lock(&self.limiter).stayed_out();
    }

    /// Which probe looks at `process`, whether the last cycle looked at all of it, and what of it the next one may look at, so
    /// that it takes no more of a processor than it may.
    pub(super) fn looks_at<'a>(
        &self,
        process: ProcessId,
        kernel: &'a Kernel,
    ) -> (&'a dyn ProbeSource, bool, Slice) {
        let all = lock(&self.known);
        let none = ProcessHistory::default();
        let known = all.processes.get(&process).unwrap_or(&none);
        let slice = match known.cost {
            Some((bytes, cost)) if !cost.is_zero() => {
                let may = self.cycle_time.as_nanos() * u128::from(self.looking_percent) / 100;
                let slice = u128::from(bytes) * may / cost.as_nanos();
                u64::try_from(slice).unwrap_or(u64::MAX).max(SMALLEST_SLICE)
            }
            Some(_) | None => FIRST_SLICE,
        };
        (known.probe(kernel), known.was_whole, Slice { most: Some(slice), resume: known.resume })
    }

    /// Settles what a cycle saw.
    pub(super) fn settle(&self, known: &mut ProcessHistory, seen: &Observed, now: Duration) -> Settled {
        let paused_for = lock(&self.limiter).look_every().unwrap_or_default();
        let cycles = WORKING_SET.as_millis().div_ceil(self.cycle_time.max(paused_for).as_millis().max(1));
        // What a cycle says is counted in cycles, ages in time.
        let tick = self.forecast.is_some().then_some(self.cycle_time);
        known.settle(seen, (now, tick), cycles, self.leaves_alone, self.swapoffs())
    }

    /// Most bytes that leave in an act of this length; without bound where that is not known yet.
    pub(super) fn bytes_within(&self, length: Duration) -> u64 {
        lock(&self.throttle).bytes_within(length)
    }

    /// The report's part of it.
    pub(super) fn feedback(&self, settled: &Settled, left: u64, now: Duration) -> Feedback {
        let forecast = self.told(now);
        let limiter = lock(&self.limiter);
        let (may_refault, working_set) = match &self.forecast {
            Some(forecast) => lock(forecast).pays(),
            None => limiter.pays(),
        };
        let throttle = lock(&self.throttle);
        Feedback {
            out: settled.out + left,
            working_set: settled.working_set,
            refaults_per_minute: limiter.rate(),
            // No more than that can refault.
            max_refault: may_refault.map(|bytes| (bytes * 100.0 / working_set.max(1.0)).min(100.0)),
            stall: limiter.stalled(),
            max_stall: self.goal.and_then(Goal::stall),
            refault_cost: lock(&self.cost).of_page(),
            back_off: back_off(limiter.state(), forecast.as_ref()),
            forecast,
            bytes_per_second: throttle.bytes_per_second().filter(|_| !limiter.limits().paused),
            ability_bytes_per_second: Some(throttle.ability()).filter(|bytes| *bytes > 0),
        }
    }
}

impl ProcessHistory {
    /// Settles what a cycle saw; `working_set_cycles` cycles take as long as pages stay in the working set.
    fn settle(
        &mut self,
        seen: &Observed,
        (now, tick): (Duration, Option<Duration>),
        working_set_cycles: u128,
        leave_alone: bool,
        swapoffs: u64,
    ) -> Settled {
        self.cycles += 1;
        let swap_shrank = std::mem::replace(&mut self.swapoffs, swapoffs) < swapoffs;
        self.rounds += u64::from(seen.window.start == 0);
        self.resume = seen.resume;
        self.was_whole = seen.is_whole();
        let bytes = seen.ranges.iter().map(AddressRange::bytes).sum();
        self.cost = Some((bytes, seen.processor_time));
        let ticks = self.clock.pass(seen.window.start, now, tick);
        // What was idle since the first look was not touched in that time.
        let watched = if tick.is_some() { ticks.1 } else { self.rounds };
        let cycles = working_set_cycles.min(watched.into());
        let mut settled = settle(
            std::mem::take(&mut self.standings),
            &seen.heat,
            &ScannedCycle {
                number: self.cycles,
                ticks,
                window: seen.window,
                ranges: &seen.ranges,
                working_set_ticks: u64::try_from(cycles).unwrap_or(u64::MAX).min(WORKING_SET_CYCLES_MAX),
                leave_alone,
                swap_shrank,
            },
        );
        self.standings = std::mem::take(&mut settled.standings);
        self.of_round += settled.working_set;
        self.working_set = if self.resume == 0 { self.of_round } else { self.working_set.max(self.of_round) };
        self.idle_of_round.add_all(&settled.idle);
        if self.resume == 0 {
            self.of_round = 0;
            self.idle = std::mem::take(&mut self.idle_of_round);
        } else if self.rounds <= 1 {
            self.idle = self.idle_of_round;
        }
        settled.working_set = self.working_set;
        settled
    }
}

impl ProcessHistory {
    /// The number of the cycle that was settled last.
    pub(super) const fn cycle(&self) -> u64 {
        self.cycles
    }

    /// Where it may share pages by copy-on-write.
    pub(super) const fn suspected(&self) -> Suspected {
        if self.cycles == 0 || self.shares { Suspected::All } else { Suspected::Some(self.cycles) }
    }

    /// The probe that looks at it.
    pub(super) fn probe<'a>(&self, kernel: &'a Kernel) -> &'a dyn ProbeSource {
        let other = self.probe.checked_sub(1).and_then(|number| kernel.other_probes.get(number));
        &**other.unwrap_or(&kernel.probe)
    }

    /// Its probe is blind to it: another looks from the next cycle on, where the task has one that was not tried yet.
    pub(super) fn next_probe(&mut self, kernel: &Kernel) {
        if self.probe < kernel.other_probes.len() {
            self.probe += 1;
            self.was_whole = false;
            self.trust.another_probe(self.cycles);
        }
    }
}

impl TaskHistory {
    /// How the task is held back.
    pub(super) fn back_off(&self, now: Duration) -> BackOff {
        back_off(lock(&self.limiter).state(), self.told(now).as_ref())
    }
}

/// How a task is held back, by the limiter or by a forecast that was wrong.
fn back_off(state: BackOff, forecast: Option<&Told>) -> BackOff {
    match forecast.map(|told| told.stage) {
        Some(Stage::Trial(_)) => BackOff::Trial,
        Some(Stage::Free | Stage::First(_)) | None => state,
    }
}
