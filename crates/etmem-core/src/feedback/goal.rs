//! How much may refault: as a share of the working set, and as a share of the time.

use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Pages a minute that a goal pays for at least, if it pays anything.
const FLOOR_PAGES: u32 = 256;
/// The same in bytes.
pub(crate) const FLOOR: f64 = FLOOR_PAGES as f64 * PAGE;
const PAGE: f64 = 4096.0;

/// The share of the working set where a task says none: 0.2 %.
const USUAL: f64 = 0.002;

/// What of the time that refaults may take is always paid for, where a task says no share of the working set.
const CHEAP: f64 = 0.25;

/// How much may refault in a minute. Bounds that are set hold all; without any there is no goal.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Serialize, Deserialize)]
pub struct Goal {
    /// Of the working set.
    share: f64,
    /// Whether the task says no share.
    is_usual: bool,
    /// Of the time; none: it does not matter.
    stall: Option<f64>,
}

impl Goal {
    /// `percent` of the working set a minute, 0 to 100.
    #[must_use]
    pub fn percent_per_minute(percent: f64) -> Option<Self> {
        (0.0..=100.0).contains(&percent).then_some(Self {
            share: percent / 100.0,
            is_usual: false,
            stall: None,
        })
    }

    /// What is usual: 0.2 % of the working set a minute, or what costs next to nothing where that is more.
    #[must_use]
    pub const fn usual() -> Self {
        Self { share: USUAL, is_usual: true, stall: None }
    }

    /// The same, and waiting for what refaults takes no more than `percent` of the time.
    #[must_use]
    pub fn stalling(self, percent: Option<f64>) -> Self {
        Self { stall: percent.map(|percent| percent / 100.0), ..self }
    }

    /// The share of the working set, in percent a minute.
    #[must_use]
    pub const fn get(self) -> f64 {
        self.share * 100.0
    }

    /// How long of each minute waiting may take; none: it does not matter.
    #[must_use]
    pub fn stall(self) -> Option<Duration> {
        self.stall.map(|share| Duration::from_secs_f64(share * 60.0))
    }

    /// Bytes a minute that this pays for, of a working set of `working_set` bytes, where a page costs `page`.
    #[must_use]
    pub fn pays(self, working_set: f64, page: Option<Duration>) -> f64 {
        self.in_time(page).bound(self.by_working_set(working_set))
    }

    /// The same where time does not matter.
    pub(crate) fn by_working_set(self, working_set: f64) -> f64 {
        self.of_share(working_set).max(self.floor())
    }

    /// What the share of a working set of `working_set` bytes pays for, in bytes a minute.
    pub(crate) fn of_share(self, working_set: f64) -> f64 {
        self.share * working_set
    }

    /// The least it pays a minute, unless that takes too much time.
    pub(crate) fn floor(self) -> f64 {
        if self.share > 0.0 { FLOOR } else { 0.0 }
    }

    /// What time says, where a page costs `page`. If that is not known, nothing.
    pub(crate) fn in_time(self, page: Option<Duration>) -> InTime {
        let Some((share, page)) = self.stall.zip(page) else { return InTime::default() };
        let most = share * 60.0 / page.as_secs_f64() * PAGE;
        InTime { least: if self.is_usual { most * CHEAP } else { 0.0 }, most }
    }
}

/// Bytes that may refault in a minute by the time they take.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct InTime {
    /// As many cost next to nothing.
    pub(crate) least: f64,
    pub(crate) most: f64,
}

impl Default for InTime {
    fn default() -> Self {
        Self::ANY
    }
}

impl InTime {
    /// Time does not matter.
    pub(crate) const ANY: Self = Self { least: 0.0, most: f64::INFINITY };

    /// What is paid in a minute where something else pays for `bytes`.
    pub(crate) fn bound(self, bytes: f64) -> f64 {
        bytes.max(self.least).min(self.most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: f64 = (1_u32 << 20) as f64;

    fn percent(percent: f64) -> Goal {
        Goal::percent_per_minute(percent).unwrap()
    }

    #[test]
    fn goals() {
        assert_eq!(format!("{:.3}", percent(0.2).get()), "0.200");
        for outside in [-0.1, 100.1, f64::NAN] {
            assert_eq!(Goal::percent_per_minute(outside), None);
        }
        assert_eq!(percent(1.0).stalling(Some(0.1)).stall(), Some(Duration::from_millis(60)));
        assert_eq!(percent(1.0).stall(), None);
    }

    #[test]
    fn what_is_paid_for_is_the_least_that_any_bound_allows() {
        let (cheap, dear) = (Some(Duration::from_micros(12)), Some(Duration::from_millis(6)));
        let small = 100.0 * MIB;
        let large = 100_000.0 * MIB;
        // 60 ms a minute are 5,000 pages of 12 µs, or 10 of 6 ms.
        let (most, least) = (5_000.0 * PAGE, 10.0 * PAGE);
        for (goal, working_set, cost, pays) in [
            (percent(0.2), small, cheap, MIB),
            (percent(0.2), large, cheap, 200.0 * MIB),
            (percent(0.0), large, cheap, 0.0),
            (percent(0.2).stalling(Some(0.1)), small, cheap, MIB),
            (percent(0.2).stalling(Some(0.1)), large, cheap, most),
            (percent(0.2).stalling(Some(0.1)), small, dear, least),
            (percent(0.2).stalling(Some(0.0)), small, cheap, 0.0),
            (Goal::usual(), small, cheap, MIB),
            (Goal::usual().stalling(Some(0.1)), small, None, MIB),
            (Goal::usual().stalling(Some(0.1)), small, cheap, most / 4.0),
            (Goal::usual().stalling(Some(0.1)), 5_000.0 * MIB, cheap, 10.0 * MIB),
            (Goal::usual().stalling(Some(0.1)), large, cheap, most),
            (Goal::usual().stalling(Some(0.1)), small, dear, least),
        ] {
            let got = goal.pays(working_set, cost);
            assert!((got - pays).abs() < 1.0, "{goal:?}, {working_set}, {cost:?}: {got}, not {pays}");
        }
    }
}
