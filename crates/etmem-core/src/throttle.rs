//! How fast pages may leave: so many bytes a second, or a share of what the machine can do.
//!
//! A share needs no figure of the machine: after each batch the mover rests for as long as keeps it busy for that share
//! of the time. What it can do at full speed is measured by the same batches, for those who ask.

use std::time::Duration;

/// The share of the time that movers may work by default, in percent: a GiB to zram then takes some 20 s where it takes
/// 5 s at full speed, and a program beside, which would run at a third of its pace meanwhile, keeps most of it.
pub const DEFAULT_SHARE_PERCENT: u32 = 25;

/// How much weight a batch has in the measured ability, as a divisor.
const WEIGHT: u64 = 8;

/// How fast pages may leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rate {
    /// As fast as they can.
    Unlimited,
    /// At most so many bytes a second.
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
    /// Where processor time is limited: the share that may be used by whoever moves, in percent.
    processor_percent: Option<u32>,
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
        Self { rate, next: Duration::ZERO, ability: 0, processor_percent }
    }

    /// How long to wait before the next batch, `now`.
    #[must_use]
    pub const fn wait(&self, now: Duration) -> Duration {
        self.next.saturating_sub(now)
    }

    /// Takes note of a batch of `bytes` that began at `start`, ended `now` and used so much processor time; `halvings`
    /// as [`crate::feedback::Limits`] has them.
    pub fn moved(&mut self, start: Duration, now: Duration, processor: Duration, bytes: u64, halvings: u32) {
        let took = now.saturating_sub(start);
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        if let Some(ability) = bytes.saturating_mul(1_000_000).checked_div(micros) {
            self.ability = match self.ability {
                0 => ability,
                before => (before / WEIGHT).saturating_mul(WEIGHT - 1).saturating_add(ability / WEIGHT),
            };
        }
        let halvings = halvings.min(16);
        let rest = match self.rate {
            Rate::Unlimited => Duration::ZERO,
            Rate::BytesPerSecond(rate) => {
                let due = u128::from(bytes) * 1_000_000_000 / u128::from((rate >> halvings).max(1));
                nanoseconds(due).saturating_sub(took)
            }
            Rate::SharePercent(percent) => {
                let rest = share_rest(took, percent);
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

    /// Bytes a second that may leave now; none where nothing limits them or nothing is known yet.
    #[must_use]
    pub fn bytes_per_second(&self, halvings: u32) -> Option<u64> {
        let halvings = halvings.min(16);
        match self.rate {
            Rate::Unlimited => None,
            Rate::BytesPerSecond(rate) => Some(rate >> halvings),
            Rate::SharePercent(percent) => {
                let known = Some(self.ability).filter(|ability| *ability > 0)?;
                Some((known / 100).saturating_mul(percent.into()) >> halvings)
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

    /// Moves batches that take `took` each, waiting as told: bytes a second in the long run.
    fn run(rate: Rate, processor_percent: Option<u32>, took: Duration, halvings: u32) -> u64 {
        let mut throttle = Throttle::new(rate, processor_percent);
        let mut now = ms(500);
        let batches = 200;
        for _ in 0..batches {
            now += throttle.wait(now);
            throttle.moved(now, now + took, took, 4 * MIB, halvings);
            now += took;
        }
        now += throttle.wait(now);
        let spent = u64::try_from((now - ms(500)).as_millis()).unwrap();
        batches * 4 * MIB * 1000 / spent
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
    fn the_machines_ability_is_measured() {
        let mut throttle = Throttle::new(Rate::default(), None);
        assert_eq!(throttle.bytes_per_second(0), None);
        throttle.moved(ms(0), ms(10), ms(10), MIB, 0);
        assert_eq!(throttle.ability(), 100 * MIB);
        let share = 100 * MIB * u64::from(DEFAULT_SHARE_PERCENT) / 100;
        assert_eq!(throttle.bytes_per_second(0), Some(share));
        assert_eq!(throttle.bytes_per_second(1), Some(share / 2));
        for _ in 0..100 {
            throttle.moved(ms(0), ms(10), ms(10), 2 * MIB, 0);
        }
        assert!(throttle.ability().abs_diff(200 * MIB) <= 20 * MIB);
        // A batch that took no time tells nothing, and bounds hold.
        throttle.moved(ms(0), ms(0), ms(0), MIB, 99);
        let _ = throttle.bytes_per_second(99);
    }
}
