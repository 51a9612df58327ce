//! The one monitor of an engine that moves memory of control groups between NUMA nodes, and which of its tasks leads.
//!
//! As in `monitor`: each task finds its own groups, the kernel watches those of all, and the task that came first leads.

use super::members::Members;
use super::settings::{Migration, Settings};
use crate::reason::Reason;
use etmem_core::guard;
use etmem_core::kernel::Kernel;
use etmem_core::kernel::groups::Group;
use etmem_core::kernel::monitoring::{Done, GroupMonitor};
use etmem_core::kernel::process::ProcessError;
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What the tasks of an engine share.
#[derive(Debug, Default)]
pub(super) struct SharedGroupMonitor {
    /// Held while the kernel is asked, which takes some tenths of a second.
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    members: Members<Group>,
    monitor: Option<Box<dyn GroupMonitor>>,
    /// The groups that the kernel was asked to watch, and those of them that it watches.
    asked: BTreeSet<Group>,
    watched: BTreeSet<Group>,
    /// What was done with their memory since their task last reported.
    done: BTreeMap<Group, Done>,
    /// Why the scheme does not act.
    held: Option<Reason>,
}

/// A group that a task names, with those below it whose memory is counted apart.
pub(super) type Found = (Group, Vec<Group>);

/// A cycle, as a task sees it.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// Why the scheme does not act.
    pub(super) held: Option<Reason>,
    /// The groups that were found, in their order.
    pub(super) groups: Vec<SeenGroup>,
}

/// A group that a task names, in a cycle.
#[derive(Debug, Default)]
pub(super) struct SeenGroup {
    /// The task that reports it, if that is another one.
    pub(super) elsewhere: Option<String>,
    /// Of it and the groups below it, how many the kernel watches, and how many it does not.
    pub(super) watched: usize,
    pub(super) left_out: usize,
    /// What was done with the memory of all of them.
    pub(super) done: Done,
}

/// A task's slot; given up when dropped.
#[derive(Debug)]
pub(super) struct Slot {
    shared: Arc<SharedGroupMonitor>,
    number: u64,
}

impl SharedGroupMonitor {
    /// A slot for `task`.
    pub(super) fn join(self: &Arc<Self>, task: &str) -> Slot {
        Slot { shared: Arc::clone(self), number: self.state.lock().members.join(task) }
    }
}

impl Slot {
    /// A cycle of the task, whose groups are `found` now.
    ///
    /// # Errors
    /// What the kernel refuses. The next cycle sets up everything again.
    pub(super) fn cycle(
        &self,
        found: &[Found],
        settings: &Settings,
        migration: &Migration,
        kernel: &Kernel,
    ) -> Result<Seen, ProcessError> {
        let mut state = self.shared.state.lock();
        let state = &mut *state;
        state.members.set(self.number, found.iter().flat_map(|(_, all)| all).cloned().collect());
        if state.members.leads(self.number)
            && let Err(error) = state.lead(settings, migration, kernel)
        {
            state.monitor = None;
            state.watched.clear();
            return Err(error);
        }
        let groups = found.iter().map(|(_, all)| state.seen(self.number, all)).collect();
        Ok(Seen { held: state.held.clone(), groups })
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut state = self.shared.state.lock();
        if state.members.leave(self.number) {
            // With the monitor goes what it set.
            *state = State { members: std::mem::take(&mut state.members), ..State::default() };
        }
    }
}

impl State {
    /// Has the kernel watch the groups of all tasks, and asks what it has done.
    fn lead(
        &mut self,
        settings: &Settings,
        migration: &Migration,
        kernel: &Kernel,
    ) -> Result<(), ProcessError> {
        let all = self.members.all();
        self.held =
            guard::is_calm(settings.guards, kernel.pressure.pressure()?).err().map(|skip| (&skip).into());
        let monitor = match &mut self.monitor {
            Some(monitor) => monitor,
            none => {
                let ways = migration.ways(kernel)?;
                let monitoring = &kernel.monitoring;
                none.insert(monitoring.begin_for_groups(&settings.attributes, &settings.scheme, &ways)?)
            }
        };
        // What was done belongs to the groups that were watched.
        for (group, done) in monitor.done()? {
            *self.done.entry(group).or_default() += done;
        }
        // Before groups are added: none is acted on that is not to be.
        monitor.set_acting(self.held.is_none())?;
        self.watched = monitor.watch(&all)?.into_iter().collect();
        self.done.retain(|group, _| all.contains(group));
        self.asked = all.into_iter().collect();
        Ok(())
    }

    /// What the task in slot `number` sees of a group, of which these are `all`.
    fn seen(&mut self, number: u64, all: &[Group]) -> SeenGroup {
        let mut seen = SeenGroup::default();
        for group in all {
            if let Some(task) = self.members.before(number, group) {
                seen.elsewhere = Some(task.to_owned());
                continue;
            }
            // One that the task which leads has not come to yet is neither.
            if self.watched.contains(group) {
                seen.watched += 1;
            } else if self.asked.contains(group) {
                seen.left_out += 1;
            }
            seen.done += self.done.remove(group).unwrap_or_default();
        }
        seen
    }
}
