//! While there is nothing to decide, looks get rarer: after a calm time a cycle is one look, over a longer window.

use crate::figures::{MOVED, REFAULTED};
use crate::report::{Event, Level, Line, StepReport};
use etmem_core::kernel::process::ProcessId;
use std::time::Duration;

/// For how long little must have happened.
const CALM: Duration = Duration::from_secs(300);

/// From then on, the wait between two cycles is this part of the calm time, up to the longest.
const PART: u32 = 20;
const LONGEST: Duration = Duration::from_secs(30);

/// Bytes that leave or refault in a cycle in which little happens.
const LITTLE: u64 = 1 << 20;

/// How long a task has been calm.
#[derive(Debug, Default)]
pub(super) struct Rest {
    since: Option<Duration>,
    processes: Vec<ProcessId>,
    wait: Duration,
}

impl Rest {
    /// Whether a cycle is one look.
    pub(super) const fn is_on(&self) -> bool {
        !self.wait.is_zero()
    }

    /// How long to wait between two cycles, at least.
    pub(super) const fn wait(&self) -> Duration {
        self.wait
    }

    /// Takes note of a cycle that ended `now`; `may` is whether the task may rest at all. Returns what is to be said of it.
    pub(super) fn ended(&mut self, report: &StepReport, may: bool, now: Duration) -> Option<Event> {
        let was_on = self.is_on();
        let ids = || report.processes.iter().map(|one| one.process);
        let is_same = self.processes.iter().copied().eq(ids());
        if !is_same {
            self.processes = ids().collect();
        }
        let of = |row| report.processes.iter().filter_map(|one| one.figures.get(row)).sum::<u64>();
        let happened = of(&MOVED) + of(&REFAULTED);
        let is_calm = may && is_same && happened < LITTLE && report.fault.is_none();
        if !is_calm {
            (self.since, self.wait) = (None, Duration::ZERO);
            return None;
        }
        let calm = now.saturating_sub(*self.since.get_or_insert(now));
        self.wait = if calm < CALM { Duration::ZERO } else { (calm / PART).min(LONGEST) };
        if was_on || !self.is_on() {
            return None;
        }
        let text = format!(
            "little has left or refaulted for {} min: one look each {} to {} s, until more does",
            CALM.as_secs() / 60,
            (CALM / PART).as_secs(),
            LONGEST.as_secs()
        );
        Some(Event::always(Level::Info, Line::new(text)))
    }
}
