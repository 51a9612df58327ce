//! How long a page has been idle, in steps.
//!
//! Time is counted in ticks: a tick is how long a cycle takes at least. The steps grow with the age, by a third to a half, so
//! that there are few of them and days are still an age.
//!
//! A page goes a step up at the ticks that are a multiple of the step's width, without a clock of its own. So the first step
//! of a width may be cut short: a page enters a step when it has been idle for two thirds of what the step says, or longer.

use serde::{Deserialize, Serialize};
use std::time::Duration;

/// How many steps there are.
pub const AGES: usize = 33;

/// From which age on, in ticks, each step is.
const TICKS: [u32; AGES] = [
    0, 1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048, 3072,
    4096, 6144, 8192, 12_288, 16_384, 24_576, 32_768, 49_152, 65_536,
];

/// For how long a page has been idle, as a step.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Age(u8);

impl Age {
    /// Touched in the last cycle.
    pub const TOUCHED: Self = Self(0);

    /// The least that is not [`Age::TOUCHED`].
    pub const LEAST: Self = Self(1);

    /// The last step, without an end.
    #[expect(clippy::cast_possible_truncation, reason = "33 steps")]
    pub const LAST: Self = Self(AGES as u8 - 1);

    /// The step of this number; of a number that is too large, the last.
    #[must_use]
    pub const fn of_step(step: u8) -> Self {
        if step < Self::LAST.0 { Self(step) } else { Self::LAST }
    }

    /// Its number.
    #[must_use]
    pub const fn step(self) -> u8 {
        self.0
    }

    /// From how many ticks on it is.
    #[must_use]
    pub const fn ticks(self) -> u64 {
        TICKS[self.0 as usize] as u64
    }

    /// How long that is, with ticks of this length.
    #[must_use]
    pub fn duration(self, tick: Duration) -> Duration {
        tick.saturating_mul(TICKS[usize::from(self.0)])
    }

    /// The first step of at least `duration`; none if that is longer than the last.
    #[must_use]
    pub fn at_least(duration: Duration, tick: Duration) -> Option<Self> {
        Self::all().find(|age| age.duration(tick) >= duration)
    }

    /// One step younger; the least that is not touched stays.
    #[must_use]
    pub const fn younger(self) -> Self {
        Self(if self.0 > 1 { self.0 - 1 } else { self.0 })
    }

    /// One step older; the last stays.
    #[must_use]
    pub const fn older(self) -> Self {
        Self::of_step(self.0 + 1)
    }

    /// All steps, the youngest first.
    pub fn all() -> impl DoubleEndedIterator<Item = Self> {
        (0..=Self::LAST.0).map(Self)
    }

    /// The age of a page that had this one at tick `from` and was not touched until tick `to`.
    #[must_use]
    pub const fn after(self, from: u64, to: u64) -> Self {
        let (mut step, mut at) = (self.0, from);
        while step < Self::LAST.0 {
            let width = (TICKS[step as usize + 1] - TICKS[step as usize]) as u64;
            let next = (at / width + 1) * width;
            if next > to {
                break;
            }
            (step, at) = (step + 1, next);
        }
        Self(step)
    }
}

/// Bytes by age.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ByAge(#[serde(with = "crate::arrays")] [u64; AGES]);

impl Default for ByAge {
    fn default() -> Self {
        Self::NONE
    }
}

impl ByAge {
    /// No bytes.
    pub const NONE: Self = Self([0; AGES]);

    /// Adds `bytes` of this age.
    pub const fn add(&mut self, age: Age, bytes: u64) {
        self.0[age.0 as usize] += bytes;
    }

    /// Adds all of `other`.
    pub fn add_all(&mut self, other: &Self) {
        for (sum, bytes) in self.0.iter_mut().zip(other.0) {
            *sum += bytes;
        }
    }

    /// Takes all of `other` off, which was added before.
    pub fn take_off(&mut self, other: &Self) {
        for (sum, bytes) in self.0.iter_mut().zip(other.0) {
            *sum = sum.saturating_sub(bytes);
        }
    }

    /// The same as `part` is of `whole`.
    #[must_use]
    pub fn share(&self, part: u64, whole: u64) -> Self {
        let share = |bytes: u64| u128::from(bytes) * u128::from(part) / u128::from(whole.max(1));
        Self(self.0.map(|bytes| u64::try_from(share(bytes)).unwrap_or(u64::MAX)))
    }

    /// Bytes of this age.
    #[must_use]
    pub const fn of(&self, age: Age) -> u64 {
        self.0[age.0 as usize]
    }

    /// Bytes of at least this age.
    #[must_use]
    pub fn at_least(&self, age: Age) -> u64 {
        self.0[usize::from(age.0)..].iter().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_grow_and_are_cut_by_at_most_a_third() {
        for start in 0..300 {
            let (mut age, mut at) = (Age::TOUCHED, start);
            while age < Age::LAST {
                let before = age;
                age = age.after(at, at + 1);
                at += 1;
                assert!(age.step() - before.step() <= 1);
                if age > before {
                    let idle = at - start;
                    assert!(
                        idle <= age.ticks() && 3 * idle >= 2 * age.ticks(),
                        "step {age:?} after {idle} ticks from {start}"
                    );
                }
            }
        }
    }

    #[test]
    fn many_ticks_at_once_are_as_one_after_the_other() {
        for start in [0, 5, 77] {
            for ticks in [1, 2, 3, 7, 60, 1000] {
                let slowly = (start..start + ticks).fold(Age::TOUCHED, |age, at| age.after(at, at + 1));
                assert_eq!(Age::TOUCHED.after(start, start + ticks), slowly, "{ticks} from {start}");
            }
        }
    }

    #[test]
    fn durations() {
        let minute = Duration::from_secs(60);
        assert_eq!(Age::at_least(5 * minute, minute), Some(Age::of_step(5)));
        assert_eq!(Age::of_step(5).duration(minute), 6 * minute);
        assert_eq!(Age::at_least(Duration::MAX, minute), None);
        assert_eq!(Age::of_step(u8::MAX), Age::LAST);
        assert_eq!(Age::LEAST.younger(), Age::LEAST);
    }

    #[test]
    fn bytes_of_at_least_an_age() {
        let mut bytes = ByAge::default();
        for (step, more) in [(1, 3), (4, 5), (32, 7)] {
            bytes.add(Age::of_step(step), more);
        }
        let mut twice = bytes;
        twice.add_all(&bytes);
        assert_eq!(twice.share(5, 10), bytes);
        let mut once = twice;
        once.take_off(&bytes);
        assert_eq!(once, bytes);
        assert_eq!(
            (twice.at_least(Age::LEAST), twice.at_least(Age::of_step(2)), twice.of(Age::LAST)),
            (30, 24, 14)
        );
    }
}
