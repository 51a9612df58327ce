//! Clock and stop in one. Every wait goes through it, so stopping is prompt and tests take no time.

use std::fmt;
use std::time::Duration;

/// Whether to go on after a wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "a wait that was cut short by a stop must end the work"]
pub enum Pace {
    /// The time has passed: go on.
    Continue,
    /// A stop was asked for: end the work.
    Stop,
}

/// A stop was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stopped;

impl Pace {
    /// For `?`, where a stop ends the work.
    ///
    /// # Errors
    /// [`Stopped`].
    pub const fn or_stopped(self) -> Result<(), Stopped> {
        match self {
            Self::Continue => Ok(()),
            Self::Stop => Err(Stopped),
        }
    }
}

/// A clock that can be asked to stop.
pub trait Pacer: fmt::Debug + Send + Sync {
    /// Waits for `duration`, or returns [`Pace::Stop`] as soon as a stop is asked for.
    fn pause(&self, duration: Duration) -> Pace;

    /// Whether a stop was asked for, without waiting. Called between the pieces of long work.
    fn pace(&self) -> Pace;

    /// Time since some fixed moment, never going back.
    fn now(&self) -> Duration;

    /// The time of day in the form of C's `asctime`, without its newline: `Sat Nov  1 03:40:13 2025`; `None` if it is not known.
    fn local_time(&self) -> Option<String> {
        None
    }

    /// Processor time that the calling thread has used so far, in the kernel as well; zero where it is not counted.
    fn processor_time(&self) -> Duration {
        Duration::ZERO
    }
}
