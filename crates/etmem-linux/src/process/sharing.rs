//! Processes that share one memory: made by clone(2) with CLONE_VM and without CLONE_THREAD, or by vfork(2).
//!
//! The kernel says which they are (kcmp(2)). Where it cannot, each process counts as one with memory of its own.

use super::memory_files::thread_with_memory;
use super::stat::check_own_pid;
use crate::root::ProcRoot;
use crate::sys::kcmp::order_of_memory;
use crate::sys::machine::is_procfs;
use etmem_core::kernel::process::{Pid, ProcessId};
use std::cmp::Ordering;

/// Whether numbers in `proc` mean the processes that system calls find by them, so that these can be compared.
pub(super) fn can_compare(proc: &ProcRoot) -> bool {
    is_procfs(proc.path()).unwrap_or(false) && check_own_pid(proc).is_ok()
}

/// The kernel's order of the memory of processes `one` and `other`, which can be compared; `None` if one is gone.
pub(super) fn order_of(proc: &ProcRoot, one: Pid, other: Pid) -> Option<Ordering> {
    // By numbers alone, two whose first threads have ended were equal in having none.
    order_of_memory(thread_with_memory(proc, one), thread_with_memory(proc, other)).ok()
}

/// Of the processes that share one memory the one that started first. Each process comes with the thread by which its memory
/// is found.
pub(super) fn one_for_each_memory(mut found: Vec<(ProcessId, Pid)>) -> Vec<ProcessId> {
    found.sort_unstable_by_key(|(process, _)| (process.start_time, process.pid));
    found = without_repeats(found, |one, other| order_of_memory(one.1, other.1).ok());
    found.into_iter().map(|(process, _)| process).collect()
}

/// `items` without those that are equal to an earlier one. Those without an order are kept.
fn without_repeats<T: Copy>(items: Vec<T>, order: impl Fn(T, T) -> Option<Ordering>) -> Vec<T> {
    let mut sorted: Vec<T> = Vec::with_capacity(items.len());
    let is_first = |item: &T| {
        let mut unknown = false;
        let place = sorted.binary_search_by(|earlier| {
            order(*earlier, *item).unwrap_or_else(|| {
                unknown = true;
                Ordering::Less
            })
        });
        match place {
            _ if unknown => true,
            Ok(_) => false,
            Err(place) => {
                sorted.insert(place, *item);
                true
            }
        }
    };
    let mut items = items;
    items.retain(is_first);
    items
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn each_memory_comes_once(items in proptest::collection::vec(0u8..20, 0..60)) {
            let mut seen = BTreeSet::new();
            let want: Vec<u8> = items.iter().copied().filter(|item| seen.insert(*item)).collect();
            prop_assert_eq!(without_repeats(items, |one, other| Some(one.cmp(&other))), want);
        }
    }

    #[test]
    fn what_has_no_order_is_kept() {
        let order = |one: u8, other: u8| (one < 9 && other < 9).then(|| one.cmp(&other));
        assert_eq!(without_repeats(vec![3, 9, 3, 9, 1, 1], order), [3, 9, 9, 1]);
    }

    #[test]
    fn numbers_of_another_procfs_are_not_compared() {
        let tree = tempfile::tempdir().unwrap();
        let own = Pid::new(std::process::id()).unwrap();
        assert!(can_compare(&ProcRoot::default()));
        assert_eq!(order_of(&ProcRoot::default(), own, own), Some(Ordering::Equal));
        assert!(!can_compare(&ProcRoot::new(tree.path())));
    }
}
