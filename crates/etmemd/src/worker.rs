//! A thread that runs one task, cycle after cycle, until it is told to stop.
//!
//! What it has done lies ready for whoever asks: the thread puts it there between two cycles, and nobody who looks waits
//! for a cycle.

use crate::cleanup_records::CleanupRecord;
use crate::wait_group::Member;
use etmem_core::feedback::BackOff;
use etmem_core::guard::Bound;
use etmem_core::guard::SkipReason;
use etmem_core::kernel::Kernel;
use etmem_core::kernel::pacer::{Pace, Pacer};
use etmem_core::kernel::process::{Gone, ProcessError, ProcessId};
use etmem_engine::{ProcessResult, Scanned, StepReport, TaskRunner, TaskStatus};
use etmem_linux::pacer::SystemPacer;
use std::collections::HashMap;
use std::io;
use std::mem::discriminant;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;
use tracing::{debug, error, info, warn};

/// A running task.
#[derive(Debug)]
pub(crate) struct Worker {
    pacer: Arc<SystemPacer>,
    progress: Arc<Mutex<Progress>>,
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
    /// Its thread has ended, which nobody asked it to: a bug.
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
            // What its probe has set goes with it, and only then what tells of it.
            drop((work, kernel));
            match ended {
                Ok(()) => drop(records),
                Err(error) => {
                    error!("{}: cannot take back what was set: {error}", journal.label);
                    // Left for the next start to try again.
                    std::mem::forget(records);
                }
            }
            journal.stopped();
            drop(member);
        })?;
        Ok(Self { pacer, progress, thread })
    }

    /// How the task stands. Never waits for a cycle.
    pub(crate) fn standing(&self) -> Standing {
        let Progress { status, in_cycle, since } =
            self.progress.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let running = self.pacer.now();
        let doing = match (self.has_ended(), in_cycle) {
            (true, _) => Doing::Failed,
            (false, true) => Doing::Working,
            (false, false) => Doing::Resting,
        };
        Standing { status, doing, lasting: running.saturating_sub(since), running }
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
    change(&mut progress.lock().unwrap_or_else(PoisonError::into_inner));
}

/// Writes to the log what cycles did; what only repeats itself is said once.
#[derive(Debug)]
struct Journal {
    label: String,
    held: HashMap<ProcessId, SkipReason>,
    /// What bounded the last act on a process.
    bounds: HashMap<ProcessId, Bound>,
    back_off: BackOff,
    fault: Option<ProcessError>,
    gone: Option<Gone>,
    waiting: bool,
}

impl Journal {
    fn new(label: String) -> Self {
        info!("{label}: started");
        Self {
            label,
            held: HashMap::new(),
            bounds: HashMap::new(),
            back_off: BackOff::None,
            fault: None,
            gone: None,
            waiting: false,
        }
    }

    fn stopped(&self) {
        info!("{}: stopped", self.label);
    }

    fn record(&mut self, report: &StepReport) {
        let label = &self.label;
        if report.fault != self.fault {
            if let Some(fault) = &report.fault {
                error!("{label}: nothing can be done: {fault}");
            }
            self.fault.clone_from(&report.fault);
        }
        if report.gone != self.gone {
            if let Some(gone) = &report.gone {
                warn!("{label}: {gone}");
            }
            self.gone = report.gone;
        }
        let waiting =
            report.processes.is_empty() && report.fault.is_none() && report.gone.is_none() && !report.stopped;
        if waiting && !self.waiting {
            info!("{label}: no process now; waiting for one");
        }
        self.waiting = waiting;
        for pair in &report.pairs {
            info!("{label}: {pair}");
        }
        let is_there = |process: &ProcessId| report.processes.iter().any(|now| now.process == *process);
        self.held.retain(|process, _| is_there(process));
        self.bounds.retain(|process, _| is_there(process));
        for now in &report.processes {
            let process = now.process;
            match &now.result {
                ProcessResult::Skipped(hold) => {
                    record_held(label, process, self.held.insert(process, *hold), *hold);
                    continue;
                }
                ProcessResult::Elsewhere(_) => debug!("{label}: process {process}: {}", now.result),
                ProcessResult::Lost(ProcessError::Refused { .. }) => {
                    error!("{label}: process {process}: {}", now.result);
                }
                ProcessResult::Lost(ProcessError::Exited | ProcessError::Replaced)
                | ProcessResult::Scanned(_)
                | ProcessResult::Placed(_)
                | ProcessResult::Stopped => info!("{label}: process {process}: {}", now.result),
            }
            self.held.remove(&process);
        }
        for now in &report.processes {
            if let ProcessResult::Scanned(scanned) = &now.result {
                self.record_scanned(now.process, scanned);
            }
        }
    }

    /// Says what keeps pages from leaving, once for as long as it is the same.
    fn record_scanned(&mut self, process: ProcessId, scanned: &Scanned) {
        let label = &self.label;
        let before = match scanned.bound {
            Some(bound) => self.bounds.insert(process, bound),
            None => self.bounds.remove(&process),
        };
        if let Some(bound) = scanned.bound.filter(|bound| before != Some(*bound)) {
            warn!("{label}: process {process}: not all that is cold may leave: {bound}");
        }
        let back_off = scanned.feedback.back_off;
        match back_off {
            BackOff::Slower { step: now, .. } if matches!(self.back_off, BackOff::Slower { step, .. } if step == now) =>
                {}
            BackOff::Paused { .. } if matches!(self.back_off, BackOff::Paused { .. }) => {}
            BackOff::None if self.back_off == BackOff::None => {}
            BackOff::None => info!("{label}: {back_off} any more"),
            BackOff::Slower { .. } | BackOff::Paused { .. } => warn!("{label}: {back_off}"),
        }
        self.back_off = back_off;
    }
}

/// Says why a process is left alone, once for as long as the reason is of one kind.
fn record_held(label: &str, process: ProcessId, before: Option<SkipReason>, hold: SkipReason) {
    if before.is_some_and(|before| discriminant(&before) == discriminant(&hold)) {
        debug!("{label}: process {process}: {hold}");
        return;
    }
    match hold {
        // Nothing moves at all, on the whole machine: somebody should know at any log level.
        SkipReason::NoSwap => error!("{label}: process {process}: {hold}"),
        SkipReason::SwapFull
        | SkipReason::SwapFullMemoryFine { .. }
        | SkipReason::SwapUse { .. }
        | SkipReason::Pressure { .. }
        | SkipReason::GroupSwap(_)
        | SkipReason::GroupProtected(_) => warn!("{label}: process {process}: {hold}"),
        SkipReason::MemoryFree { .. } | SkipReason::Small { .. } | SkipReason::SwappedEnough { .. } => {
            info!("{label}: process {process}: {hold}");
        }
    }
}
