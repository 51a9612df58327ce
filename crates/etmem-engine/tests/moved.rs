//! Moved means no longer resident, and a refault is a page that was read back: slide over a scripted machine whose kernel keeps,
//! frees and returns pages as it likes, and whose probe may be blind.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use etmem_core::feedback::BackOff;
use etmem_core::kernel::pacer::{Pace, Pacer};
use etmem_core::kernel::probe::Access;
use etmem_engine::figures::{FREED, MOVED, REFAULTED, Row};
use etmem_engine::slide::Scanned;
use etmem_engine::{Figures, ScanLocks, StepReport, TaskRunner, engine};
use etmem_testkit::fake::{FakeMachine, FakePacer, FakeProcess, Script};
use proptest::prelude::*;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

const PAGES: usize = 3000;
const START: u64 = 0x7f00_0000_3000;
const PAGE: u64 = 4096;

fn idle(_: u64, _: u64) -> Access {
    Access::IDLE
}

fn hot(_: u64, _: u64) -> Access {
    Access::READ
}

/// A third is hot, another in other windows.
fn wanders(page: u64, window: u64) -> Access {
    if page % 3 == window / 4 % 3 { Access::WRITTEN } else { Access::IDLE }
}

/// A few pages now and then.
fn beats(page: u64, window: u64) -> Access {
    if page.is_multiple_of(1000) && page / 1000 == window % 7 { Access::READ } else { Access::IDLE }
}

/// One page of a hundred is touched, each in a window of its own, as by a timer.
fn ticks(page: u64, window: u64) -> Access {
    if page.is_multiple_of(100) && page / 100 % 10 == window % 10 { Access::READ } else { Access::IDLE }
}

fn work(task: &str) -> Box<dyn TaskRunner> {
    let task = if task.contains("T=") { task.to_owned() } else { format!("{task}\nT=1") };
    let text = format!(
        "[project]\nname=p\nscan_type=page\nloop=1\ninterval=1\nsleep=1\n[engine]\nproject=p\nname=slide\n\
         [task]\nproject=p\nengine=slide\nname=t\ntype=pid\nvalue=42\nage=none\n{task}\n"
    );
    let file = etmem_config::parse(Path::new("test.yaml"), &text, &etmem_engine::keys()).unwrap();
    engine(&file.engines[0], &ScanLocks::default()).unwrap().work(&file.projects[0], &file.tasks[0]).unwrap()
}

fn machine(pages: usize, script: Script) -> FakeMachine {
    FakeMachine::new(FakeMachine::roomy(), vec![FakeProcess::new(42, "mysqld", START, pages, script)])
}

fn scanned(report: &StepReport) -> Scanned {
    report.processes[0].text.value::<Scanned>().unwrap_or_else(|| panic!("{report:?}")).clone()
}

/// The reports of `cycles` cycles.
fn run(machine: &FakeMachine, task: &str, cycles: usize) -> Vec<Scanned> {
    let (mut work, pacer) = (work(task), FakePacer::endless());
    let reports = (0..cycles).map(|_| {
        let report = work.step(&machine.kernel(), &pacer);
        let _ = pacer.pause(work.period());
        report
    });
    reports.map(|report| scanned(&report)).collect()
}

fn sum(reports: &[Scanned], of: &'static Row) -> u64 {
    let process = machine(1, idle).process(42).unwrap().id;
    reports.iter().map(|scanned| scanned.clone().report(process).figures.get(of).unwrap_or(0)).sum()
}

#[derive(Debug, Clone)]
struct Life {
    script: Script,
    truth: Option<Script>,
    pinned: Vec<usize>,
    freed: Vec<usize>,
    goal: bool,
}

fn life() -> impl Strategy<Value = Life> {
    let scripts = || prop::sample::select(vec![idle as Script, hot, wanders, beats, ticks]);
    let pages = || {
        (0usize..PAGES, 1usize..9, 0usize..PAGES)
            .prop_map(|(first, step, count)| (first..PAGES).step_by(step).take(count).collect::<Vec<_>>())
    };
    (scripts(), prop::option::of(scripts()), pages(), pages(), any::<bool>()).prop_map(
        |(script, truth, pinned, freed, goal)| {
            // A page that is freed and used again before anybody looks is not told from one that was read back.
            let freed = if truth.is_some() { Vec::new() } else { freed };
            Life { script, truth, pinned, freed, goal }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]
    /// Whatever the kernel keeps, frees and returns: moved is what left, freed what was freed, refaulted what was read back.
    #[test]
    fn figures_say_what_happened(life in life()) {
        let machine = machine(PAGES, life.script);
        machine.change(42, |process| {
            process.truth = life.truth;
            process.pinned.extend(life.pinned.iter().copied());
            process.lazily_freed.extend(life.freed.iter().copied());
        });
        let mut reports = run(&machine, if life.goal { "" } else { "max_refault=none" }, 12);
        let is_held = reports.iter().any(|scanned| matches!(scanned.feedback.back_off, BackOff::Paused { .. }));
        let process = machine.process(42).unwrap();
        prop_assert_eq!(sum(&reports, &MOVED), process.paged_out * PAGE);
        let freed = life.freed.len() - process.lazily_freed.len();
        prop_assert_eq!(sum(&reports, &FREED), freed as u64 * PAGE);
        prop_assert!(!is_held || process.pages_read_back() > 0, "paused by pages that did not leave");
        // What came back after the last look is found by the next.
        let seen = sum(&reports, &REFAULTED);
        prop_assert!(seen <= process.pages_read_back() * PAGE);
        for scanned in reports.drain(..) {
            let outcome = &scanned.outcome;
            let kinds = outcome.applied + outcome.stayed + outcome.freed + outcome.vanished + outcome.refused;
            prop_assert_eq!(outcome.tried, kinds);
            let accounted = outcome.tried + outcome.touched + outcome.later + outcome.over_budget;
            prop_assert_eq!(accounted, outcome.planned);
        }
    }
}

/// What happens to a task from outside.
#[derive(Debug, Clone, Copy)]
enum Event {
    /// It is stopped, and started again later.
    Stop,
    SwapOff,
    SwapOn,
}

/// A clock by whose readings and waits events come, each at a number of them.
#[derive(Debug)]
struct Eventful {
    clock: FakePacer,
    machine: FakeMachine,
    events: Mutex<Vec<(u64, Event)>>,
    calls: AtomicU64,
    stopped: AtomicBool,
}

impl Eventful {
    fn happen(&self) {
        let calls = self.calls.fetch_add(1, Ordering::Relaxed);
        while let Some((_, event)) = self.events.lock().unwrap().pop_if(|(at, _)| *at <= calls) {
            match event {
                Event::Stop => self.stopped.store(true, Ordering::Relaxed),
                Event::SwapOff => self.machine.swap_off(),
                Event::SwapOn => self.machine.swap_on(FakeMachine::roomy()),
            }
        }
    }

    fn pace_or(&self, pace: Pace) -> Pace {
        if self.stopped.load(Ordering::Relaxed) { Pace::Stop } else { pace }
    }
}

impl Pacer for Eventful {
    fn pause(&self, duration: Duration) -> Pace {
        self.happen();
        self.pace_or(self.clock.pause(duration))
    }

    fn pace(&self) -> Pace {
        self.happen();
        self.pace_or(self.clock.pace())
    }

    fn now(&self) -> Duration {
        self.happen();
        self.clock.now()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]
    /// The same where the task is stopped and swap is taken away at any point of a cycle, several times.
    #[test]
    fn stops_and_swapoffs_change_no_figure(
        life in life(),
        mut events in prop::collection::vec(
            (0u64..700, prop::sample::select(vec![Event::Stop, Event::SwapOff, Event::SwapOn])),
            1..8,
        ),
    ) {
        let machine = machine(PAGES, life.script);
        machine.change(42, |process| {
            process.truth = life.truth;
            process.pinned.extend(life.pinned.iter().copied());
            process.lazily_freed.extend(life.freed.iter().copied());
        });
        events.sort_by_key(|(at, _)| std::cmp::Reverse(*at));
        let pacer = Eventful {
            clock: FakePacer::endless(),
            machine: machine.clone(),
            events: Mutex::new(events),
            calls: AtomicU64::default(),
            stopped: AtomicBool::default(),
        };
        let mut work = work(if life.goal { "max_rate=64m" } else { "max_refault=none" });
        let (mut sum, mut is_held) = (Figures::default(), false);
        for _ in 0..20 {
            let report = work.step(&machine.kernel(), &pacer);
            pacer.stopped.store(false, Ordering::Relaxed);
            let _ = pacer.pause(work.period());
            sum.add_all(&report.processes[0].figures);
            let scanned = report.processes[0].text.value::<Scanned>();
            is_held |= scanned.is_some_and(|scanned| matches!(scanned.feedback.back_off, BackOff::Paused { .. }));
        }
        let process = machine.process(42).unwrap();
        let figure = |row| sum.get(row).unwrap_or(0);
        prop_assert_eq!(figure(&MOVED), process.paged_out * PAGE);
        let freed = life.freed.len() - process.lazily_freed.len();
        prop_assert_eq!(figure(&FREED), freed as u64 * PAGE);
        prop_assert!(figure(&REFAULTED) <= process.pages_read_back() * PAGE);
        prop_assert!(!is_held || process.pages_read_back() > 0, "paused by pages that did not leave");
    }
}

#[test]
fn refaults_are_exactly_the_pages_read_back() {
    for script in [wanders as Script, beats, ticks] {
        let machine = machine(PAGES, script);
        let reports = run(&machine, "max_refault=none", 20);
        let back = machine.process(42).unwrap().pages_read_back();
        assert!(back > 0);
        assert_eq!(sum(&reports, &REFAULTED), back * PAGE);
    }
}

#[test]
fn a_kernel_that_keeps_a_third() {
    let machine = machine(PAGES, idle);
    machine.change(42, |process| process.pinned.extend((0..PAGES).step_by(3)));
    let kept = PAGES as u64 / 3 * PAGE;
    let reports = run(&machine, "", 40);
    assert_eq!(reports[0].outcome.applied, 2 * kept);
    assert_eq!(sum(&reports, &MOVED), 2 * kept);
    assert_eq!(sum(&reports, &REFAULTED), 0);
    let tried: Vec<usize> = (0..40).filter(|cycle| reports[*cycle].outcome.tried > 0).collect();
    assert!(tried.len() <= 4, "what stays is tried less and less often: {tried:?}");
    assert_eq!(reports[1].outcome.stayed, kept);
    assert_eq!((reports[2].outcome.planned, reports[2].history.kept), (0, kept));
    assert!(reports.iter().all(|scanned| scanned.feedback.back_off == BackOff::None));
}

#[test]
fn freed_pages_that_are_used_again_are_no_refaults() {
    let script: Script =
        |page, window| if window == 3 && page < 2000 { Access::WRITTEN } else { Access::IDLE };
    let machine = machine(PAGES, script);
    machine.change(42, |process| process.lazily_freed.extend(0..2000));
    let reports = run(&machine, "", 6);
    assert_eq!(reports[0].outcome.freed, 2000 * PAGE);
    assert_eq!(reports[0].outcome.applied, 1000 * PAGE);
    assert_eq!(sum(&reports, &REFAULTED), 0);
    assert!(reports.iter().all(|scanned| scanned.feedback.back_off == BackOff::None));
}

#[test]
fn at_most_8_mib_of_a_target_that_the_probe_is_blind_to_ever_leave() {
    // From 12 MiB to 4 GiB.
    for pages in [3000, 100_000, 1_000_000] {
        let machine = machine(pages, idle);
        machine.change(42, |process| process.truth = Some(hot));
        let reports = run(&machine, "max_refault=none", 10);
        let left = sum(&reports, &MOVED);
        assert!(left <= 8 << 20, "{pages} pages: {left} bytes");
        assert!(left <= (pages as u64 * PAGE / 100).max(64 * PAGE), "{pages} pages: {left} bytes");
        for scanned in reports {
            let blind = scanned.blind.unwrap();
            assert_eq!(blind.sample.left, blind.sample.back);
            let report = scanned.report(machine.process(42).unwrap().id);
            assert_eq!(report.reason.unwrap().name.word(), "probe_blind");
        }
    }
}

#[test]
fn pages_that_are_touched_and_leave_all_the_same_are_no_evidence() {
    // Read once in each window, so that T=3 calls them cold.
    let machine = machine(PAGES, hot);
    machine.change(42, |process| process.truth = Some(hot));
    let reports = run(&machine, "max_refault=none\nT=3", 5);
    assert_eq!(reports[0].outcome.applied, PAGES as u64 * PAGE);
    assert!(reports.iter().all(|scanned| scanned.blind.is_none()));
}

#[test]
fn where_a_hot_set_goes_blind_later_a_sample_of_it_leaves() {
    // Half is hot and seen; from the sixth cycle on, nothing is seen any more.
    let seen: Script = |page, window| if page < 1500 && window < 5 { Access::READ } else { Access::IDLE };
    let truth: Script = |page, _| if page < 1500 { Access::READ } else { Access::IDLE };
    let machine = machine(PAGES, seen);
    machine.change(42, |process| process.truth = Some(truth));
    let reports = run(&machine, "max_refault=none", 15);
    assert_eq!(reports[0].outcome.applied, 1500 * PAGE);
    let later = sum(&reports[1..], &MOVED);
    assert_eq!(later, 64 * PAGE, "one sample");
    assert!(reports[14].blind.is_some());
}

#[test]
fn idle_programs_are_out_after_three_cycles_and_stay_out() {
    let nothing: Script = idle;
    let heartbeat: Script = |page, _| if page < 3 { Access::WRITTEN } else { Access::IDLE };
    for (name, script, cold) in [
        ("nothing", nothing, PAGES),
        ("a heartbeat", heartbeat, PAGES - 3),
        ("ticks", ticks, PAGES - 30),
        ("beats", beats, PAGES - 3),
    ] {
        let machine = machine(PAGES, script);
        let reports = run(&machine, "", 200);
        let out = machine.process(42).unwrap().swapped_pages().len();
        assert!(out >= cold, "{name}: {out} of {cold} pages");
        let held = reports.iter().filter(|scanned| scanned.feedback.back_off != BackOff::None).count();
        assert_eq!(held, 0, "{name}");
        let left: u64 = reports[..3].iter().map(|scanned| scanned.outcome.applied).sum();
        assert!(left >= cold as u64 * PAGE, "{name}");
    }
}
