//! Programs of a scripted machine that give memory back when they are asked.

use super::FakeMachine;
use etmem_core::address::PAGE_SIZE;
use etmem_core::kernel::cooperation::Cooperation;
use etmem_core::kernel::process::ProcessId;
use std::sync::{Mutex, PoisonError};

/// The programs that listen for requests: each of the machine's processes is one.
#[derive(Debug)]
pub struct FakeCooperation {
    machine: FakeMachine,
    listening: usize,
    gives: fn(u64) -> u64,
    asked: Mutex<Vec<Vec<(ProcessId, u64)>>>,
}

impl FakeCooperation {
    /// `listening` programs of `machine`, which free what `gives` says of the bytes that are wanted, their first pages first.
    #[must_use]
    pub const fn new(machine: FakeMachine, listening: usize, gives: fn(u64) -> u64) -> Self {
        Self { machine, listening, gives, asked: Mutex::new(Vec::new()) }
    }

    /// What was wanted, each time.
    #[must_use]
    pub fn asked(&self) -> Vec<Vec<(ProcessId, u64)>> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Cooperation for FakeCooperation {
    fn ask(&self, wanted: &[(ProcessId, u64)]) -> usize {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).push(wanted.to_vec());
        for (process, bytes) in wanted.iter().filter(|_| self.listening > 0) {
            let many = usize::try_from((self.gives)(*bytes) / PAGE_SIZE).unwrap_or(usize::MAX);
            self.machine.change(process.pid.get(), |process| {
                let there = |page: &usize| !process.swapped[*page] && !process.freed.contains(page);
                let given: Vec<usize> = (0..process.swapped.len()).filter(there).take(many).collect();
                process.freed.extend(given);
            });
        }
        self.listening
    }

    fn close(&self) {}
}
