//! How fast pages may leave: a number of bytes a second, or a share of what the machine can do.
//!
//! A share needs no figure of the machine: after each batch the mover rests, so that it is busy for that share of the time.
//! The same batches measure what the machine can do at full speed; that is reported, and makes the next batches larger or
//! smaller.

use crate::address::BLOCK_SIZE;
use std::time::Duration;

/// The share of the time that movers may work by default, in percent: a GiB to zram then takes some 20 s where it takes
/// 5 s at full speed, and a program beside, which would run at a third of its pace meanwhile, keeps most of it.
pub const DEFAULT_SHARE_PERCENT: u32 = 25;

/// The share to begin with where it is known whether the programs feel it: a twentieth of the time is what they hardly notice.
const FIRST_SHARE_PERCENT: u32 = 5;

/// How much weight a batch has in the measured ability, as a divisor; one of less than a block has so much less. A few pages that are tried
/// take as long to begin as many, and say little of how fast many leave.
const WEIGHT: u64 = 8;

/// Least bytes to choose for an act where the rate follows the machine: enough batches to measure again what that can do.
const LEAST: u64 = 64 << 20;

/// A batch takes the mover 1/25 s: between two batches the task looks whether it should stop, and rests to keep the rate.
const BATCHES_PER_SECOND: u64 = 25;

/// Bytes of a batch while nothing is known of the machine, and at most: to begin one has a price of its own, as what it needs
/// has left the processor's caches by then.
const FIRST_BATCH: u64 = 16 << 20;
const LARGEST_BATCH: u64 = 32 << 20;

/// How fast pages may leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rate {
    /// As fast as they can.
    Unlimited,
    /// At most this many bytes a second.
    BytesPerSecond(u64),
    /// For this share of the time, in percent: 1 to 100.
    SharePercent(u32),
}

impl Default for Rate {
    fn default() -> Self {
        Self::SharePercent(DEFAULT_SHARE_PERCENT)
    }
}

/// Keeps movers to a [`Rate`]; all that move for one task share it.
#[derive(Debug, Clone)]
pub struct Throttle {
    rate: Rate,
    /// When the next batch may begin.
    next: Duration,
    /// Bytes a second at full speed; 0 while nothing is known.
    ability: u64,
    /// Where processor time is limited: the share that moving may use, in percent.
    processor_percent: Option<u32>,
    /// By how many powers of two the rate is less.
    halvings: u32,
    /// Of a share of the time, how much is used now, in percent; none: all of it.
    eased: Option<u32>,
}

fn nanoseconds(number: u128) -> Duration {
    Duration::from_nanos(u64::try_from(number).unwrap_or(u64::MAX))
}

fn share_rest(took: Duration, percent: u32) -> Duration {
    nanoseconds(took.as_nanos() * 100 / u128::from(percent.max(1))).saturating_sub(took)
}

impl Throttle {
    /// A throttle at `rate`; `processor_percent` limits how much of a processor moving may use.
    #[must_use]
    pub const fn new(rate: Rate, processor_percent: Option<u32>) -> Self {
        Self { rate, next: Duration::ZERO, ability: 0, processor_percent, halvings: 0, eased: None }
    }

    /// Goes on at another rate; what the machine can do is still known.
    pub const fn change(&mut self, rate: Rate, processor_percent: Option<u32>) {
        (self.rate, self.processor_percent) = (rate, processor_percent);
    }

    /// Divides the rate by two, as many times as `halvings` says, until this is called again: the task is held back
    /// ([`crate::feedback::RefaultLimits::halvings`]).
    pub fn halve(&mut self, halvings: u32) {
        self.halvings = halvings.min(16);
    }

    /// A share of the time begins small and grows while the programs do not feel it: whether they do, if that is known
    /// yet. A rate that was asked for stays as it is.
    pub fn ease(&mut self, felt: Option<bool>) {
        let now = self.eased.unwrap_or(FIRST_SHARE_PERCENT);
        self.eased = Some(match felt {
            None => now,
            Some(true) => FIRST_SHARE_PERCENT,
            Some(false) => (now + now.div_ceil(2)).min(DEFAULT_SHARE_PERCENT),
        });
    }

    /// The share that is used now, of `percent`.
    fn share(&self, percent: u32) -> u32 {
        self.eased.map_or(percent, |eased| eased.min(percent))
    }

    /// How long to wait before the next batch, `now`.
    #[must_use]
    pub const fn wait(&self, now: Duration) -> Duration {
        self.next.saturating_sub(now)
    }

    /// Takes note of a batch of which `bytes` left, that began at `start`, ended `now` and used `processor` of processor time.
    pub fn moved(&mut self, start: Duration, now: Duration, processor: Duration, bytes: u64) {
        let took = now.saturating_sub(start);
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        // Where nothing left, nothing is learned of what the machine can do.
        if bytes > 0
            && let Some(ability) = bytes.saturating_mul(1_000_000).checked_div(micros)
        {
            self.ability = match self.ability {
                0 => ability,
                before => {
                    let part = u128::from(bytes.min(BLOCK_SIZE));
                    let weigh = |bytes: u64| {
                        let weighed = u128::from(bytes) * part / u128::from(BLOCK_SIZE * WEIGHT);
                        u64::try_from(weighed).unwrap_or(u64::MAX)
                    };
                    before.saturating_sub(weigh(before)).saturating_add(weigh(ability))
                }
            };
        }
        let halvings = self.halvings;
        let rest = match self.rate {
            Rate::Unlimited => Duration::ZERO,
            Rate::BytesPerSecond(rate) => {
                let due = u128::from(bytes) * 1_000_000_000 / u128::from((rate >> halvings).max(1));
                nanoseconds(due).saturating_sub(took)
            }
            Rate::SharePercent(percent) => {
                let rest = share_rest(took, self.share(percent));
                (rest + took).saturating_mul(1 << halvings).saturating_sub(took)
            }
        };
        let processor_rest = self.processor_percent.map_or(Duration::ZERO, |percent| {
            (processor + share_rest(processor, percent)).saturating_sub(took)
        });
        // Several may move at once: the rests add up.
        self.next = self.next.max(start).saturating_add(took).saturating_add(rest.max(processor_rest));
    }

    /// Bytes a second that the machine moves at full speed; 0 while nothing is known.
    #[must_use]
    pub const fn ability(&self) -> u64 {
        self.ability
    }

    /// Most bytes to choose for an act of this length; no bound where none is known yet. Where the rate follows the machine it
    /// is 64 MiB at least: one slow batch would else be the measure of all that follow, as there would be few of them. While
    /// they are few, they rest as long as ever.
    #[must_use]
    pub fn bytes_within(&self, length: Duration) -> u64 {
        let Some(rate) = self.bytes_per_second() else { return u64::MAX };
        let bytes = rate.saturating_mul(length.as_secs());
        match self.rate {
            Rate::SharePercent(_) => bytes.max(LEAST >> self.halvings),
            Rate::Unlimited | Rate::BytesPerSecond(_) => bytes,
        }
    }

    /// Bytes of a batch, whole blocks: so that it takes 40 ms, and of a bounded rate no more than leaves in as long.
    #[must_use]
    pub fn batch_bytes(&self) -> u64 {
        let able = if self.ability == 0 { FIRST_BATCH } else { self.ability / BATCHES_PER_SECOND };
        let may = match self.rate {
            Rate::BytesPerSecond(_) => self.bytes_per_second().map(|rate| rate / BATCHES_PER_SECOND),
            Rate::Unlimited | Rate::SharePercent(_) => None,
        };
        let bytes = able.min(may.unwrap_or(u64::MAX)).clamp(BLOCK_SIZE, LARGEST_BATCH);
        bytes & !(BLOCK_SIZE - 1)
    }

    /// Bytes a second that may leave now; `None` if nothing limits them or nothing is known yet.
    #[must_use]
    pub fn bytes_per_second(&self) -> Option<u64> {
        let halvings = self.halvings;
        match self.rate {
            Rate::Unlimited => None,
            Rate::BytesPerSecond(rate) => Some(rate >> halvings),
            Rate::SharePercent(percent) => {
                let known = Some(self.ability).filter(|ability| *ability > 0)?;
                Some((known / 100).saturating_mul(self.share(percent).into()) >> halvings)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn ms(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    /// Moves batches that take `took` each, with the waits between: bytes a second in the long run.
    fn run(rate: Rate, processor_percent: Option<u32>, took: Duration, halvings: u32) -> u64 {
        let mut throttle = Throttle::new(rate, processor_percent);
        throttle.halve(halvings);
        let mut now = ms(500);
        let batches = 200;
        for _ in 0..batches {
            now += throttle.wait(now);
            throttle.moved(now, now + took, took, 4 * MIB);
            now += took;
        }
        now += throttle.wait(now);
        let spent = u64::try_from((now - ms(500)).as_millis()).unwrap();
        batches * 4 * MIB * 1000 / spent
    }

    #[test]
    fn a_few_pages_say_little_of_what_the_machine_can_do() {
        let mut throttle = Throttle::new(Rate::default(), None);
        let mut now = ms(500);
        let mut batch = |throttle: &mut Throttle, bytes, took| {
            throttle.moved(now, now + took, took, bytes);
            now += took;
        };
        batch(&mut throttle, 4 * MIB, ms(10));
        for _ in 0..100 {
            batch(&mut throttle, 4096, ms(1));
        }
        assert!(throttle.ability() > 350 * MIB, "{}", throttle.ability());
        for _ in 0..100 {
            batch(&mut throttle, 4 * MIB, ms(40));
        }
        assert!((99 * MIB..=101 * MIB).contains(&throttle.ability()), "{}", throttle.ability());
    }

    #[test]
    fn rates_hold() {
        let at_full_speed = 4 * MIB * 1000 / 20;
        for (rate, processor, halvings, want) in [
            (Rate::Unlimited, None, 0, at_full_speed),
            (Rate::SharePercent(20), None, 0, at_full_speed / 5),
            (Rate::default(), None, 0, at_full_speed / 4),
            (Rate::SharePercent(20), None, 2, at_full_speed / 20),
            (Rate::SharePercent(100), None, 0, at_full_speed),
            (Rate::BytesPerSecond(10 * MIB), None, 0, 10 * MIB),
            (Rate::BytesPerSecond(10 * MIB), None, 1, 5 * MIB),
            (Rate::BytesPerSecond(1 << 40), None, 0, at_full_speed),
            (Rate::Unlimited, Some(5), 0, at_full_speed / 20),
            (Rate::BytesPerSecond(10 * MIB), Some(1), 0, at_full_speed / 100),
        ] {
            let got = run(rate, processor, ms(20), halvings);
            assert!(got.abs_diff(want) <= want / 50, "{rate:?} {processor:?}: {got}, wanted {want}");
        }
    }

    #[test]
    fn a_share_grows_while_it_is_not_felt() {
        let mut throttle = Throttle::new(Rate::default(), None);
        throttle.moved(ms(0), ms(10), ms(10), MIB);
        let mut percent = |felt| {
            throttle.ease(felt);
            throttle.bytes_per_second().map(|rate| rate / MIB)
        };
        let of = |percent| Some(percent);
        assert_eq!(percent(None), of(5));
        let grows: Vec<_> = (0..5).map(|_| percent(Some(false))).collect();
        assert_eq!(grows, [of(8), of(12), of(18), of(25), of(25)]);
        assert_eq!(percent(None), of(25), "it is known from the last act");
        assert_eq!(percent(Some(true)), of(5), "at once");
        let mut asked_for = Throttle::new(Rate::BytesPerSecond(MIB), None);
        asked_for.ease(Some(true));
        assert_eq!(asked_for.bytes_per_second(), Some(MIB));
    }

    /// A first batch of 8 MiB that took seven seconds, on a machine that takes a moment for each that follows.
    #[test]
    fn one_slow_batch_is_not_the_measure_for_long() {
        let (act, batch) = (Duration::from_secs(10), 8 * MIB);
        let mut throttle = Throttle::new(Rate::default(), None);
        throttle.moved(ms(0), ms(7000), ms(7000), batch);
        let mut now = ms(7000);
        let mut left = Vec::new();
        for _ in 0..6 {
            now += ms(4000);
            let (until, chosen) = (now + act, throttle.bytes_within(act));
            let mut moved = 0;
            while moved < chosen && now + throttle.wait(now) < until {
                now += throttle.wait(now);
                let bytes = batch.min(chosen - moved);
                let took = ms(bytes * 5 / MIB);
                throttle.moved(now, now + took, took, bytes);
                now += took;
                moved += bytes;
            }
            left.push(moved / MIB);
        }
        // It rests for three times as long first; then it follows the machine, which can do 500 MiB in an act.
        assert_eq!(left[..2], [0, 0], "{left:?}");
        assert!(left[2] > 0 && left[4..].iter().all(|mib| *mib >= 400), "{left:?}");
        let bound = Throttle::new(Rate::BytesPerSecond(MIB), None);
        assert_eq!(bound.bytes_within(act), 10 * MIB, "what a task asks for is kept");
        let chosen = throttle.bytes_within(act);
        throttle.halve(1);
        assert!(throttle.bytes_within(act) < chosen, "a task that is held back chooses less");
        assert_eq!(Throttle::new(Rate::default(), None).bytes_within(act), u64::MAX);
    }

    #[test]
    fn batches_take_as_long_on_any_machine() {
        for (rate, mib_per_second, halvings, want) in [
            (Rate::default(), None, 0, 16),
            (Rate::default(), Some(1), 0, 2),
            (Rate::default(), Some(250), 0, 10),
            (Rate::default(), Some(250), 3, 10),
            (Rate::default(), Some(1000), 0, 32),
            (Rate::Unlimited, Some(275), 0, 10),
            (Rate::BytesPerSecond(100 * MIB), None, 0, 4),
            (Rate::BytesPerSecond(100 * MIB), Some(1000), 1, 2),
            (Rate::BytesPerSecond(1), Some(1000), 99, 2),
            (Rate::BytesPerSecond(u64::MAX), Some(u64::MAX / MIB), 0, 32),
        ] {
            let mut throttle = Throttle::new(rate, None);
            throttle.ability = mib_per_second.map_or(0, |mib| mib * MIB);
            throttle.halve(halvings);
            assert_eq!(throttle.batch_bytes(), want * MIB, "{rate:?} {mib_per_second:?} {halvings}");
        }
    }

    #[test]
    fn the_machines_ability_is_measured() {
        let mut throttle = Throttle::new(Rate::default(), None);
        assert_eq!(throttle.bytes_per_second(), None);
        throttle.moved(ms(0), ms(10), ms(10), MIB);
        assert_eq!(throttle.ability(), 100 * MIB);
        let share = 100 * MIB * u64::from(DEFAULT_SHARE_PERCENT) / 100;
        assert_eq!(throttle.bytes_per_second(), Some(share));
        throttle.halve(1);
        assert_eq!(throttle.bytes_per_second(), Some(share / 2));
        for _ in 0..100 {
            throttle.moved(ms(0), ms(10), ms(10), 2 * MIB);
        }
        assert!(throttle.ability().abs_diff(200 * MIB) <= 20 * MIB);
        // A batch that took no time measures nothing, and bounds hold.
        throttle.halve(99);
        throttle.moved(ms(0), ms(0), ms(0), MIB);
        let _ = throttle.bytes_per_second();
    }
}
