//! Whose turn it is to look at a process.
//!
//! Two scans of one process at once would clear each other's accessed bits, so each waits its turn. And whoever
//! comes after another scanner cannot know how long ago the bits were cleared: [`Turn::is_armed`] tells.

use etmem_core::kernel::pacer::{Pace, Pacer};
use etmem_core::kernel::process::ProcessId;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How often a scanner that waits for its turn looks again.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// One per task that runs: scanners are told apart by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Scanner(u64);

#[derive(Debug, Default)]
struct Ledger {
    scanners: u64,
    processes: HashMap<ProcessId, State>,
}

#[derive(Debug, Clone, Copy)]
struct State {
    busy: bool,
    /// Who cleared the accessed bits last, after a whole cycle, and when, by its own clock.
    armed_by: Option<(Scanner, Duration)>,
}

/// A scanner's place in the ledger that all scanners of a daemon share.
#[derive(Debug)]
pub struct Turns {
    ledger: Arc<Mutex<Ledger>>,
    scanner: Scanner,
}

impl Default for Turns {
    /// A new ledger, with its first scanner.
    fn default() -> Self {
        Self { ledger: Arc::default(), scanner: Scanner(0) }
    }
}

impl Turns {
    /// Another scanner on the same ledger.
    #[must_use]
    pub fn another(&self) -> Self {
        let mut ledger = lock(&self.ledger);
        ledger.scanners += 1;
        Self { ledger: Arc::clone(&self.ledger), scanner: Scanner(ledger.scanners) }
    }

    /// Waits until no other scanner looks at `process`; none where a stop came first.
    #[must_use]
    pub fn take(&self, process: ProcessId, pacer: &dyn Pacer) -> Option<Turn<'_>> {
        loop {
            {
                let mut ledger = lock(&self.ledger);
                let state = ledger.processes.entry(process).or_insert(State { busy: false, armed_by: None });
                if !state.busy {
                    state.busy = true;
                    let armed = state.armed_by.take().filter(|(scanner, _)| *scanner == self.scanner);
                    let armed = armed.map(|(_, since)| since);
                    return Some(Turn { turns: self, process, armed, arms: None });
                }
            }
            if pacer.pause(LOOK_AGAIN) == Pace::Stop {
                return None;
            }
        }
    }

    /// Forgets every process that is nobody's turn and that `keep` does not hold.
    pub fn forget_all_but(&self, keep: &[ProcessId]) {
        lock(&self.ledger).processes.retain(|process, state| {
            let armed_here = state.armed_by.is_some_and(|(scanner, _)| scanner == self.scanner);
            state.busy || !armed_here || keep.contains(process)
        });
    }
}

impl Drop for Turns {
    fn drop(&mut self) {
        self.forget_all_but(&[]);
    }
}

fn lock(ledger: &Mutex<Ledger>) -> MutexGuard<'_, Ledger> {
    // Each change to the ledger is whole in itself, so a scanner that panicked leaves it sound.
    ledger.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A scanner's turn at a process; over when dropped.
#[derive(Debug)]
pub struct Turn<'a> {
    turns: &'a Turns,
    process: ProcessId,
    armed: Option<Duration>,
    arms: Option<Duration>,
}

impl Turn<'_> {
    /// Whether this scanner was the last to clear the accessed bits, at the end of a whole cycle.
    #[must_use]
    pub const fn is_armed(&self) -> bool {
        self.armed.is_some()
    }

    /// When that was, by this scanner's clock.
    #[must_use]
    pub const fn armed_since(&self) -> Option<Duration> {
        self.armed
    }

    /// Says that the cycle is whole and has cleared the accessed bits at its end, which is `now`.
    pub const fn leave_armed(&mut self, now: Duration) {
        self.arms = Some(now);
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut ledger = lock(&self.turns.ledger);
        if let Some(now) = self.arms {
            let state = State { busy: false, armed_by: Some((self.turns.scanner, now)) };
            ledger.processes.insert(self.process, state);
        } else {
            ledger.processes.remove(&self.process);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use etmem_core::kernel::process::Pid;
    use etmem_testkit::fake::FakePacer;

    const NOW: Duration = Duration::from_secs(7);

    fn process(pid: u32) -> ProcessId {
        ProcessId { pid: Pid::new(pid).unwrap(), start_time: 7 }
    }

    #[test]
    fn one_at_a_time_and_armed_only_by_oneself() {
        let first = Turns::default();
        let second = first.another();
        let pacer = FakePacer::stopping_after(3);

        let mut turn = first.take(process(1), &pacer).unwrap();
        assert!(!turn.is_armed(), "the first turn of all");
        assert!(second.take(process(1), &pacer).is_none(), "waits until told to stop");
        assert_eq!(pacer.pauses(), vec![LOOK_AGAIN; 4]);
        turn.leave_armed(NOW);
        drop(turn);

        let turn = first.take(process(1), &pacer).unwrap();
        assert!(turn.is_armed(), "its own cycle came last");
        assert_eq!(turn.armed_since(), Some(NOW));
        drop(turn);
        assert!(!first.take(process(1), &pacer).unwrap().is_armed(), "that cycle did not end whole");

        let mut turn = first.take(process(1), &pacer).unwrap();
        turn.leave_armed(NOW);
        drop(turn);
        assert!(!second.take(process(1), &pacer).unwrap().is_armed(), "somebody else's cycle came last");
        assert!(!first.take(process(1), &pacer).unwrap().is_armed(), "and cleared the bits meanwhile");
    }

    #[test]
    fn nothing_is_remembered_of_the_gone() {
        let turns = Turns::default();
        let pacer = FakePacer::stopping_after(0);
        for pid in 1..=100 {
            let mut turn = turns.take(process(pid), &pacer).unwrap();
            turn.leave_armed(NOW);
        }
        turns.forget_all_but(&[process(7)]);
        assert_eq!(lock(&turns.ledger).processes.len(), 1);
        let ledger = Arc::clone(&turns.ledger);
        drop(turns);
        assert!(lock(&ledger).processes.is_empty());
    }
}
