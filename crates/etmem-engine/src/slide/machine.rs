//! The machine's figures, shared by processes that follow each other closely: a task of thousands of them reads the files some times
//! a second, not three times for each.

use etmem_core::kernel::Kernel;
use etmem_core::kernel::memory::MemoryState;
use etmem_core::kernel::pressure::Pressure;
use etmem_core::kernel::process::ProcessError;
use parking_lot::Mutex;
use std::time::Duration;

/// For how long figures are true.
const TRUE_FOR: Duration = Duration::from_millis(50);

/// Bytes that may leave before the figures are read again: what left since is taken off, but the kernel knows better.
const LEFT_MOST: u64 = 16 << 20;

/// The figures of a machine at one moment.
#[derive(Debug, Clone)]
pub(super) struct MachineFigures {
    pub(super) memory: MemoryState,
    pub(super) pressure: Result<Option<Pressure>, ProcessError>,
}

#[derive(Debug)]
struct Reading {
    figures: MachineFigures,
    at: Duration,
    /// Bytes that the task has paged out since.
    left: u64,
    /// What was read back from swap by then; nothing until the first that needs it.
    swapped_in: Option<Option<u64>>,
}

/// The figures as they were read last.
#[derive(Debug, Default)]
pub(super) struct Machine(Mutex<Option<Reading>>);

impl Machine {
    /// The next to ask reads the figures.
    pub(super) fn forget(&self) {
        *self.0.lock() = None;
    }

    /// Takes note that `bytes` have left to swap.
    pub(super) fn left(&self, bytes: u64) {
        if let Some(reading) = &mut *self.0.lock() {
            reading.left += bytes;
        }
    }

    /// The figures, by what `kernel` says `now` or said just before.
    ///
    /// # Errors
    /// When it does not say.
    pub(super) fn figures(&self, kernel: &Kernel, now: Duration) -> Result<MachineFigures, ProcessError> {
        let mut last = self.0.lock();
        if let Some(reading) = last.as_ref().filter(|reading| reading.is_true(now)) {
            return Ok(reading.figures.after(reading.left));
        }
        *last = None;
        let figures = MachineFigures { memory: kernel.memory.state()?, pressure: kernel.pressure.pressure() };
        *last = Some(Reading { figures: figures.clone(), at: now, left: 0, swapped_in: None });
        Ok(figures)
    }

    /// What was read back from swap until now, or just before; nothing if `kernel` does not say.
    pub(super) fn swapped_in(&self, kernel: &Kernel, now: Duration) -> Option<u64> {
        let ask = || kernel.memory.swapped_in();
        match self.0.lock().as_mut().filter(|reading| reading.is_true(now)) {
            Some(reading) => *reading.swapped_in.get_or_insert_with(ask),
            None => ask(),
        }
    }
}

impl Reading {
    /// Whether it still holds.
    fn is_true(&self, now: Duration) -> bool {
        now.checked_sub(self.at).is_some_and(|age| age < TRUE_FOR) && self.left < LEFT_MOST
    }
}

impl MachineFigures {
    /// The same after `bytes` more have gone to swap.
    fn after(&self, bytes: u64) -> Self {
        let mut figures = self.clone();
        let memory = &mut figures.memory;
        memory.swap_free = memory.swap_free.saturating_sub(bytes);
        if let Some(limit) = &mut memory.swap_limit {
            limit.room = limit.room.saturating_sub(bytes);
        }
        figures
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use etmem_core::kernel::memory::SwapLimit;
    use etmem_testkit::fake::FakeMachine;

    const GIB: u64 = 1 << 30;

    #[test]
    fn they_are_read_again_after_a_time_or_after_much_has_left() {
        let state = |free| MemoryState {
            swap_free: free,
            swap_limit: Some(SwapLimit { limit: GIB, room: 5 }),
            ..FakeMachine::roomy()
        };
        let fake = FakeMachine::new(state(8 * GIB), Vec::new());
        let (kernel, machine) = (fake.kernel(), Machine::default());
        let memory = |now| machine.figures(&kernel, now).unwrap().memory;
        let moment = Duration::from_secs(7);
        assert_eq!(memory(moment), state(8 * GIB));
        fake.set_memory(state(4 * GIB));
        machine.left(6);
        let soon = memory(moment + TRUE_FOR / 2);
        assert_eq!(soon.swap_free, 8 * GIB - 6, "as it was, without what has left");
        assert_eq!(soon.swap_limit.unwrap().room, 0);
        assert_eq!(memory(moment + TRUE_FOR), state(4 * GIB), "its time is over");
        fake.set_memory(state(3 * GIB));
        machine.left(LEFT_MOST - 1);
        assert_eq!(memory(moment + TRUE_FOR).swap_free, 4 * GIB - LEFT_MOST + 1);
        machine.left(1);
        assert_eq!(memory(moment + TRUE_FOR), state(3 * GIB), "much has left");
        fake.set_memory(state(2 * GIB));
        assert_eq!(memory(moment), state(2 * GIB), "a clock of another thread that is late");
        fake.set_memory(state(GIB));
        machine.forget();
        assert_eq!(memory(moment), state(GIB));
    }
}
