//! One scan of a process's memory at a time.
//!
//! Two scans of one memory at once would clear each other's accessed bits, so a scanner locks the process first, and with it
//! all processes that share its memory. A scan that follows another scanner's cannot know how long ago the bits were cleared: [`ScanLock::is_armed`] says so.

use etmem_core::kernel::pacer::{Pace, Pacer};
use etmem_core::kernel::process::{ProcessId, ProcessTable};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// How often a scanner that waits for a lock tries again.
const TRY_AGAIN: Duration = Duration::from_millis(50);

/// The number of a scanner, one per task that runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Scanner(u64);

#[derive(Debug, Default)]
struct Table {
    scanners: u64,
    processes: HashMap<ProcessId, State>,
}

#[derive(Debug, Clone, Copy)]
struct State {
    busy: Option<Scanner>,
    /// Who cleared the accessed bits last, after a whole cycle, and when, by its own clock.
    armed_by: Option<(Scanner, Duration)>,
}

/// One scanner's access to the locks that all scanners of a daemon share.
#[derive(Debug, Default)]
pub struct ScanLocks {
    /// Each change to it is whole in itself, so a scanner that panicked leaves it sound.
    table: Arc<Mutex<Table>>,
    scanner: Scanner,
}

impl ScanLocks {
    /// Another scanner of the same locks.
    #[must_use]
    pub fn another(&self) -> Self {
        let mut table = self.table.lock();
        table.scanners += 1;
        Self { table: Arc::clone(&self.table), scanner: Scanner(table.scanners) }
    }

    /// Locks `process`, once no other scanner has it or a process that shares its memory by `processes`; none if a stop was
    /// asked for first.
    #[must_use]
    pub fn take(
        &self,
        process: ProcessId,
        processes: &dyn ProcessTable,
        pacer: &dyn Pacer,
    ) -> Option<ScanLock<'_>> {
        loop {
            {
                let mut table = self.table.lock();
                let shared = self.is_busy_elsewhere(&table, process, processes);
                let state = table.processes.entry(process).or_insert(State { busy: None, armed_by: None });
                if state.busy.is_none() && !shared {
                    state.busy = Some(self.scanner);
                    let armed = state.armed_by.take().filter(|(scanner, _)| *scanner == self.scanner);
                    let armed = armed.map(|(_, since)| since);
                    return Some(ScanLock { scan_locks: self, process, armed, arms: None });
                }
            }
            if pacer.pause(TRY_AGAIN) == Pace::Stop {
                return None;
            }
        }
    }

    /// Whether another scanner has locked another process that shares the memory of `process`.
    fn is_busy_elsewhere(&self, table: &Table, process: ProcessId, processes: &dyn ProcessTable) -> bool {
        let of_others = table.processes.iter().filter(|(other, state)| {
            **other != process && state.busy.is_some_and(|scanner| scanner != self.scanner)
        });
        of_others.into_iter().any(|(other, _)| processes.share_memory(*other, process))
    }

    /// Forgets the processes that no scanner has locked, that this scanner armed, and that are not in `keep`.
    pub fn forget_all_but(&self, keep: &[ProcessId]) {
        self.table.lock().processes.retain(|process, state| {
            let armed_here = state.armed_by.is_some_and(|(scanner, _)| scanner == self.scanner);
            state.busy.is_some() || !armed_here || keep.contains(process)
        });
    }
}

impl Drop for ScanLocks {
    fn drop(&mut self) {
        self.forget_all_but(&[]);
    }
}

/// A process locked by a scanner, until this is dropped.
#[derive(Debug)]
pub struct ScanLock<'a> {
    scan_locks: &'a ScanLocks,
    process: ProcessId,
    armed: Option<Duration>,
    arms: Option<Duration>,
}

impl ScanLock<'_> {
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

impl Drop for ScanLock<'_> {
    fn drop(&mut self) {
        let mut table = self.scan_locks.table.lock();
        if let Some(now) = self.arms {
            let state = State { busy: None, armed_by: Some((self.scan_locks.scanner, now)) };
            table.processes.insert(self.process, state);
        } else {
            table.processes.remove(&self.process);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use etmem_core::kernel::process::Pid;
    use etmem_core::kernel::process::{ProcessError, ProcessMemory, Target, TargetError};
    use etmem_testkit::fake::FakePacer;

    const NOW: Duration = Duration::from_secs(7);

    fn process(pid: u32) -> ProcessId {
        ProcessId { pid: Pid::new(pid).unwrap(), start_time: 7 }
    }

    /// A table in which processes with the same last digit share one memory.
    #[derive(Debug)]
    struct Sharing;

    impl ProcessTable for Sharing {
        fn find(&self, _: &Target) -> Result<Vec<ProcessId>, ProcessError> {
            Ok(Vec::new())
        }

        fn check(&self, pid: Pid) -> Result<ProcessId, TargetError> {
            Err(TargetError::NoProcess(pid))
        }

        fn share_memory(&self, one: ProcessId, other: ProcessId) -> bool {
            one.pid.get() % 10 == other.pid.get() % 10
        }

        fn memory(&self, _: ProcessId) -> Result<ProcessMemory, ProcessError> {
            Err(ProcessError::Exited)
        }
    }

    #[test]
    fn processes_that_share_memory_are_locked_together() {
        let (first, pacer) = (ScanLocks::default(), FakePacer::stopping_after(0));
        let second = first.another();
        let helper = first.take(process(11), &Sharing, &pacer).unwrap();
        assert!(second.take(process(21), &Sharing, &pacer).is_none(), "another scanner has its memory");
        assert!(second.take(process(12), &Sharing, &pacer).is_some());
        assert!(first.take(process(21), &Sharing, &pacer).is_some(), "its own scanner may go on");
        drop(helper);
        assert!(second.take(process(21), &Sharing, &pacer).is_some());
    }

    #[test]
    fn one_at_a_time_and_armed_only_by_oneself() {
        let first = ScanLocks::default();
        let second = first.another();
        let pacer = FakePacer::stopping_after(3);

        let mut scan_lock = first.take(process(1), &Sharing, &pacer).unwrap();
        assert!(!scan_lock.is_armed(), "the first scan of all");
        assert!(second.take(process(1), &Sharing, &pacer).is_none(), "waits until a stop");
        assert_eq!(pacer.pauses(), vec![TRY_AGAIN; 4]);
        scan_lock.leave_armed(NOW);
        drop(scan_lock);

        let scan_lock = first.take(process(1), &Sharing, &pacer).unwrap();
        assert!(scan_lock.is_armed(), "its own cycle came last");
        assert_eq!(scan_lock.armed_since(), Some(NOW));
        drop(scan_lock);
        assert!(
            !first.take(process(1), &Sharing, &pacer).unwrap().is_armed(),
            "that cycle did not end whole"
        );

        let mut scan_lock = first.take(process(1), &Sharing, &pacer).unwrap();
        scan_lock.leave_armed(NOW);
        drop(scan_lock);
        assert!(
            !second.take(process(1), &Sharing, &pacer).unwrap().is_armed(),
            "another scanner's cycle came last"
        );
        assert!(
            !first.take(process(1), &Sharing, &pacer).unwrap().is_armed(),
            "and cleared the bits meanwhile"
        );
    }

    #[test]
    fn nothing_is_remembered_of_the_gone() {
        let scan_locks = ScanLocks::default();
        let pacer = FakePacer::stopping_after(0);
        for pid in 1..=100 {
            let mut scan_lock = scan_locks.take(process(pid), &Sharing, &pacer).unwrap();
            scan_lock.leave_armed(NOW);
        }
        scan_locks.forget_all_but(&[process(7)]);
        assert_eq!(scan_locks.table.lock().processes.len(), 1);
        let table = Arc::clone(&scan_locks.table);
        drop(scan_locks);
        assert!(table.lock().processes.is_empty());
    }
}
