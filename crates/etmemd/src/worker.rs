//! A thread that runs one task, cycle after cycle, until it is asked to stop.
//!
//! Between two cycles the thread publishes what it has done, so that no reader waits for a cycle.

use crate::cleanup_records::CleanupRecord;
use crate::journal::Journal;
use crate::wait_group::Member;
use etmem_core::kernel::Kernel;
use etmem_core::kernel::pacer::{Pace, Pacer};
use etmem_engine::{SharedSoFar, SoFar, TaskRunner, TaskStatus};
use etmem_linux::pacer::SystemPacer;
use parking_lot::Mutex;
use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// A running task.
#[derive(Debug)]
pub(crate) struct Worker {
    pacer: Arc<SystemPacer>,
    progress: Arc<Mutex<Progress>>,
    so_far: SharedSoFar,
    thread: JoinHandle<()>,
}

/// How far a task has come; its times are by the worker's clock.
#[derive(Debug, Clone, Default)]
struct Progress {
    status: TaskStatus,
    in_cycle: bool,
    /// When the cycle, or the wait, began.
    since: Duration,
}

/// What a task does at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Doing {
    /// It is in a cycle.
    Working,
    /// It waits for the next cycle.
    Resting,
    /// Its thread has ended without being asked to: a bug.
    Failed,
}

/// A task as it stands.
#[derive(Debug, Clone)]
pub(crate) struct Standing {
    /// What it has done.
    pub(crate) status: TaskStatus,
    /// What it does.
    pub(crate) doing: Doing,
    /// For how long.
    pub(crate) lasting: Duration,
    /// Since its start.
    pub(crate) running: Duration,
    /// How far the cycle under way has come.
    pub(crate) so_far: Option<SoFar>,
}

impl Worker {
    /// Starts `work` on `kernel`; `label` names the task in the log, `records` are kept until what it sets is taken back,
    /// and `member` until its thread ends.
    ///
    /// # Errors
    /// When the system has no thread left.
    pub(crate) fn start(
        label: String,
        mut work: Box<dyn TaskRunner>,
        kernel: Kernel,
        records: Vec<CleanupRecord>,
        member: Member,
    ) -> io::Result<Self> {
        let pacer = Arc::new(SystemPacer::new());
        // Before its thread has run at all, a task is about to begin its first cycle, and does not rest from one.
        let progress = Arc::new(Mutex::new(Progress { in_cycle: true, ..Progress::default() }));
        let so_far = work.so_far();
        let (clock, shared) = (Arc::clone(&pacer), Arc::clone(&progress));
        let thread = thread::Builder::new().name("etmemd-task".to_owned()).spawn(move || {
            let mut journal = Journal::new(label);
            loop {
                let began = clock.now();
                change(&shared, |progress| (progress.in_cycle, progress.since) = (true, began));
                let report = work.step(&kernel, &*clock);
                journal.record(&report);
                let ended = clock.now();
                change(&shared, |progress| {
                    (progress.in_cycle, progress.since) = (false, ended);
                    progress.status.record(report, ended.saturating_sub(began));
                });
                if clock.pause(work.period()) == Pace::Stop {
                    break;
                }
            }
            let ended = work.end(&kernel);
            // What its probe has set goes with it, and only then the records of it.
            drop((work, kernel));
            match ended {
                Ok(()) => drop(records),
                Err(error) => {
                    journal.not_taken_back(&error);
                    // Left for the next start to try again.
                    std::mem::forget(records);
                }
            }
            journal.stopped();
            drop(member);
        })?;
        Ok(Self { pacer, progress, so_far, thread })
    }

    /// How the task stands. Never waits for a cycle.
    pub(crate) fn standing(&self) -> Standing {
        let Progress { status, in_cycle, since } = self.progress.lock().clone();
        let running = self.pacer.now();
        let doing = match (self.has_ended(), in_cycle) {
            (true, _) => Doing::Failed,
            (false, true) => Doing::Working,
            (false, false) => Doing::Resting,
        };
        let so_far = Some(self.so_far.get()).filter(|so_far| doing == Doing::Working && so_far.found > 0);
        Standing { status, doing, lasting: running.saturating_sub(since), running, so_far }
    }

    /// Whether its thread has ended.
    fn has_ended(&self) -> bool {
        self.thread.is_finished()
    }
}

impl Drop for Worker {
    /// Asks the task to stop; it does so soon, but not at once.
    fn drop(&mut self) {
        self.pacer.stop();
    }
}

/// Changes what others may look at; held for no longer than that takes.
fn change(progress: &Mutex<Progress>, change: impl FnOnce(&mut Progress)) {
    change(&mut progress.lock());
}
