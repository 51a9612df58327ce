//! How much may be written to a disk in a day: the sum of what was written in the hours of the last 24 that have begun.

use serde::{Deserialize, Serialize};
use std::time::Duration;

const HOUR: u64 = 3600;
/// The hour that runs, and 24 before it: no 24 hours have more than the bound.
const HOURS: usize = 25;

/// What was written in which hour.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct DayBudget {
    /// Bytes of each hour, by its number modulo [`HOURS`].
    hours: [u64; HOURS],
    /// The number of the hour that runs.
    hour: u64,
}

impl DayBudget {
    /// Bytes of `per_day` that are left `now`.
    pub(super) fn left(&mut self, per_day: u64, now: Duration) -> u64 {
        self.turn(now);
        let written = self.hours.iter().fold(0, |sum: u64, bytes| sum.saturating_add(*bytes));
        per_day.saturating_sub(written)
    }

    /// `bytes` were written.
    pub(super) fn take(&mut self, bytes: u64, now: Duration) {
        self.turn(now);
        let place = Self::place(self.hour);
        self.hours[place] = self.hours[place].saturating_add(bytes);
    }

    /// How long from `now` on until some of what was written does not count any more.
    pub(super) fn until_more(&mut self, now: Duration) -> Duration {
        self.turn(now);
        let oldest = (1..HOURS as u64).find(|hours| self.hours[Self::place(self.hour + hours)] > 0);
        // The place of an hour is free again when the same place comes round.
        let hours = oldest.unwrap_or(HOURS as u64);
        Duration::from_secs((self.hour + hours) * HOUR).saturating_sub(now)
    }

    fn place(hour: u64) -> usize {
        usize::try_from(hour % HOURS as u64).unwrap_or(0)
    }

    /// Empties the hours that have begun since the last turn.
    fn turn(&mut self, now: Duration) {
        let hour = now.as_secs() / HOUR;
        for begun in self.hour.saturating_add(1)..=hour.min(self.hour.saturating_add(HOURS as u64)) {
            self.hours[Self::place(begun)] = 0;
        }
        if hour.saturating_sub(self.hour) >= HOURS as u64 {
            self.hours = [0; HOURS];
        }
        self.hour = self.hour.max(hour);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn hours(count: u64) -> Duration {
        Duration::from_secs(count * HOUR)
    }

    #[test]
    fn what_was_written_counts_for_a_day() {
        let mut budget = DayBudget::default();
        assert_eq!(budget.left(100, hours(5)), 100);
        budget.take(60, hours(5));
        budget.take(30, hours(6) + Duration::from_secs(1800));
        assert_eq!(budget.left(100, hours(7)), 10);
        assert_eq!(budget.until_more(hours(7)), hours(23));
        assert_eq!(budget.left(100, hours(29)), 10);
        assert_eq!(budget.left(100, hours(30)), 70);
        assert_eq!(budget.until_more(hours(30)), hours(1));
        assert_eq!(budget.left(100, hours(31)), 100);
        budget.take(u64::MAX, hours(31));
        budget.take(7, hours(31));
        assert_eq!(budget.left(100, hours(31)), 0);
        assert_eq!(budget.left(100, hours(900)), 100);
        assert_eq!(budget.left(100, hours(2)), 100, "a clock that went back");
    }

    proptest! {
        #[test]
        fn no_24_hours_have_more_than_the_bound(steps in prop::collection::vec((0u64..20_000, 0u64..80), 1..200)) {
            let mut budget = DayBudget::default();
            let (mut now, mut written) = (0, Vec::new());
            for (wait, wanted) in steps {
                now += wait;
                let bytes = budget.left(100, Duration::from_secs(now)).min(wanted);
                budget.take(bytes, Duration::from_secs(now));
                written.push((now, bytes));
                let of_day: u64 = written.iter().filter(|(at, _)| at + 24 * HOUR > now).map(|(_, bytes)| bytes).sum();
                prop_assert!(of_day <= 100);
            }
        }
    }
}
