//! Keeping refaults within the goal: when to ask more of a page, to move less, and to move nothing.
//!
//! The goal is a rate: how many bytes may refault in a minute. It is kept as an account in bytes. Each
//! minute the goal pays in, and what refaulted is taken off. A little may be saved up, so that single pages do not matter. All
//! else is owed, and while more than some minutes of the goal are owed, nothing moves. So whatever the program does, over
//! time no more refaulted than the goal has paid.
//!
//! ```text
//!            owes a little                 owes a little more              owes much
//!  step 0 ------------------> steps 1 to 3 -------------------> paused <------------- any step
//!     ^    pages must be idle for 1, 2, 3 more cycles,             |
//!     |    half, a quarter, an eighth of the budget                | all is paid back
//!     +---------------------- steps 3 to 1 <-----------------------+
//!       a step for each calm     on probation: what moves is paid for in advance
//! ```
//!
//! A floor holds for small programs: the goal pays for 256 pages a minute at least, if these do not take too much time, and what is owed of fewer pages
//! than that holds nothing back. Otherwise a few pages would stop an idle program, whose working set is next to nothing, for days.
//!
//! A long pause is shortened by evidence: for each sample that left and stayed out, half of what is owed is forgiven
//! ([`RefaultLimiter::stayed_out`]).
//!
//! After a pause, all that moves until step 0 is reached is paid for as if it were to refault, from half of what the goal
//! pays: so such a program's second surprise costs no more than was saved for it. A step back takes as long a calm as the
//! pause was.

use super::back_off::BackOff;
use super::goal::Goal;
use super::standing::IDLE_CYCLES_MAX;
use crate::address::PAGE_SIZE;
use crate::guard::Bound;
use crate::kernel::pressure::Share;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::time::Duration;

/// The last step before a pause.
const STEPS: u8 = 3;

/// How long a pause has lasted before a sample may leave, and how far apart such samples are.
const SAMPLE_EVERY: Duration = Duration::from_secs(600);

/// Minutes of the goal that may be saved up.
const SAVED_MINUTES: f64 = 5.0;

/// Minutes of the goal that may be owed without a pause.
const OWED_MINUTES: f64 = 5.0;

/// What of the goal's pay may move on probation: should all of it refault, the rest pays off what is still owed.
const PROBATION_SHARE: f64 = 0.5;

/// The shortest calm that takes a step back, and the time over which the rate is reported.
const CALM: Duration = Duration::from_secs(300);
const RATE_WINDOW: Duration = Duration::from_secs(60);

/// How often to look while nothing moves.
const LOOK_WHILE_PAUSED: Duration = Duration::from_secs(60);

/// What holds for the next act.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RefaultLimits {
    /// For how many cycles in a row a page must not have been touched; 1: the task's own rule alone.
    pub idle_cycles: u8,
    /// By how many powers of two the budget is less.
    pub halvings: u32,
    /// Most bytes, as on probation.
    pub bytes: Option<u64>,
    /// What bounds these.
    pub bound: Bound,
    /// Nothing moves.
    pub paused: bool,
}

/// Keeps a task within its goal.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RefaultLimiter {
    goal: Option<Goal>,
    /// In bytes; negative: owed.
    account: f64,
    /// Bytes that may move on probation.
    allowance: f64,
    step: u8,
    paused: bool,
    probation: bool,
    paused_since: Duration,
    /// When a sample left last, or the pause began.
    sampled: Duration,
    /// A step back takes this long.
    calm: Duration,
    calm_since: Duration,
    last: Option<Duration>,
    working_set: f64,
    /// What a page costs that is read back.
    #[serde(skip)]
    cost: Option<Duration>,
    /// What refaulted when, over the rate's window.
    recent: VecDeque<(Duration, u64)>,
}

fn bytes(number: u64) -> f64 {
    // Exact up to 8 PiB.
    #[expect(clippy::cast_precision_loss, reason = "figures of memory, for a rate")]
    let bytes = number as f64;
    bytes
}

impl RefaultLimiter {
    /// A limiter for this goal. Without a goal it never limits, and only counts.
    #[must_use]
    pub const fn new(goal: Option<Goal>) -> Self {
        Self {
            goal,
            account: 0.0,
            allowance: 0.0,
            step: 0,
            paused: false,
            probation: false,
            paused_since: Duration::ZERO,
            sampled: Duration::ZERO,
            calm: CALM,
            calm_since: Duration::ZERO,
            last: None,
            working_set: 0.0,
            cost: None,
            recent: VecDeque::new(),
        }
    }

    /// The goal.
    #[must_use]
    pub const fn goal(&self) -> Option<Goal> {
        self.goal
    }

    /// Goes on with another goal; what is owed stays owed.
    pub const fn change(&mut self, goal: Option<Goal>) {
        self.goal = goal;
    }

    /// What the goal pays a minute but for the floor, in bytes.
    fn share(&self) -> f64 {
        self.goal.map_or(0.0, |goal| goal.in_time(self.cost).bound(goal.of_share(self.working_set)))
    }

    /// The least it pays a minute.
    fn floor(&self) -> f64 {
        self.goal.map_or(0.0, Goal::floor).min(self.pay())
    }

    /// What it pays a minute.
    fn pay(&self) -> f64 {
        self.goal.map_or(0.0, |goal| goal.pays(self.working_set, self.cost))
    }

    /// Bytes that may refault in a minute, and the working set; none: all that likes to may.
    #[must_use]
    pub fn pays(&self) -> (Option<f64>, f64) {
        (self.goal.map(|_| self.pay()), self.working_set)
    }

    /// How long was waited for what refaulted over the last minute; none if it is not known what a page costs.
    #[must_use]
    pub fn stalled(&self) -> Option<Duration> {
        let pages = self.back() / PAGE_SIZE;
        Some(self.cost? * u32::try_from(pages).unwrap_or(u32::MAX))
    }

    /// What refaulted over the last minute.
    fn back(&self) -> u64 {
        self.recent.iter().map(|(_, bytes)| bytes).sum()
    }

    /// Goes on with what a page costs that is read back.
    pub const fn costs(&mut self, cost: Option<Duration>) {
        self.cost = cost;
    }

    /// Takes note, `now`, of bytes that `refaulted` and of a working set of `working_set` bytes.
    pub fn refaulted(&mut self, now: Duration, refaulted: u64, working_set: u64) {
        // What refaulted was touched.
        self.working_set = bytes(working_set.max(refaulted));
        self.recent.push_back((now, refaulted));
        while self.recent.front().is_some_and(|(at, _)| *at + RATE_WINDOW <= now) {
            self.recent.pop_front();
        }
        if self.goal.is_none() {
            return;
        }
        let minutes = now.saturating_sub(self.last.unwrap_or(now)).as_secs_f64() / 60.0;
        self.last = Some(now);
        let pay = self.pay();
        self.account = (self.account + pay * minutes - bytes(refaulted)).min(pay * SAVED_MINUTES);
        self.allowance = if self.paused { 0.0 } else { self.allowance + pay * minutes * PROBATION_SHARE };
        if refaulted > 0 && self.account < 0.0 && -self.account >= self.floor() {
            self.back_off(now);
        } else if self.paused && self.account >= 0.0 {
            self.paused = false;
            self.step = STEPS;
            self.probation = true;
            self.calm = CALM.max(now.saturating_sub(self.paused_since));
            self.calm_since = now;
        } else if self.step > 0 && !self.paused && now.saturating_sub(self.calm_since) >= self.calm {
            self.step -= 1;
            self.calm_since = now;
            self.probation &= self.step > 0;
        }
    }

    fn back_off(&mut self, now: Duration) {
        self.calm_since = now;
        if self.paused {
            return;
        }
        if self.step == STEPS || -self.account > (self.share() * OWED_MINUTES).max(self.floor()) {
            self.paused = true;
            self.paused_since = now;
            self.sampled = now;
            return;
        }
        self.step += 1;
    }

    /// Takes note that `left` bytes left.
    pub fn left(&mut self, left: u64) {
        if self.probation {
            self.allowance = (self.allowance - bytes(left)).max(0.0);
        }
    }

    /// Whether, `now`, a sample may leave though the task is paused. It is noted as tried.
    pub fn may_sample(&mut self, now: Duration) -> bool {
        let may = self.paused && self.floor() > 0.0 && now.saturating_sub(self.sampled) >= SAMPLE_EVERY;
        if may {
            self.sampled = now;
        }
        may
    }

    /// Takes note that a sample left in a pause and stayed out: half of what is owed is forgiven.
    pub fn stayed_out(&mut self) {
        if self.paused {
            self.account /= 2.0;
        }
    }

    /// What holds now.
    #[must_use]
    pub fn limits(&self) -> RefaultLimits {
        let budget = self.probation.then(|| {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "never negative; saturates"
            )]
            let budget = self.allowance as u64;
            budget
        });
        RefaultLimits {
            idle_cycles: (self.step + 1).min(IDLE_CYCLES_MAX),
            halvings: u32::from(self.step),
            bytes: budget,
            bound: Bound::Probation,
            paused: self.paused,
        }
    }

    /// How often to look while nothing moves; `None` if the task keeps its own pace.
    #[must_use]
    pub fn look_every(&self) -> Option<Duration> {
        self.paused.then_some(LOOK_WHILE_PAUSED)
    }

    /// What refaulted over the last minute, as a share of the working set.
    #[must_use]
    pub fn rate(&self) -> Share {
        let back = self.back();
        let hundredths = if back == 0 { 0.0 } else { bytes(back) / self.working_set.max(1.0) * 10_000.0 };
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "never negative; saturates"
        )]
        let hundredths = hundredths.round() as u32;
        Share::of_hundredths(hundredths)
    }

    /// How the task is held back.
    #[must_use]
    pub fn state(&self) -> BackOff {
        if self.paused {
            let minutes = -self.account / self.pay();
            // With nothing that pays, for ever.
            let left = Duration::try_from_secs_f64(minutes.max(0.0) * 60.0).unwrap_or(Duration::MAX);
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "never negative; saturates"
            )]
            let owed = (-self.account).max(0.0) as u64;
            BackOff::Paused { left, owed }
        } else if self.step == 0 {
            BackOff::None
        } else {
            let limits = self.limits();
            BackOff::Slower {
                step: self.step,
                idle_cycles: limits.idle_cycles,
                divisor: 1 << limits.halvings,
                probation: self.probation,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;
    const NO_LIMITS: RefaultLimits =
        RefaultLimits { idle_cycles: 1, halvings: 0, bytes: None, bound: Bound::Probation, paused: false };

    fn minutes(minutes: u64) -> Duration {
        Duration::from_secs(60 * minutes)
    }

    fn limiter(percent: f64) -> RefaultLimiter {
        RefaultLimiter::new(Goal::percent_per_minute(percent))
    }

    #[test]
    fn within_the_goal_nothing_happens() {
        let mut limiter = limiter(1.0);
        limiter.refaulted(minutes(0), 0, 100 * MIB);
        for minute in 1..100 {
            limiter.refaulted(minutes(minute), MIB, 100 * MIB);
            assert_eq!((limiter.limits(), limiter.state()), (NO_LIMITS, BackOff::None));
            assert_eq!(limiter.rate(), Share::of_percent(1));
        }
    }

    #[test]
    fn a_step_for_each_time_that_a_little_too_much_comes_back() {
        let mut limiter = limiter(1.0);
        limiter.refaulted(minutes(0), 0, 100 * MIB);
        let mut steps = Vec::new();
        for minute in 1..=4 {
            limiter.refaulted(minutes(minute), 2 * MIB, 100 * MIB);
            let limits = limiter.limits();
            steps.push((limits.idle_cycles, limits.halvings, limits.paused));
        }
        assert_eq!(steps, [(2, 1, false), (3, 2, false), (4, 3, false), (4, 3, true)]);
        assert_eq!(limiter.look_every(), Some(LOOK_WHILE_PAUSED));
        assert_eq!(limiter.state(), BackOff::Paused { left: minutes(4), owed: 4 * MIB });
        limiter.refaulted(minutes(7), 0, 100 * MIB);
        assert!(limiter.limits().paused);
        limiter.refaulted(minutes(8), 0, 100 * MIB);
        assert_eq!(limiter.limits().bytes, Some(0), "on probation, with nothing saved");
        assert!(matches!(
            limiter.state(),
            BackOff::Slower { step: 3, idle_cycles: 4, divisor: 8, probation: true }
        ));
        limiter.refaulted(minutes(9), 0, 100 * MIB);
        assert_eq!(limiter.limits().bytes, Some(MIB / 2));
        limiter.left(MIB / 2);
        assert_eq!(limiter.limits().bytes, Some(0));
        let mut steps = Vec::new();
        for minute in 10..=24 {
            limiter.refaulted(minutes(minute), 0, 100 * MIB);
            steps.push(limiter.limits().halvings);
        }
        assert_eq!(steps, [3, 3, 3, 2, 2, 2, 2, 2, 1, 1, 1, 1, 1, 0, 0]);
        assert_eq!((limiter.limits(), limiter.state()), (NO_LIMITS, BackOff::None));
    }

    #[test]
    fn a_flood_pauses_at_once_and_until_it_is_paid_for() {
        let mut limiter = limiter(0.2);
        limiter.refaulted(minutes(0), 0, 1000 * MIB);
        limiter.refaulted(minutes(1), 1000 * MIB, 1000 * MIB);
        assert!(limiter.limits().paused);
        let BackOff::Paused { left, .. } = limiter.state() else { panic!("{:?}", limiter.state()) };
        assert!(left > minutes(498) && left < minutes(500), "{left:?}");
        limiter.refaulted(minutes(499), 0, 1000 * MIB);
        assert!(limiter.limits().paused);
        limiter.refaulted(minutes(501), 0, 1000 * MIB);
        assert!(!limiter.limits().paused);
        // A step back takes as long as the pause was.
        limiter.refaulted(minutes(900), 0, 1000 * MIB);
        assert_eq!(limiter.limits().halvings, 3);
        limiter.refaulted(minutes(1002), 0, 1000 * MIB);
        assert_eq!(limiter.limits().halvings, 2);
    }

    #[test]
    fn without_a_goal_it_only_counts() {
        let mut limiter = RefaultLimiter::new(None);
        limiter.refaulted(minutes(1), 50 * MIB, 100 * MIB);
        assert_eq!((limiter.limits(), limiter.state()), (NO_LIMITS, BackOff::None));
        assert_eq!(limiter.rate(), Share::of_percent(50));
        limiter.refaulted(minutes(3), 0, 100 * MIB);
        assert_eq!(limiter.rate(), Share::default());
    }

    #[test]
    fn a_goal_of_nothing_never_forgives() {
        let mut limiter = limiter(0.0);
        limiter.refaulted(minutes(1), 4096, 100 * MIB);
        assert_eq!(limiter.state(), BackOff::Paused { left: Duration::MAX, owed: 4096 });
        limiter.refaulted(minutes(10_000), 0, 100 * MIB);
        assert!(limiter.limits().paused && !limiter.may_sample(minutes(10_000)), "no sample forgives");
    }

    #[test]
    fn a_few_pages_never_hold_back_a_program_that_uses_next_to_nothing() {
        const PAGE: u64 = 4096;
        let mut limiter = limiter(0.2);
        limiter.refaulted(minutes(0), 0, 4 * PAGE);
        for minute in 1..=500 {
            limiter.refaulted(minutes(minute), 255 * PAGE, 4 * PAGE);
            assert_eq!((limiter.limits(), limiter.state()), (NO_LIMITS, BackOff::None), "minute {minute}");
        }
        // All at once, with nothing saved up; more than that holds, for as long as the floor takes to pay for it.
        let mut limiter = self::limiter(0.2);
        limiter.refaulted(minutes(0), 255 * PAGE, 4 * PAGE);
        assert_eq!(limiter.limits(), NO_LIMITS);
        limiter.refaulted(minutes(0), 900 * PAGE, 4 * PAGE);
        let BackOff::Paused { left, .. } = limiter.state() else { panic!("{:?}", limiter.state()) };
        assert!(left < minutes(5), "{left:?}");
    }

    #[test]
    fn samples_that_stay_out_shorten_a_long_pause() {
        let mut limiter = limiter(0.2);
        limiter.refaulted(minutes(0), 0, 1000 * MIB);
        limiter.refaulted(minutes(1), 1000 * MIB, 1000 * MIB);
        assert_eq!(
            limiter.state().to_string(),
            "far more came back than max_refault or max_stall allows: nothing moves for 499 min, until 1021952 KiB are paid for; less \
             if samples stay out"
        );
        assert!(!limiter.may_sample(minutes(10)));
        let mut minute = 1;
        while limiter.limits().paused {
            minute += 1;
            limiter.refaulted(minutes(minute), 0, 1000 * MIB);
            if limiter.may_sample(minutes(minute)) {
                limiter.stayed_out();
            }
        }
        assert!((30..=61).contains(&minute), "{minute} min");
    }
}
