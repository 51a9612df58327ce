//! Slide does no harm, over a scripted machine: what came back, what guards the machine and the process, and what it says.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use etmem_core::address::{AddressRange, PAGES_PER_BLOCK};
use etmem_core::feedback::BackOff;
use etmem_core::guard::Bound;
use etmem_core::guard::SkipReason;
use etmem_core::kernel::groups::{GroupLimits, GroupUse};
use etmem_core::kernel::memory::MemoryState;
use etmem_core::kernel::pressure::{Pressure, Share};
use etmem_core::kernel::probe::{Access, AccessProbe, AccessSink, Block, ProbeSource};
use etmem_core::kernel::process::{ProcessError, ProcessId};
use etmem_engine::slide::{History, Scanned};
use etmem_engine::{ProcessResult, ScanLocks, StepReport, TaskRunner, engine};
use etmem_testkit::fake::{FakeMachine, FakePacer, FakeProcess, Script};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

const PAGES: usize = 3000;
const START: u64 = 0x7f00_0000_3000;
const PAGE: u64 = 4096;

fn work(task: &str) -> Box<dyn TaskRunner> {
    let text = format!(
        "[project]\nname=p\nscan_type=page\nloop=1\ninterval=1\nsleep=9\n[engine]\nproject=p\nname=slide\n\
         [task]\nproject=p\nengine=slide\nname=t\ntype=pid\nvalue=42\nT=1\nage=none\n{task}\n"
    );
    let file = etmem_config::parse(Path::new("test.yaml"), &text, &etmem_engine::keys()).unwrap();
    engine(&file.engines[0], &ScanLocks::default()).unwrap().work(&file.projects[0], &file.tasks[0]).unwrap()
}

fn machine(script: Script) -> FakeMachine {
    FakeMachine::new(FakeMachine::roomy(), vec![FakeProcess::new(42, "mysqld", START, PAGES, script)])
}

fn out(machine: &FakeMachine) -> usize {
    machine.process(42).unwrap().swapped_pages().len()
}

fn only(report: &StepReport) -> &ProcessResult {
    assert_eq!(report.processes.len(), 1, "{report:?}");
    &report.processes[0].result
}

fn scanned(report: &StepReport) -> &Scanned {
    only(report);
    report.processes[0].text.value().unwrap_or_else(|| panic!("{report:?}"))
}

/// The first thousand pages are hot; from window 3 on the second thousand is.
fn jumps(page: u64, window: u64) -> Access {
    if page / 1000 == u64::from(window >= 3) { Access::READ } else { Access::IDLE }
}

#[test]
fn what_came_back_is_counted_and_stops_the_rest() {
    let machine = machine(jumps);
    let mut work = work("");
    let pacer = FakePacer::endless();
    let mut step = || work.step(&machine.kernel(), &pacer);
    let first = step();
    let Scanned { feedback, history, .. } = scanned(&first);
    let expected =
        History { refaulted: 0, left: 2000 * PAGE, held: 0, kept: 0, touched: 1000 * PAGE, second_copies: 0 };
    assert_eq!((*history, feedback.out, feedback.working_set), (expected, 2000 * PAGE, 1000 * PAGE));
    assert_eq!(feedback.back_off, BackOff::None);
    for _ in 0..2 {
        assert_eq!(scanned(&step()).history.refaulted, 0);
    }
    let jump = step();
    let Scanned { feedback, history, outcome, bound, .. } = scanned(&jump);
    assert_eq!((history.refaulted, history.held, feedback.out), (1000 * PAGE, 1000 * PAGE, 1000 * PAGE));
    // Both parts were touched within the last two minutes.
    assert_eq!(feedback.working_set, 2000 * PAGE);
    assert_eq!(feedback.refaults_per_minute, Share::of_percent(50));
    assert!(matches!(feedback.back_off, BackOff::Paused { .. }), "{feedback:?}");
    assert_eq!((outcome.planned, outcome.applied, outcome.over_budget), (1000 * PAGE, 0, 1000 * PAGE));
    assert_eq!((*bound, feedback.bytes_per_second), (Some(Bound::Paused), None));
    let text = scanned(&jump).to_string();
    assert!(text.contains("came back 4000 KiB") && text.contains("nothing moves for"), "{text}");
    assert_eq!(out(&machine), 1000, "nothing more has left");
    assert_eq!(work.period(), Duration::from_secs(60), "while nothing moves, it looks once a minute");
}

#[test]
fn without_a_goal_it_goes_on_and_counts() {
    let machine = machine(jumps);
    let mut work = work("max_refault=none");
    let pacer = FakePacer::endless();
    let reports: Vec<_> = (0..4).map(|_| work.step(&machine.kernel(), &pacer)).collect();
    let Scanned { feedback, history, .. } = scanned(&reports[3]);
    assert_eq!((history.refaulted, history.held, &feedback.back_off), (1000 * PAGE, 0, &BackOff::None));
    assert_eq!((out(&machine), work.period()), (2000, Duration::from_secs(9)));
}

/// A machine whose probe tells of whole blocks: one page that was touched, and all of them were, as by DAMON.
#[derive(Debug)]
struct Coarse(FakeMachine);

#[derive(Debug)]
struct CoarseProbe(Box<dyn AccessProbe>);

/// Passes blocks on as such a probe sees them.
struct Coarsened<'a>(&'a mut dyn AccessSink);

impl ProbeSource for Coarse {
    fn name(&self) -> &'static str {
        "coarse"
    }

    fn is_page_exact(&self) -> bool {
        false
    }

    fn attach(&self, process: ProcessId) -> Result<Box<dyn AccessProbe>, ProcessError> {
        Ok(Box::new(CoarseProbe(ProbeSource::attach(&self.0, process)?)))
    }
}

impl AccessProbe for CoarseProbe {
    fn prepare(&mut self, ranges: &[AddressRange]) -> Result<(), ProcessError> {
        self.0.prepare(ranges)
    }

    fn check(&mut self, ranges: &[AddressRange], sink: &mut dyn AccessSink) -> Result<(), ProcessError> {
        self.0.check(ranges, &mut Coarsened(sink))
    }
}

impl AccessSink for Coarsened<'_> {
    fn block(&mut self, start: u64, block: Block<'_>) {
        let Block::Pages(pages) = block else { return self.0.block(start, block) };
        let touched = pages.iter().any(|page| page.is_present() && *page != Access::IDLE);
        let all = pages.map(|page| if page.is_present() && touched { Access::READ } else { page });
        self.0.block(start, Block::Pages(&all));
    }
}

const BLOCKS: usize = 6;

/// Pages that came back when a tenth of all that left is touched, and `change` was made before.
fn came_back(coarse: bool, change: fn(&mut FakeProcess)) -> u64 {
    let tenth: Script = |page, window| {
        if window == 1 && page.is_multiple_of(10) { Access::READ } else { Access::IDLE }
    };
    let process = FakeProcess::new(42, "mysqld", 0x7f00_0000_0000, BLOCKS * PAGES_PER_BLOCK, tenth);
    let machine = FakeMachine::new(FakeMachine::roomy(), vec![process]);
    let mut kernel = machine.kernel();
    if coarse {
        kernel.probe = Arc::new(Coarse(machine.clone()));
    }
    let (mut work, pacer) = (work(""), FakePacer::endless());
    work.step(&kernel, &pacer);
    assert_eq!(out(&machine), BLOCKS * PAGES_PER_BLOCK);
    machine.change(42, change);
    let report = work.step(&kernel, &pacer);
    scanned(&report).history.refaulted / PAGE
}

#[test]
fn where_pages_cannot_be_told_apart_faults_tell_what_came_back() {
    let touched = (BLOCKS as u64 * PAGES_PER_BLOCK as u64).div_ceil(10);
    // As shared pages do, every other one has never left: in a block that was touched they seem to be so as well.
    let kept = |process: &mut FakeProcess| {
        process.swapped.iter_mut().skip(1).step_by(2).for_each(|page| *page = false);
    };
    // It reads a file that is not in memory.
    let reads = |process: &mut FakeProcess| process.major_faults += 10_000;
    for change in [|_: &mut FakeProcess| (), kept, reads] {
        assert_eq!(came_back(false, change), touched, "page by page");
        assert_eq!(came_back(true, change), touched, "by the process's own figures, and not by blocks");
    }
}

#[test]
fn guards_leave_a_process_alone_before_anything_is_looked_at() {
    let idle: Script = |_, _| Access::IDLE;
    let pressure = Some(Pressure { some_avg10: Share::of_hundredths(2001), ..Pressure::default() });
    let group = |bound, used| Some(GroupUse { bound, used });
    let none = GroupLimits::default();
    for (task, pressure, groups, want) in [
        (
            "",
            pressure,
            none,
            Some(SkipReason::Pressure { some: Share::of_hundredths(2001), most: Share::of_percent(20) }),
        ),
        ("max_pressure=20.01", pressure, none, None),
        ("max_pressure=none", pressure, none, None),
        (
            "",
            None,
            GroupLimits { swap: group(0, 0), ..none },
            Some(SkipReason::GroupSwap(GroupUse { bound: 0, used: 0 })),
        ),
        (
            "",
            None,
            GroupLimits { protection: group(900, 800), ..none },
            Some(SkipReason::GroupProtected(GroupUse { bound: 900, used: 800 })),
        ),
    ] {
        let machine = machine(idle);
        machine.set_pressure(pressure);
        machine.set_groups(groups);
        let report = work(task).step(&machine.kernel(), &FakePacer::endless());
        match want {
            Some(hold) => assert_eq!(only(&report), &ProcessResult::Skipped(hold)),
            None => assert_eq!(scanned(&report).outcome.applied, PAGES as u64 * PAGE, "{task}"),
        }
        assert_eq!(machine.process(42).unwrap().armed == 0, want.is_some());
    }
}

#[test]
fn guards_bound_what_leaves() {
    let idle: Script = |_, _| Access::IDLE;
    let group = |bound, used| Some(GroupUse { bound, used });
    let none = GroupLimits::default();
    let most = |pages: u64| 64 * (1 << 30) / 100 * 80 - pages * PAGE;
    for (name, groups, used, pages, bound) in [
        ("swap of the group", GroupLimits { swap: group(700 * PAGE, 0), ..none }, 0, 700, Bound::GroupSwap),
        (
            "promise",
            GroupLimits { protection: group(PAGE, 501 * PAGE), ..none },
            0,
            500,
            Bound::GroupProtected,
        ),
        ("swap", none, most(100), 100, Bound::Swap),
    ] {
        let machine = machine(idle);
        machine.set_groups(groups);
        let roomy = FakeMachine::roomy();
        machine.set_memory(MemoryState { swap_free: roomy.swap_free - used, ..roomy });
        let report = work("").step(&machine.kernel(), &FakePacer::endless());
        assert!(out(&machine).abs_diff(pages) <= 1, "{name}: {} pages", out(&machine));
        assert_eq!(scanned(&report).bound, Some(bound), "{name}");
        let outcome = &scanned(&report).outcome;
        assert_eq!(outcome.applied + outcome.over_budget, PAGES as u64 * PAGE, "{name}");
        assert!(scanned(&report).to_string().contains(&bound.to_string()), "{name}");
    }
}

#[test]
fn locked_memory_is_not_even_looked_at() {
    let machine = machine(|_, _| Access::IDLE);
    let locked = AddressRange::new(START + 100 * PAGE, START + 300 * PAGE);
    machine.change(42, |process| process.locked.push(locked));
    let report = work("").step(&machine.kernel(), &FakePacer::endless());
    let pages = machine.process(42).unwrap().swapped_pages();
    assert_eq!(pages, (0..PAGES).filter(|page| !(100..300).contains(page)).collect::<Vec<_>>());
    assert_eq!(scanned(&report).locked, 200 * PAGE);
    assert!(scanned(&report).to_string().contains("locked 800 KiB"));
}

#[test]
fn a_pid_that_was_given_away_is_never_acted_on() {
    let machine = machine(|_, _| Access::IDLE);
    let mut work = work("");
    let pacer = FakePacer::endless();
    // Another process has the number from the second cycle on: what was known of the first is not used.
    work.step(&machine.kernel(), &pacer);
    machine.change(42, |process| {
        let start = process.id.start_time + 1;
        *process = FakeProcess::new(42, "other", START, PAGES, |_, _| Access::READ);
        process.id.start_time = start;
    });
    let report = work.step(&machine.kernel(), &pacer);
    assert_eq!((out(&machine), scanned(&report).history.refaulted), (0, 0), "nothing of it ever left");
}
