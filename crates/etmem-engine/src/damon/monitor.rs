//! The one monitor of an engine, and which of its tasks leads.
//!
//! Each task has a thread of its own and finds its own processes; the kernel watches the processes of all. The task that came
//! first leads: in its cycles the kernel learns which processes there are, and is asked what it has done. When the last task
//! has gone, what was set in the kernel is taken back.

use super::change::Change;
use super::members::Members;
use super::report::region_table;
use super::settings::Settings;
use crate::reason::{Reason, ReasonName};
use etmem_core::feedback::{BackOff, RefaultLimiter, refaulted_by_faults};
use etmem_core::guard;
use etmem_core::kernel::Kernel;
use etmem_core::kernel::groups::GroupLimits;
use etmem_core::kernel::monitoring::{Action, Done, Monitor, Watching};
use etmem_core::kernel::process::{ProcessError, ProcessId, ProcessMemory};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// What the tasks of an engine share.
#[derive(Debug, Default)]
pub(super) struct SharedMonitor {
    /// Held while the kernel is asked, which takes some tenths of a second.
    state: Mutex<State>,
    /// The regions that were listed last: held for no longer than that takes.
    regions: Mutex<Option<String>>,
}

#[derive(Debug, Default)]
struct State {
    members: Members<ProcessId>,
    monitor: Option<Box<dyn Monitor>>,
    limiter: Option<RefaultLimiter>,
    /// What the processes used when they were last looked at.
    memory: BTreeMap<ProcessId, ProcessMemory>,
    /// What became of them since their task last reported.
    changes: BTreeMap<ProcessId, Change>,
    /// Why the scheme does not act.
    held: Option<Reason>,
}

/// A cycle, as a task sees it.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// What the scheme did, where the task leads.
    pub(super) done: Option<Done>,
    /// Why the scheme does not act.
    pub(super) held: Option<Reason>,
    /// Which task reports a process that is not for this task to report.
    pub(super) elsewhere: BTreeMap<ProcessId, String>,
    /// What became of the others.
    pub(super) changes: BTreeMap<ProcessId, Change>,
}

/// A task's slot; given up when dropped.
#[derive(Debug)]
pub(super) struct Slot {
    shared: Arc<SharedMonitor>,
    number: u64,
}

impl SharedMonitor {
    /// A slot for `task`.
    pub(super) fn join(self: &Arc<Self>, task: &str) -> Slot {
        Slot { shared: Arc::clone(self), number: self.state.lock().members.join(task) }
    }

    /// The regions that were listed last.
    pub(super) fn regions(&self) -> Option<String> {
        self.regions.lock().clone()
    }
}

impl Slot {
    /// A cycle of the task, whose processes are `found` now.
    ///
    /// # Errors
    /// What the kernel refuses. The next cycle sets up everything again.
    pub(super) fn cycle(
        &self,
        found: &[ProcessId],
        settings: &Settings,
        kernel: &Kernel,
        now: Duration,
    ) -> Result<Seen, ProcessError> {
        let mut state = self.shared.state.lock();
        let state = &mut *state;
        state.members.set(self.number, found.to_vec());
        let mut seen = Seen::default();
        if state.members.leads(self.number) {
            match state.lead(settings, kernel, now) {
                Ok((done, regions)) => {
                    seen.done = Some(done);
                    *self.shared.regions.lock() = regions;
                }
                Err(error) => {
                    state.monitor = None;
                    return Err(error);
                }
            }
        }
        seen.held.clone_from(&state.held);
        for process in found {
            match state.members.before(self.number, process) {
                Some(task) => {
                    seen.elsewhere.insert(*process, task.to_owned());
                }
                None => {
                    let change = state.changes.remove(process).unwrap_or_default();
                    seen.changes.insert(*process, change);
                }
            }
        }
        Ok(seen)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut state = self.shared.state.lock();
        if state.members.leave(self.number) {
            // With the monitor goes what it set.
            *state = State { members: std::mem::take(&mut state.members), ..State::default() };
            *self.shared.regions.lock() = None;
        }
    }
}

impl State {
    /// Has the kernel watch the processes of all tasks, and asks what it has done; also for the regions, if these are wanted.
    fn lead(
        &mut self,
        settings: &Settings,
        kernel: &Kernel,
        now: Duration,
    ) -> Result<(Done, Option<String>), ProcessError> {
        let all = self.members.all();
        self.look(&all, settings, kernel, now);
        let held = self.why_held(settings, kernel)?;
        let monitor = match &mut self.monitor {
            Some(monitor) => monitor,
            none => none.insert(kernel.monitoring.begin(&settings.attributes, &settings.scheme)?),
        };
        // What was done belongs to the processes that were watched.
        let mut done = monitor.done()?;
        // Before processes are added: none is acted on that is not to be.
        monitor.set_acting(held.is_none())?;
        if monitor.watch(&all)? == Watching::Begun && done == Done::default() {
            done = monitor.done()?;
        }
        self.held = held;
        let is_stat = settings.scheme.action == Action::Stat;
        let regions = if is_stat { Some(region_table(&monitor.regions()?)) } else { None };
        Ok((done, regions))
    }

    /// Takes note of what became of the processes, and of what was refaulted.
    fn look(&mut self, all: &[ProcessId], settings: &Settings, kernel: &Kernel, now: Duration) {
        let (mut left, mut refaulted, mut resident) = (0, 0, 0);
        let mut memory = BTreeMap::new();
        for process in all {
            let Ok(figures) = kernel.processes.memory(*process) else { continue };
            let before = self.memory.get(process).copied().unwrap_or(figures);
            let change = self.changes.entry(*process).or_default();
            let more = figures.swapped.saturating_sub(before.swapped);
            let back = refaulted_by_faults(&before, &figures);
            change.memory = figures;
            change.left += more;
            change.refaulted += back;
            (left, refaulted, resident) = (left + more, refaulted + back, resident + figures.resident);
            memory.insert(*process, figures);
        }
        self.changes.retain(|process, _| memory.contains_key(process));
        self.memory = memory;
        if settings.pages_out() {
            let limiter = self.limiter.get_or_insert_with(|| RefaultLimiter::new(settings.goal));
            limiter.left(left);
            limiter.refaulted(now, refaulted, resident);
        }
    }

    /// Why nothing is to be paged out now.
    fn why_held(&self, settings: &Settings, kernel: &Kernel) -> Result<Option<Reason>, ProcessError> {
        if !settings.pages_out() {
            return Ok(None);
        }
        let (memory, pressure) = (kernel.memory.state()?, kernel.pressure.pressure()?);
        if let Err(skip) = guard::room(settings.guards, &memory, pressure, GroupLimits::default()) {
            return Ok(Some((&skip).into()));
        }
        let back_off = self.limiter.as_ref().map(RefaultLimiter::state).unwrap_or_default();
        let is_paused = matches!(back_off, BackOff::Paused { .. });
        Ok(is_paused.then(|| Reason::new(ReasonName::TooManyRefaults, back_off.to_string())))
    }
}
