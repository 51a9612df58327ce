//! Something that touches nearly all memory at once: a garbage collector, a backup, a scrubber.
//!
//! A sweep that comes often shows as what it is: all of it returns at ages below its period, and nothing leaves before. One that comes
//! once a day is counted once, and is not held against the rest of the day. Until the period is known, nothing leaves for a while.

use super::bytes;
use super::hours::PIECE;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// What of the idle memory a sweep touches at least.
const SHARE: f64 = 0.7;

/// A sweep is over when less than this share was touched in a while.
const OVER_SHARE: f64 = 0.3;

/// More than one sweep, of what was idle before the first.
const MORE_THAN_ONE: f64 = 2.4;

/// What of all memory must have been idle.
const IDLE_SHARE: f64 = 0.1;

/// Sweeps further apart than this are not counted.
const RARE: Duration = Duration::from_secs(12 * 3600);

/// How long nothing leaves after the first sweep: twice as long as it took to come, within these bounds.
const HOLD_SHORTEST: Duration = Duration::from_secs(600);
const HOLD_LONGEST: Duration = Duration::from_secs(2 * 3600);

/// What is known of sweeps.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(super) struct Sweeps {
    /// When the last one was seen first.
    last: Option<Duration>,
    period: Option<Duration>,
    /// What was idle before the one that is under way.
    under_way: Option<u64>,
    hold_until: Duration,
}

/// Memory that is swept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Swept {
    /// How often; none: it was seen once.
    pub period: Option<Duration>,
    /// For how long nothing leaves, until more is known.
    pub hold: Duration,
    /// Whether it comes so seldom that it is not counted.
    pub rare: bool,
}

/// What a sweep changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum News {
    Nothing,
    /// It is not to be counted.
    Rare,
    /// Sweeps are to be counted: they come often.
    Often,
}

impl Sweeps {
    pub(super) const NONE: Self =
        Self { last: None, period: None, under_way: None, hold_until: Duration::ZERO };

    /// Takes note that `returned` bytes were touched in the last ten to twenty minutes, of `idle` bytes before and `all` bytes;
    /// the looks have lasted for `watched`.
    pub(super) fn saw(
        &mut self,
        now: Duration,
        watched: Duration,
        returned: u64,
        [idle, all]: [u64; 2],
    ) -> News {
        if let Some(idle) = self.under_way {
            let share = bytes(returned) / bytes(idle.max(1));
            if share < OVER_SHARE {
                self.under_way = None;
                return News::Nothing;
            }
            if share < MORE_THAN_ONE {
                return if self.is_rare() { News::Rare } else { News::Nothing };
            }
            self.period = Some((2 * PIECE).min(watched).div_f64(share));
            self.hold_until = Duration::ZERO;
            return News::Often;
        }
        let share = bytes(returned) / bytes(idle.max(1));
        if share < SHARE || bytes(idle) < bytes(all) * IDLE_SHARE {
            return News::Nothing;
        }
        self.under_way = Some(idle);
        let before = self.last.replace(now);
        self.period = before.map(|before| now.saturating_sub(before));
        match self.period {
            Some(period) if period < RARE => {
                self.hold_until = Duration::ZERO;
                News::Often
            }
            Some(_) => News::Rare,
            None => {
                self.hold_until = now + (2 * watched).clamp(HOLD_SHORTEST, HOLD_LONGEST);
                News::Rare
            }
        }
    }

    fn is_rare(&self) -> bool {
        self.period.is_none_or(|period| period >= RARE)
    }

    /// Whether a sweep is under way that is not to be counted.
    pub(super) fn is_excused(&self) -> bool {
        self.under_way.is_some() && self.is_rare()
    }

    /// What is to be said `now`, if anything was swept.
    pub(super) fn swept(&self, now: Duration) -> Option<Swept> {
        self.last?;
        let hold = self.hold_until.saturating_sub(now);
        Some(Swept { period: self.period, hold, rare: self.is_rare() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    /// A sweep of ten minutes, seen minute by minute; what it changed at its beginning.
    fn sweep(sweeps: &mut Sweeps, at: Duration) -> News {
        let mut first = News::Nothing;
        for minute in 1..=30 {
            let returned = if minute <= 20 { 10 * minute.min(10) } else { 0 };
            let now = at + Duration::from_secs(60 * minute);
            let news = sweeps.saw(now, now, returned, [100, 150]);
            first = if first == News::Nothing { news } else { first };
        }
        first
    }

    #[test]
    fn a_part_of_memory_is_no_sweep_nor_is_all_of_next_to_nothing() {
        let mut sweeps = Sweeps::default();
        assert_eq!(sweeps.saw(HOUR, HOUR, 60, [100, 150]), News::Nothing);
        assert_eq!(sweeps.saw(HOUR, HOUR, 10, [10, 150]), News::Nothing);
        assert_eq!(sweeps.swept(HOUR), None);
    }

    #[test]
    fn once_a_day_is_not_counted_and_holds_nothing_after_the_first_time() {
        let mut sweeps = Sweeps::default();
        assert_eq!(sweep(&mut sweeps, 14 * HOUR), News::Rare);
        let swept = sweeps.swept(14 * HOUR + HOUR).unwrap();
        assert!(swept.rare && swept.period.is_none() && swept.hold > HOUR && swept.hold < 2 * HOUR);
        assert_eq!(sweep(&mut sweeps, 38 * HOUR), News::Rare);
        let swept = sweeps.swept(39 * HOUR).unwrap();
        assert_eq!(swept, Swept { period: Some(24 * HOUR), hold: Duration::ZERO, rare: true });
    }

    #[test]
    fn each_two_hours_is_counted_from_the_second_time_on() {
        let mut sweeps = Sweeps::default();
        assert_eq!(sweep(&mut sweeps, HOUR), News::Rare);
        assert!(sweeps.swept(2 * HOUR).unwrap().hold > HOUR, "until the next one is seen");
        assert_eq!(sweep(&mut sweeps, 3 * HOUR), News::Often);
        let swept = sweeps.swept(4 * HOUR).unwrap();
        assert_eq!((swept.period, swept.rare), (Some(2 * HOUR), false));
    }

    #[test]
    fn several_in_a_few_minutes_are_counted_at_once() {
        let mut sweeps = Sweeps::default();
        let minute = Duration::from_secs(60);
        let mut news = Vec::new();
        for number in 1..=20u32 {
            // All of it, twice a minute.
            news.push(sweeps.saw(number * minute, number * minute, u64::from(200 * number), [100, 150]));
        }
        assert_eq!(news[0], News::Rare);
        assert!(news[2..].iter().all(|news| *news == News::Often), "{news:?}");
        assert_eq!(sweeps.swept(20 * minute).unwrap().period, Some(Duration::from_secs(30)));
    }
}
