//! A thread that runs one task, cycle after cycle, until it is asked to stop.
//!
//! Between two cycles the thread publishes what it has done, so that no reader waits for a cycle.

use crate::journal::Journal;
use crate::ports::Ports;
use crate::wait_group::Member;
use etmem_core::kernel::pacer::{Pace, Pacer};
use etmem_core::kernel::wishes::Choice;
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
    choices: Arc<Mutex<(Choice, Choice)>>,
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
    /// Starts `work` on `ports`; `label` names the task in the log, and `member` is kept until its thread ends.
    ///
    /// # Errors
    /// When the system has no thread left.
    pub(crate) fn start(
        label: String,
        mut work: Box<dyn TaskRunner>,
        mut ports: Ports,
        member: Member,
    ) -> io::Result<Self> {
        let pacer = Arc::new(SystemPacer::new());
        // Before its thread has run at all, a task is about to begin its first cycle, and does not rest from one.
        let progress = Arc::new(Mutex::new(Progress { in_cycle: true, ..Progress::default() }));
        let so_far = work.so_far();
        let (clock, shared) = (Arc::clone(&pacer), Arc::clone(&progress));
        let choices = Arc::new(Mutex::new((ports.chosen.probe.clone(), ports.chosen.mover.clone())));
        let chosen = Arc::clone(&choices);
        let thread = thread::Builder::new().name("etmemd-task".to_owned()).spawn(move || {
            let mut journal = Journal::new(label);
            loop {
                let began = clock.now();
                change(&shared, |progress| (progress.in_cycle, progress.since) = (true, began));
                if let Some(others) = ports.renew(&mut *work) {
                    journal.goes_on_by(&others.0, &others.1);
                    *chosen.lock() = others;
                }
                let report = work.step(&ports.chosen.kernel, &*clock);
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
            let ended = work.end(&ports.chosen.kernel);
            drop(work);
            if let Err(error) = &ended {
                journal.not_taken_back(error);
            }
            ports.end(ended.is_ok());
            journal.stopped();
            drop(member);
        })?;
        Ok(Self { pacer, progress, so_far, choices, thread })
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

    /// The probe and the mover that it has now, and why.
    pub(crate) fn choices(&self) -> (Choice, Choice) {
        self.choices.lock().clone()
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
