//! The ports of a machine that does again what a record says.

use super::super::source::Opened;
use etmem_core::address::{AddressRange, BLOCK_SIZE, PAGE_SIZE, PAGES_PER_BLOCK};
use etmem_core::kernel::mapping::{Mapping, MappingSource, VmFlag};
use etmem_core::kernel::memory::{MemoryState, SystemMemory};
use etmem_core::kernel::mover::{Moved, PageMover, Residence, SwapOut};
use etmem_core::kernel::pacer::{Pace, Pacer};
use etmem_core::kernel::pressure::{MemoryPressure, Pressure};
use etmem_core::kernel::probe::{Access, AccessProbe, AccessSink, Block, ProbeSource};
use etmem_core::kernel::process::{
    Pid, ProcessError, ProcessId, ProcessMemory, ProcessTable, Target, TargetError,
};
use etmem_core::kernel::{Kernel, Moving};
use etmem_record::{Event, Look, PageBits};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Memory and swap of the machine: more than any record has.
const PLENTY: u64 = 1 << 50;

/// What was touched of a block since the probe was armed.
#[derive(Debug, Clone, Copy, Default)]
struct Touched {
    touched: PageBits,
    written: PageBits,
}

/// A process of the record, as it is on this machine.
#[derive(Debug, Default)]
struct Replayed {
    touched: BTreeMap<u64, Touched>,
    out: BTreeMap<u64, PageBits>,
    out_pages: u64,
    resident_pages: u64,
    looks: u64,
}

/// Bytes moved, and what for how long.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Account {
    /// That left.
    pub(super) moved: u64,
    /// That came back, as they were touched.
    pub(super) back: u64,
    /// That are out at the end.
    pub(super) out: u64,
    /// In memory or out, at the end.
    pub(super) all: u64,
    /// Touched between two looks, summed up over the looks.
    pub(super) touched: u64,
    /// Out, summed up over the looks.
    pub(super) out_sum: u64,
    pub(super) looks: u64,
    /// Since the beginning of the record.
    pub(super) passed: Duration,
}

struct State {
    record: Opened,
    /// A look that is later than now.
    next: Option<Event>,
    processes: Vec<Replayed>,
    now: Duration,
    /// How much later than now a look may be that counts as seen by now.
    slack: Duration,
    ended: bool,
    failed: Option<String>,
    account: Account,
}

impl State {
    /// Takes in all that was seen until `now`.
    fn advance(&mut self, now: Duration) {
        self.now = self.now.max(now);
        while !self.ended {
            let event = match self.next.take() {
                Some(event) => event,
                None => match self.record.next() {
                    Ok(Some(event)) => event,
                    Ok(None) => return self.ended = true,
                    Err(error) => {
                        self.failed = Some(error.to_string());
                        return self.ended = true;
                    }
                },
            };
            match event {
                // A look is taken in when it is read: so time waits for the one that was read too early.
                Event::Look(look) if look.at > self.now + self.slack => return self.next = Some(event),
                Event::Look(look) => self.look(look),
                Event::Process(_) => self.processes.push(Replayed::default()),
                Event::Mappings(_) | Event::Ended(_) => {}
            }
        }
    }

    fn look(&mut self, look: Look) {
        let memory = &self.record.processes()[look.process].memory;
        let Some(replayed) = self.processes.get_mut(look.process) else { return };
        let (mut present, mut touched) = (0, 0);
        for (number, block) in memory.blocks() {
            present += u64::from(block.present.count());
            touched += u64::from(block.touched.count());
            if !block.touched.is_empty() {
                let since = replayed.touched.entry(number).or_default();
                since.touched = since.touched.or(block.touched);
                since.written = since.written.or(block.written);
            }
        }
        let mut back = 0;
        replayed.out.retain(|number, out| {
            let before = out.count();
            // What is not there any more was freed, and what is touched is read back.
            let block = memory.block(*number).copied().unwrap_or_default();
            *out = out.and(block.present);
            replayed.out_pages -= u64::from(before - out.count());
            let returned = out.and(block.touched);
            *out = out.without(returned);
            replayed.out_pages -= u64::from(returned.count());
            back += u64::from(returned.count());
            !out.is_empty()
        });
        replayed.resident_pages = present - replayed.out_pages;
        replayed.looks += 1;
        let account = &mut self.account;
        account.back += back * PAGE_SIZE;
        account.touched += touched * PAGE_SIZE;
        account.looks += 1;
        account.out_sum += replayed.out_pages * PAGE_SIZE;
        account.passed = look.at;
    }
}

/// The machine, and its clock.
#[derive(Clone)]
pub(super) struct ReplayedMachine(Arc<Mutex<State>>);

impl fmt::Debug for ReplayedMachine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ReplayedMachine")
    }
}

impl ReplayedMachine {
    /// The machine at the beginning of `record`, whose looks are about `interval` apart.
    pub(super) fn new(record: Opened, interval: Duration) -> Self {
        let mut state = State {
            record,
            next: None,
            processes: Vec::new(),
            now: Duration::ZERO,
            slack: Duration::ZERO,
            ended: false,
            failed: None,
            account: Account::default(),
        };
        // All processes are there from the beginning on.
        while let Ok(Some(event)) = state.record.next() {
            match event {
                Event::Process(_) => state.processes.push(Replayed::default()),
                Event::Look(_) => {
                    state.next = Some(event);
                    break;
                }
                Event::Mappings(_) | Event::Ended(_) => {}
            }
        }
        // Looks are late by some milliseconds, and one more late would be seen one cycle later each.
        state.slack = interval / 4;
        Self(Arc::new(Mutex::new(state)))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was moved so far.
    pub(super) fn account(&self) -> Account {
        let state = self.lock();
        let sum = |of: fn(&Replayed) -> u64| state.processes.iter().map(of).sum::<u64>() * PAGE_SIZE;
        let (out, resident) = (sum(|one| one.out_pages), sum(|one| one.resident_pages));
        Account { out, all: out + resident, ..state.account }
    }

    /// Why the record could not be read to its end.
    pub(super) fn failed(&self) -> Option<String> {
        let state = self.lock();
        state.failed.clone().or_else(|| state.record.cut().map(str::to_owned))
    }

    /// Its ports.
    pub(super) fn kernel(&self) -> Kernel {
        let machine = Arc::new(self.clone());
        Kernel {
            processes: machine.clone(),
            mappings: machine.clone(),
            probe: machine.clone(),
            other_probes: Vec::new(),
            moving: Moving::Out(machine.clone()),
            between: None,
            memory: machine.clone(),
            swap_cache: None,
            pressure: machine.clone(),
            groups: machine.clone(),
            readers: machine.clone(),
            deciders: machine.clone(),
            cooperation: None,
            sinking: None,
            merging: None,
            balloons: None,
            monitoring: machine,
        }
    }

    fn with<T>(
        &self,
        process: ProcessId,
        of: impl FnOnce(&mut State, usize) -> T,
    ) -> Result<T, ProcessError> {
        let mut state = self.lock();
        let number = state.record.processes().iter().position(|known| {
            known.process.pid == process.pid.get() && known.process.start_time == process.start_time
        });
        // One that has ended is there until the record is at its end: what it has cannot be told apart from what was not seen.
        number.map(|number| of(&mut state, number)).ok_or(ProcessError::Exited)
    }
}

impl Pacer for ReplayedMachine {
    fn pause(&self, duration: Duration) -> Pace {
        let mut state = self.lock();
        let now = state.now + duration;
        state.advance(now);
        if state.ended { Pace::Stop } else { Pace::Continue }
    }

    fn pace(&self) -> Pace {
        if self.lock().ended { Pace::Stop } else { Pace::Continue }
    }

    fn now(&self) -> Duration {
        self.lock().now
    }
}

impl ProcessTable for ReplayedMachine {
    fn find(&self, _: &Target) -> Result<Vec<ProcessId>, ProcessError> {
        let state = self.lock();
        let ids = state.record.processes().iter().filter(|known| known.ended.is_none()).filter_map(|known| {
            Pid::new(known.process.pid).map(|pid| ProcessId { pid, start_time: known.process.start_time })
        });
        let mut ids: Vec<ProcessId> = ids.collect();
        ids.sort();
        ids.dedup();
        Ok(ids)
    }

    fn check(&self, pid: Pid) -> Result<ProcessId, TargetError> {
        let found = ProcessTable::find(self, &Target::Pid(pid)).unwrap_or_default();
        found.into_iter().find(|process| process.pid == pid).ok_or(TargetError::NoProcess(pid))
    }

    fn program(&self, process: ProcessId) -> Option<u64> {
        Some(process.start_time)
    }

    fn name(&self, process: ProcessId) -> Option<String> {
        self.with(process, |state, number| state.record.processes()[number].process.name.clone()).ok()
    }

    fn memory(&self, process: ProcessId) -> Result<ProcessMemory, ProcessError> {
        self.with(process, |state, number| {
            let Replayed { out_pages, resident_pages, .. } = state.processes[number];
            let (resident, swapped) = (resident_pages * PAGE_SIZE, out_pages * PAGE_SIZE);
            ProcessMemory { resident, swapped, anonymous: resident, ..ProcessMemory::default() }
        })
    }
}

impl MappingSource for ReplayedMachine {
    /// The flags of mappings are not recorded: all have each.
    fn mappings(&self, process: ProcessId, _: &[VmFlag], out: &mut Vec<Mapping>) -> Result<(), ProcessError> {
        out.clear();
        self.with(process, |state, number| {
            let known = &state.record.processes()[number];
            out.extend(known.mappings.iter().map(etmem_record::header::NamedMapping::mapping));
            // Records of other programs have none.
            if out.is_empty() {
                let range = AddressRange::new(BLOCK_SIZE, 1 << 63);
                let [executable, shared, special, huge_pool, guest] = [false; 5];
                out.push(Mapping {
                    range,
                    writable: true,
                    executable,
                    shared,
                    inode: 0,
                    special,
                    huge_pool,
                    guest,
                });
            }
        })
    }
}

/// A probe or a mover on one process.
#[derive(Debug)]
struct Attached(ReplayedMachine, ProcessId);

impl ProbeSource for ReplayedMachine {
    fn name(&self) -> &'static str {
        "record"
    }

    fn attach(&self, process: ProcessId) -> Result<Box<dyn AccessProbe>, ProcessError> {
        Ok(Box::new(Attached(self.clone(), process)))
    }
}

/// The pages of a block that lie in `range`.
fn inside(block: u64, range: AddressRange) -> PageBits {
    let start = block * BLOCK_SIZE;
    if range.start <= start && start + BLOCK_SIZE <= range.end {
        return PageBits::ALL;
    }
    let mut pages = PageBits::NONE;
    for (page, at) in (start..start + BLOCK_SIZE).step_by(4096).enumerate() {
        if at >= range.start && at < range.end {
            pages.add(page);
        }
    }
    pages
}

impl AccessProbe for Attached {
    fn prepare(&mut self, _: &[AddressRange]) -> Result<(), ProcessError> {
        self.0.with(self.1, |state, number| state.processes[number].touched.clear())
    }

    fn check(&mut self, ranges: &[AddressRange], sink: &mut dyn AccessSink) -> Result<(), ProcessError> {
        self.0.with(self.1, |state, number| {
            let replayed = &state.processes[number];
            // Nothing is known before the first look.
            if replayed.looks == 0 {
                return;
            }
            let memory = &state.record.processes()[number].memory;
            for range in ranges {
                for (number, block) in
                    memory.blocks_between(range.start / BLOCK_SIZE, range.end.div_ceil(BLOCK_SIZE))
                {
                    let out = replayed.out.get(&number).copied().unwrap_or_default();
                    let Touched { touched, written } =
                        replayed.touched.get(&number).copied().unwrap_or_default();
                    let mut now = *block;
                    now.present = block.present.without(out).and(inside(number, *range));
                    (now.touched, now.written) =
                        (touched.and(now.present), written.and(touched).and(now.present));
                    match now.uniform() {
                        Some(access) if now.huge => sink.equal_huge_blocks(number * BLOCK_SIZE, 1, access),
                        Some(access) => sink.equal_blocks(number * BLOCK_SIZE, 1, access),
                        None => {
                            let pages: [Access; PAGES_PER_BLOCK] =
                                std::array::from_fn(|page| now.access(page));
                            sink.block(number * BLOCK_SIZE, Block::Pages(&pages));
                        }
                    }
                }
            }
        })
    }
}

impl PageMover for ReplayedMachine {
    fn name(&self) -> &'static str {
        "record"
    }

    fn attach(&self, process: ProcessId) -> Result<Box<dyn SwapOut>, ProcessError> {
        Ok(Box::new(Attached(self.clone(), process)))
    }
}

impl SwapOut for Attached {
    fn swap_out(&mut self, ranges: &[AddressRange]) -> Result<Moved, ProcessError> {
        self.0.with(self.1, |state, number| {
            let mut moved = Moved::default();
            let memory = &state.record.processes()[number].memory;
            let replayed = &mut state.processes[number];
            for range in ranges {
                let mut left = 0;
                for (number, block) in
                    memory.blocks_between(range.start / BLOCK_SIZE, range.end.div_ceil(BLOCK_SIZE))
                {
                    let out = replayed.out.entry(number).or_default();
                    let leaves = block.present.without(*out).and(inside(number, *range));
                    *out = out.or(leaves);
                    left += u64::from(leaves.count());
                }
                replayed.out_pages += left;
                replayed.resident_pages = replayed.resident_pages.saturating_sub(left);
                moved.applied += left * PAGE_SIZE;
                moved.vanished += range.bytes().saturating_sub(left * PAGE_SIZE);
            }
            state.account.moved += moved.applied;
            moved
        })
    }

    fn residence(&mut self, ranges: &[AddressRange], out: &mut Vec<Residence>) -> Result<bool, ProcessError> {
        out.clear();
        self.0.with(self.1, |state, number| {
            let memory = &state.record.processes()[number].memory;
            let replayed = &state.processes[number];
            for at in ranges.iter().flat_map(|range| (range.start..range.end).step_by(4096)) {
                let block = at / BLOCK_SIZE;
                let page = usize::try_from(at % BLOCK_SIZE / PAGE_SIZE).unwrap_or_default();
                let is_out = replayed.out.get(&block).is_some_and(|out| out.has(page));
                let is_there = memory.block(block).is_some_and(|block| block.present.has(page));
                out.push(match (is_out, is_there) {
                    (true, _) => Residence::Swap,
                    (false, true) => {
                        Residence::Memory { frame: 1 + at / PAGE_SIZE, file: false, shared: false }
                    }
                    (false, false) => Residence::Nowhere,
                });
            }
            true
        })
    }
}

impl SystemMemory for ReplayedMachine {
    fn state(&self) -> Result<MemoryState, ProcessError> {
        let out = self.account().out;
        Ok(MemoryState {
            total: PLENTY,
            free: PLENTY / 2,
            available: PLENTY / 2,
            swap_total: PLENTY,
            swap_free: PLENTY - out,
            ..MemoryState::default()
        })
    }

    fn swapped_in(&self) -> Option<u64> {
        Some(self.lock().account.back)
    }
}

impl MemoryPressure for ReplayedMachine {
    fn pressure(&self) -> Result<Option<Pressure>, ProcessError> {
        Ok(None)
    }
}
