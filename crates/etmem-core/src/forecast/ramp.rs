//! How much may leave at once: little first, four times as much each time that it was right, and sixteen times where nothing of it
//! came back.
//!
//! After more refaulted than the goal pays for, it begins again with a few MiB.

use serde::{Deserialize, Serialize};
use std::time::Duration;

/// What leaves first after a surprise, in bytes.
const TRIAL: u64 = 4 << 20;

/// At the beginning it is a twentieth of what may leave.
const FIRST_SHARE: u64 = 20;

/// By how much more leaves each time.
const GROWTH: u64 = 4;

/// By how much more where the round was clean, and none before was wrong: all within two rounds, and not four.
const CLEAN_GROWTH: u64 = 16;

/// A round was clean if at most this part of what left refaulted.
const CLEAN_SHARE: u64 = 1000;

/// It was wrong if more than this part of what left refaulted in the same round.
const WRONG_SHARE: u64 = 10;

/// The longest round after surprises in a row.
const LONGEST: Duration = Duration::from_secs(86_400);

/// How much may leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// All that is old enough.
    Free,
    /// At most these bytes in this round, as not much has left before.
    First(u64),
    /// The same, as more refaulted than the goal pays for.
    Trial(u64),
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Ramp {
    /// What may leave in a round; none: it has not begun.
    budget: Option<u64>,
    free: bool,
    /// Whether it begins again after a surprise.
    again: bool,
    /// What has left in this round.
    left: u64,
    round_since: Duration,
    /// How long a round is at least.
    round: Duration,
    /// Whether the last surprise was in this round.
    failed: bool,
    /// What refaulted in this round.
    back: u64,
}

impl Ramp {
    pub(super) const fn new() -> Self {
        Self {
            budget: None,
            free: false,
            again: false,
            left: 0,
            round_since: Duration::ZERO,
            round: Duration::ZERO,
            failed: false,
            back: 0,
        }
    }

    /// More refaulted than the goal pays for.
    pub(super) fn surprised(&mut self, now: Duration) {
        (self.free, self.again) = (false, true);
        self.budget = Some(TRIAL);
        if !std::mem::replace(&mut self.failed, true) {
            self.round = (2 * self.round).clamp(super::hours::PIECE, LONGEST);
            self.left = TRIAL;
            self.round_since = now;
        }
    }

    /// Takes note of what refaulted.
    pub(super) const fn refaulted(&mut self, bytes: u64) {
        self.back = self.back.saturating_add(bytes);
    }

    /// A step forward, where the round has come to its end: of `idle` bytes that may leave, with rounds of `least`, in which the
    /// goal pays for `affordable` bytes.
    pub(super) fn step(&mut self, now: Duration, idle: u64, least: Duration, affordable: u64) {
        let Some(budget) = self.budget else {
            self.budget = Some((idle / FIRST_SHARE).max(TRIAL));
            self.round_since = now;
            return;
        };
        if self.free || self.left == 0 || now.saturating_sub(self.round_since) < self.round.max(least) {
            return;
        }
        let (left, back) = (std::mem::take(&mut self.left), std::mem::take(&mut self.back));
        self.round_since = now;
        if std::mem::take(&mut self.failed) {
            return;
        }
        if back > left / WRONG_SHARE {
            // Within the goal, but more of the same would not be.
            self.round = (2 * self.round).clamp(super::hours::PIECE, LONGEST);
            self.budget = Some(budget.saturating_mul(GROWTH).min(affordable).max(TRIAL));
            return;
        }
        self.round /= 2;
        self.free = budget >= idle;
        let growth = if back <= left / CLEAN_SHARE && !self.again { CLEAN_GROWTH } else { GROWTH };
        self.again &= !self.free;
        self.budget = Some(budget.saturating_mul(growth));
    }

    pub(super) const fn left(&mut self, bytes: u64) {
        self.left = self.left.saturating_add(bytes);
    }

    pub(super) const fn stage(&self) -> Stage {
        match self.budget {
            _ if self.free => Stage::Free,
            Some(budget) if self.again => Stage::Trial(budget.saturating_sub(self.left)),
            Some(budget) => Stage::First(budget.saturating_sub(self.left)),
            None => Stage::First(0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn minutes(minutes: u64) -> Duration {
        Duration::from_secs(60 * minutes)
    }

    /// All that may leave leaves at each of these minutes; what that is, in MiB.
    fn leave(ramp: &mut Ramp, at: impl Iterator<Item = u64>, back: impl Fn(u64) -> u64) -> Vec<u64> {
        let mut all = Vec::new();
        for minute in at {
            ramp.step(minutes(minute), 1000 * MIB, minutes(1), 10 * MIB);
            let (Stage::First(bytes) | Stage::Trial(bytes)) = ramp.stage() else { break };
            ramp.left(bytes);
            ramp.refaulted(back(bytes));
            all.push(bytes / MIB);
        }
        all
    }

    #[test]
    fn what_stays_out_is_followed_by_more() {
        let mut ramp = Ramp::new();
        assert_eq!(ramp.stage(), Stage::First(0), "nothing before there is an age");
        assert_eq!(leave(&mut ramp, 0..9, |_| 0), [50, 800, 12800]);
        assert_eq!(ramp.stage(), Stage::Free);
        let mut ramp = Ramp::new();
        assert_eq!(leave(&mut ramp, 0..9, |bytes| bytes / 100), [50, 200, 800, 3200]);
    }

    #[test]
    fn nothing_leaves_twice_in_a_round() {
        let mut ramp = Ramp::new();
        ramp.step(minutes(0), 1000 * MIB, minutes(5), 0);
        ramp.left(50 * MIB);
        ramp.step(minutes(4), 1000 * MIB, minutes(5), 0);
        assert_eq!(ramp.stage(), Stage::First(0));
        ramp.step(minutes(5), 1000 * MIB, minutes(5), 0);
        assert_eq!(ramp.stage(), Stage::First(800 * MIB));
    }

    #[test]
    fn after_a_surprise_it_begins_with_little_and_grows_while_that_stays_out() {
        let mut ramp = Ramp::new();
        leave(&mut ramp, 0..9, |_| 0);
        ramp.surprised(minutes(20));
        assert_eq!(ramp.stage(), Stage::Trial(0), "not in the same round");
        let left = leave(&mut ramp, 21..120, |_| 0);
        let trials: Vec<u64> = left.into_iter().filter(|mib| *mib > 0).collect();
        assert_eq!(trials, [4, 16, 64, 256, 1024]);
        assert_eq!(ramp.stage(), Stage::Free);
    }

    #[test]
    fn what_does_not_stay_out_is_never_more_than_the_goal_pays_for_and_tried_less_and_less() {
        let mut ramp = Ramp::new();
        leave(&mut ramp, 0..9, |_| 0);
        ramp.surprised(minutes(20));
        let left = leave(&mut ramp, 21..3000, |bytes| bytes);
        assert!(left.iter().all(|mib| *mib <= 10), "{left:?}");
        let trials = left.iter().filter(|mib| **mib > 0).count();
        assert!((5..12).contains(&trials), "{trials} trials in two days");
    }
}
