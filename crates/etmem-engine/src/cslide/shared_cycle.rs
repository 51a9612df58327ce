//! Which tasks take part in the cycles of an engine, and which one leads them.
//!
//! Each task has a thread of its own, but the tasks of an engine are scanned and decided together, since they share the
//! nodes. So a task takes a slot before it runs. The first that finds no leader leads until it stops, and cycles come in its
//! rhythm. It works for all tasks that have a slot, and leaves each a report; the others wait for theirs. A task that stops
//! gives up its slot, and with it the lead, which the next task that looks takes over.

use super::figures::Figures;
use super::settings::Settings;
use crate::report::StepReport;
use crate::scan_locks::ScanLocks;
use etmem_core::kernel::Kernel;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The tasks that take part.
#[derive(Debug)]
pub(super) struct SharedCycle {
    /// All scan as one: a process is armed for the engine, whichever task leads.
    pub(super) scan_locks: ScanLocks,
    /// Each change is whole in itself, so a thread that panicked leaves it sound.
    list: Mutex<List>,
}

#[derive(Debug, Default)]
struct List {
    next: u64,
    members: BTreeMap<u64, Arc<SharedCycleTask>>,
    leader: Option<u64>,
    figures: Figures,
}

/// A task that takes part.
#[derive(Debug)]
pub(super) struct SharedCycleTask {
    pub(super) number: u64,
    pub(super) settings: Settings,
    pub(super) kernel: Kernel,
    /// It has stopped: nothing more may be done in its name.
    gone: AtomicBool,
    /// What the last cycle did for it.
    report: Mutex<Option<StepReport>>,
}

impl SharedCycleTask {
    pub(super) fn is_gone(&self) -> bool {
        self.gone.load(Ordering::Acquire)
    }

    /// Leaves it what a cycle did.
    pub(super) fn leave(&self, report: StepReport) {
        *self.report.lock() = Some(report);
    }
}

impl SharedCycle {
    /// No task yet.
    pub(super) fn new(scan_locks: ScanLocks) -> Self {
        Self { scan_locks, list: Mutex::default() }
    }

    /// Takes a slot for a task.
    pub(super) fn join(self: &Arc<Self>, settings: Settings, kernel: Kernel) -> SharedCycleSlot {
        let mut list = self.list.lock();
        let number = list.next;
        list.next += 1;
        let gone = AtomicBool::new(false);
        let member = Arc::new(SharedCycleTask { number, settings, kernel, gone, report: Mutex::default() });
        list.members.insert(number, Arc::clone(&member));
        SharedCycleSlot { shared_cycle: Arc::clone(self), member }
    }

    /// The tasks that take part now, in the order in which they came.
    pub(super) fn members(&self) -> Vec<Arc<SharedCycleTask>> {
        self.list.lock().members.values().cloned().collect()
    }

    /// The figures that were published last.
    pub(super) fn figures(&self) -> Figures {
        self.list.lock().figures.clone()
    }

    /// Publishes figures, except those of tasks that have left in the meantime.
    pub(super) fn publish(&self, mut figures: Figures) {
        let mut list = self.list.lock();
        figures.tasks.retain(|task| list.members.contains_key(&task.member));
        list.figures = figures;
    }
}

/// A task's slot; given up when dropped.
#[derive(Debug)]
pub(super) struct SharedCycleSlot {
    pub(super) shared_cycle: Arc<SharedCycle>,
    pub(super) member: Arc<SharedCycleTask>,
}

impl SharedCycleSlot {
    /// Whether it leads. It does from now on if no task did.
    pub(super) fn leads(&self) -> bool {
        *self.shared_cycle.list.lock().leader.get_or_insert(self.member.number) == self.member.number
    }

    /// What a cycle did for it since it last asked.
    pub(super) fn take_report(&self) -> Option<StepReport> {
        self.member.report.lock().take()
    }
}

impl Drop for SharedCycleSlot {
    fn drop(&mut self) {
        let number = self.member.number;
        self.member.gone.store(true, Ordering::Release);
        let mut list = self.shared_cycle.list.lock();
        list.members.remove(&number);
        list.leader = list.leader.filter(|leader| *leader != number);
        list.figures.tasks.retain(|task| task.member != number);
    }
}
