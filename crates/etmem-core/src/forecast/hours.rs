//! What returned in the last two days, by how long it had been idle, beside what the goal paid for in that time.
//!
//! It is kept in pieces of ten minutes. What returns after an age can only return once in such a time, so what had been idle for
//! long is remembered for long: for four times its age, between six hours and two days.

use super::bytes;
use crate::age::{AGES, Age, ByAge};
use crate::feedback::InTime;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::time::Duration;

/// How long a piece lasts.
pub(super) const PIECE: Duration = Duration::from_secs(600);

/// Pieces of an hour, over which the goal is to hold.
const HOUR: usize = 6;

/// The shortest and the longest memory.
const SHORTEST: Duration = Duration::from_secs(6 * 3600);
const LONGEST: Duration = Duration::from_secs(48 * 3600);
const AGES_REMEMBERED: u32 = 4;

/// From here on an age is too seldom seen for what its step is short of to even out.
const SELDOM: Age = Age::of_step(12);

/// Pieces of the longest memory.
const PIECES: usize = 288;

/// What happened in a while.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(super) struct Piece {
    /// Bytes touched, by how long they had been idle.
    pub(super) returned: ByAge,
    /// Bytes that refaulted.
    pub(super) refaulted: u64,
    /// Bytes that the goal pays for by the working set.
    paid: f64,
    /// How long it has lasted.
    pub(super) lasted: Duration,
    /// A sweep, which is not counted.
    pub(super) swept: bool,
}

/// What returned in the last two days.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Hours {
    closed: VecDeque<Piece>,
    open: Piece,
    /// What each age used of the goal's pay in the worst hour of those that are closed.
    #[serde(with = "crate::arrays")]
    worst: [f64; AGES],
    tick: Duration,
    /// What may refault by the time that it takes now: a dear hour is not held against the pages when they are cheap again.
    #[serde(skip)]
    in_time: InTime,
}

impl Hours {
    pub(super) const fn new(tick: Duration) -> Self {
        let open =
            Piece { returned: ByAge::NONE, refaulted: 0, paid: 0.0, lasted: Duration::ZERO, swept: false };
        Self { closed: VecDeque::new(), open, worst: [0.0; AGES], tick, in_time: InTime::ANY }
    }

    /// Goes on with what may refault by the time that it takes. What was is weighed by it when a piece ends.
    pub(super) const fn in_time(&mut self, in_time: InTime) {
        self.in_time = in_time;
    }

    /// Bytes that the goal pays for in the time of `pieces`.
    pub(super) fn pays_for(&self, pieces: &Piece) -> f64 {
        let minutes = pieces.lasted.as_secs_f64() / 60.0;
        let InTime { least, most } = self.in_time;
        InTime { least: least * minutes, most: most * minutes.max(f64::MIN_POSITIVE) }.bound(pieces.paid)
    }

    /// Time passed, in which the goal paid for `paid` bytes by the working set. Returns whether a piece has come to its end: then
    /// [`Hours::close`] follows.
    pub(super) fn pass(&mut self, time: Duration, paid: f64) -> bool {
        self.open.lasted += time;
        self.open.paid += paid;
        self.open.lasted >= PIECE
    }

    /// Takes note of what returned, and of what of it refaulted.
    pub(super) fn add(&mut self, returned: &ByAge, refaulted: u64) {
        for age in Age::all() {
            // What returns after long returns seldom, and the next time may be a step later.
            let until = if age >= SELDOM { age.older() } else { age };
            self.open.returned.add(until, returned.of(age));
        }
        self.open.refaulted += refaulted;
    }

    /// Ends a piece, which is returned.
    pub(super) fn close(&mut self) -> Piece {
        let piece = std::mem::take(&mut self.open);
        if self.closed.len() == PIECES {
            self.closed.pop_front();
        }
        self.closed.push_back(piece);
        self.weigh();
        piece
    }

    /// For how long what returned at `age` is remembered.
    fn memory(&self, age: Age) -> Duration {
        age.duration(self.tick).saturating_mul(AGES_REMEMBERED).clamp(SHORTEST, LONGEST)
    }

    /// Works out what each age used in the worst hour.
    pub(super) fn weigh(&mut self) {
        self.worst = [0.0; AGES];
        let memories: Vec<(Age, Duration)> = Age::all().map(|age| (age, self.memory(age))).collect();
        let mut ago = Duration::ZERO;
        let pieces: Vec<Piece> = self.closed.iter().rev().copied().collect();
        for first in 0..pieces.len() {
            let hour = sum(pieces[first..].iter().take(HOUR));
            let (mut returned, paid) = (0, self.pays_for(&hour));
            for &(age, memory) in memories.iter().rev() {
                returned += if memory >= ago { hour.returned.of(age) } else { 0 };
                let worst = &mut self.worst[usize::from(age.step())];
                *worst = worst.max(share(returned, paid));
            }
            ago += pieces[first].lasted;
        }
    }

    /// The last hour, as far as it was watched.
    pub(super) fn last_hour(&self) -> Piece {
        sum(std::iter::once(&self.open).chain(self.closed.iter().rev().take(HOUR - 1)))
    }

    /// What acting at `age` would have used of the goal's pay, in the worst hour; 1: all of it.
    pub(super) fn share(&self, age: Age) -> f64 {
        let hour = self.last_hour();
        share(hour.returned.at_least(age), self.pays_for(&hour)).max(self.worst[usize::from(age.step())])
    }

    /// Bytes a minute that acting at `age` would have brought back, on average over what is remembered.
    pub(super) fn per_minute(&self, age: Age) -> f64 {
        let pieces = self.closed.iter().chain([&self.open]).filter(|piece| !piece.swept);
        let (mut returned, mut lasted) = (0, Duration::ZERO);
        for piece in pieces {
            returned += piece.returned.at_least(age);
            lasted += piece.lasted;
        }
        if lasted.is_zero() { 0.0 } else { bytes(returned) / lasted.as_secs_f64() * 60.0 }
    }

    /// What returned in the open piece and the one before, at the age of two steps or more.
    pub(super) fn swept(&self) -> u64 {
        let last = self.closed.back();
        let before = last.map_or(0, |piece| piece.returned.at_least(Age::of_step(2)));
        before + self.open.returned.at_least(Age::of_step(2))
    }

    /// Marks the open piece and the one before as a sweep.
    pub(super) fn mark_sweep(&mut self) {
        self.open.swept = true;
        if let Some(last) = self.closed.back_mut() {
            last.swept = true;
        }
        self.weigh();
    }

    /// Counts the sweeps after all.
    pub(super) fn count_sweeps(&mut self) {
        self.open.swept = false;
        for piece in &mut self.closed {
            piece.swept = false;
        }
        self.weigh();
    }
}

/// All of `pieces` together; what was swept counts for nothing.
fn sum<'a>(pieces: impl Iterator<Item = &'a Piece>) -> Piece {
    let mut sum = Piece::default();
    for piece in pieces {
        sum.paid += piece.paid;
        sum.lasted += piece.lasted;
        if !piece.swept {
            sum.returned.add_all(&piece.returned);
            sum.refaulted += piece.refaulted;
        }
    }
    sum
}

/// What `returned` is of what was `paid`.
pub(super) fn share(returned: u64, paid: f64) -> f64 {
    match returned {
        0 => 0.0,
        _ => bytes(returned) / paid.max(1.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    /// Minutes in each of which `bytes` return at `age`, and the goal pays for ten.
    fn pass(hours: &mut Hours, minutes: usize, age: Age, returned: u64) {
        for _ in 0..minutes {
            let is_full = hours.pass(MINUTE, 10.0);
            let mut bytes = ByAge::NONE;
            bytes.add(age, returned);
            hours.add(&bytes, 0);
            if is_full {
                hours.close();
            }
        }
    }

    #[test]
    fn an_age_costs_what_returns_at_it_or_above() {
        let mut hours = Hours::new(MINUTE);
        let age = Age::of_step(6);
        pass(&mut hours, 45, age, 5);
        for (age, want) in [(Age::LEAST, 0.5), (age, 0.5), (age.older(), 0.0)] {
            assert!((hours.share(age) - want).abs() < 1e-9, "{age:?}: {}", hours.share(age));
        }
        assert!((hours.per_minute(age) - 5.0).abs() < 1e-9);
    }

    #[test]
    fn the_worst_hour_counts_for_four_times_its_age_and_six_hours_at_least() {
        for (age, remembered) in [(Age::of_step(3), 7), (Age::of_step(16), 26)] {
            let mut hours = Hours::new(MINUTE);
            pass(&mut hours, 60, age, 30);
            let mut after = 0;
            while hours.share(Age::LEAST) > 2.9 {
                pass(&mut hours, 60, age, 0);
                after += 1;
            }
            assert_eq!(after, remembered, "{age:?}: hours");
        }
    }

    #[test]
    fn what_returns_seldom_counts_a_step_above() {
        let mut hours = Hours::new(MINUTE);
        pass(&mut hours, 5, SELDOM, 5);
        assert!(hours.share(SELDOM.older()) > 0.0 && hours.share(SELDOM.older().older()) <= 0.0);
    }

    #[test]
    fn a_sweep_is_not_counted_unless_it_turns_out_to_come_often() {
        let mut hours = Hours::new(MINUTE);
        pass(&mut hours, 25, Age::of_step(5), 0);
        pass(&mut hours, 4, Age::of_step(5), 1000);
        assert!(hours.share(Age::LEAST) > 1.0);
        assert_eq!(hours.swept(), 4000);
        hours.mark_sweep();
        assert!(hours.share(Age::LEAST) <= 0.0 && hours.per_minute(Age::LEAST) <= 0.0);
        hours.count_sweeps();
        assert!(hours.share(Age::LEAST) > 1.0);
    }

    #[test]
    fn two_days_are_remembered_and_no_more() {
        let mut hours = Hours::new(MINUTE);
        pass(&mut hours, 3 * 24 * 60, Age::of_step(2), 1);
        assert_eq!(hours.closed.len(), PIECES);
    }
}
