//! A thread that runs one task, cycle after cycle, until it is told to stop.

use etmem_core::kernel::Kernel;
use etmem_core::kernel::pacer::{Pace, Pacer};
use etmem_core::kernel::process::{ProcessError, ProcessId};
use etmem_core::policy::Hold;
use etmem_engine::{ProcessResult, StepReport, Work};
use etmem_linux::pacer::SystemPacer;
use std::collections::HashMap;
use std::io;
use std::mem::discriminant;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use tracing::{debug, error, info, warn};

/// A running task.
#[derive(Debug)]
pub(crate) struct Worker {
    pacer: Arc<SystemPacer>,
    thread: JoinHandle<()>,
}

impl Worker {
    /// Starts `work` on `kernel`; `label` names the task in the log.
    ///
    /// # Errors
    /// When the system has no thread left.
    pub(crate) fn start(label: String, mut work: Box<dyn Work>, kernel: Kernel) -> io::Result<Self> {
        let pacer = Arc::new(SystemPacer::new());
        let clock = Arc::clone(&pacer);
        let thread = thread::Builder::new().name("etmemd-task".to_owned()).spawn(move || {
            let mut journal = Journal::new(label);
            loop {
                let report = work.step(&kernel, &*clock);
                journal.record(&report);
                if clock.pause(work.period()) == Pace::Stop {
                    break;
                }
            }
            journal.stopped();
        })?;
        Ok(Self { pacer, thread })
    }

    /// Asks the task to stop; it does so soon, but not at once.
    pub(crate) fn ask_to_stop(&self) {
        self.pacer.stop();
    }

    /// Whether its thread has ended.
    pub(crate) fn has_ended(&self) -> bool {
        self.thread.is_finished()
    }
}

/// Writes to the log what cycles did; what only repeats itself is said once.
#[derive(Debug)]
struct Journal {
    label: String,
    held: HashMap<ProcessId, Hold>,
    fault: Option<ProcessError>,
    waiting: bool,
}

impl Journal {
    fn new(label: String) -> Self {
        info!("{label}: started");
        Self { label, held: HashMap::new(), fault: None, waiting: false }
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
        let waiting = report.processes.is_empty() && report.fault.is_none() && !report.stopped;
        if waiting && !self.waiting {
            info!("{label}: no process now; waiting for one");
        }
        self.waiting = waiting;
        for pair in &report.pairs {
            info!("{label}: {pair}");
        }
        self.held.retain(|process, _| report.processes.iter().any(|now| now.process == *process));
        for now in &report.processes {
            let process = now.process;
            match &now.result {
                ProcessResult::Held(hold) => {
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
    }
}

/// Says why a process is left alone, once for as long as the reason is of one kind.
fn record_held(label: &str, process: ProcessId, before: Option<Hold>, hold: Hold) {
    if before.is_some_and(|before| discriminant(&before) == discriminant(&hold)) {
        debug!("{label}: process {process}: {hold}");
        return;
    }
    match hold {
        // Nothing moves at all, on the whole machine: somebody should know at any log level.
        Hold::NoSwap => error!("{label}: process {process}: {hold}"),
        Hold::SwapFull => warn!("{label}: process {process}: {hold}"),
        Hold::MemoryFree { .. } | Hold::Small { .. } | Hold::SwappedEnough { .. } => {
            info!("{label}: process {process}: {hold}");
        }
    }
}
