//! What a page does in the course of time, and whether it was touched between two moments.
//!
//! Time has two hands: the clock, and the passes of the program that walks the process's pages. A script may go by either.

use std::time::Duration;

/// A moment in a process's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Moment {
    /// Since the machine was mounted.
    pub time: Duration,
    /// Which walk of the process's `idle_pages` is under way, counted from 0: a read at an address that is not
    /// above the one before it begins the next.
    pub pass: u64,
}

/// When a phase begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum When {
    /// With the process.
    #[default]
    Start,
    /// So long after the machine was mounted.
    Time(Duration),
    /// In this pass.
    Pass(u64),
}

impl When {
    /// Whether it lies at or before `moment`.
    #[must_use]
    pub fn reached(self, moment: Moment) -> bool {
        match self {
            Self::Start => true,
            Self::Time(time) => moment.time >= time,
            Self::Pass(pass) => moment.pass >= pass,
        }
    }
}

/// How a page that is there is touched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Touch {
    /// Only when it was faulted in.
    Never,
    /// All the time.
    Always,
    /// At every multiple of this time.
    Every(Duration),
    /// In the passes whose number modulo `of` is below `on`.
    Beats {
        /// The length of the beat, in passes; not 0.
        of: u64,
        /// In how many of them it is touched.
        on: u64,
    },
}

/// What a page does during a phase.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Doing {
    /// It is not there.
    Absent,
    /// It is there.
    Present {
        /// How it is touched.
        touch: Touch,
        /// Touched by writing.
        writes: bool,
    },
}

/// What a page does, and from when on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Phase {
    /// When it begins.
    pub from: When,
    /// What the page does then.
    pub doing: Doing,
}

/// What a page does in the course of time. The first phase begins at the start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Life(pub Vec<Phase>);

impl Life {
    /// The same all the time.
    #[must_use]
    pub fn of(doing: Doing) -> Self {
        Self(vec![Phase { from: When::Start, doing }])
    }

    /// Touched all the time, by reading.
    #[must_use]
    pub fn hot() -> Self {
        Self::of(Doing::Present { touch: Touch::Always, writes: false })
    }

    /// Touched all the time, by writing.
    #[must_use]
    pub fn written() -> Self {
        Self::of(Doing::Present { touch: Touch::Always, writes: true })
    }

    /// Never touched after it was faulted in.
    #[must_use]
    pub fn cold() -> Self {
        Self::of(Doing::Present { touch: Touch::Never, writes: false })
    }

    /// Never there.
    #[must_use]
    pub fn hole() -> Self {
        Self::of(Doing::Absent)
    }

    /// Then, from `from` on, what `next` does in its first phase.
    #[must_use]
    pub fn then(mut self, from: When, next: &Self) -> Self {
        self.0.push(Phase { from, doing: next.doing(Moment::default()) });
        self
    }

    /// What it does at `moment`.
    #[must_use]
    pub fn doing(&self, moment: Moment) -> Doing {
        self.0.get(self.phase(moment)).map_or(Doing::Absent, |phase| phase.doing)
    }

    fn phase(&self, moment: Moment) -> usize {
        self.0.iter().rposition(|phase| phase.from.reached(moment)).unwrap_or(0)
    }

    /// Whether the page is there at `moment`, unless it was paged out.
    #[must_use]
    pub fn is_there(&self, moment: Moment) -> bool {
        self.doing(moment) != Doing::Absent
    }

    /// Whether it was touched after `since` (none: since the start) and until `now`; if so, whether by writing.
    #[must_use]
    pub fn touched(&self, since: Option<Moment>, now: Moment) -> Option<bool> {
        let last = self.phase(now);
        let Some(since) = since else {
            return match self.doing(now) {
                Doing::Absent => None,
                Doing::Present { writes, .. } => Some(writes),
            };
        };
        let mut touched = None;
        for number in self.phase(since)..=last {
            let (Some(phase), next) = (self.0.get(number), self.0.get(number + 1)) else { continue };
            // What a pass changes holds for all that is seen in that pass; what time changes, from then on.
            let ends = match next.map(|next| next.from) {
                Some(When::Time(time)) if number < last => time,
                _ if number < last => continue,
                _ => now.time,
            };
            let begins = match phase.from {
                When::Time(time) => time.max(since.time),
                When::Start | When::Pass(_) => since.time,
            };
            let Doing::Present { touch, writes } = phase.doing else { continue };
            let appeared = number > 0
                && !phase.from.reached(since)
                && self.0.get(number - 1).is_some_and(|before| before.doing == Doing::Absent);
            let hit = appeared
                || match touch {
                    Touch::Never => false,
                    Touch::Always => true,
                    Touch::Every(period) => beats(ends, period) > beats(begins, period),
                    Touch::Beats { of, on } => {
                        number == last && (since.pass + 1..=now.pass).any(|pass| pass % of.max(1) < on)
                    }
                };
            if hit {
                touched = Some(touched.unwrap_or(false) || writes);
            }
        }
        touched
    }
}

fn beats(time: Duration, period: Duration) -> u128 {
    time.as_nanos() / period.as_nanos().max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64, pass: u64) -> Moment {
        Moment { time: Duration::from_secs(seconds), pass }
    }

    #[test]
    fn what_is_touched_when() {
        let beats = Life::of(Doing::Present { touch: Touch::Beats { of: 4, on: 2 }, writes: false });
        let every = Touch::Every(Duration::from_secs(10));
        let every = Life::of(Doing::Present { touch: every, writes: true });
        let by_time = Life::hot().then(When::Time(Duration::from_secs(5)), &Life::cold());
        let by_pass = Life::hot().then(When::Pass(3), &Life::cold());
        let grown = Life::hole().then(When::Pass(2), &Life::cold());
        for (name, life, since, now, want) in [
            ("fault", &Life::cold(), None, at(0, 0), Some(false)),
            ("fault by writing", &Life::written(), None, at(0, 0), Some(true)),
            ("no page, no fault", &Life::hole(), None, at(9, 9), None),
            ("cold", &Life::cold(), Some(at(0, 0)), at(9, 9), None),
            ("hot", &Life::hot(), Some(at(0, 0)), at(0, 0), Some(false)),
            ("beat 1", &beats, Some(at(0, 0)), at(0, 1), Some(false)),
            ("beat 2", &beats, Some(at(0, 1)), at(0, 2), None),
            ("beat 4", &beats, Some(at(0, 3)), at(0, 4), Some(false)),
            ("before the multiple", &every, Some(at(1, 0)), at(9, 1), None),
            ("over the multiple", &every, Some(at(9, 0)), at(10, 1), Some(true)),
            ("hot until 5 s", &by_time, Some(at(4, 0)), at(9, 1), Some(false)),
            ("cold from 5 s", &by_time, Some(at(5, 0)), at(9, 1), None),
            ("hot until pass 3", &by_pass, Some(at(0, 1)), at(0, 2), Some(false)),
            ("cold from pass 3", &by_pass, Some(at(0, 2)), at(0, 3), None),
            ("not grown", &grown, Some(at(0, 0)), at(0, 1), None),
            ("grown", &grown, Some(at(0, 1)), at(0, 2), Some(false)),
            ("grown before", &grown, Some(at(0, 2)), at(0, 3), None),
        ] {
            assert_eq!(life.touched(since, now), want, "{name}");
        }
        assert!(!grown.is_there(at(0, 1)) && grown.is_there(at(0, 2)));
    }
}
