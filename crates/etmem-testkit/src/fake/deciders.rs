//! The decider of the scripted machine.

use super::decider::FakeDecider;
use super::machine::FakeMachine;
use etmem_core::kernel::decider::{AbstractName, Deciders, Unanswered};
use etmem_core::kernel::pacer::{Pace, Pacer};
use std::time::Duration;

impl FakeMachine {
    /// What its decider was sent.
    #[must_use]
    pub fn decider(&self) -> FakeDecider {
        self.lock().decider.clone()
    }

    /// Its decider answers the message with this number, from 0, and all after it, so.
    pub fn decider_fails(&self, from: usize, error: Unanswered) {
        self.lock().decider.fails_from = Some((from, error));
    }
}

impl Deciders for FakeMachine {
    fn ask(
        &self,
        name: &AbstractName,
        message: &[u8],
        _: Duration,
        pacer: &dyn Pacer,
    ) -> Result<(), Unanswered> {
        if pacer.pace() == Pace::Stop {
            return Err(Unanswered::Stopped);
        }
        let decider = &mut self.lock().decider;
        decider.messages.push((name.clone(), message.to_vec()));
        match &decider.fails_from {
            Some((from, error)) if decider.messages.len() > *from => Err(error.clone()),
            _ => Ok(()),
        }
    }
}
