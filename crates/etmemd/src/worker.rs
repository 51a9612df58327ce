//! A thread that runs one task, cycle after cycle, until it is asked to stop.
//!
//! Between two cycles the thread publishes what it has done, so that no reader waits for a cycle.

use crate::journal::Journal;
use crate::ports::Ports;
use crate::rest::{Rest, ShownTrigger, WokenBy};
use crate::wait_group::Member;
use etmem_config::{ProjectSection, TaskSection};
use etmem_core::kernel::cooperation::Cooperation;
use etmem_core::kernel::pacer::Pacer;
use etmem_core::kernel::trigger::Interrupt;
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
    interrupt: Option<Arc<dyn Interrupt>>,
    cooperation: Option<Arc<dyn Cooperation>>,
    progress: Arc<Mutex<Progress>>,
    so_far: SharedSoFar,
    choices: Arc<Mutex<(Choice, Choice)>>,
    /// What the task is to go on by, until its next cycle begins.
    news: Arc<Mutex<Option<(ProjectSection, TaskSection)>>>,
    thread: JoinHandle<()>,
}

/// How far a task has come; its times are by the worker's clock.
#[derive(Debug, Clone, Default)]
struct Progress {
    status: TaskStatus,
    in_cycle: bool,
    /// When the cycle, or the wait, began.
    since: Duration,
    /// What its project waits on.
    triggers: Vec<ShownTrigger>,
    /// What began the last cycle.
    woken_by: Option<WokenBy>,
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
    /// The triggers of its project.
    pub(crate) triggers: Vec<ShownTrigger>,
    /// What began the last cycle, if it has triggers.
    pub(crate) woken_by: Option<WokenBy>,
}

impl Worker {
    /// Starts `work` on `ports`, with `rest` between two cycles; `label` names the task in the log, and `member` is kept until its thread ends.
    ///
    /// # Errors
    /// When the system has no thread left.
    pub(crate) fn start(
        label: String,
        mut work: Box<dyn TaskRunner>,
        mut ports: Ports,
        mut rest: Rest,
        member: Member,
    ) -> io::Result<Self> {
        let pacer = Arc::new(SystemPacer::new());
        // Before its thread has run at all, a task is about to begin its first cycle, and does not rest from one.
        let (triggers, interrupt, cooperation) = (rest.triggers(), rest.interrupt(), ports.cooperation());
        let woken_by = interrupt.as_ref().map(|_| WokenBy::START);
        let progress = Progress { in_cycle: true, triggers, woken_by, ..Progress::default() };
        let progress = Arc::new(Mutex::new(progress));
        let so_far = work.so_far();
        let (clock, shared) = (Arc::clone(&pacer), Arc::clone(&progress));
        let choices = Arc::new(Mutex::new((ports.chosen.probe.clone(), ports.chosen.mover.clone())));
        let chosen = Arc::clone(&choices);
        let news = Arc::new(Mutex::new(None));
        let arrived = Arc::clone(&news);
        let thread = thread::Builder::new().name("etmemd-task".to_owned()).spawn(move || {
            let mut journal = Journal::new(label);
            loop {
                let began = clock.now();
                change(&shared, |progress| (progress.in_cycle, progress.since) = (true, began));
                if let Some(others) = ports.renew(&mut *work) {
                    journal.goes_on_by(&others.0, &others.1);
                    *chosen.lock() = others;
                }
                let news: Option<(ProjectSection, TaskSection)> = arrived.lock().take();
                if let Some((project, task)) = news {
                    work.change(&project, &task);
                }
                let report = work.step(&ports.chosen.kernel, &*clock);
                journal.record(&report);
                let ended = clock.now();
                change(&shared, |progress| {
                    (progress.in_cycle, progress.since) = (false, ended);
                    progress.status.record(report, ended.saturating_sub(began));
                });
                let changed = |triggers| change(&shared, |progress| progress.triggers = triggers);
                let Some(woken_by) = rest.wait(work.period(), &*clock, &journal, changed) else { break };
                if let Some((trigger, evidence)) = woken_by.trigger.as_ref().zip(woken_by.evidence.as_ref()) {
                    journal.woken(trigger, evidence);
                }
                change(&shared, |progress| {
                    progress.woken_by = progress.woken_by.take().map(|_| woken_by);
                });
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
        Ok(Self { pacer, interrupt, cooperation, progress, so_far, choices, news, thread })
    }

    /// How the task stands. Never waits for a cycle.
    pub(crate) fn standing(&self) -> Standing {
        let Progress { status, in_cycle, since, triggers, woken_by } = self.progress.lock().clone();
        let running = self.pacer.now();
        let doing = match (self.has_ended(), in_cycle) {
            (true, _) => Doing::Failed,
            (false, true) => Doing::Working,
            (false, false) => Doing::Resting,
        };
        let so_far = Some(self.so_far.get()).filter(|so_far| doing == Doing::Working && so_far.found > 0);
        let lasting = running.saturating_sub(since);
        Standing { status, doing, lasting, running, so_far, triggers, woken_by }
    }

    /// From its next cycle on, the task goes on by `project` and `task`, which its engine says that it can.
    pub(crate) fn change(&self, project: ProjectSection, task: TaskSection) {
        *self.news.lock() = Some((project, task));
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
        if let Some(interrupt) = &self.interrupt {
            interrupt.interrupt();
        }
        // At once, so that the task can be started again before it has stopped.
        if let Some(cooperation) = &self.cooperation {
            cooperation.close();
        }
    }
}

/// Changes what others may look at; held for no longer than that takes.
fn change(progress: &Mutex<Progress>, change: impl FnOnce(&mut Progress)) {
    change(&mut progress.lock());
}
