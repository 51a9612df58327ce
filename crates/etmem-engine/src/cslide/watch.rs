//! Looking at all processes of all tasks in the same windows.
//!
//! ```text
//! found -> (lock, mover and probe of each) watched -> (looks) seen -> (where its pages lie) census
//! ```
//!
//! A process whose own end or whose task's end takes it out on the way is reported and holds up none of the others.

use super::report::Placed;
use super::settings::{HUGE_POOL, Kind};
use super::shared_cycle::{SharedCycle, SharedCycleTask};
use crate::contract::gone;
use crate::memories::Memories;
use crate::node_pairs;
use crate::report::{ProcessReport, ProcessResult, StepReport};
use crate::scan_locks::ScanLock;
use etmem_core::address::AddressRange;
use etmem_core::heat::HeatMap;
use etmem_core::kernel::mapping::VmFlag;
use etmem_core::kernel::nodes::{NodeId, NodePages, Numa, OwnPlacement};
use etmem_core::kernel::pacer::{Pacer, Stopped};
use etmem_core::kernel::probe::AccessProbe;
use etmem_core::kernel::process::{ProcessError, ProcessId};
use etmem_core::placement::{Carried, Census, take_census};
use etmem_core::plan::Ended;
use etmem_core::policy::pairs::Pair;
use etmem_core::scan::{Looks, ScanEnd, Wanted};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// The report of each task.
#[derive(Debug, Default)]
pub(super) struct Reports(BTreeMap<u64, StepReport>);

impl Reports {
    pub(super) fn of(&mut self, member: &SharedCycleTask) -> &mut StepReport {
        self.0.entry(member.number).or_default()
    }

    pub(super) fn add(&mut self, member: &SharedCycleTask, process: ProcessId, result: ProcessResult) {
        self.of(member).processes.push(ProcessReport::new(process, result));
    }

    /// Leaves each of `members` its own.
    pub(super) fn leave(mut self, members: &[Arc<SharedCycleTask>]) {
        for member in members {
            let mut report = self.0.remove(&member.number).unwrap_or_default();
            report.processes.sort_by_key(|report| report.process);
            member.leave(report);
        }
    }
}

/// A process that a task names.
#[derive(Debug)]
pub(super) struct Found<'a> {
    member: &'a SharedCycleTask,
    numa: &'a Numa,
    process: ProcessId,
    /// Mappings whose pages come from another kind of memory than the task's, and those that are bound.
    without: Vec<AddressRange>,
    placement: OwnPlacement,
}

/// Finds the processes of all `members`, each once; `pooled` says whether the machine has a pool of huge pages, `pairs` which
/// nodes pages are to move between.
pub(super) fn find<'a>(
    members: &'a [Arc<SharedCycleTask>],
    shared_cycle: &SharedCycle,
    pooled: bool,
    pairs: &[Pair],
    reports: &mut Reports,
    pacer: &dyn Pacer,
) -> Result<Vec<Found<'a>>, Stopped> {
    let mut taken = Taken::default();
    let mut found = Vec::new();
    for member in members {
        let Some(numa) = member.kernel.moving.nodes() else { continue };
        let processes = match member.kernel.processes.find(&member.settings.target) {
            Ok(processes) => processes,
            Err(error) => {
                reports.of(member).fault = Some(error);
                continue;
            }
        };
        reports.of(member).gone = gone(&processes, &member.settings.target, &member.kernel);
        for process in processes {
            pacer.pace().or_stopped()?;
            if let Some(task) = taken.by(process, member) {
                reports.add(member, process, ProcessResult::Elsewhere(task.to_owned()));
                continue;
            }
            taken.add(process, member);
            let left_out = other_memory(member, process, pooled)
                .and_then(|without| Ok((without, node_pairs::own_placement(numa, process, pairs)?)));
            match left_out {
                Ok((mut without, placement)) => {
                    without.extend_from_slice(&placement.bound);
                    found.push(Found { member, numa, process, without, placement });
                }
                Err(error) => reports.add(member, process, ProcessResult::Lost(error)),
            }
        }
    }
    // All engines lock several processes in the same order, so that no two wait for each other.
    found.sort_by_key(|found| found.process);
    let processes: Vec<ProcessId> = taken.processes.into_keys().collect();
    shared_cycle.scan_locks.forget_all_but(&processes);
    Ok(found)
}

/// Which task has which process, and by it which memory.
#[derive(Default)]
struct Taken<'a> {
    processes: BTreeMap<ProcessId, &'a SharedCycleTask>,
    memories: Vec<(&'a SharedCycleTask, Memories)>,
}

impl<'a> Taken<'a> {
    fn add(&mut self, process: ProcessId, member: &'a SharedCycleTask) {
        self.processes.insert(process, member);
        match self.memories.last_mut().filter(|(task, _)| task.number == member.number) {
            Some((_, memories)) => memories.add(process),
            None => {
                let mut memories = Memories::default();
                memories.add(process);
                self.memories.push((member, memories));
            }
        }
    }

    /// The task that has `process` already, or of the other tasks than `member` one that has a process that shares its memory.
    fn by(&mut self, process: ProcessId, member: &SharedCycleTask) -> Option<&'a str> {
        let table = &*member.kernel.processes;
        let itself = self.processes.get(&process).copied();
        let mut others = self.memories.iter_mut().filter(|(task, _)| task.number != member.number);
        let task = itself
            .or_else(|| others.find_map(|(task, memories)| memories.find(process, table).map(|_| *task)))?;
        Some(task.settings.task.as_str())
    }
}

/// Where an ordinary task's process has pages of the pool of huge pages, which it leaves alone.
fn other_memory(
    member: &SharedCycleTask,
    process: ProcessId,
    pooled: bool,
) -> Result<Vec<AddressRange>, ProcessError> {
    let mut listed = Vec::new();
    if pooled
        && member.settings.kind == Kind::Ordinary
        && let Some(flag) = VmFlag::new(HUGE_POOL)
    {
        member.kernel.mappings.mappings(process, &[flag], &mut listed)?;
    }
    Ok(listed.iter().map(|mapping| mapping.range).collect())
}

/// A process that is looked at.
struct Watched<'a> {
    member: &'a SharedCycleTask,
    process: ProcessId,
    placement: &'a OwnPlacement,
    scan_lock: ScanLock<'a>,
    probe: Box<dyn AccessProbe>,
    mover: Box<dyn NodePages>,
    looks: Looks<'a>,
}

/// A process whose heat is known, and where it lies.
pub(super) struct ScannedProcess<'a> {
    pub(super) member: &'a SharedCycleTask,
    pub(super) process: ProcessId,
    placement: &'a OwnPlacement,
    /// Held until its pages have moved.
    _scan_lock: ScanLock<'a>,
    pub(super) mover: Box<dyn NodePages>,
    pub(super) heat: HeatMap,
    pub(super) census: Census,
    pub(super) up: Carried,
    pub(super) down: Carried,
    pub(super) ended: Option<Ended>,
}

impl fmt::Debug for ScannedProcess<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ScannedProcess({})", self.process)
    }
}

impl ScannedProcess<'_> {
    /// Whether more may be done to it.
    pub(super) fn is_there(&self) -> bool {
        self.ended.is_none() && !self.member.is_gone()
    }

    /// Whether its cpuset allows its pages on `node`.
    pub(super) fn may_go_to(&self, node: NodeId) -> bool {
        self.placement.allows(node)
    }

    pub(super) fn report(&self) -> ProcessReport {
        let Self { census, placement, up, down, ended, .. } = self;
        let hot = census.hot_everywhere(self.member.settings.hot_threshold);
        let ended = ended.clone();
        let (present, bound) = (census.total(), placement.bound_bytes);
        Placed { present, hot, bound, up: *up, down: *down, ended }.report(self.process)
    }
}

/// Looks at all of `found` as often as their schedule says, and asks where their pages lie.
pub(super) fn look<'a>(
    found: &'a [Found<'a>],
    shared_cycle: &'a SharedCycle,
    reports: &mut Reports,
    pacer: &dyn Pacer,
) -> Result<Vec<ScannedProcess<'a>>, Stopped> {
    let Some(schedule) = found.first().map(|found| found.member.settings.schedule) else {
        return Ok(Vec::new());
    };
    let mut watched = Vec::new();
    let mut fresh = false;
    for found in found {
        let attached = attach(found, shared_cycle, pacer);
        if let Some((one, armed)) = reported(attached, found.member, found.process, reports)? {
            watched.push(one);
            fresh |= armed;
        }
    }
    if fresh {
        pacer.pause(schedule.interval).or_stopped()?;
    }
    for look in 1..=schedule.loops {
        let mut still = Vec::with_capacity(watched.len());
        for mut one in watched {
            let looked = one.look(pacer);
            if reported(looked, one.member, one.process, reports)?.is_some() {
                still.push(one);
            }
        }
        watched = still;
        if look < schedule.loops {
            pacer.pause(schedule.interval).or_stopped()?;
        }
    }
    let mut seen = Vec::with_capacity(watched.len());
    for one in watched {
        let (member, process) = (one.member, one.process);
        if let Some(one) = reported(one.locate(pacer), member, process, reports)? {
            seen.push(one);
        }
    }
    Ok(seen)
}

/// The result; `None` if the process fell out, which is reported.
fn reported<T>(
    result: Result<T, ScanEnd>,
    member: &SharedCycleTask,
    process: ProcessId,
    reports: &mut Reports,
) -> Result<Option<T>, Stopped> {
    match result {
        Ok(_) if member.is_gone() => Ok(None),
        Ok(it) => Ok(Some(it)),
        Err(ScanEnd::Stopped) => Err(Stopped),
        Err(ScanEnd::Process(error)) => {
            reports.add(member, process, ProcessResult::Lost(error));
            Ok(None)
        }
        Err(ScanEnd::Left(reason)) => {
            reports.add(member, process, ProcessResult::Skipped(reason));
            Ok(None)
        }
    }
}

/// Makes ready to look at a process, and says whether it had to be armed.
fn attach<'a>(
    found: &'a Found<'a>,
    shared_cycle: &'a SharedCycle,
    pacer: &dyn Pacer,
) -> Result<(Watched<'a>, bool), ScanEnd> {
    let Found { member, numa, process, without, placement } = found;
    let (settings, kernel) = (&member.settings, &member.kernel);
    let scan_lock = shared_cycle.scan_locks.take(*process, &*member.kernel.processes, pacer)?;
    // Before the first look, so that both are bound to the program that is looked at.
    let mover = numa.mover.attach(*process)?;
    let mut probe = kernel.probe.attach(*process)?;
    let wanted = Wanted { is_wanted: settings.picks(), flags: &settings.vm_flags, without };
    let mut looks = Looks::new(*process, &*kernel.mappings, wanted);
    let fresh = !scan_lock.is_armed();
    if fresh {
        looks.arm(&mut *probe)?;
    }
    Ok((Watched { member, process: *process, placement, scan_lock, probe, mover, looks }, fresh))
}

impl<'a> Watched<'a> {
    fn look(&mut self, pacer: &dyn Pacer) -> Result<(), ScanEnd> {
        if self.member.is_gone() {
            return Ok(());
        }
        self.looks.look(&mut *self.probe, pacer)
    }

    fn locate(self, pacer: &dyn Pacer) -> Result<ScannedProcess<'a>, ScanEnd> {
        let Self { member, process, placement, mut scan_lock, probe, mut mover, looks } = self;
        drop(probe);
        scan_lock.leave_armed(pacer.now());
        let heat = looks.into_heat();
        let census = take_census(&heat, &mut *mover, pacer)?;
        let (up, down) = (Carried::default(), Carried::default());
        Ok(ScannedProcess {
            member,
            process,
            placement,
            _scan_lock: scan_lock,
            mover,
            heat,
            census,
            up,
            down,
            ended: None,
        })
    }
}
