//! The only clock of the testkit: a [`Pacer`] over the real one.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use etmem_core::kernel::pacer::{Pace, Pacer};

/// Real time since it was made, with a stop that wakes who waits.
#[derive(Debug)]
pub struct WallClock {
    start: Instant,
    stopped: Mutex<bool>,
    wake: Condvar,
}

impl WallClock {
    /// A clock that reads zero now.
    #[expect(clippy::disallowed_methods, reason = "this is the pacer of the testkit")]
    pub fn new() -> Self {
        Self { start: Instant::now(), stopped: Mutex::new(false), wake: Condvar::new() }
    }

    /// Wakes everyone who waits, now and later.
    pub fn stop(&self) {
        *self.stopped.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.wake.notify_all();
    }

    /// Asks `check` every few milliseconds until it says yes.
    ///
    /// # Errors
    /// What `check` fails with, or `limit` has passed (the message says `what` did not happen).
    pub fn wait_until(
        &self,
        limit: Duration,
        what: &str,
        mut check: impl FnMut() -> Result<bool>,
    ) -> Result<Duration> {
        let begin = self.now();
        while !check()? {
            if self.now() - begin > limit {
                bail!("waited {} s in vain: {what}", limit.as_secs());
            }
            if self.pause(Duration::from_millis(5)) == Pace::Stop {
                bail!("stopped while waiting: {what}");
            }
        }
        Ok(self.now() - begin)
    }
}

impl Default for WallClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Pacer for WallClock {
    fn pause(&self, duration: Duration) -> Pace {
        let stopped = self.stopped.lock().unwrap_or_else(PoisonError::into_inner);
        let (stopped, _) = self
            .wake
            .wait_timeout_while(stopped, duration, |stopped| !*stopped)
            .unwrap_or_else(PoisonError::into_inner);
        if *stopped { Pace::Stop } else { Pace::Continue }
    }

    fn pace(&self) -> Pace {
        if *self.stopped.lock().unwrap_or_else(PoisonError::into_inner) { Pace::Stop } else { Pace::Continue }
    }

    #[expect(clippy::disallowed_methods, reason = "this is the pacer of the testkit")]
    fn now(&self) -> Duration {
        Instant::now().duration_since(self.start)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stop_ends_the_longest_wait() {
        let clock = WallClock::new();
        clock.stop();
        assert_eq!(clock.pause(Duration::from_secs(3600)), Pace::Stop);
    }

    #[test]
    fn a_wait_in_vain_says_for_what() {
        let error =
            WallClock::new().wait_until(Duration::ZERO, "the moon is full", || Ok(false)).unwrap_err();
        assert!(error.to_string().contains("the moon is full"), "{error}");
    }
}
