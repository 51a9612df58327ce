//! What an act works with.

use crate::feedback::PageSetBuilder;
use crate::kernel::mover::SwapOut;
use crate::kernel::pacer::Pacer;
use crate::kernel::probe::AccessProbe;
use crate::throttle::Throttle;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// What an act works with.
#[derive(Debug)]
pub struct Tools<'a> {
    /// What moves the pages.
    pub mover: &'a mut dyn SwapOut,
    /// Looks at them once more before they leave. `None` if looking would clear the accessed bits.
    pub probe: Option<&'a mut dyn AccessProbe>,
    /// Until when that is not needed, by the clock: what the plan was made from has hardly aged.
    pub fresh_until: Duration,
    /// How fast they may leave.
    pub throttle: &'a Mutex<Throttle>,
    /// Takes the pages that left.
    pub given: &'a mut PageSetBuilder,
    /// Takes the pages that stayed where they were.
    pub kept: &'a mut PageSetBuilder,
    /// The clock.
    pub pacer: &'a dyn Pacer,
}

impl Tools<'_> {
    pub(super) fn throttle(&self) -> MutexGuard<'_, Throttle> {
        // Each change is whole in itself, so a thread that panicked leaves it sound.
        self.throttle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
