//! The request to stop a task, and waits that it ends.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

/// Whether a task must end, and waits that this request ends.
#[derive(Debug, Default)]
pub struct Stop {
    asked: Mutex<bool>,
    wake: Condvar,
}

impl Stop {
    /// Whether the task must end.
    #[must_use]
    pub fn is_asked(&self) -> bool {
        *self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for `duration`, or until the task must end. Returns whether it must.
    #[must_use]
    pub fn wait(&self, duration: Duration) -> bool {
        let asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.wake.wait_timeout_while(asked, duration, |asked| !*asked);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }

    pub(crate) fn ask(&self) {
        *self.asked.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.wake.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_to_stop_ends_a_wait() {
        let stop = Stop::default();
        assert!(!stop.wait(Duration::ZERO) && !stop.is_asked());
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| stop.wait(Duration::from_secs(3600)));
            stop.ask();
            assert!(waiting.join().unwrap() && stop.is_asked());
        });
    }
}
