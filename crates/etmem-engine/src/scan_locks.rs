//! One scan of a process's memory at a time.
//!
//! Two scans of one memory at once would clear each other's accessed bits, so a scanner locks the process first, and with it
//! all processes that share its memory. A scan that follows another scanner's of the same memory cannot know how long ago the bits
//! were cleared: [`ScanLock::is_armed`] says so. Commands such as `etmem survey` are other programs, and their scans are kept apart by
//! [`ScanClaims`].

use crate::memories::Memories;
use etmem_core::guard::SkipReason;
use etmem_core::kernel::claims::{Claim, ScanClaims};
use etmem_core::kernel::pacer::{Pace, Pacer};
use etmem_core::kernel::process::{ProcessId, ProcessTable};
use etmem_core::scan::ScanEnd;
use parking_lot::Mutex;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

/// How often a scanner that waits for a lock tries again.
const TRY_AGAIN: Duration = Duration::from_millis(50);

/// The number of a scanner, one per task that runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
struct Scanner(u64);

#[derive(Debug, Default)]
struct Table {
    numbers: u64,
    scanners: HashMap<Scanner, Held>,
}

/// What a scanner has locked, or cleared the accessed bits of last.
#[derive(Debug, Default)]
struct Held {
    processes: HashMap<ProcessId, State>,
    memories: Memories,
}

#[derive(Debug, Clone, Copy)]
enum State {
    Busy,
    /// Since the end of a whole cycle.
    Armed(Armed),
}

/// When a scanner cleared the accessed bits last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Armed {
    /// By the scanner's clock.
    since: Duration,
    /// How many commands had scanned anything by then.
    commands: u64,
}

impl Held {
    fn set(&mut self, process: ProcessId, state: State) -> Option<State> {
        let before = self.processes.insert(process, state);
        if before.is_none() {
            self.memories.add(process);
        }
        before
    }

    fn remove(&mut self, process: ProcessId) {
        if self.processes.remove(&process).is_some() {
            self.memories.remove(process);
        }
    }

    /// A process that has the memory of `process`.
    fn find(&mut self, process: ProcessId, processes: &dyn ProcessTable) -> Option<ProcessId> {
        let itself = self.processes.contains_key(&process).then_some(process);
        itself.or_else(|| self.memories.find(process, processes))
    }

    fn is_busy(&self, process: ProcessId) -> bool {
        matches!(self.processes.get(&process), Some(State::Busy))
    }
}

impl Table {
    /// What scanners other than `own` hold of the memory of `process`; all of it where none is busy.
    fn held_by_others(
        &mut self,
        own: Scanner,
        process: ProcessId,
        processes: &dyn ProcessTable,
    ) -> Result<Vec<(Scanner, ProcessId)>, Busy> {
        let mut armed = Vec::new();
        for (scanner, held) in self.scanners.iter_mut().filter(|(scanner, _)| **scanner != own) {
            match held.find(process, processes) {
                Some(same) if held.is_busy(same) => return Err(Busy),
                Some(same) => armed.push((*scanner, same)),
                None => {}
            }
        }
        Ok(armed)
    }

    /// Locks `process` for `own`. Returns since when that scanner was the last to clear the accessed bits of its memory.
    fn lock(
        &mut self,
        own: Scanner,
        process: ProcessId,
        processes: &dyn ProcessTable,
    ) -> Result<Option<Armed>, Busy> {
        if self.scanners.get(&own).is_some_and(|held| held.is_busy(process)) {
            return Err(Busy);
        }
        // What others know of it ends: the bits are cleared for this scanner from now on.
        for (scanner, same) in self.held_by_others(own, process, processes)? {
            if let Some(held) = self.scanners.get_mut(&scanner) {
                held.remove(same);
            }
        }
        match self.scanners.entry(own).or_default().set(process, State::Busy) {
            Some(State::Armed(since)) => Ok(Some(since)),
            Some(State::Busy) | None => Ok(None),
        }
    }
}

/// A scanner has the memory.
struct Busy;

/// One scanner's access to the locks that all scanners of a daemon share.
#[derive(Debug, Default)]
pub struct ScanLocks {
    /// Each change to it is whole in itself, so a scanner that panicked leaves it sound.
    table: Arc<Mutex<Table>>,
    scanner: Scanner,
    /// `None` if no command can scan.
    claims: Option<Arc<dyn ScanClaims>>,
}

impl ScanLocks {
    /// Locks of scanners that keep away from what commands scan, by `claims`.
    #[must_use]
    pub fn beside(claims: Option<Arc<dyn ScanClaims>>) -> Self {
        Self { table: Arc::default(), scanner: Scanner::default(), claims }
    }

    /// Another scanner of the same locks.
    #[must_use]
    pub fn another(&self) -> Self {
        let mut table = self.table.lock();
        table.numbers += 1;
        let claims = self.claims.clone();
        Self { table: Arc::clone(&self.table), scanner: Scanner(table.numbers), claims }
    }

    /// Locks `process`, once no other scanner has it or a process that shares its memory by `processes`.
    ///
    /// # Errors
    /// A stop was asked for first, or a command scans it.
    pub fn take(
        &self,
        process: ProcessId,
        processes: &dyn ProcessTable,
        pacer: &dyn Pacer,
    ) -> Result<ScanLock<'_>, ScanEnd> {
        let armed = loop {
            if let Ok(armed) = self.table.lock().lock(self.scanner, process, processes) {
                break armed;
            }
            if pacer.pause(TRY_AGAIN) == Pace::Stop {
                return Err(ScanEnd::Stopped);
            }
        };
        let mut lock = ScanLock { scan_locks: self, process, armed, arms: None, claim: None };
        if let Some(claims) = &self.claims {
            let claim = claims.claim(process, processes).ok_or(ScanEnd::Left(SkipReason::ByCommand))?;
            lock.armed = lock.armed.filter(|armed| armed.commands == claim.commands);
            lock.claim = Some(claim);
        }
        Ok(lock)
    }

    /// Whether another scanner has `process` now, or a process that shares its memory by `processes`. Changes nothing.
    #[must_use]
    pub fn is_busy(&self, process: ProcessId, processes: &dyn ProcessTable) -> bool {
        self.table.lock().held_by_others(self.scanner, process, processes).is_err()
    }

    /// Forgets the processes that this scanner armed and that are not in `keep`. Called at the start of each cycle.
    pub fn forget_all_but(&self, keep: &[ProcessId]) {
        let keep: HashSet<&ProcessId> = keep.iter().collect();
        let mut table = self.table.lock();
        let Some(Held { processes, memories }) = table.scanners.get_mut(&self.scanner) else { return };
        processes.retain(|process, state| matches!(state, State::Busy) || keep.contains(process));
        memories.retain(|process| processes.contains_key(process));
        // They may run other programs by now.
        memories.unsort();
    }
}

impl Drop for ScanLocks {
    fn drop(&mut self) {
        self.table.lock().scanners.remove(&self.scanner);
    }
}

/// A process locked by a scanner, until this is dropped.
#[derive(Debug)]
pub struct ScanLock<'a> {
    scan_locks: &'a ScanLocks,
    process: ProcessId,
    armed: Option<Armed>,
    arms: Option<Duration>,
    claim: Option<Claim>,
}

impl ScanLock<'_> {
    /// Whether this scanner was the last to clear the accessed bits, at the end of a whole cycle.
    #[must_use]
    pub const fn is_armed(&self) -> bool {
        self.armed.is_some()
    }

    /// When that was, by this scanner's clock.
    #[must_use]
    pub fn armed_since(&self) -> Option<Duration> {
        self.armed.map(|armed| armed.since)
    }

    /// Says that the cycle is whole and has cleared the accessed bits at its end, which is `now`.
    pub const fn leave_armed(&mut self, now: Duration) {
        self.arms = Some(now);
    }
}

impl Drop for ScanLock<'_> {
    fn drop(&mut self) {
        let mut table = self.scan_locks.table.lock();
        let held = table.scanners.entry(self.scan_locks.scanner).or_default();
        if let Some(since) = self.arms {
            let commands = self.claim.as_ref().map_or(0, |claim| claim.commands);
            held.set(self.process, State::Armed(Armed { since, commands }));
        } else {
            held.remove(self.process);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use etmem_core::kernel::process::Pid;
    use etmem_testkit::fake::{FakePacer, Sharing};

    const NOW: Duration = Duration::from_secs(7);

    fn process(pid: u32) -> ProcessId {
        ProcessId { pid: Pid::new(pid).unwrap(), start_time: 7 }
    }

    #[test]
    fn processes_that_share_memory_are_locked_together() {
        let (first, pacer) = (ScanLocks::default(), FakePacer::stopping_after(0));
        let second = first.another();
        let helper = first.take(process(11), &Sharing, &pacer).unwrap();
        assert!(second.take(process(21), &Sharing, &pacer).is_err(), "another scanner has its memory");
        assert!(second.is_busy(process(21), &Sharing) && !first.is_busy(process(21), &Sharing));
        assert!(!second.is_busy(process(12), &Sharing));
        assert!(second.take(process(12), &Sharing, &pacer).is_ok());
        assert!(first.take(process(21), &Sharing, &pacer).is_ok(), "its own scanner may go on");
        drop(helper);
        assert!(second.take(process(21), &Sharing, &pacer).is_ok());
    }

    #[test]
    fn one_at_a_time_and_armed_only_by_oneself() {
        let first = ScanLocks::default();
        let second = first.another();
        let pacer = FakePacer::stopping_after(3);

        let mut scan_lock = first.take(process(1), &Sharing, &pacer).unwrap();
        assert!(!scan_lock.is_armed(), "the first scan of all");
        assert!(second.take(process(1), &Sharing, &pacer).is_err(), "waits until a stop");
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
    fn another_scan_of_the_same_memory_ends_what_is_armed() {
        let (first, pacer) = (ScanLocks::default(), FakePacer::stopping_after(0));
        let second = first.another();
        let take = |scanner: &ScanLocks, pid| {
            let mut lock = scanner.take(process(pid), &Sharing, &pacer).unwrap();
            lock.leave_armed(NOW);
            lock.is_armed()
        };
        assert!(!take(&first, 11) && !take(&first, 12));
        assert!(!take(&second, 21), "by another process of the same memory");
        assert!(!take(&first, 11), "its bits were cleared meanwhile");
        assert!(take(&first, 12), "these were not");
        assert!(take(&first, 11) && !take(&second, 21));
    }

    /// A command has process 1 while this is true, and has ended otherwise.
    #[derive(Debug, Default)]
    struct Commands(Mutex<(bool, u64)>);

    #[derive(Debug)]
    struct Nothing;

    impl etmem_core::kernel::claims::Held for Nothing {}

    impl ScanClaims for Commands {
        fn claim(&self, process: ProcessId, _: &dyn ProcessTable) -> Option<Claim> {
            let (scans, commands) = *self.0.lock();
            (!scans || process.pid.get() != 1).then(|| Claim { held: Box::new(Nothing), commands })
        }
    }

    #[test]
    fn what_a_command_scans_is_left_alone_and_known_no_more() {
        let commands = Arc::new(Commands::default());
        let claims = Arc::clone(&commands) as Arc<dyn ScanClaims>;
        let root = ScanLocks::beside(Some(claims));
        let (scanner, pacer) = (root.another(), FakePacer::stopping_after(0));
        let arm = |pid| {
            let mut lock = scanner.take(process(pid), &Sharing, &pacer).unwrap();
            lock.leave_armed(NOW);
            lock.is_armed()
        };
        assert!(!arm(1) && arm(1));
        *commands.0.lock() = (true, 1);
        let end = scanner.take(process(1), &Sharing, &pacer).unwrap_err();
        assert_eq!(end, ScanEnd::Left(SkipReason::ByCommand));
        assert!(!arm(2) && arm(2), "others are scanned as ever");
        *commands.0.lock() = (false, 1);
        assert!(!arm(1), "its bits may have been cleared");
        assert!(arm(1));
        *commands.0.lock() = (false, 2);
        assert!(!arm(1), "by a command that came and went between two cycles");
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
        assert_eq!(scan_locks.table.lock().scanners[&scan_locks.scanner].processes.len(), 1);
        let table = Arc::clone(&scan_locks.table);
        drop(scan_locks);
        assert!(table.lock().scanners.is_empty());
    }
}
