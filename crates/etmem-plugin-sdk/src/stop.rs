//! A wait that ends when a task has to.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

/// Whether a task has to end, and waits that end with it.
#[derive(Debug, Default)]
pub struct Stop {
    asked: Mutex<bool>,
    wake: Condvar,
}

impl Stop {
    /// Whether the task has to end.
    #[must_use]
    pub fn is_asked(&self) -> bool {
        *self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets `duration` pass, or less where the task has to end: whether it has to.
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
    fn a_wait_ends_with_the_task() {
        let stop = Stop::default();
        assert!(!stop.wait(Duration::ZERO) && !stop.is_asked());
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| stop.wait(Duration::from_secs(3600)));
            stop.ask();
            assert!(waiting.join().unwrap() && stop.is_asked());
        });
    }
}
