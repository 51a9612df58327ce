//! The time by which ages are counted, of one process: in ticks, and apart for each slice of it.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// When each part of a process was looked at last.
#[derive(Debug, Default, Clone, Serialize, Deserialize)]
pub(super) struct Ticks {
    since: Option<Duration>,
    last: u64,
    /// By where the part begins.
    parts: BTreeMap<u64, u64>,
}

impl Ticks {
    /// The part from `start` on was looked at, `now`, with ticks of this length or, without one, a tick for each look. Returns the tick at
    /// which it was looked at before, and the tick that it is.
    pub(super) fn pass(&mut self, start: u64, now: Duration, tick: Option<Duration>) -> (u64, u64) {
        let since = *self.since.get_or_insert(now);
        let by_time = tick.map(|tick| {
            let ticks = now.saturating_sub(since).as_nanos() / tick.as_nanos().max(1);
            u64::try_from(ticks).unwrap_or(u64::MAX).saturating_add(1)
        });
        // A trigger may begin cycles much sooner: that ages nothing.
        self.last = by_time.unwrap_or(self.last + 1).max(self.last);
        if start == 0 {
            // Parts of an earlier round, which may have begun elsewhere, are of no use once a new round is over them.
            let first = self.parts.get(&0).copied();
            self.parts.retain(|_, at| first.is_none_or(|first| *at >= first));
        }
        let before = self.parts.range(..=start).next_back().map_or(self.last - 1, |(_, at)| *at);
        self.parts.insert(start, self.last);
        (before, self.last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_tick_is_a_time_or_a_look() {
        let mut ticks = Ticks::default();
        assert_eq!(ticks.pass(0, 5 * SECOND, Some(3 * SECOND)), (0, 1));
        assert_eq!(ticks.pass(0, 6 * SECOND, Some(3 * SECOND)), (1, 1), "nothing is older yet");
        assert_eq!(ticks.pass(0, 35 * SECOND, Some(3 * SECOND)), (1, 11));
        let mut looks = Ticks::default();
        looks.pass(0, 5 * SECOND, None);
        assert_eq!(looks.pass(0, 500 * SECOND, None), (1, 2));
    }

    #[test]
    fn each_slice_has_its_own() {
        let mut ticks = Ticks::default();
        let mut pass = |start, at| ticks.pass(start, at * SECOND, Some(SECOND));
        assert_eq!([pass(0, 0), pass(100, 10), pass(200, 20)], [(0, 1), (1, 11), (11, 21)]);
        assert_eq!([pass(0, 30), pass(120, 40), pass(200, 50)], [(1, 31), (11, 41), (21, 51)]);
        assert_eq!([pass(0, 60), pass(100, 70)], [(31, 61), (61, 71)]);
        for round in 3..100 {
            for slice in 0..7 {
                ticks.pass(slice * (round + 100), Duration::from_secs(100 * round + slice), Some(SECOND));
            }
        }
        assert!(ticks.parts.len() <= 16, "{} parts", ticks.parts.len());
    }
}
