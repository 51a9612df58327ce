//! Whether a probe is believed about a target, and how much may leave to find out.
//!
//! A probe can be blind to a target. So before much of it leaves, for the first time and whenever much more of it than before
//! looks cold, a sample leaves and is watched ([`crate::act::watched`]):
//!
//! ```text
//!  unknown --sample stays out--> trusted --much more looks cold, or much refaults--> unknown
//!     |                                                                                 ^
//!     +--sample comes back--> blind --some cycles, four times as many each time--> a small sample
//! ```
//!
//! Where a probe is trusted and goes on to be right, nothing of this costs anything.

use crate::act::Trial;
use crate::address::PAGE_SIZE;
use serde::{Deserialize, Serialize};

/// The smallest sample, in bytes. A target of which no more is cold is its own sample.
pub const SAMPLE_LEAST: u64 = 64 * PAGE_SIZE;

/// The largest.
const SAMPLE_MOST: u64 = 8 << 20;

/// One page of this many is a sample: a little less than one percent.
const SAMPLE_SHARE: u64 = 128;

/// A sample comes back where more than this share of it does, in percent, and more than these pages.
const BACK_PERCENT: u64 = 5;
const BACK_LEAST: u64 = 3 * PAGE_SIZE;

/// By how many percent of the memory that is present more may look cold than in the cycle before.
const JUMP_PERCENT: u64 = 10;

/// A probe is no longer trusted where more than this share of what is out refaults in a cycle, in percent, and more than a
/// sample.
const REFAULTS_PERCENT: u64 = 5;

/// Cycles for which nothing leaves after a sample came back for the first time, and how much longer it is each time after.
const BLIND_CYCLES: u64 = 16;
const BLIND_GROWTH: u32 = 4;
const BLIND_TIMES_MAX: u32 = 5;

/// What is known of a probe and a target.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trust {
    state: State,
    /// How often a sample came back, one after the other.
    blind: u32,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
enum State {
    #[default]
    Unknown,
    /// What of the memory present looked cold in the last cycle, in percent.
    Trusted { cold_percent: u64 },
    /// Nothing leaves before this cycle, as this sample came back.
    Blind { until: u64, sample: Trial },
}

/// What may leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Evidence {
    /// All that is to leave.
    Enough,
    /// A sample of this many bytes first; the rest if it stays out.
    Sample(u64),
    /// A sample of this many bytes, and no more: the probe was blind.
    SampleAlone(u64),
    /// Nothing: the probe is blind.
    Blind,
}

impl Trust {
    /// What may leave in cycle `cycle`, where `cold` bytes of `present` look cold.
    #[must_use]
    pub fn evidence(&self, cycle: u64, cold: u64, present: u64) -> Evidence {
        match self.state {
            State::Blind { until, .. } if cycle < until => Evidence::Blind,
            State::Blind { .. } => Evidence::SampleAlone(SAMPLE_LEAST),
            State::Trusted { .. } | State::Unknown if cold <= SAMPLE_LEAST => Evidence::Enough,
            State::Trusted { cold_percent } if percent(cold, present) <= cold_percent + JUMP_PERCENT => {
                Evidence::Enough
            }
            State::Trusted { .. } | State::Unknown => {
                let bytes = (cold / SAMPLE_SHARE).clamp(SAMPLE_LEAST, SAMPLE_MOST);
                Evidence::Sample(bytes & !(PAGE_SIZE - 1))
            }
        }
    }

    /// Takes note of a sample. Returns whether it stayed out.
    pub fn tried(&mut self, cycle: u64, trial: Trial) -> bool {
        let came_back = trial.back > BACK_LEAST && trial.back * 100 > trial.left * BACK_PERCENT;
        if came_back {
            let cycles = BLIND_CYCLES * u64::from(BLIND_GROWTH.pow(self.blind.min(BLIND_TIMES_MAX)));
            self.blind += 1;
            self.state = State::Blind { until: cycle + cycles, sample: trial };
        } else if matches!(self.state, State::Blind { .. }) {
            // One small sample is not much: the next is as large as at first.
            self.state = State::Unknown;
        }
        !came_back
    }

    /// Another probe looks from now on: it is tried in the next cycle, with little.
    pub fn another_probe(&mut self, cycle: u64) {
        if let State::Blind { until, .. } = &mut self.state {
            *until = cycle + 1;
        }
    }

    /// Where the probe is blind: the sample that came back, and for how many cycles from `cycle` on nothing leaves.
    #[must_use]
    pub fn blind(&self, cycle: u64) -> Option<(Trial, u64)> {
        match self.state {
            State::Blind { until, sample } => Some((sample, until.saturating_sub(cycle))),
            State::Unknown | State::Trusted { .. } => None,
        }
    }

    /// Takes note that `cold` bytes of `present` looked cold, and all of that was free to leave.
    pub fn acted(&mut self, cold: u64, present: u64) {
        if !matches!(self.state, State::Blind { .. }) {
            self.state = State::Trusted { cold_percent: percent(cold, present) };
        }
    }

    /// Takes note that of `out` bytes that were out `refaulted` bytes are back.
    pub fn settled(&mut self, refaulted: u64, out: u64) {
        let much = refaulted > SAMPLE_LEAST && refaulted * 100 > out * REFAULTS_PERCENT;
        match self.state {
            State::Trusted { .. } if much => self.state = State::Unknown,
            State::Trusted { .. } => self.blind = 0,
            State::Unknown | State::Blind { .. } => {}
        }
    }
}

fn percent(part: u64, whole: u64) -> u64 {
    part.saturating_mul(100).checked_div(whole).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn trial(left: u64, back: u64) -> Trial {
        Trial { left: left * PAGE_SIZE, back: back * PAGE_SIZE }
    }

    #[test]
    fn a_sample_is_a_hundredth_within_bounds() {
        for (cold, want) in [
            (10 * PAGE_SIZE, Evidence::Enough),
            (SAMPLE_LEAST, Evidence::Enough),
            (MIB, Evidence::Sample(SAMPLE_LEAST)),
            (256 * MIB, Evidence::Sample(2 * MIB)),
            (1 << 40, Evidence::Sample(8 * MIB)),
        ] {
            assert_eq!(Trust::default().evidence(1, cold, 2 * cold), want, "{cold}");
        }
    }

    #[test]
    fn trust_lasts_until_much_more_looks_cold_or_much_refaults() {
        let mut trust = Trust::default();
        assert!(trust.tried(1, trial(640, 20)));
        trust.acted(75 * MIB, 100 * MIB);
        // The rest of it, in later cycles.
        assert_eq!(trust.evidence(2, 70 * MIB, 95 * MIB), Evidence::Enough);
        trust.acted(MIB, 30 * MIB);
        assert_eq!(trust.evidence(3, 3 * MIB, 30 * MIB), Evidence::Enough);
        assert!(matches!(trust.evidence(3, 25 * MIB, 30 * MIB), Evidence::Sample(_)), "a jump");
        trust.settled(MIB, 70 * MIB);
        assert_eq!(trust.evidence(4, MIB, 30 * MIB), Evidence::Enough);
        trust.settled(4 * MIB, 70 * MIB);
        assert!(matches!(trust.evidence(4, MIB, 30 * MIB), Evidence::Sample(_)), "it was wrong");
    }

    #[test]
    fn a_blind_probe_is_tried_again_later_each_time_with_little() {
        let mut trust = Trust::default();
        let (cold, present) = (400 * MIB, 400 * MIB);
        let mut cycle = 1;
        let mut waits = Vec::new();
        for _ in 0..3 {
            assert!(!trust.tried(cycle, trial(64, 4)));
            let start = cycle;
            assert_eq!(trust.blind(start).map(|(sample, _)| sample), Some(trial(64, 4)));
            while trust.evidence(cycle, cold, present) == Evidence::Blind {
                cycle += 1;
            }
            assert_eq!(trust.blind(start).map(|(_, cycles)| cycles), Some(cycle - start));
            waits.push(cycle - start);
            assert_eq!(trust.evidence(cycle, cold, present), Evidence::SampleAlone(SAMPLE_LEAST));
        }
        assert_eq!(waits, [16, 64, 256]);
        // Another probe is tried at once.
        let mut another = trust;
        assert!(!another.tried(cycle, trial(64, 64)));
        another.another_probe(cycle);
        assert_eq!(another.evidence(cycle, cold, present), Evidence::Blind);
        assert_eq!(another.evidence(cycle + 1, cold, present), Evidence::SampleAlone(SAMPLE_LEAST));
        assert!(trust.tried(cycle, trial(64, 3)), "three pages are nothing");
        assert_eq!(trust.blind(cycle), None);
        assert_eq!(trust.evidence(cycle + 1, cold, present), Evidence::Sample(400 * MIB / 128));
    }
}
