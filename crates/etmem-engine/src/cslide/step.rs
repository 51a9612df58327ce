//! One cycle of an engine cslide, for all its tasks at once.
//!
//! ```text
//! find the processes of all tasks -> look `loop` times -> where does each page lie? -> what should change places?
//!     -> cold down, then hot up
//! ```

use super::exchange::Hands;
use super::figures::{Figures, Heat, TaskFigures};
use super::settings::{self, EngineSettings, Kind, Settings};
use super::shared_cycle::{SharedCycle, SharedCycleSlot, SharedCycleTask};
use super::watch::{self, Reports, ScannedProcess};
use crate::contract::{EngineError, TaskRunner, name_groups, notes_on_target};
use crate::report::StepReport;
use etmem_core::kernel::Kernel;
use etmem_core::kernel::nodes::Node;
use etmem_core::kernel::pacer::{Pace, Pacer, Stopped};
use etmem_core::kernel::process::{ProcessError, Target};
use etmem_core::kernel::wishes::Wishes;
use std::sync::Arc;
use std::time::Duration;

/// The work of a cslide task: to lead the cycles of its engine, or to wait for their reports.
#[derive(Debug)]
pub struct CslideRunner {
    settings: Settings,
    engine: Arc<EngineSettings>,
    shared_cycle: Arc<SharedCycle>,
    /// Taken before it runs for the first time.
    slot: Option<SharedCycleSlot>,
}

impl CslideRunner {
    /// The work that `settings` describe, together with the other tasks of `shared_cycle`.
    pub(super) const fn new(
        settings: Settings,
        engine: Arc<EngineSettings>,
        shared_cycle: Arc<SharedCycle>,
    ) -> Self {
        Self { settings, engine, shared_cycle, slot: None }
    }

    fn slot(&mut self, kernel: &Kernel) -> &SharedCycleSlot {
        self.slot.get_or_insert_with(|| self.shared_cycle.join(self.settings.clone(), kernel.clone()))
    }
}

/// Why a cycle came to nothing.
enum End {
    Stopped,
    Fault(ProcessError),
}

impl From<Stopped> for End {
    fn from(_: Stopped) -> Self {
        Self::Stopped
    }
}

/// One cycle, led by the task of `slot`, for all that take part.
fn cycle(engine: &EngineSettings, slot: &SharedCycleSlot, pacer: &dyn Pacer) {
    let members = slot.shared_cycle.members();
    match try_cycle(engine, slot, &members, pacer) {
        Ok(reports) => reports.leave(&members),
        // The others wait on, and the next leader begins at once.
        Err(End::Stopped) => slot.member.leave(StepReport { stopped: true, ..StepReport::default() }),
        Err(End::Fault(fault)) => {
            for member in &members {
                member.leave(StepReport { fault: Some(fault.clone()), ..StepReport::default() });
            }
        }
    }
}

fn try_cycle(
    engine: &EngineSettings,
    slot: &SharedCycleSlot,
    members: &[Arc<SharedCycleTask>],
    pacer: &dyn Pacer,
) -> Result<Reports, End> {
    let (shared_cycle, Settings { hot_threshold, limits, .. }) = (&*slot.shared_cycle, &slot.member.settings);
    let begun = pacer.processor_time();
    let mut reports = Reports::default();
    let known = nodes(&slot.member)?;
    let known_pairs = settings::pairs(engine, &known).map_err(refused)?;
    let pooled = has_huge_pool(&known);
    let found = watch::find(members, shared_cycle, pooled, &known_pairs, &mut reports, pacer)?;
    let mut seen = watch::look(&found, shared_cycle, &mut reports, pacer)?;

    let time = pacer.local_time();
    let nodes = nodes(&slot.member)?;
    shared_cycle.publish(figures(members, &seen, &nodes, time.clone()));

    let pairs = settings::pairs(engine, &nodes).map_err(refused)?;
    let mut hands = Hands { seen: &mut seen, nodes: &nodes, hot: *hot_threshold, pacer };
    for pair in pairs {
        // A stop shows in the reports of the processes.
        if hands.exchange(pair, *limits, &mut reports.of(&slot.member).events).is_err() {
            break;
        }
    }
    shared_cycle.publish(figures(members, &seen, &nodes, time));
    for one in &seen {
        reports.of(one.member).processes.push(one.report());
    }
    reports.of(&slot.member).processor_time = pacer.processor_time().saturating_sub(begun);
    Ok(reports)
}

fn nodes(member: &SharedCycleTask) -> Result<Vec<Node>, End> {
    match member.kernel.moving.nodes() {
        Some(numa) => numa.nodes.nodes().map_err(End::Fault),
        None => Err(refused("this machine does not tell of its NUMA nodes")),
    }
}

fn refused(reason: impl ToString) -> End {
    End::Fault(ProcessError::refused("node_pair", reason))
}

fn has_huge_pool(nodes: &[Node]) -> bool {
    nodes.iter().any(|node| node.huge_pool.total > 0)
}

/// What lies where, of every task.
fn figures(
    members: &[Arc<SharedCycleTask>],
    seen: &[ScannedProcess<'_>],
    nodes: &[Node],
    time: Option<String>,
) -> Figures {
    let of_task = |member: &Arc<SharedCycleTask>| {
        let own = || seen.iter().filter(|seen| seen.member.number == member.number);
        let Settings { task, target, hot_threshold, .. } = &member.settings;
        let heat = |node: &Node| Heat {
            hot: own().map(|seen| seen.census.hot(node.id, *hot_threshold)).sum(),
            cold: own().map(|seen| seen.census.cold(node.id, *hot_threshold)).sum(),
        };
        TaskFigures {
            member: member.number,
            name: task.clone(),
            value: target.written().1,
            nodes: nodes.iter().map(heat).collect(),
        }
    };
    Figures {
        time,
        nodes: nodes.iter().map(|node| (node.id, node.huge_pool.total)).collect(),
        tasks: members.iter().map(of_task).collect(),
    }
}

impl TaskRunner for CslideRunner {
    fn wishes(&self) -> Wishes {
        self.settings.wishes
    }

    fn target(&self) -> Option<&Target> {
        Some(&self.settings.target)
    }

    fn prepare(&mut self, kernel: &Kernel) -> Result<(), EngineError> {
        // A kernel without these ports says so in every cycle.
        kernel.moving.nodes().map_or(Ok(()), |numa| settings::check(&self.engine, &*numa.nodes))?;
        self.slot(kernel);
        Ok(())
    }

    fn renew(&mut self, kernel: &Kernel) {
        // The slot holds the ports. Another task may lead meanwhile.
        self.slot = None;
        self.slot(kernel);
    }

    fn decisions(&self, kernel: &Kernel) -> Vec<String> {
        let nodes = kernel.moving.nodes().and_then(|numa| numa.nodes.nodes().ok()).unwrap_or_default();
        let pairs = settings::pairs(&self.engine, &nodes).unwrap_or_default();
        pairs.iter().map(|pair| format!("engine cslide: {pair}")).collect()
    }

    fn notes(&self, kernel: &Kernel) -> Vec<String> {
        let Settings { task, target, kind, anon_only, .. } = &self.settings;
        let mut notes = Vec::new();
        let nodes = kernel.moving.nodes().and_then(|numa| numa.nodes.nodes().ok()).unwrap_or_default();
        if *kind == Kind::HugePool && *anon_only {
            notes.push(format!(
                "task {task}: anon_only=yes leaves nothing of vm_flags=ht: a mapping of huge pages has a file behind it"
            ));
        }
        if *kind == Kind::HugePool && !nodes.is_empty() && !has_huge_pool(&nodes) {
            notes.push(format!(
                "task {task}: no node has a pool of huge pages of 2 MiB; vm_flags=ht has nothing to move \
                 (nr_hugepages in /sys/devices/system/node/nodeN/hugepages/hugepages-2048kB)"
            ));
        }
        notes.extend(notes_on_target(task, target, kernel));
        notes
    }

    fn step(&mut self, kernel: &Kernel, pacer: &dyn Pacer) -> StepReport {
        let (engine, interval) = (Arc::clone(&self.engine), self.settings.schedule.interval);
        let target = self.settings.target.clone();
        let slot = self.slot(kernel);
        loop {
            if slot.leads() {
                cycle(&engine, slot, pacer);
            }
            if let Some(mut report) = slot.take_report() {
                name_groups(&mut report, &target, kernel);
                return report;
            }
            if pacer.pause(interval) == Pace::Stop {
                return StepReport { stopped: true, ..StepReport::default() };
            }
        }
    }

    fn period(&self) -> Duration {
        self.settings.sleep
    }
}
