//! Triggers that follow a script.

use etmem_core::kernel::pacer::{Pace, Pacer};
use etmem_core::kernel::trigger::{Interrupt, TriggerWait, Woken};
use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

/// What ends the waits of a task: handed out by a machine, and played by hand.
#[derive(Debug, Clone, Default)]
pub struct FakeTriggers(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    bell: Condvar,
}

#[derive(Debug, Default)]
struct State {
    script: VecDeque<Woken>,
    faults: Vec<Option<String>>,
    limits: Vec<Duration>,
    interrupted: bool,
}

/// A wait of a task on such triggers.
#[derive(Debug)]
pub struct FakeWait(Arc<Shared>);

impl FakeTriggers {
    /// A wait on `count` of them.
    #[must_use]
    pub fn wait(&self, count: usize) -> FakeWait {
        self.change(|state| state.faults.resize(count, None));
        FakeWait(Arc::clone(&self.0))
    }

    /// The next wait, or the one that lasts, ends with `woken`.
    pub fn play(&self, woken: Woken) {
        self.change(|state| state.script.push_back(woken));
    }

    /// From now on the triggers have these faults; the wait that lasts ends with [`Woken::Changed`].
    pub fn fail(&self, faults: Vec<Option<String>>) {
        self.change(|state| {
            state.faults = faults;
            state.script.push_back(Woken::Changed);
        });
    }

    /// How long each wait was to be at most.
    #[must_use]
    pub fn limits(&self) -> Vec<Duration> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner).limits.clone()
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.0.state.lock().unwrap_or_else(PoisonError::into_inner));
        self.0.bell.notify_all();
    }
}

impl TriggerWait for FakeWait {
    fn wait(&mut self, limit: Duration, pacer: &dyn Pacer) -> Woken {
        let mut state = self.0.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.limits.push(limit);
        loop {
            if state.interrupted || pacer.pace() == Pace::Stop {
                return Woken::Stop;
            }
            if let Some(woken) = state.script.pop_front() {
                return woken;
            }
            state = self.0.bell.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn interrupt(&self) -> Arc<dyn Interrupt> {
        Arc::clone(&self.0) as Arc<dyn Interrupt>
    }

    fn faults(&self) -> Vec<Option<String>> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner).faults.clone()
    }
}

impl Interrupt for Shared {
    fn interrupt(&self) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).interrupted = true;
        self.bell.notify_all();
    }
}
