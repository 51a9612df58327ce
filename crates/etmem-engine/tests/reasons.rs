//! Every reason for not acting is brought about over a scripted machine, in every variant that the code can produce, and told
//! of in `docs/why-nothing-happens.md`. A new reason without a way to it does not compile here.

#![expect(clippy::unwrap_used, clippy::wildcard_enum_match_arm, reason = "a test fails by panicking")]

use etmem_core::address::AddressRange;
use etmem_core::guard::Bound;
use etmem_core::kernel::Kernel;
use etmem_core::kernel::groups::{GroupLimits, GroupUse};
use etmem_core::kernel::memory::MemoryState;
use etmem_core::kernel::mover::{Moved, PageMover, SwapOut};
use etmem_core::kernel::nodes::{Migrated, NodeId, NodeMover, NodePages, Numa, Place};
use etmem_core::kernel::pacer::Pacer;
use etmem_core::kernel::pressure::{Pressure, Share};
use etmem_core::kernel::probe::{Access, AccessProbe, AccessSink, ProbeSource};
use etmem_core::kernel::process::{
    Pid, ProcessError, ProcessId, ProcessMemory, ProcessTable, Target, TargetError,
};
use etmem_core::policy::SkipReason;
use etmem_engine::{ProcessResult, Reason, ReasonName, ScanLocks, StepReport, TaskStatus, engine};
use etmem_testkit::fake::{FakeMachine, FakePacer, FakeProcess, Script, fake_node};
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

const PAGES: usize = 3000;
const PAGE: u64 = 4096;
const MIB: u64 = 1 << 20;
const START: u64 = 0x7f00_0000_0000;
const GUIDE: &str = include_str!("../../../docs/why-nothing-happens.md");

/// What a machine answers that no scripted one does by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Quirk {
    None,
    /// The kernel leaves pages where they are: without a word, or as they are shared.
    Keeps,
    /// It refuses mappings.
    Refuses,
    /// The pages are unmapped when they are to leave.
    Unmapped,
    /// The process replaces its program before its pages leave.
    Replaces,
    /// Processes cannot be looked for.
    NoTable,
}

/// A machine whose probe can look again without clearing, as that of most machines.
#[derive(Debug, Clone)]
struct Quirky {
    machine: FakeMachine,
    quirk: Quirk,
}

/// A mover or a probe of it.
#[derive(Debug)]
struct Hand<T: ?Sized> {
    quirk: Quirk,
    inner: Box<T>,
}

impl Quirky {
    fn kernel(&self) -> Kernel {
        let processes: Arc<dyn ProcessTable> = match self.quirk {
            Quirk::NoTable => Arc::new(self.clone()),
            _ => self.machine.kernel().processes,
        };
        Kernel {
            processes,
            mover: Arc::new(self.clone()),
            probe: Arc::new(self.clone()),
            numa: self.machine.kernel().numa.map(|numa| Numa { mover: Arc::new(self.clone()), ..numa }),
            ..self.machine.kernel()
        }
    }
}

impl ProcessTable for Quirky {
    fn find(&self, _: &Target) -> Result<Vec<ProcessId>, ProcessError> {
        Err(ProcessError::Refused { call: "/proc".into(), reason: "Permission denied".into() })
    }

    fn check(&self, pid: Pid) -> Result<ProcessId, TargetError> {
        self.machine.check(pid)
    }

    fn memory(&self, process: ProcessId) -> Result<ProcessMemory, ProcessError> {
        self.machine.memory(process)
    }
}

impl PageMover for Quirky {
    fn name(&self) -> &'static str {
        "quirky"
    }

    fn attach(&self, process: ProcessId) -> Result<Box<dyn SwapOut>, ProcessError> {
        Ok(Box::new(Hand { quirk: self.quirk, inner: PageMover::attach(&self.machine, process)? }))
    }
}

impl SwapOut for Hand<dyn SwapOut> {
    fn swap_out(&mut self, ranges: &[AddressRange]) -> Result<Moved, ProcessError> {
        let bytes = ranges.iter().map(AddressRange::bytes).sum();
        let nothing = Moved::default();
        match self.quirk {
            Quirk::None | Quirk::NoTable => self.inner.swap_out(ranges),
            Quirk::Keeps => Ok(Moved { applied: bytes, ..nothing }),
            Quirk::Refuses => Ok(Moved { refused: bytes, ..nothing }),
            Quirk::Unmapped => Ok(Moved { vanished: bytes, ..nothing }),
            Quirk::Replaces => Err(ProcessError::Replaced),
        }
    }
}

impl NodeMover for Quirky {
    fn name(&self) -> &'static str {
        "quirky"
    }

    fn attach(&self, process: ProcessId) -> Result<Box<dyn NodePages>, ProcessError> {
        Ok(Box::new(Hand { quirk: self.quirk, inner: NodeMover::attach(&self.machine, process)? }))
    }
}

impl NodePages for Hand<dyn NodePages> {
    fn where_are(&mut self, pages: &[u64], places: &mut Vec<Place>) -> Result<(), ProcessError> {
        self.inner.where_are(pages, places)
    }

    fn move_to(&mut self, pages: &[u64], node: NodeId) -> Result<Migrated, ProcessError> {
        let (all, none) = (pages.len() as u64, Migrated::default());
        match self.quirk {
            Quirk::None | Quirk::NoTable => self.inner.move_to(pages, node),
            Quirk::Keeps => Ok(Migrated { shared: all, ..none }),
            Quirk::Refuses => Ok(Migrated { refused: all, ..none }),
            Quirk::Unmapped => Ok(Migrated { vanished: all, ..none }),
            Quirk::Replaces => Err(ProcessError::Replaced),
        }
    }
}

impl ProbeSource for Quirky {
    fn name(&self) -> &'static str {
        "quirky"
    }

    fn attach(&self, process: ProcessId) -> Result<Box<dyn AccessProbe>, ProcessError> {
        Ok(Box::new(Hand { quirk: self.quirk, inner: ProbeSource::attach(&self.machine, process)? }))
    }
}

impl AccessProbe for Hand<dyn AccessProbe> {
    fn prepare(&mut self, ranges: &[AddressRange]) -> Result<(), ProcessError> {
        self.inner.prepare(ranges)
    }

    fn check(&mut self, ranges: &[AddressRange], sink: &mut dyn AccessSink) -> Result<(), ProcessError> {
        self.inner.check(ranges, sink)
    }

    fn looks_without_clearing(&self) -> bool {
        true
    }
}

/// A task of slide and its machine.
struct Case {
    project: &'static str,
    task: &'static str,
    target: &'static str,
    /// The process that had the number when the task was added.
    added_for: Option<ProcessId>,
    process: FakeProcess,
    memory: MemoryState,
    groups: GroupLimits,
    pressure: Option<Pressure>,
    quirk: Quirk,
    pacer: FakePacer,
    /// Cycles until the reason is there.
    cycles: usize,
    /// It ends before, where this bounds an act.
    until: Option<Bound>,
}

impl Case {
    /// All of a process is idle, and may leave.
    fn new() -> Self {
        Self::of(PAGES, |_, _| Access::IDLE)
    }

    fn of(pages: usize, script: Script) -> Self {
        Self {
            project: "",
            task: "",
            target: "type=pid\nvalue=42",
            added_for: None,
            process: FakeProcess::new(42, "mysqld", START, pages, script),
            memory: FakeMachine::roomy(),
            groups: GroupLimits::default(),
            pressure: None,
            quirk: Quirk::None,
            pacer: FakePacer::endless(),
            cycles: 1,
            until: None,
        }
    }

    fn added_for(pid: u32, start_time: u64) -> Self {
        Self { added_for: Some(ProcessId { pid: Pid::new(pid).unwrap(), start_time }), ..Self::new() }
    }

    fn task(task: &'static str) -> Self {
        Self { task, ..Self::new() }
    }

    fn project(project: &'static str) -> Self {
        Self { project, ..Self::new() }
    }

    fn quirk(quirk: Quirk) -> Self {
        Self { quirk, ..Self::new() }
    }

    fn memory(change: fn(&mut MemoryState)) -> Self {
        let mut case = Self::new();
        change(&mut case.memory);
        case
    }

    fn swap_of_group(bound: u64, used: u64) -> Self {
        let groups = GroupLimits { swap: Some(GroupUse { bound, used }), ..GroupLimits::default() };
        Self { groups, ..Self::new() }
    }

    fn promise(bound: u64, used: u64) -> Self {
        let groups = GroupLimits { protection: Some(GroupUse { bound, used }), ..GroupLimits::default() };
        Self { groups, ..Self::new() }
    }

    fn process(change: fn(&mut FakeProcess)) -> Self {
        let mut case = Self::new();
        change(&mut case.process);
        case
    }

    /// The report of its last cycle, by the task itself.
    fn report(self) -> StepReport {
        let Self {
            project,
            task,
            target,
            added_for,
            process,
            memory,
            groups,
            pressure,
            quirk,
            pacer,
            cycles,
            until,
        } = self;
        let text = format!(
            "[project]\nname=p\nscan_type=page\nloop=1\ninterval=1\nsleep=9\n{project}\n[engine]\nproject=p\nname=slide\n\
             [task]\nproject=p\nengine=slide\nname=t\n{target}\nT=1\n{task}\n"
        );
        let mut file = etmem_engine::parse(Path::new("test.yaml"), &text).unwrap();
        if let Some(process) = added_for {
            file.tasks[0].target = Target::Process(process);
        }
        let slide = engine(&file.engines[0], &ScanLocks::default()).unwrap();
        let mut work = slide.work(&file.projects[0], &file.tasks[0]).unwrap();
        let machine = FakeMachine::new(memory, vec![process]);
        machine.set_groups(groups);
        machine.set_pressure(pressure);
        let kernel = Quirky { machine, quirk }.kernel();
        let mut cycle = || {
            let report = work.step(&kernel, &pacer);
            let _ = pacer.pause(work.period());
            report
        };
        let mut report = cycle();
        for _ in 1..cycles {
            if until.is_some() && bound(&report) == until {
                break;
            }
            report = cycle();
        }
        report
    }
}

/// What bounded the act on the only process.
fn bound(report: &StepReport) -> Option<Bound> {
    match &report.processes.first()?.result {
        ProcessResult::Scanned(scanned) => scanned.bound,
        _ => None,
    }
}

/// Half of the pages are hot, which half changes with the third window.
fn jumps(page: u64, window: u64) -> Access {
    if (page < 1500) == (window < 2) { Access::READ } else { Access::IDLE }
}

/// Hot in the last window of three, then idle.
fn once(_: u64, window: u64) -> Access {
    if window == 2 { Access::READ } else { Access::IDLE }
}

fn touched_later(_: u64, window: u64) -> Access {
    if window > 0 { Access::READ } else { Access::IDLE }
}

fn hot(_: u64, _: u64) -> Access {
    Access::READ
}

/// A task of cslide whose process lies on the slow node 1 and is hot; of the fast one 64 MiB are free.
fn between_nodes(process: FakeProcess, quirk: Quirk, change: impl FnOnce(&FakeMachine)) -> StepReport {
    let text = "[project]\nname=p\nscan_type=page\nloop=1\ninterval=1\nsleep=9\n[engine]\nproject=p\nname=cslide\n\
                node_pair=0,1\nhot_threshold=1\nnode_mig_quota=64\nnode_hot_reserve=0\n\
                [task]\nproject=p\nengine=cslide\nname=t\ntype=pid\nvalue=42\n";
    let file = etmem_engine::parse(Path::new("test.yaml"), text).unwrap();
    let cslide = engine(&file.engines[0], &ScanLocks::default()).unwrap();
    let mut work = cslide.work(&file.projects[0], &file.tasks[0]).unwrap();
    let nodes = vec![fake_node(0, true, 64 * MIB, 0), fake_node(1, false, 64 * MIB, 0)];
    let machine = FakeMachine::new(FakeMachine::roomy(), vec![process]).with_nodes(nodes);
    change(&machine);
    work.step(&Quirky { machine, quirk }.kernel(), &FakePacer::endless())
}

fn on_the_slow_node() -> FakeProcess {
    FakeProcess::new(42, "mysqld", START, PAGES, hot).placed(|_| 1)
}

/// A cycle of slide and one of cslide on a machine with this quirk.
fn on_both(quirk: Quirk) -> Vec<StepReport> {
    vec![Case::quirk(quirk).report(), between_nodes(on_the_slow_node(), quirk, |_| ())]
}

/// Two tasks of cslide that name one process: what the second is told.
fn twice_named() -> StepReport {
    let task = |name: &str| format!("[task]\nproject=p\nengine=cslide\nname={name}\ntype=pid\nvalue=42\n");
    let text = format!(
        "[project]\nname=p\nscan_type=page\nloop=1\ninterval=1\nsleep=9\n[engine]\nproject=p\nname=cslide\n\
         node_pair=0,1\nhot_threshold=1\nnode_mig_quota=64\nnode_hot_reserve=0\n{}{}",
        task("first"),
        task("second")
    );
    let file = etmem_engine::parse(Path::new("test.yaml"), &text).unwrap();
    let cslide = engine(&file.engines[0], &ScanLocks::default()).unwrap();
    let mut works: Vec<_> =
        file.tasks.iter().map(|task| cslide.work(&file.projects[0], task).unwrap()).collect();
    let nodes = vec![fake_node(0, true, 64 * MIB, 0), fake_node(1, false, 64 * MIB, 0)];
    let machine = FakeMachine::new(FakeMachine::roomy(), vec![on_the_slow_node()]).with_nodes(nodes);
    works.iter_mut().for_each(|work| work.prepare(&machine.kernel()).unwrap());
    let reports: Vec<_> =
        works.iter_mut().map(|work| work.step(&machine.kernel(), &FakePacer::endless())).collect();
    reports.into_iter().nth(1).unwrap()
}

/// Every way to `name` that there is, each by a cycle of the engine itself.
fn ways_to(name: ReasonName) -> Vec<StepReport> {
    let cases = match name {
        // Of the daemon, about tasks of which there is no cycle: brought about by `registry/tests/reasons.rs` there.
        ReasonName::NotStarted | ReasonName::FirstCycle | ReasonName::Hosted | ReasonName::Failed => vec![],
        ReasonName::NoProcess => vec![Case { target: "type=name\nvalue=nobody", ..Case::new() }],
        // Of two processes that had other numbers, or began at other times, than the one that is there.
        ReasonName::ProcessEnded => vec![Case::added_for(41, 1000)],
        ReasonName::PidReused => vec![Case::added_for(42, 999)],
        ReasonName::NoTable => vec![Case::quirk(Quirk::NoTable)],
        ReasonName::NoSwap => {
            vec![Case::memory(|memory| (memory.swap_total, memory.swap_free) = (0, 0))]
        }
        ReasonName::SwapFull => vec![
            Case::memory(|memory| memory.swap_free = 0),
            Case::memory(|memory| (memory.swap_free, memory.available) = (0, 0)),
        ],
        ReasonName::SwapUse => vec![Case::memory(|memory| memory.swap_free = memory.swap_total / 10)],
        ReasonName::Pressure => {
            let pressure = Pressure { some_avg10: Share::of_hundredths(2001), ..Pressure::default() };
            vec![Case { pressure: Some(pressure), ..Case::new() }]
        }
        ReasonName::CgroupSwap => vec![Case::swap_of_group(0, 0), Case::swap_of_group(700 * PAGE, 0)],
        ReasonName::CgroupProtected => vec![Case::promise(900, 800), Case::promise(PAGE, 501 * PAGE)],
        ReasonName::MemoryFree => vec![Case::project("sysmem_threshold=50")],
        ReasonName::Small => {
            vec![Case { task: "swap_threshold=1g", ..Case::project("sysmem_threshold=51") }]
        }
        ReasonName::SwappedEnough => {
            let mut case = Case::project("sysmem_threshold=51");
            case.process.swapped.iter_mut().take(2000).for_each(|page| *page = true);
            vec![case]
        }
        ReasonName::NothingSuitable => {
            let placed = between_nodes(FakeProcess::new(42, "empty", START, 0, hot), Quirk::None, |_| ());
            let case = Case::process(|process| process.mapping.shared = true);
            return vec![case.report(), placed];
        }
        ReasonName::Locked => vec![Case::process(|process| process.locked.push(process.mapping.range))],
        ReasonName::AllOut => vec![Case { cycles: 2, ..Case::new() }],
        ReasonName::NotCold => vec![Case::of(PAGES, hot), Case::task("dram_percent=100")],
        ReasonName::LeftAlone => vec![Case { cycles: 4, ..Case::of(PAGES, once) }],
        ReasonName::NoRoom => vec![Case::memory(|memory| {
            memory.swap_free = memory.swap_total - memory.swap_total / 100 * 80 + MIB;
        })],
        ReasonName::CameBack => vec![
            Case { cycles: 3, ..Case::of(PAGES, jumps) },
            // Hours later, what came back is paid for, and what leaves is paid for in advance.
            Case { cycles: 2000, until: Some(Bound::Probation), ..Case::of(PAGES, jumps) },
        ],
        ReasonName::Later => vec![Case::task("max_rate=100k")],
        ReasonName::Touched => vec![Case { task: "max_rate=8m", ..Case::of(20_000, touched_later) }],
        ReasonName::Stayed => vec![Case::quirk(Quirk::Keeps)],
        ReasonName::Refused => return on_both(Quirk::Refuses),
        ReasonName::Vanished => return on_both(Quirk::Unmapped),
        ReasonName::NodeFull => {
            return vec![between_nodes(on_the_slow_node(), Quirk::None, |machine| machine.promise(&[0]))];
        }
        ReasonName::InUse => {
            let mut process = on_the_slow_node();
            process.pinned = BTreeSet::from([1, 2, 3]);
            return vec![between_nodes(process, Quirk::None, |_| ())];
        }
        ReasonName::Shared => return vec![between_nodes(on_the_slow_node(), Quirk::Keeps, |_| ())],
        ReasonName::DryRun => vec![Case::task("dry_run=yes")],
        ReasonName::Elsewhere => return vec![twice_named()],
        ReasonName::Exited => {
            let mut process = on_the_slow_node();
            process.exits_after = Some(1);
            let case = Case::process(|process| process.end = Some((0, ProcessError::Exited)));
            return vec![case.report(), between_nodes(process, Quirk::None, |_| ())];
        }
        ReasonName::Replaced => vec![
            Case::quirk(Quirk::Replaces),
            Case::process(|process| process.end = Some((0, ProcessError::Replaced))),
        ],
        ReasonName::KernelRefused => {
            let refused = || ProcessError::Refused { call: "clear_refs".into(), reason: "no".into() };
            let mut case = Case::new();
            case.process.end = Some((0, refused()));
            vec![case]
        }
        ReasonName::Stopped => vec![
            Case { pacer: FakePacer::stopping_after(0), ..Case::new() },
            // After the look, between two batches.
            Case {
                pacer: FakePacer::stopping_after(1),
                task: "max_rate=8m",
                ..Case::of(20_000, |_, _| Access::IDLE)
            },
        ],
    };
    cases.into_iter().map(Case::report).collect()
}

/// What `etmem task show` would say of it.
fn told(report: StepReport) -> Option<Reason> {
    let mut status = TaskStatus::default();
    status.record(report, Duration::from_secs(1));
    let last = status.last.unwrap();
    let of_process = last.report.processes.first().and_then(|process| process.result.reason());
    last.reason("process named nobody").or(of_process)
}

/// The variants of a hold, by number: one that is new has none, and is to get one and a way to it.
const HOLDS: usize = 10;
const fn number_of_hold(hold: &SkipReason) -> usize {
    match hold {
        SkipReason::NoSwap => 0,
        SkipReason::SwapFull => 1,
        SkipReason::SwapFullMemoryFine { .. } => 2,
        SkipReason::SwapUse { .. } => 3,
        SkipReason::Pressure { .. } => 4,
        SkipReason::GroupSwap(_) => 5,
        SkipReason::GroupProtected(_) => 6,
        SkipReason::MemoryFree { .. } => 7,
        SkipReason::Small { .. } => 8,
        SkipReason::SwappedEnough { .. } => 9,
    }
}

/// The same of what bounds an act.
const BOUNDS: usize = 5;
const fn number_of_bound(bound: Bound) -> usize {
    match bound {
        Bound::Swap => 0,
        Bound::GroupSwap => 1,
        Bound::GroupProtected => 2,
        Bound::Probation => 3,
        Bound::Paused => 4,
    }
}

#[test]
fn every_reason_is_brought_about() {
    let (mut holds, mut bounds) = ([false; HOLDS], [false; BOUNDS]);
    let mut others = Vec::new();
    for &name in ReasonName::ALL {
        for report in ways_to(name) {
            for process in &report.processes {
                if let ProcessResult::Skipped(hold) = &process.result {
                    holds[number_of_hold(hold)] = true;
                }
            }
            if let Some(bound) = bound(&report) {
                bounds[number_of_bound(bound)] = true;
            }
            let text = format!("{report:?}");
            match told(report) {
                Some(reason) if reason.name == name => {
                    assert!(!reason.text.is_empty() && !reason.text.contains('\n'), "{}", reason.text);
                }
                other => others.push(format!("{name}: instead {other:?}: {text}")),
            }
        }
    }
    assert!(others.is_empty(), "{}", others.join("\n"));
    assert_eq!((holds, bounds), ([true; HOLDS], [true; BOUNDS]), "every hold and bound has a way to it");
}

#[test]
fn the_guide_tells_of_every_reason_once_and_of_no_other() {
    let (reasons, _) = GUIDE.split_once("## When a task does not start").unwrap();
    let rows = reasons.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` |"));
    let mut rows: Vec<&str> = rows.map(|(word, _)| word).collect();
    let mut words: Vec<&str> = ReasonName::ALL.iter().map(|name| name.word()).collect();
    rows.sort_unstable();
    words.sort_unstable();
    assert_eq!(rows, words);
}

#[test]
fn where_all_that_is_cold_leaves_there_is_no_reason() {
    let report = Case::new().report();
    assert_eq!(report.processes[0].result.reason(), None, "{report:?}");
    let report = between_nodes(on_the_slow_node(), Quirk::None, |_| ());
    assert_eq!(report.processes[0].result.reason(), None, "{report:?}");
}
