//! The machine's clock, and a way to end the waits on it.

use etmem_core::kernel::pacer::{Pace, Pacer};
use parking_lot::{Condvar, Mutex};
use rustix::time::{ClockId, clock_gettime};
use std::time::{Duration, Instant};

/// A clock that waits on a condition: no wake-ups while it waits, none late when it is stopped.
#[derive(Debug)]
pub struct SystemPacer {
    start: Instant,
    /// What it showed when it was made.
    first: Duration,
    stopped: Mutex<bool>,
    bell: Condvar,
}

impl SystemPacer {
    /// A clock that starts now and was not stopped yet.
    #[must_use]
    pub fn new() -> Self {
        Self::going_on(Duration::ZERO)
    }

    /// A clock that shows `first` now, and was not stopped yet.
    #[must_use]
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the Pacer that all other clock readings go through"
    )]
    pub fn going_on(first: Duration) -> Self {
        Self { start: Instant::now(), first, stopped: Mutex::new(false), bell: Condvar::new() }
    }

    /// For how long it has run.
    #[must_use]
    pub fn running(&self) -> Duration {
        self.start.elapsed()
    }

    /// How long the machine has run, sleep included.
    #[must_use]
    pub fn since_boot() -> Duration {
        Duration::try_from(clock_gettime(ClockId::Boottime)).unwrap_or_default()
    }

    /// Asks all users of this clock to end; waits return at once. Cannot be taken back.
    pub fn stop(&self) {
        *self.stopped.lock() = true;
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
        let mut stopped = self.stopped.lock();
        self.bell.wait_while_for(&mut stopped, |stopped| !*stopped, duration);
        pace(*stopped)
    }

    fn pace(&self) -> Pace {
        pace(*self.stopped.lock())
    }

    fn now(&self) -> Duration {
        self.first + self.start.elapsed()
    }

    fn local_time(&self) -> Option<String> {
        Some(jiff::ZonedDateTime::now().strftime("%a %b %e %H:%M:%S %Y").to_string())
    }

    fn processor_time(&self) -> Duration {
        Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap_or_default()
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

    #[test]
    fn processor_time_is_each_threads_own() {
        let clock = SystemPacer::new();
        let before = clock.processor_time();
        let mut sum = 0_u64;
        while clock.processor_time() == before {
            sum = std::hint::black_box(sum.wrapping_add(1));
        }
        let own = clock.processor_time();
        let other = std::thread::scope(|scope| scope.spawn(|| clock.processor_time()).join().unwrap());
        assert!(own > before && other > Duration::ZERO);
    }

    /// As C's `asctime` writes it: `Sat Nov  1 03:40:13 2025`.
    #[test]
    fn local_time_is_that_of_asctime() {
        let text = SystemPacer::new().local_time().unwrap();
        let words: Vec<&str> = text.split_whitespace().collect();
        assert!(text.len() == 24 && words.len() == 5, "{text}");
        let [hour, minute, second] =
            [0, 1, 2].map(|part| words[3].split(':').nth(part).unwrap().parse::<u8>().unwrap());
        assert!(hour < 24 && minute < 60 && second < 61, "{text}");
        assert!((1..=31).contains(&words[2].parse::<u8>().unwrap()), "{text}");
        assert!(words[4].parse::<u32>().unwrap() > 2000, "{text}");
    }
}
