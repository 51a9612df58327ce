//! The machine's clock, and a way to end the waits on it.

use crate::local_time;
use crate::sys::processor_time;
use etmem_core::kernel::pacer::{Pace, Pacer};
use etmem_core::local_time::LocalTime;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A clock that waits on a condition: no wake-ups while it waits, none late when it is stopped.
#[derive(Debug)]
pub struct SystemPacer {
    start: Instant,
    stopped: Mutex<bool>,
    bell: Condvar,
}

impl SystemPacer {
    /// A clock that starts now and was not stopped yet.
    #[must_use]
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the Pacer that all other clock readings go through"
    )]
    pub fn new() -> Self {
        Self { start: Instant::now(), stopped: Mutex::new(false), bell: Condvar::new() }
    }

    /// Asks all users of this clock to end; waits return at once. Cannot be taken back.
    pub fn stop(&self) {
        *self.stopped.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.bell.notify_all();
    }
}

impl Default for SystemPacer {
    fn default() -> Self {
        Self::new()
    }
}

fn pace(stopped: bool) -> Pace {
    if stopped { Pace::Stop } else { Pace::Continue }
}

impl Pacer for SystemPacer {
    fn pause(&self, duration: Duration) -> Pace {
        let stopped = self.stopped.lock().unwrap_or_else(PoisonError::into_inner);
        let (stopped, _) = self
            .bell
            .wait_timeout_while(stopped, duration, |stopped| !*stopped)
            .unwrap_or_else(PoisonError::into_inner);
        pace(*stopped)
    }

    fn pace(&self) -> Pace {
        pace(*self.stopped.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn now(&self) -> Duration {
        self.start.elapsed()
    }

    fn local_time(&self) -> Option<LocalTime> {
        local_time::now()
    }

    fn processor_time(&self) -> Duration {
        processor_time::of_this_thread()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_and_goes_on() {
        let pacer = SystemPacer::new();
        let before = pacer.now();
        assert_eq!(pacer.pause(Duration::from_millis(5)), Pace::Continue);
        assert!(pacer.now() - before >= Duration::from_millis(5));
        assert_eq!(pacer.pace(), Pace::Continue);
    }

    #[test]
    fn processor_time_passes_with_work_and_not_with_waiting() {
        let pacer = SystemPacer::new();
        let before = pacer.processor_time();
        while pacer.processor_time() - before < Duration::from_millis(5) {}
        let worked = pacer.processor_time();
        assert_eq!(pacer.pause(Duration::from_millis(50)), Pace::Continue);
        assert!(pacer.processor_time() - worked < Duration::from_millis(25));
    }

    #[test]
    fn a_stop_ends_every_wait() {
        let pacer = SystemPacer::new();
        std::thread::scope(|scope| {
            // Longer than any test runs, and longer than the clock can count.
            let waits = [Duration::from_secs(86_400), Duration::MAX];
            let waiting = waits.map(|wait| {
                scope.spawn({
                    let pacer = &pacer;
                    move || pacer.pause(wait)
                })
            });
            pacer.stop();
            for wait in waiting {
                assert_eq!(wait.join().unwrap(), Pace::Stop);
            }
        });
        assert_eq!(pacer.pace(), Pace::Stop);
        assert_eq!(pacer.pause(Duration::ZERO), Pace::Stop);
    }
}
