//! What is known of a guest from its reports: whether they are fresh, what it can give, and whether it lacks memory.

use etmem_core::kernel::balloon::{GuestState, Reported};
use std::fmt;
use std::time::Duration;

/// Intervals after which a report is too old to go by.
const FRESH: u32 = 3;

/// Most that is taken in a round: a share of the guest's size, and bytes.
const STEP_SHARE: u64 = 20;
const STEP: u64 = 100 << 20;

/// Less than this share of its size is not worth a request.
const LEAST_SHARE: u64 = 400;

/// A guest that has less available than this share of what is left to it gets all back.
const NEEDS_SHARE: u64 = 10;

/// Major faults a second that say nothing, beyond twice of what was usual before anything was taken.
const FAULTS: f64 = 10.0;

const PAGE: u64 = 4096;

/// What its reports have said so far.
#[derive(Debug, Default)]
pub(super) struct Reports {
    /// The last report, and when it came.
    last: Option<(Reported, Duration)>,
    /// Most major faults a second while nothing was taken.
    usual: f64,
}

/// What the last report says beside those before.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum News {
    /// It is the first, or it came in this round: the rates since the one before.
    Fresh {
        /// Major faults.
        faults: u64,
        /// Why the guest lacks memory, if it does.
        lacks: Option<Lack>,
    },
    /// It came in an earlier round.
    Known,
    /// It is too old.
    Stale,
}

/// Why a guest lacks memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lack {
    /// Little is available to it.
    Available,
    /// It reads pages back.
    Faults,
    /// It reads pages back from its swap.
    Swap,
}

impl fmt::Display for Lack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Available => "less than a tenth of its memory is available to it",
            Self::Faults => "it has more major page faults than before",
            Self::Swap => "it reads pages back from its swap",
        })
    }
}

impl Reports {
    /// Notes the report of this round; `is_taken`: memory was taken of the guest.
    pub(super) fn note(
        &mut self,
        reported: Reported,
        actual: u64,
        is_taken: bool,
        now: Duration,
        interval: Duration,
    ) -> News {
        let Some((before, at)) = self.last else {
            self.last = Some((reported, now));
            return News::Fresh { faults: 0, lacks: None };
        };
        if before.at == reported.at {
            return if now.saturating_sub(at) > interval * FRESH { News::Stale } else { News::Known };
        }
        self.last = Some((reported, now));
        let more = |now: Option<u64>, before: Option<u64>| {
            now.zip(before).map_or(0, |(now, before)| now.saturating_sub(before))
        };
        let faults = more(reported.major_faults, before.major_faults);
        #[expect(clippy::cast_precision_loss, reason = "a rate")]
        let rate = faults as f64 / now.saturating_sub(at).as_secs_f64().max(1.0);
        if !is_taken {
            self.usual = self.usual.max(rate);
        }
        let lacks = if reported.available < actual / NEEDS_SHARE {
            Some(Lack::Available)
        } else if more(reported.swapped_in, before.swapped_in) > 0 {
            Some(Lack::Swap)
        } else {
            (rate > 2.0 * self.usual + FAULTS).then_some(Lack::Faults)
        };
        News::Fresh { faults, lacks }
    }
}

/// The least that a guest is left with: `least`, and what it uses and a fifth of that. What is left to it and not available is used,
/// whichever way its kernel counts what is in the balloon.
pub(super) fn floor(state: &GuestState, reported: &Reported, least: u64) -> u64 {
    let used = state.actual.saturating_sub(reported.available);
    least.max(used.saturating_add(used / 5))
}

/// What it can give in a round.
pub(super) fn gives(state: &GuestState, floor: u64) -> u64 {
    let step = (state.size / STEP_SHARE).min(STEP);
    let gives = state.actual.saturating_sub(floor).min(step) / PAGE * PAGE;
    if gives < state.size / LEAST_SHARE { 0 } else { gives }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;
    const INTERVAL: Duration = Duration::from_secs(5);

    fn state(size: u64, actual: u64) -> GuestState {
        GuestState { size: size * MIB, actual: actual * MIB, ..GuestState::default() }
    }

    fn report(at: u64, available: u64, faults: u64) -> Reported {
        Reported { at, available: available * MIB, major_faults: Some(faults), swapped_in: Some(0) }
    }

    #[test]
    fn a_step_is_small_and_stays_above_the_floor() {
        for (size, actual, available, least, floor_mib, gives_kib) in [
            // A twentieth, or 100 MiB.
            (512, 512, 400, 256, 256, 26214 / 4 * 4),
            (4096, 4096, 4000, 256, 256, 102_400),
            // What it uses and a fifth of that.
            (512, 512, 112, 256, 480, 26214 / 4 * 4),
            (512, 490, 90, 256, 480, 10 * 1024),
            // Too little to ask for, and nothing.
            (512, 481, 81, 256, 480, 0),
            (512, 300, 10, 256, 348, 0),
        ] {
            let (state, report) = (state(size, actual), report(1, available, 0));
            let floor = floor(&state, &report, least * MIB);
            assert_eq!(
                (floor / MIB, gives(&state, floor) / 1024),
                (floor_mib, gives_kib),
                "{size} {actual} {available}"
            );
        }
    }

    #[test]
    fn reports_are_fresh_known_or_stale() {
        let seconds = Duration::from_secs;
        let mut reports = Reports::default();
        let mut note = |report, at| reports.note(report, 500 * MIB, true, seconds(at), INTERVAL);
        let quiet = News::Fresh { faults: 0, lacks: None };
        assert_eq!(note(report(1, 200, 0), 0), quiet);
        assert_eq!(note(report(1, 200, 0), 15), News::Known);
        assert_eq!(note(report(1, 200, 0), 16), News::Stale);
        assert_eq!(note(report(2, 200, 0), 20), quiet);
        assert_eq!(note(report(3, 49, 0), 25), News::Fresh { faults: 0, lacks: Some(Lack::Available) });
        let swaps = Reported { swapped_in: Some(4096), ..report(4, 200, 0) };
        assert_eq!(note(swaps, 30), News::Fresh { faults: 0, lacks: Some(Lack::Swap) });
    }

    #[test]
    fn faults_count_beside_what_was_usual_before() {
        let seconds = Duration::from_secs;
        let mut reports = Reports::default();
        let mut note = |at, faults, taken, now| {
            let news = reports.note(report(at, 200, faults), 500 * MIB, taken, seconds(now), INTERVAL);
            let News::Fresh { lacks, .. } = news else { panic!("{news:?}") };
            lacks
        };
        assert_eq!(note(1, 0, false, 0), None);
        assert_eq!(note(2, 500, false, 5), None, "a hundred a second are usual");
        assert_eq!(note(3, 1500, true, 10), None);
        assert_eq!(note(4, 2560, true, 15), Some(Lack::Faults));
    }
}
