//! The scripted machine, and the ports that need no NUMA nodes.

use super::balloon::FakeBalloon;
use super::decider::FakeDecider;
use super::group::FakeGroup;
use super::merging::FakeMerging;
use super::monitoring::FakeMonitoring;
use super::nodes::FakeNodes;
use super::process::FakeProcess;
use super::swap_cache::FakeSwapCache;
use etmem_core::address::{AddressRange, BLOCK_SIZE, PAGE_SIZE, PAGES_PER_BLOCK, block_of};
use etmem_core::kernel::groups::{GroupError, GroupLimits, GroupPattern};
use etmem_core::kernel::mapping::{Mapping, MappingSource, VmFlag};
use etmem_core::kernel::memory::{MemoryState, SwapReads, SystemMemory};
use etmem_core::kernel::mover::{Moved, PageMover, Residence, SwapOut};
use etmem_core::kernel::nodes::{Node, Numa};
use etmem_core::kernel::pressure::{MemoryPressure, Pressure};
use etmem_core::kernel::probe::{Access, AccessProbe, AccessSink, Block, ProbeSource};
use etmem_core::kernel::process::{
    Pid, ProcessError, ProcessId, ProcessMemory, ProcessTable, Target, TargetError,
};
use etmem_core::kernel::swap_cache::SwapCache;
use etmem_core::kernel::{Kernel, Moving};
use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) memory: MemoryState,
    pressure: Option<Pressure>,
    pub(super) limits: GroupLimits,
    pub(super) groups: Vec<FakeGroup>,
    pub(super) no_groups: Option<GroupError>,
    pub(super) processes: BTreeMap<Pid, FakeProcess>,
    pub(super) nodes: FakeNodes,
    pub(super) swap_cache: Option<FakeSwapCache>,
    pub(super) decider: FakeDecider,
    pub(super) monitoring: FakeMonitoring,
    pub(super) merging: FakeMerging,
    pub(super) balloon: FakeBalloon,
    pub(super) touched: Vec<AddressRange>,
    reads: Vec<SwapReads>,
}

/// A machine that follows a script.
#[derive(Debug, Clone, Default)]
pub struct FakeMachine(Arc<Mutex<State>>);

impl FakeMachine {
    /// A machine with these figures and processes.
    #[must_use]
    pub fn new(memory: MemoryState, processes: Vec<FakeProcess>) -> Self {
        let processes = processes.into_iter().map(|process| (process.id.pid, process)).collect();
        Self(Arc::new(Mutex::new(State { memory, processes, ..State::default() })))
    }

    /// The same machine with these nodes, of whose free memory its processes take what lies on them.
    #[must_use]
    pub fn with_nodes(self, nodes: Vec<Node>) -> Self {
        let mut state = self.lock();
        state.nodes = FakeNodes::new(nodes, state.processes.values());
        drop(state);
        self
    }

    /// From now on, what reading from its swap took.
    pub fn set_reads(&self, reads: Vec<SwapReads>) {
        self.lock().reads = reads;
    }

    /// Plenty of memory and swap.
    #[must_use]
    pub const fn roomy() -> MemoryState {
        let gib = 1 << 30;
        MemoryState {
            total: 64 * gib,
            free: 32 * gib,
            available: 32 * gib,
            swap_total: 64 * gib,
            swap_free: 64 * gib,
            swap_cached: 0,
            swap_compressed: 0,
            swap_in_memory: false,
            swap_limit: None,
            swap_stuck: 0,
        }
    }

    /// The ports of this machine. Pages move between its nodes, if it has any, and else out of memory.
    #[must_use]
    pub fn kernel(&self) -> Kernel {
        let machine = Arc::new(self.clone());
        Kernel {
            processes: machine.clone(),
            mappings: machine.clone(),
            probe: machine.clone(),
            other_probes: Vec::new(),
            moving: if machine.lock().nodes.is_empty() {
                Moving::Out(machine.clone())
            } else {
                Moving::Nodes(Numa { nodes: machine.clone(), mover: machine.clone() })
            },
            between: None,
            memory: machine.clone(),
            swap_cache: machine.swap_cache().map(|_| machine.clone() as Arc<dyn SwapCache>),
            pressure: machine.clone(),
            groups: machine.clone(),
            readers: machine.clone(),
            deciders: machine.clone(),
            cooperation: None,
            sinking: None,
            monitoring: machine.clone(),
            merging: Some(machine.clone()),
            balloons: Some(machine.clone()),
        }
    }

    /// The same, whose pages move out of memory and between its nodes.
    #[must_use]
    pub fn kernel_of_tiers(&self) -> Kernel {
        let machine = Arc::new(self.clone());
        let between = Some(Numa { nodes: machine.clone(), mover: machine.clone() });
        Kernel { moving: Moving::Out(machine), between, ..self.kernel() }
    }

    /// Process `pid` as it is now.
    #[must_use]
    pub fn process(&self, pid: u32) -> Option<FakeProcess> {
        self.lock().processes.get(&Pid::new(pid)?).cloned()
    }

    /// Starts `process`, in the place of a process that has its number.
    pub fn start(&self, process: FakeProcess) {
        self.lock().processes.insert(process.id.pid, process);
    }

    /// Changes process `pid`.
    pub fn change(&self, pid: u32, change: impl FnOnce(&mut FakeProcess)) {
        let mut state = self.lock();
        if let Some(process) = Pid::new(pid).and_then(|pid| state.processes.get_mut(&pid)) {
            change(process);
        }
    }

    /// Changes the machine's figures.
    pub fn set_memory(&self, memory: MemoryState) {
        self.lock().memory = memory;
    }

    /// Takes all swap away: what is there comes back, and no more goes there.
    pub fn swap_off(&self) {
        let mut state = self.lock();
        (state.memory.swap_total, state.memory.swap_free) = (0, 0);
        state.processes.values_mut().for_each(FakeProcess::swap_off);
    }

    /// Gives it swap again, as `memory` says.
    pub fn swap_on(&self, memory: MemoryState) {
        let mut state = self.lock();
        state.memory = memory;
        state.processes.values_mut().for_each(|process| process.without_swap = false);
    }

    /// Changes the pressure on its memory.
    pub fn set_pressure(&self, pressure: Option<Pressure>) {
        self.lock().pressure = pressure;
    }

    /// Changes what the control groups of its processes say.
    pub fn set_groups(&self, groups: GroupLimits) {
        self.lock().limits = groups;
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn with<T>(
        &self,
        id: ProcessId,
        look: impl FnOnce(&mut FakeProcess) -> Result<T, ProcessError>,
    ) -> Result<T, ProcessError> {
        let mut state = self.lock();
        let process = state.processes.get_mut(&id.pid).filter(|process| process.id == id);
        let process = process.ok_or(ProcessError::Exited)?;
        match &process.end {
            Some((window, error)) if process.windows >= *window => Err(error.clone()),
            _ => look(process),
        }
    }
}

impl ProcessTable for FakeMachine {
    fn name(&self, process: ProcessId) -> Option<String> {
        self.with(process, |process| Ok(process.comm.clone())).ok()
    }

    fn find(&self, target: &Target) -> Result<Vec<ProcessId>, ProcessError> {
        let state = self.lock();
        let mut found: Vec<Pid> = state
            .processes
            .values()
            .filter(|process| match target {
                Target::Pid(pid) => process.id.pid == *pid,
                Target::Process(id) => process.id == *id,
                Target::Comm(comm) => *process.comm == **comm,
                Target::Exe(pattern) => pattern.matches(&Path::new("/usr/bin").join(&*process.comm)),
                Target::Groups(pattern) => pattern.uppermost(&process.group).is_some(),
                Target::Machine => false,
            })
            .map(|process| process.id.pid)
            .collect();
        // Children of processes of a group may be in another one.
        let mut next = if matches!(target, Target::Groups(_)) { found.len() } else { 0 };
        while let Some(&parent) = found.get(next) {
            let children = state.processes.values().filter(|process| process.parent == Some(parent));
            let children: Vec<Pid> = children.map(|process| process.id.pid).collect();
            found.extend(children.into_iter().filter(|child| !found.contains(child)).collect::<Vec<_>>());
            next += 1;
        }
        found.sort();
        Ok(found.iter().filter_map(|pid| state.processes.get(pid)).map(|process| process.id).collect())
    }

    /// Its name stands for it.
    fn program(&self, process: ProcessId) -> Option<u64> {
        let state = self.lock();
        let process = state.processes.get(&process.pid).filter(|known| known.id == process)?;
        Some(process.comm.bytes().fold(7, |sum, byte| sum * 31 + u64::from(byte)))
    }

    fn check(&self, pid: Pid) -> Result<ProcessId, TargetError> {
        self.lock().processes.get(&pid).map(|process| process.id).ok_or(TargetError::NoProcess(pid))
    }

    fn group(&self, process: ProcessId, pattern: &GroupPattern) -> Option<String> {
        self.with(process, |process| Ok(pattern.uppermost(&process.group).map(str::to_owned))).ok()?
    }

    fn memory(&self, process: ProcessId) -> Result<ProcessMemory, ProcessError> {
        self.with(process, |process| {
            let swapped = process.swapped_pages().len() as u64 * PAGE_SIZE;
            let freed = process.freed.len() as u64 * PAGE_SIZE;
            let resident = process.mapping.range.bytes() - swapped - freed;
            let anonymous = if process.mapping.shared { 0 } else { resident };
            let major_faults = process.major_faults;
            Ok(ProcessMemory { resident, swapped, major_faults, anonymous, ..process.others })
        })
    }
}

impl MappingSource for FakeMachine {
    /// Mappings of huge pages have the flag `ht`, and others those that the script gives them.
    fn mappings(
        &self,
        process: ProcessId,
        flags: &[VmFlag],
        out: &mut Vec<Mapping>,
    ) -> Result<(), ProcessError> {
        out.clear();
        self.with(process, |process| {
            let has =
                |flag: &VmFlag| process.huge && flag.letters() == *b"ht" || process.flags.contains(flag);
            if flags.iter().all(has) {
                out.push(process.mapping);
            }
            Ok(())
        })
    }

    fn locked(&self, process: ProcessId, out: &mut Vec<AddressRange>) -> Result<(), ProcessError> {
        out.clear();
        self.with(process, |process| {
            out.extend_from_slice(&process.locked);
            Ok(())
        })
    }
}

impl SystemMemory for FakeMachine {
    fn state(&self) -> Result<MemoryState, ProcessError> {
        Ok(self.lock().memory)
    }

    fn swapped_in(&self) -> Option<u64> {
        let pages = self.lock().processes.values().map(FakeProcess::pages_read_back).sum::<u64>();
        Some(pages * PAGE_SIZE)
    }

    fn reads(&self) -> Vec<SwapReads> {
        self.lock().reads.clone()
    }
}

impl MemoryPressure for FakeMachine {
    fn pressure(&self) -> Result<Option<Pressure>, ProcessError> {
        Ok(self.lock().pressure)
    }
}

/// A probe or a mover on one process.
pub(super) struct Attached {
    pub(super) machine: FakeMachine,
    pub(super) process: ProcessId,
}

impl fmt::Debug for Attached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Attached({})", self.process)
    }
}

impl ProbeSource for FakeMachine {
    fn name(&self) -> &'static str {
        "fake"
    }

    fn attach(&self, process: ProcessId) -> Result<Box<dyn AccessProbe>, ProcessError> {
        self.with(process, |_| Ok(()))?;
        Ok(Box::new(Attached { machine: self.clone(), process }))
    }
}

impl AccessProbe for Attached {
    fn prepare(&mut self, _: &[AddressRange]) -> Result<(), ProcessError> {
        self.machine.with(self.process, |process| {
            process.armed += 1;
            Ok(())
        })
    }

    fn check(&mut self, ranges: &[AddressRange], sink: &mut dyn AccessSink) -> Result<(), ProcessError> {
        self.machine.with(self.process, |process| {
            let window = process.windows;
            process.windows += 1;
            let first = process.mapping.range.start;
            for range in ranges {
                if process.huge {
                    let mut start = range.start;
                    while start < range.end {
                        let number = (start - first) / BLOCK_SIZE;
                        sink.block(start, Block::Huge((process.script)(number, window)));
                        start += BLOCK_SIZE;
                    }
                    continue;
                }
                let mut start = block_of(range.start);
                while start < range.end {
                    let mut pages = [Access::ABSENT; PAGES_PER_BLOCK];
                    for (index, page) in (0u64..).zip(&mut pages) {
                        let address = start + index * PAGE_SIZE;
                        if address < range.start || address >= range.end {
                            continue;
                        }
                        let number = usize::try_from((address - first) / PAGE_SIZE).unwrap_or(usize::MAX);
                        let access = process.live(number, window);
                        *page = if process.residence(number).is_memory() { access } else { Access::ABSENT };
                    }
                    sink.block(start, Block::Pages(&pages));
                    start += BLOCK_SIZE;
                }
            }
            Ok(())
        })
    }
}

impl PageMover for FakeMachine {
    fn name(&self) -> &'static str {
        "fake"
    }

    fn attach(&self, process: ProcessId) -> Result<Box<dyn SwapOut>, ProcessError> {
        self.with(process, |_| Ok(()))?;
        Ok(Box::new(Attached { machine: self.clone(), process }))
    }
}

impl SwapOut for Attached {
    fn swap_out(&mut self, ranges: &[AddressRange]) -> Result<Moved, ProcessError> {
        self.machine.with(self.process, |process| {
            let mut moved = Moved::default();
            for range in ranges {
                let inside = range.intersection(process.mapping.range);
                moved.vanished += range.bytes() - inside.bytes();
                moved.applied += inside.bytes();
                let first = (inside.start - process.mapping.range.start) / PAGE_SIZE;
                for page in first..first + inside.bytes() / PAGE_SIZE {
                    process.page_out(usize::try_from(page).unwrap_or(usize::MAX));
                }
            }
            Ok(moved)
        })
    }

    /// What the probe is blind to goes on meanwhile.
    fn residence(&mut self, ranges: &[AddressRange], out: &mut Vec<Residence>) -> Result<bool, ProcessError> {
        out.clear();
        self.machine.with(self.process, |process| {
            let (first, window) = (process.mapping.range.start, process.windows);
            for at in ranges.iter().flat_map(|range| (range.start..range.end).step_by(4096)) {
                let page = usize::try_from((at - first) / PAGE_SIZE).unwrap_or(usize::MAX);
                if process.truth.is_some() {
                    process.live(page, window);
                }
                out.push(process.residence(page));
            }
            Ok(true)
        })
    }
}

impl FakeMachine {
    /// The same machine with a swap cache that can be reclaimed.
    #[must_use]
    pub fn with_swap_cache(self) -> Self {
        self.lock().swap_cache = Some(FakeSwapCache::default());
        self
    }

    /// What was asked of its swap cache; `None` if that cannot be reclaimed.
    #[must_use]
    pub fn swap_cache(&self) -> Option<FakeSwapCache> {
        self.lock().swap_cache
    }

    fn ask_swap_cache(&self, ask: impl FnOnce(&mut FakeSwapCache)) -> Result<(), ProcessError> {
        self.lock().swap_cache.as_mut().map(ask).ok_or_else(|| ProcessError::Refused {
            call: "swap cache".to_owned(),
            reason: "this machine cannot reclaim it".to_owned(),
        })
    }
}

impl SwapCache for FakeMachine {
    fn set_watermarks(&self, low: u8, high: u8) -> Result<(), ProcessError> {
        self.ask_swap_cache(|cache| cache.watermarks = Some((low, high)))
    }

    fn reclaim(&self) -> Result<(), ProcessError> {
        self.ask_swap_cache(|cache| cache.reclaims += 1)
    }

    fn end_reclaim(&self) -> Result<(), ProcessError> {
        self.ask_swap_cache(|cache| cache.ends += 1)
    }
}
