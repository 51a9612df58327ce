//! Memory that processes may share: which of many processes has the same as a given one.
//!
//! Asking the kernel about each pair takes seconds where two tasks have thousands of processes each. The kernel has an order of
//! memory, so a list in that order is searched in some steps.

use etmem_core::kernel::process::{ProcessId, ProcessTable};
use std::cmp::Ordering;

/// Processes, put in order when they are searched.
///
/// One that has run another program since may be in a wrong place until [`Memories::unsort`] is called.
#[derive(Debug, Default)]
pub(crate) struct Memories {
    sorted: Vec<ProcessId>,
    /// Those that have no place yet.
    others: Vec<ProcessId>,
}

impl Memories {
    /// Adds `process`, which is not in it.
    pub(crate) fn add(&mut self, process: ProcessId) {
        self.others.push(process);
    }

    /// Removes `process`.
    pub(crate) fn remove(&mut self, process: ProcessId) {
        for list in [&mut self.others, &mut self.sorted] {
            if let Some(place) = list.iter().position(|other| *other == process) {
                list.remove(place);
            }
        }
    }

    /// Keeps those that `is_kept` names.
    pub(crate) fn retain(&mut self, mut is_kept: impl FnMut(&ProcessId) -> bool) {
        self.sorted.retain(&mut is_kept);
        self.others.retain(is_kept);
    }

    /// The next search puts all in order again.
    pub(crate) fn unsort(&mut self) {
        self.others.append(&mut self.sorted);
    }

    /// One that has the same memory as `process`. Those that have ended have none, and are left out from then on.
    pub(crate) fn find(&mut self, process: ProcessId, table: &dyn ProcessTable) -> Option<ProcessId> {
        // By insertion: an order that changes meanwhile does no harm.
        for other in std::mem::take(&mut self.others) {
            if let Some(Ok(place) | Err(place)) = self.place(other, table) {
                self.sorted.insert(place, other);
            }
        }
        let place = self.place(process, table)?.ok()?;
        self.sorted.get(place).copied()
    }

    /// Where one with the memory of `process` is, or else where it would be; `None` if it has ended.
    fn place(&mut self, process: ProcessId, table: &dyn ProcessTable) -> Option<Result<usize, usize>> {
        loop {
            let mut unknown = None;
            let place = self.sorted.binary_search_by(|other| {
                table.order_of_memory(*other, process).unwrap_or_else(|| {
                    unknown = Some(*other);
                    Ordering::Less
                })
            });
            let Some(other) = unknown else { return Some(place) };
            // One of the two has ended.
            table.order_of_memory(process, process)?;
            self.sorted.retain(|one| *one != other);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use etmem_core::kernel::process::{Pid, ProcessError, ProcessMemory, Target, TargetError};
    use proptest::prelude::*;
    use std::cell::Cell;
    use std::collections::BTreeSet;
    use std::sync::Mutex;

    fn process(pid: u32) -> ProcessId {
        ProcessId { pid: Pid::new(pid).unwrap(), start_time: 7 }
    }

    /// Processes whose numbers have the same remainder share one memory. Some have ended.
    #[derive(Debug)]
    struct Table {
        memories: u32,
        ended: BTreeSet<u32>,
        asked: Mutex<Cell<usize>>,
    }

    impl ProcessTable for Table {
        fn find(&self, _: &Target) -> Result<Vec<ProcessId>, ProcessError> {
            Ok(Vec::new())
        }

        fn check(&self, pid: Pid) -> Result<ProcessId, TargetError> {
            Err(TargetError::NoProcess(pid))
        }

        fn order_of_memory(&self, one: ProcessId, other: ProcessId) -> Option<Ordering> {
            let asked = self.asked.lock().unwrap();
            asked.set(asked.get() + 1);
            let [one, other] = [one, other].map(|process| process.pid.get());
            let memory = |pid: u32| (pid % self.memories).wrapping_mul(2_654_435_761);
            let lives = !self.ended.contains(&one) && !self.ended.contains(&other);
            lives.then(|| memory(one).cmp(&memory(other)))
        }

        fn memory(&self, _: ProcessId) -> Result<ProcessMemory, ProcessError> {
            Err(ProcessError::Exited)
        }
    }

    proptest! {
        #[test]
        fn one_with_the_same_memory_is_found(
            pids in proptest::collection::btree_set(1u32..300, 0..80),
            removed in proptest::collection::btree_set(1u32..300, 0..40),
            ended in proptest::collection::btree_set(1u32..300, 0..10),
            wanted in 301u32..600,
        ) {
            let table = |ended| Table { memories: 90, ended, asked: Mutex::default() };
            let mut memories = Memories::default();
            for (number, pid) in pids.iter().enumerate() {
                memories.add(process(*pid));
                if number == 20 {
                    let _ = memories.find(process(wanted), &table(BTreeSet::new()));
                }
            }
            removed.iter().for_each(|pid| memories.remove(process(*pid)));
            let found = memories.find(process(wanted), &table(ended.clone()));
            let left: Vec<u32> = pids.into_iter().filter(|pid| !removed.contains(pid)).collect();
            let is_right = |pid: &u32| pid % 90 == wanted % 90 && !ended.contains(pid);
            match found {
                Some(found) => prop_assert!(left.contains(&found.pid.get()) && is_right(&found.pid.get())),
                None => prop_assert!(!left.iter().any(is_right), "{wanted} in {left:?}, without {ended:?}"),
            }
        }
    }

    #[test]
    fn thousands_are_searched_in_some_steps() {
        let table = Table { memories: 10_000, ended: BTreeSet::new(), asked: Mutex::default() };
        let mut memories = Memories::default();
        (1..=2000).for_each(|pid| memories.add(process(pid)));
        for pid in 5001..7000 {
            assert_eq!(memories.find(process(pid), &table), None);
        }
        assert_eq!(memories.find(process(12_000), &table), Some(process(2000)));
        let asked = table.asked.lock().unwrap().get();
        assert!(asked < 2 * 2000 * 12, "{asked}");
    }
}
