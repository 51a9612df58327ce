//! A clock that passes at once.

use etmem_core::kernel::pacer::{Pace, Pacer};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Counts pauses instead of waiting, and stops after a number of them.
#[derive(Debug)]
pub struct FakePacer {
    stop_after: usize,
    time_passes: bool,
    pauses: Mutex<Vec<Duration>>,
}

impl FakePacer {
    /// The first `pauses` pauses pass, the next one returns a stop.
    #[must_use]
    pub const fn stopping_after(pauses: usize) -> Self {
        Self { stop_after: pauses, time_passes: true, pauses: Mutex::new(Vec::new()) }
    }

    /// Never stops.
    #[must_use]
    pub const fn endless() -> Self {
        Self::stopping_after(usize::MAX)
    }

    /// Never stops, and no time passes: for threads that share it, each of which would take the others' pauses for time that
    /// its own work took.
    #[must_use]
    pub const fn timeless() -> Self {
        Self { stop_after: usize::MAX, time_passes: false, pauses: Mutex::new(Vec::new()) }
    }

    /// Every pause asked for so far, the one that was stopped among them.
    #[must_use]
    pub fn pauses(&self) -> Vec<Duration> {
        self.pauses.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Pacer for FakePacer {
    fn pause(&self, duration: Duration) -> Pace {
        self.pauses.lock().unwrap_or_else(PoisonError::into_inner).push(duration);
        self.pace()
    }

    fn pace(&self) -> Pace {
        if self.pauses().len() > self.stop_after { Pace::Stop } else { Pace::Continue }
    }

    fn now(&self) -> Duration {
        if self.time_passes { self.pauses().iter().sum() } else { Duration::ZERO }
    }

    /// Always the moment of the samples in the description of the protocol.
    fn local_time(&self) -> Option<String> {
        Some("Thu Nov 20 23:17:00 2026".to_owned())
    }
}
