//! A thread that runs one task, cycle after cycle, until it is asked to stop.
//!
//! Between two cycles the thread publishes what it has done, so that no reader waits for a cycle, and writes down what it knows, so that
//! the next daemon goes on with that.

use crate::journal::Journal;
use crate::ports::Ports;
use crate::rest::{Rest, ShownTrigger, WokenBy};
use crate::task_memory::{Recalled, TaskMemory};
use crate::wait_group::Member;
use etmem_config::{ProjectSection, TaskSection};
use etmem_core::kernel::cooperation::Cooperation;
use etmem_core::kernel::pacer::{Pace, Pacer};
use etmem_core::kernel::trigger::Interrupt;
use etmem_core::kernel::wishes::Choice;
use etmem_engine::{SharedSoFar, SoFar, TaskRunner, TaskStatus};
use etmem_linux::pacer::SystemPacer;
use parking_lot::Mutex;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
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
    /// What it knows is for the next daemon.
    keeps: Arc<AtomicBool>,
    memory: Option<TaskMemory>,
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
    /// Starts `work` on `ports`, with `rest` between two cycles, and what is in `memory`; `label` names the task in the log, and `member` is kept until its thread ends.
    ///
    /// # Errors
    /// When the system has no thread left.
    pub(crate) fn start(
        label: String,
        mut work: Box<dyn TaskRunner>,
        mut ports: Ports,
        mut rest: Rest,
        memory: Option<TaskMemory>,
        member: Member,
    ) -> io::Result<Self> {
        let recalled = memory.as_ref().and_then(|memory| memory.recall(SystemPacer::since_boot()));
        let first = recalled.as_ref().map_or(Duration::ZERO, |recalled| recalled.clock + recalled.gap);
        let pacer = Arc::new(SystemPacer::going_on(first));
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
        let keeps = Arc::new(AtomicBool::new(false));
        let mut notebook = Notebook { memory: memory.clone(), keeps: Arc::clone(&keeps), written: None };
        let thread = thread::Builder::new().name("etmemd-task".to_owned()).spawn(move || {
            let mut journal = Journal::new(label);
            if let Some(Recalled { known, gap, .. }) = recalled {
                journal.recalled(gap, work.recall(&known, gap, &ports.chosen.kernel));
            }
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
                notebook.write(&mut *work, &ports, &clock, &journal);
                let changed = |triggers| change(&shared, |progress| progress.triggers = triggers);
                let Some(woken_by) = rest.wait(work.period(), &*clock, &journal, changed) else { break };
                if let Some((trigger, evidence)) = woken_by.trigger.as_ref().zip(woken_by.evidence.as_ref()) {
                    journal.woken(trigger, evidence);
                }
                change(&shared, |progress| {
                    progress.woken_by = progress.woken_by.take().map(|_| woken_by);
                });
            }
            notebook.write(&mut *work, &ports, &clock, &journal);
            let ended = work.end(&ports.chosen.kernel);
            drop(work);
            if let Err(error) = &ended {
                journal.not_taken_back(error);
            }
            ports.end(ended.is_ok());
            journal.stopped();
            drop(member);
        })?;
        Ok(Self { pacer, interrupt, cooperation, progress, so_far, choices, news, keeps, memory, thread })
    }

    /// How the task stands. Never waits for a cycle.
    pub(crate) fn standing(&self) -> Standing {
        let Progress { status, in_cycle, since, triggers, woken_by } = self.progress.lock().clone();
        let (now, running) = (self.pacer.now(), self.pacer.running());
        let doing = match (self.has_ended(), in_cycle) {
            (true, _) => Doing::Failed,
            (false, true) => Doing::Working,
            (false, false) => Doing::Resting,
        };
        let so_far = Some(self.so_far.get()).filter(|so_far| doing == Doing::Working && so_far.found > 0);
        let lasting = now.saturating_sub(since);
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

    /// What it knows is for the next daemon: it is not forgotten when the task stops.
    pub(crate) fn keep(&self) {
        self.keeps.store(true, Ordering::Relaxed);
    }

    /// Whether its thread has ended.
    fn has_ended(&self) -> bool {
        self.thread.is_finished()
    }
}

/// How often a task writes down what it knows while nothing leaves and nothing refaults.
const WRITE_EVERY: Duration = Duration::from_secs(60);

/// How many times as long as it took to write a task waits before it writes again.
const WRITE_SHARE: u32 = 200;

/// Where a task writes down what it knows.
struct Notebook {
    memory: Option<TaskMemory>,
    keeps: Arc<AtomicBool>,
    /// When it was written last, and how long that took.
    written: Option<(Duration, Duration)>,
}

impl Notebook {
    /// Writes down what `work` knows, if that is due.
    fn write(&mut self, work: &mut dyn TaskRunner, ports: &Ports, clock: &SystemPacer, journal: &Journal) {
        let Some(memory) = &self.memory else { return };
        let now = clock.now();
        let age = self.written.map_or(Duration::MAX, |(at, _)| now.saturating_sub(at));
        let is_last = clock.pace() == Pace::Stop;
        let is_due = match self.written {
            // A task that was stopped by a request has forgotten it.
            _ if is_last => self.keeps.load(Ordering::Relaxed),
            Some((_, took)) => age >= took * WRITE_SHARE,
            None => true,
        };
        if !is_due {
            return;
        }
        let Some(known) = work.remembered(&ports.chosen.kernel, is_last || age >= WRITE_EVERY) else {
            return;
        };
        if let Err(error) = memory.keep(&known, now, SystemPacer::since_boot()) {
            journal.not_kept(&error);
            self.memory = None;
            return;
        }
        self.written = Some((now, clock.now().saturating_sub(now)));
    }
}

impl Drop for Notebook {
    /// What made it panic is not for the next daemon.
    fn drop(&mut self) {
        if let Some(memory) = self.memory.as_ref().filter(|_| thread::panicking()) {
            memory.forget();
        }
    }
}

impl Drop for Worker {
    /// Asks the task to stop; it does so soon, but not at once.
    fn drop(&mut self) {
        self.pacer.stop();
        if let Some(memory) = self.memory.as_ref().filter(|_| !self.keeps.load(Ordering::Relaxed)) {
            memory.forget();
        }
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
