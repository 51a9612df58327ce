//! The age at which a task acts.

use super::hours::{Hours, PIECE};
use super::ramp::{Ramp, Stage};
use super::sweeps::{News, Sweeps, Swept};
use super::{bytes, whole};
use crate::age::{Age, ByAge};
use crate::feedback::{FLOOR, Goal};
use crate::guard::Bound;
use crate::kernel::pressure::Share;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// What of the goal's pay the forecast of an age may use, for it to be chosen; it is left again where it uses all.
const HOLDS: f64 = 0.7;

/// How long a program that uses its memory is watched before anything of it leaves.
const BUSY_WATCH: Duration = Duration::from_secs(20);

/// A program whose working set is more than this share of it uses its memory.
const BUSY_SHARE: f64 = 0.02;

/// How far the truth may correct the forecast.
const CORRECTION_MOST: f64 = 8.0;

/// From which age on pages may leave.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum AgeRule {
    /// The smallest whose forecast holds the goal.
    #[default]
    Auto,
    /// This one.
    Fixed(Duration),
}

/// What a cycle saw of one process, and what is known of all of the task's.
#[derive(Debug, Clone, Copy)]
pub struct Seen<'a> {
    /// Bytes touched, by how long they had been idle.
    pub returned: &'a ByAge,
    /// Bytes that refaulted.
    pub refaulted: u64,
    /// Bytes by how long they are idle, in memory or out, of all processes.
    pub idle: &'a ByAge,
    /// The working set of all processes.
    pub working_set: u64,
}

/// What may leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AgeLimits {
    /// Pages of at least this age; none: nothing.
    pub age: Option<Age>,
    /// At most these bytes.
    pub bytes: u64,
    /// What bounds them.
    pub bound: Bound,
}

/// What an age would save, and what it would cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Offer {
    /// The age.
    pub age: Duration,
    /// Bytes that have been idle for so long, in memory or out.
    pub idle: u64,
    /// What of the working set would refault in a minute, on average.
    pub per_minute: Share,
    /// What of the goal that would use in the worst hour of those remembered.
    pub of_goal: Share,
}

/// What is to be said of a forecast.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// The age to act at; none: nothing is idle for long enough that the goal would hold, or it is not known yet.
    pub age: Option<Duration>,
    /// For how long it has been watched.
    pub watched: Duration,
    /// What of the working set was expected to refault in a minute, in the last ten minutes that are over.
    pub forecast: Share,
    /// What of it did.
    pub truth: Share,
    /// How much may leave.
    pub stage: Stage,
    /// What is swept.
    pub swept: Option<Swept>,
    /// What this age and the two next younger ones would save and cost.
    pub offers: Vec<Offer>,
}

/// The forecast of a task.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Forecast {
    goal: Option<Goal>,
    rule: AgeRule,
    tick: Duration,
    hours: Hours,
    sweeps: Sweeps,
    ramp: Ramp,
    /// The ramp when the piece before the open one began, and when the open one did.
    ramp_before: [Ramp; 2],
    age: Option<Age>,
    stepped: Duration,
    since: Option<Duration>,
    last: Duration,
    working_set: u64,
    /// What a page costs that is read back.
    #[serde(skip)]
    cost: Option<Duration>,
    idle: ByAge,
    /// What was idle when the piece before the open one began, and when the open one did.
    idle_before: [u64; 2],
    /// Whether it was ever in use.
    is_busy: bool,
    correction: f64,
    /// Bytes a minute that were expected for the open piece.
    expected: f64,
    told: [f64; 2],
}

impl Forecast {
    /// Nothing is known yet. A tick is what ages are counted in.
    #[must_use]
    pub const fn new(goal: Option<Goal>, rule: AgeRule, tick: Duration) -> Self {
        Self {
            goal,
            rule,
            tick,
            hours: Hours::new(tick),
            sweeps: Sweeps::NONE,
            ramp: Ramp::new(),
            ramp_before: [Ramp::new(), Ramp::new()],
            age: None,
            stepped: Duration::ZERO,
            since: None,
            last: Duration::ZERO,
            working_set: 0,
            cost: None,
            idle: ByAge::NONE,
            idle_before: [0; 2],
            is_busy: false,
            correction: 1.0,
            expected: 0.0,
            told: [0.0; 2],
        }
    }

    /// Goes on by the goal and the rule of `other`; what was seen is still known.
    pub const fn go_on_as(&mut self, other: &Self) {
        self.change(other.goal, other.rule);
    }

    /// Goes on with another goal and rule; what was seen is still known.
    pub const fn change(&mut self, goal: Option<Goal>, rule: AgeRule) {
        (self.goal, self.rule) = (goal, rule);
    }

    /// Goes on with what a page costs that is read back.
    pub fn costs(&mut self, cost: Option<Duration>) {
        self.cost = cost;
        self.hours.in_time(self.goal.map_or_else(Default::default, |goal| goal.in_time(cost)));
    }

    /// Bytes a minute that the goal pays for.
    fn pay(&self) -> f64 {
        self.goal.map_or(f64::INFINITY, |goal| goal.pays(bytes(self.working_set), self.cost))
    }

    /// The same, and the working set; none: all that likes to may refault.
    #[must_use]
    pub fn pays(&self) -> (Option<f64>, f64) {
        (self.goal.map(|_| self.pay()), bytes(self.working_set))
    }

    /// Takes note of what was `seen` of a process.
    pub fn saw(&mut self, now: Duration, seen: &Seen<'_>) {
        // What refaulted was touched.
        self.working_set = seen.working_set.max(seen.refaulted);
        let time = now.saturating_sub(*self.since.get_or_insert(now)).min(now.saturating_sub(self.last));
        self.last = now;
        let by_share = self.goal.map_or(f64::INFINITY, |goal| goal.by_working_set(bytes(self.working_set)));
        let paid = by_share * time.as_secs_f64() / 60.0;
        let is_full = self.hours.pass(time, paid);
        self.hours.add(seen.returned, seen.refaulted);
        self.idle = *seen.idle;
        let all = bytes(self.idle.at_least(Age::TOUCHED));
        self.is_busy |= bytes(self.working_set) > FLOOR.max(all * BUSY_SHARE);
        self.watch_sweeps(now);
        let hour = self.hours.last_hour();
        if seen.refaulted > 0 && !self.sweeps.is_excused() {
            self.ramp.refaulted(seen.refaulted);
            if bytes(hour.refaulted) > self.hours.pays_for(&hour).max(FLOOR.min(self.pay())) {
                self.ramp.surprised(now);
            }
        }
        if is_full {
            self.compare();
        }
        self.choose(now);
    }

    /// Ends a piece: the truth corrects the forecast.
    fn compare(&mut self) {
        let piece = self.hours.close();
        self.idle_before = [self.idle_before[1], self.idle.at_least(Age::of_step(2))];
        self.ramp_before = [self.ramp_before[1].clone(), self.ramp.clone()];
        let truth = bytes(piece.refaulted) / piece.lasted.as_secs_f64() * 60.0;
        let share = 100.0 / bytes(self.working_set.max(1));
        self.told = [self.expected * share, truth * share];
        if !piece.swept {
            let more = truth > 2.0 * self.expected + self.pay() / 2.0;
            let correction = if more { self.correction * 2.0 } else { self.correction / 2.0 };
            self.correction = correction.clamp(1.0, CORRECTION_MOST);
        }
        self.expected = self.age.map_or(0.0, |age| self.hours.per_minute(age) * self.correction);
    }

    fn watch_sweeps(&mut self, now: Duration) {
        let idle = self.idle_before[0].max(self.idle_before[1]);
        let all = self.idle.at_least(Age::TOUCHED);
        let was_excused = self.sweeps.is_excused();
        match self.sweeps.saw(now, self.watched(now), self.hours.swept(), [idle, all]) {
            News::Nothing => {}
            News::Rare => {
                self.hours.mark_sweep();
                if !was_excused {
                    self.ramp = self.ramp_before[0].clone();
                }
            }
            News::Often => self.hours.count_sweeps(),
        }
    }

    fn watched(&self, now: Duration) -> Duration {
        now.saturating_sub(self.since.unwrap_or(now))
    }

    /// What acting at `age` uses of the goal.
    fn of_goal(&self, age: Age) -> f64 {
        self.hours.share(age) * self.correction
    }

    /// Whether the looks have lasted for long enough to act at `age`. Little leaves first, for a round of that length: before more
    /// does, they have lasted nearly twice as long, so that such pages were seen to return.
    fn is_seen(&self, age: Age, now: Duration) -> bool {
        let watched = self.watched(now);
        let least = if self.is_busy { BUSY_WATCH } else { Duration::ZERO };
        watched >= least && watched + self.tick / 2 >= age.duration(self.tick)
    }

    /// Whether the forecast of `age` holds the goal. Where steps are as wide as a tick, also that of the one before: cycles are
    /// not as long as ticks, so what returned after two of these may take three the next time.
    fn holds(&self, age: Age) -> bool {
        let younger = age.younger();
        self.of_goal(if age.ticks() == younger.ticks() + 1 { younger } else { age }) <= HOLDS
    }

    fn choose(&mut self, now: Duration) {
        if let AgeRule::Fixed(age) = self.rule {
            self.age = Age::at_least(age, self.tick).map(|age| age.max(Age::LEAST));
        } else {
            let mut seen = Age::all().skip(1).filter(|age| self.is_seen(*age, now));
            let best = seen.find(|age| self.holds(*age));
            self.age = match (self.age, best) {
                (None, best) => best,
                (Some(age), best) if self.of_goal(age) > 1.0 => best.filter(|best| *best > age),
                (Some(age), Some(best)) if best < age => {
                    let younger = age.younger();
                    if now.saturating_sub(self.stepped) >= self.round(younger) { younger } else { age }.into()
                }
                (age, _) => age,
            };
        }
        if let Some(age) = self.age {
            let affordable = self.pay() * self.round(age).max(PIECE).as_secs_f64() / 60.0 / 2.0;
            self.ramp.step(now, self.idle.at_least(age), self.round(age), whole(affordable));
        }
    }

    /// How long a round of evidence is: cycles are no clock, so half of one may be missing.
    fn round(&self, age: Age) -> Duration {
        age.duration(self.tick).clamp(self.tick, PIECE.max(self.tick)) - self.tick / 2
    }

    /// What may leave `now`.
    #[must_use]
    pub fn limits(&self, now: Duration) -> AgeLimits {
        let held = self.sweeps.swept(now).is_some_and(|swept| !swept.hold.is_zero());
        let (bytes, bound) = match self.ramp.stage() {
            _ if held => (0, Bound::Swept),
            Stage::Free => (u64::MAX, Bound::First),
            Stage::First(bytes) => (bytes, Bound::First),
            Stage::Trial(bytes) => (bytes, Bound::Probation),
        };
        AgeLimits { age: self.age, bytes, bound }
    }

    /// Takes note that `bytes` left.
    pub const fn left(&mut self, bytes: u64) {
        self.ramp.left(bytes);
    }

    /// What is to be said of it `now`.
    #[must_use]
    pub fn told(&self, now: Duration) -> Told {
        let age = self.age;
        let ages: Vec<Age> = match age {
            Some(age) => (0..=2).rev().filter_map(|less| age.step().checked_sub(less)).collect(),
            None => vec![1, 4, 8],
        }
        .into_iter()
        .filter(|step| *step > 0)
        .map(Age::of_step)
        .collect();
        Told {
            age: age.map(|age| age.duration(self.tick)),
            watched: self.watched(now),
            forecast: percent(self.told[0]),
            truth: percent(self.told[1]),
            stage: self.ramp.stage(),
            swept: self.sweeps.swept(now),
            offers: ages.into_iter().map(|age| self.offer(age)).collect(),
        }
    }

    fn offer(&self, age: Age) -> Offer {
        Offer {
            age: age.duration(self.tick),
            idle: self.idle.at_least(age),
            per_minute: percent(self.hours.per_minute(age) * 100.0 / bytes(self.working_set.max(1))),
            of_goal: percent(self.of_goal(age) * 100.0),
        }
    }
}

/// A number of percent as a share.
fn percent(percent: f64) -> Share {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "never negative; saturates")]
    let hundredths = (percent * 100.0).round() as u32;
    Share::of_hundredths(hundredths)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TICK: Duration = Duration::from_secs(3);
    const GIB: u64 = 1 << 30;

    fn forecast(rule: AgeRule) -> Forecast {
        Forecast::new(Goal::percent_per_minute(0.2), rule, TICK)
    }

    /// A cycle of a program with a GiB in use and one idle, of which `returned` bytes of `age` are touched.
    fn cycle(forecast: &mut Forecast, number: u32, age: Age, returned: u64, refaulted: u64) -> AgeLimits {
        cycle_of(forecast, number, age, [returned, refaulted, GIB])
    }

    /// The same with `working_set` bytes in use.
    fn cycle_of(
        forecast: &mut Forecast,
        cycle: u32,
        age: Age,
        [returned, refaulted, working_set]: [u64; 3],
    ) -> AgeLimits {
        let (mut back, mut idle) = (ByAge::NONE, ByAge::NONE);
        back.add(age, returned);
        idle.add(Age::of_step(u8::try_from(cycle).unwrap()), GIB);
        let seen = Seen { returned: &back, refaulted, idle: &idle, working_set };
        forecast.saw(TICK * cycle, &seen);
        forecast.limits(TICK * cycle)
    }

    #[test]
    fn an_idle_program_leaves_within_five_cycles() {
        let mut forecast = forecast(AgeRule::Auto);
        let mut left = 0;
        for number in 1..=5 {
            let limits = cycle_of(&mut forecast, number, Age::LEAST, [0, 0, 1 << 20]);
            if let Some(age) = limits.age {
                assert_eq!(age, Age::LEAST);
                let leaves = limits.bytes.min(GIB - left);
                forecast.left(leaves);
                left += leaves;
            } else {
                assert!(number <= 2, "cycle {number}");
            }
        }
        assert_eq!(left, GIB);
    }

    #[test]
    fn a_busy_program_is_watched_first_and_acted_on_above_the_age_at_which_pages_return() {
        let mut forecast = forecast(AgeRule::Auto);
        let warm = Age::of_step(4);
        let (mut first, mut more) = (None, None);
        let mut all = 0;
        for number in 1..=100 {
            // Much of it is touched each 15 s.
            let returned = if number % 5 == 0 { GIB / 2 } else { 0 };
            let limits = cycle(&mut forecast, number, warm, returned, 0);
            first = first.or(limits.age.map(|age| (number, age)));
            let leaves = limits.age.map_or(0, |_| limits.bytes.min(GIB - all));
            forecast.left(leaves);
            all += leaves;
            more = more.or((all > GIB / 16).then_some(number));
        }
        let ((number, age), more) = (first.unwrap(), more.unwrap());
        assert_eq!(age, warm.older());
        assert!(
            TICK * number >= BUSY_WATCH && TICK * number + TICK / 2 >= age.duration(TICK),
            "cycle {number}"
        );
        assert!(TICK * (more * 2 + 1) >= age.duration(TICK) * 3, "more than little in cycle {more}");
        assert_eq!(forecast.limits(TICK * 100).age, Some(age), "and stays there");
    }

    #[test]
    fn what_the_looks_did_not_show_takes_the_age_back_at_once_and_the_amount_down() {
        let mut forecast = forecast(AgeRule::Auto);
        for number in 1..=10 {
            let limits = cycle_of(&mut forecast, number, Age::LEAST, [0; 3]);
            forecast.left(limits.bytes.min(GIB / 2));
        }
        assert_eq!(forecast.limits(TICK * 10).age, Some(Age::LEAST));
        let limits = cycle(&mut forecast, 11, Age::of_step(3), GIB / 2, GIB / 2);
        assert!(limits.age.is_none_or(|age| age > Age::of_step(3)), "{limits:?}");
        assert_eq!(limits.bytes, 0);
        let told = forecast.told(TICK * 11);
        assert!(
            told.offers.iter().all(|offer| offer.of_goal > Share::default() || offer.age > 3 * TICK),
            "{told:?}"
        );
    }

    #[test]
    fn an_age_that_is_given_is_kept() {
        let mut forecast = forecast(AgeRule::Fixed(Duration::from_secs(10)));
        for number in 1..=10 {
            let limits = cycle(&mut forecast, number, Age::of_step(5), GIB, 0);
            assert_eq!(limits.age, Some(Age::of_step(4)));
        }
    }

    /// The next time it may be a tick more.
    #[test]
    fn what_returns_after_few_ticks_is_given_one_more() {
        for (returns, age) in [(1, 3), (2, 4), (3, 5), (4, 5), (5, 6)] {
            let mut forecast = forecast(AgeRule::Auto);
            for number in 1..=30 {
                cycle(&mut forecast, number, Age::of_step(returns), GIB / 2, 0);
            }
            assert_eq!(forecast.limits(TICK * 30).age, Some(Age::of_step(age)), "{returns}");
        }
    }

    #[test]
    fn a_goal_of_nothing_allows_what_nothing_returns_of() {
        let mut forecast = Forecast::new(Goal::percent_per_minute(0.0), AgeRule::Auto, TICK);
        for number in 1..=10 {
            cycle(&mut forecast, number, Age::of_step(5), 4096, 0);
        }
        assert_eq!(forecast.limits(TICK * 10).age, Some(Age::of_step(6)));
    }

    #[test]
    fn what_would_be_saved_and_what_it_would_cost_is_said() {
        let mut forecast = forecast(AgeRule::Auto);
        for number in 1..=30 {
            cycle(&mut forecast, number, Age::of_step(5), GIB / 100, 0);
        }
        let told = forecast.told(TICK * 30);
        assert_eq!(told.age, Some(8 * TICK));
        let [now, next, after] = told.offers.as_slice() else { panic!("{told:?}") };
        assert_eq!((now.age, next.age, after.age), (4 * TICK, 6 * TICK, 8 * TICK));
        assert_eq!(after.per_minute, Share::default());
        assert!(now.per_minute > Share::of_percent(19) && now.of_goal > Share::of_percent(100), "{told:?}");
    }
}
