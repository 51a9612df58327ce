//! Slide over a scripted machine: exactly the cold pages leave, and if none do, the report has the reason.

#![expect(clippy::unwrap_used, clippy::wildcard_enum_match_arm, reason = "a test fails by panicking")]

use etmem_core::guard::SkipReason;
use etmem_core::kernel::memory::MemoryState;
use etmem_core::kernel::pacer::{Pace, Pacer};
use etmem_core::kernel::probe::Access;
use etmem_core::kernel::process::{Gone, ProcessError, ProcessId, Target};
use etmem_core::plan::Ended;
use etmem_engine::slide::Scanned;
use etmem_engine::{EngineError, ProcessResult, ScanLocks, StepReport, TaskRunner, engine, figures};
use etmem_testkit::fake::{FakeMachine, FakePacer, FakeProcess, FakeSwapCache};
use std::path::Path;
use std::time::Duration;

const PAGES: usize = 3000;
const START: u64 = 0x7f00_0000_3000;

/// Every fifth page is read in every window, page 7 is written in the first, the rest is idle.
fn every_fifth(page: u64, window: u64) -> Access {
    match (page, window) {
        (7, 0) => Access::WRITTEN,
        _ if page.is_multiple_of(5) => Access::READ,
        _ => Access::IDLE,
    }
}

fn work(project: &str, task: &str, turns: &ScanLocks) -> Result<Box<dyn TaskRunner>, EngineError> {
    let text = format!(
        "[project]\nname=p\nscan_type=page\n{project}\n[engine]\nproject=p\nname=slide\n\
         [task]\nproject=p\nengine=slide\nname=t\n{task}\n"
    );
    let file = etmem_config::parse(Path::new("test.yaml"), &text, &etmem_engine::keys()).unwrap();
    engine(&file.engines[0], turns).unwrap().work(&file.projects[0], &file.tasks[0])
}

fn usual(task: &str) -> Box<dyn TaskRunner> {
    // What a cycle says is enough; `tests/by_age.rs` has the ages.
    work("loop=3\ninterval=1\nsleep=5", &format!("{task}\nage=none"), &ScanLocks::default()).unwrap()
}

fn machine(script: fn(u64, u64) -> Access) -> FakeMachine {
    FakeMachine::new(FakeMachine::roomy(), vec![FakeProcess::new(42, "mysqld", START, PAGES, script)])
}

fn pages(want: impl Fn(usize) -> bool) -> Vec<usize> {
    (0..PAGES).filter(|&page| want(page)).collect()
}

fn swapped(machine: &FakeMachine, pid: u32) -> Vec<usize> {
    machine.process(pid).unwrap().swapped_pages()
}

fn only(report: &StepReport) -> &ProcessResult {
    assert_eq!(report.processes.len(), 1, "{report:?}");
    &report.processes[0].result
}

fn scanned(report: &StepReport) -> &Scanned {
    only(report);
    report.processes[0].text.value().unwrap_or_else(|| panic!("{report:?}"))
}

#[test]
fn the_cold_pages_leave_and_no_other() {
    for (threshold, cold) in [
        (0, Box::new(|_| false) as Box<dyn Fn(usize) -> bool>),
        (1, Box::new(|page| page != 7 && page % 5 != 0)),
        (3, Box::new(|page| page != 7 && page % 5 != 0)),
        (4, Box::new(|_| true)),
    ] {
        let machine = machine(every_fifth);
        let mut work = usual(&format!("type=pid\nvalue=42\nT={threshold}"));
        let pacer = FakePacer::endless();
        let report = work.step(&machine.kernel(), &pacer);
        let want = pages(cold);
        assert_eq!(swapped(&machine, 42), want, "T={threshold}");
        let scanned = scanned(&report);
        assert_eq!(scanned.present, PAGES as u64 * 4096);
        assert_eq!(scanned.outcome.applied, want.len() as u64 * 4096);
        assert_eq!(scanned.outcome.planned, scanned.outcome.applied);
        let watched = usize::from(!want.is_empty());
        let pauses = vec![Duration::from_secs(1); 3 + watched];
        assert_eq!(pacer.pauses(), pauses, "armed first, then three looks, then a sample is watched");
        assert_eq!(machine.process(42).unwrap().armed, 4);
    }
}

#[test]
fn later_cycles_begin_with_the_sleep_between_them() {
    let machine = machine(every_fifth);
    let mut work = usual("type=name\nvalue=mysqld\nT=1");
    let pacer = FakePacer::endless();
    work.step(&machine.kernel(), &pacer);
    work.step(&machine.kernel(), &pacer);
    // In the first, a sample is watched for a second more.
    assert_eq!(pacer.pauses(), [Duration::from_secs(1); 4 + 2]);
    assert_eq!(machine.process(42).unwrap().armed, 4 + 3);
    assert_eq!(work.period(), Duration::from_secs(5));
}

#[test]
fn a_phase_change_is_followed() {
    // From the fourth window on, the other pages are hot.
    fn script(page: u64, window: u64) -> Access {
        let hot = if window < 3 { page.is_multiple_of(2) } else { !page.is_multiple_of(2) };
        if hot { Access::READ } else { Access::IDLE }
    }
    let machine = machine(script);
    let mut work = usual("type=pid\nvalue=42\nT=1\nmax_refault=none");
    work.step(&machine.kernel(), &FakePacer::endless());
    assert_eq!(swapped(&machine, 42), pages(|page| page % 2 == 1));
    work.step(&machine.kernel(), &FakePacer::endless());
    assert_eq!(swapped(&machine, 42), pages(|page| page % 2 == 0));
}

#[test]
fn anon_only_leaves_private_mappings_of_files_alone() {
    for (written, inode, out) in [("yes", 7, 0), ("yes", 0, PAGES), ("no", 7, PAGES), ("no", 0, PAGES)] {
        let machine = machine(|_, _| Access::IDLE);
        machine.change(42, |process| process.mapping.inode = inode);
        let mut work = usual(&format!("type=pid\nvalue=42\nT=1\nanon_only={written}"));
        work.step(&machine.kernel(), &FakePacer::endless());
        assert_eq!(swapped(&machine, 42).len(), out, "anon_only={written}, inode {inode}");
    }
}

#[test]
fn dram_percent_keeps_the_hottest() {
    fn script(page: u64, _: u64) -> Access {
        if page < 600 { Access::WRITTEN } else { Access::IDLE }
    }
    for (percent, out) in [(60, 1200), (20, 2400), (10, 2700), (100, 0)] {
        let machine = machine(script);
        let mut work = usual(&format!("type=pid\nvalue=42\nT=1\ndram_percent={percent}"));
        work.step(&machine.kernel(), &FakePacer::endless());
        let swapped = swapped(&machine, 42);
        assert!(swapped.len().abs_diff(out) <= 1, "{percent} %: {} pages left", swapped.len());
        let hot = swapped.iter().filter(|page| **page < 600).count();
        assert_eq!(hot, swapped.len().saturating_sub(2400), "cold pages first");
    }
}

#[test]
fn descendants_are_found_and_worked_on_at_once() {
    let mut processes = vec![FakeProcess::new(42, "mysqld", START, PAGES, every_fifth)];
    for pid in 43..50 {
        processes.push(FakeProcess::new(pid, "worker", START, PAGES, every_fifth).child_of(pid - 1));
    }
    processes.push(FakeProcess::new(60, "stranger", START, PAGES, every_fifth));
    let machine = FakeMachine::new(FakeMachine::roomy(), processes);
    let mut work = usual("type=name\nvalue=mysqld\nT=1\nmax_threads=3");
    let report = work.step(&machine.kernel(), &FakePacer::timeless());
    assert_eq!(report.processes.len(), 8);
    assert!(report.processes.windows(2).all(|pair| pair[0].process < pair[1].process));
    for pid in 42..50 {
        let cold = pages(|page| page != 7 && page % 5 != 0);
        assert!(swapped(&machine, pid) == cold, "{pid}: {report:?}");
    }
    assert_eq!(swapped(&machine, 60), Vec::<usize>::new());
}

#[test]
fn processes_share_their_windows() {
    let process = |pid| FakeProcess::new(pid, "worker", START, PAGES, every_fifth);
    for threads in [1, 4] {
        let machine = FakeMachine::new(FakeMachine::roomy(), (42..92).map(process).collect());
        let mut work = usual(&format!("type=name\nvalue=worker\nT=1\nmax_threads={threads}\nmax_rate=none"));
        let pacer = FakePacer::timeless();
        let report = work.step(&machine.kernel(), &pacer);
        assert_eq!(report.processes.len(), 50);
        // Three between arming and looks, and one in which the samples are watched.
        assert_eq!(pacer.pauses(), [Duration::from_secs(1); 4], "one wait for all, as for one process");
        assert_eq!(work.so_far().get().looked_at, 50);
        let whole = PAGES as u64 * 4096;
        assert_eq!(work.so_far().get().scanned_bytes, 50 * whole, "by the first look");
    }
}

#[test]
fn a_process_that_is_lost_is_an_outcome() {
    for (window, error) in [(0, ProcessError::Exited), (1, ProcessError::Replaced), (3, ProcessError::Exited)]
    {
        let mut dying = FakeProcess::new(42, "mysqld", START, PAGES, every_fifth);
        dying.end = Some((window, error.clone()));
        let other = FakeProcess::new(43, "mysqld", START, PAGES, every_fifth);
        let machine = FakeMachine::new(FakeMachine::roomy(), vec![dying, other]);
        let mut work = usual("type=name\nvalue=mysqld\nT=1");
        let report = work.step(&machine.kernel(), &FakePacer::endless());
        let lost = match &report.processes[0].result {
            ProcessResult::Lost(lost) => lost.clone(),
            ProcessResult::WorkedOn(_) => {
                let scanned: &Scanned = report.processes[0].text.value().unwrap();
                match &scanned.outcome.ended {
                    Some(Ended::Process(lost)) => lost.clone(),
                    other => panic!("{other:?}"),
                }
            }
            other => panic!("{other:?}"),
        };
        assert_eq!(lost, error);
        assert!(matches!(report.processes[1].result, ProcessResult::WorkedOn(_)), "the next one is served");
    }
}

#[test]
fn a_stop_ends_the_cycle_at_the_next_wait() {
    for pauses in 0..3 {
        let machine = machine(every_fifth);
        let mut work = usual("type=pid\nvalue=42\nT=1");
        let pacer = FakePacer::stopping_after(pauses);
        let report = work.step(&machine.kernel(), &pacer);
        assert_eq!(only(&report), &ProcessResult::Stopped);
        assert_eq!(pacer.pauses().len(), pauses + 1);
        assert!(swapped(&machine, 42).is_empty());
        // What was seen is lost, so the next cycle arms again.
        let pacer = FakePacer::endless();
        work.step(&machine.kernel(), &pacer);
        assert_eq!(pacer.pauses().len(), 3 + 1);
    }
}

#[test]
fn a_stop_while_a_sample_is_watched_counts_what_left() {
    let machine = machine(every_fifth);
    let mut work = usual("type=pid\nvalue=42\nT=1");
    let report = work.step(&machine.kernel(), &FakePacer::stopping_after(3));
    let outcome = &scanned(&report).outcome;
    assert_eq!(outcome.ended, Some(Ended::Stopped));
    assert_eq!(outcome.applied, swapped(&machine, 42).len() as u64 * 4096);
    assert_eq!(outcome.applied, 64 * 4096);
}

#[test]
fn reasons_for_leaving_a_process_alone() {
    let gib = 1 << 30;
    let roomy = FakeMachine::roomy();
    let resident = PAGES as u64 * 4096;
    for (memory, project, task, want) in [
        (MemoryState { swap_total: 0, swap_free: 0, ..roomy }, "", "", SkipReason::NoSwap),
        (MemoryState { swap_free: 0, available: 0, ..roomy }, "", "", SkipReason::SwapFull),
        (
            MemoryState { swap_free: 0, ..roomy },
            "",
            "",
            SkipReason::SwapFullMemoryFine { available: roomy.available },
        ),
        (
            MemoryState { swap_free: roomy.swap_total / 4, ..roomy },
            "",
            "max_swap_use=75",
            SkipReason::SwapUse { used_percent: 75, most: 75 },
        ),
        (roomy, "sysmem_threshold=50", "", SkipReason::MemoryFree { free_percent: 50, below: 50 }),
        (roomy, "sysmem_threshold=51", "swap_threshold=1g", SkipReason::Small { resident, above: gib }),
        (roomy, "sysmem_threshold=0", "", SkipReason::MemoryFree { free_percent: 50, below: 0 }),
    ] {
        let machine = machine(every_fifth);
        machine.set_memory(memory);
        let project = format!("loop=1\ninterval=1\nsleep=1\n{project}");
        let task = format!("type=pid\nvalue=42\nT=1\n{task}");
        let mut work = work(&project, &task, &ScanLocks::default()).unwrap();
        let report = work.step(&machine.kernel(), &FakePacer::endless());
        assert_eq!(only(&report), &ProcessResult::Skipped(want));
        assert_eq!(machine.process(42).unwrap().armed, 0, "its accessed bits are left alone, too");
    }
}

#[test]
fn a_dry_run_plans_and_moves_nothing() {
    let machine = machine(every_fifth);
    machine.set_memory(MemoryState { swap_free: 100 * 4096, ..FakeMachine::roomy() });
    let mut work = usual("type=pid\nvalue=42\nT=1\ndry_run=yes\nmax_swap_use=100");
    let notes = work.notes(&machine.kernel());
    assert_eq!(notes, ["task t: dry_run=yes: it looks and plans, and moves nothing"]);
    let report = work.step(&machine.kernel(), &FakePacer::endless());
    let scanned = scanned(&report);
    let rehearsal = scanned.rehearsal.unwrap();
    let cold = pages(|page| page != 7 && page % 5 != 0).len() as u64;
    assert_eq!(scanned.outcome.planned, cold * 4096);
    assert_eq!(
        (rehearsal.bytes, rehearsal.ranges),
        (100 * 4096, 27),
        "runs of four, but two shorter ones around page 7"
    );
    assert_eq!(scanned.outcome.over_budget, (cold - 100) * 4096);
    assert_eq!((scanned.outcome.tried, swapped(&machine, 42)), (0, Vec::new()));
    assert_eq!(machine.process(42).unwrap().armed, 4, "it does clear accessed bits");
}

#[test]
fn the_time_over_which_touches_are_seen() {
    let machine = machine(every_fifth);
    let mut work = usual("type=pid\nvalue=42\nT=1");
    // One clock for both cycles, as a task has: a first one of three intervals, then the second for which a sample was watched,
    // a sleep and two intervals.
    let pacer = FakePacer::endless();
    for want in [3, 1 + 5 + 2] {
        let report = work.step(&machine.kernel(), &pacer);
        let scanned = scanned(&report);
        assert_eq!(scanned.window, Duration::from_secs(want));
        assert_eq!(pacer.pause(work.period()), Pace::Continue);
    }
}

#[test]
fn what_swap_cannot_take_stays() {
    let machine = machine(every_fifth);
    machine.set_memory(MemoryState { swap_free: 100 * 4096, ..FakeMachine::roomy() });
    let mut work = usual("type=pid\nvalue=42\nT=1\nmax_swap_use=100");
    let report = work.step(&machine.kernel(), &FakePacer::endless());
    assert_eq!(swapped(&machine, 42).len(), 100);
    let scanned = scanned(&report);
    assert_eq!(scanned.outcome.over_budget, scanned.outcome.planned - 100 * 4096);
}

#[test]
fn what_a_person_should_know_at_the_start() {
    let empty = FakeMachine::new(MemoryState::default(), Vec::new());
    let work = work(
        "loop=1\ninterval=1\nsleep=1\nswapcache_high_wmark=5\nswapcache_low_wmark=3",
        "type=name\nvalue=mysqld\nT=1\nmax_threads=9999",
        &ScanLocks::default(),
    )
    .unwrap();
    let notes = work.notes(&empty.kernel());
    for (note, words) in notes.iter().zip([
        "task t: max_threads=9999 is more than",
        "task t: swapcache watermarks have no effect",
        "task t: no process named mysqld yet; waiting for it",
        "task t: this machine has no swap",
    ]) {
        assert!(note.starts_with(words), "{note}");
    }
    assert_eq!(notes.len(), 4);
    assert_eq!(usual("type=pid\nvalue=42\nT=1").notes(&machine(every_fifth).kernel()), Vec::<String>::new());
}

#[test]
fn the_swap_cache_is_reclaimed_above_its_high_watermark() {
    let machine = machine(every_fifth).with_swap_cache();
    let mut work = work(
        "loop=1\ninterval=1\nsleep=1\nswapcache_high_wmark=5\nswapcache_low_wmark=3",
        "type=pid\nvalue=42\nT=1",
        &ScanLocks::default(),
    )
    .unwrap();
    assert!(work.notes(&machine.kernel()).is_empty() && work.sets_in_kernel(&machine.kernel()));
    let asked = |watermarks, reclaims, ends| Some(FakeSwapCache { watermarks, reclaims, ends });
    let total = FakeMachine::roomy().total;
    for (swap_cached, want) in [
        (total / 20, asked(None, 0, 0)),
        (total / 20 + 4096, asked(Some((3, 5)), 1, 0)),
        (total, asked(Some((3, 5)), 2, 0)),
        (0, asked(Some((3, 5)), 2, 0)),
    ] {
        machine.set_memory(MemoryState { swap_cached, ..FakeMachine::roomy() });
        work.step(&machine.kernel(), &FakePacer::endless());
        assert_eq!(machine.swap_cache(), want, "{swap_cached} bytes");
    }
    for _ in 0..2 {
        work.end(&machine.kernel()).unwrap();
        assert_eq!(machine.swap_cache(), asked(Some((3, 5)), 2, 1), "ended once");
    }
}

/// The task was added while process 42 was another one.
#[test]
fn a_number_that_another_process_has_by_now() {
    let machine = machine(every_fifth);
    let first = machine.process(42).unwrap().id;
    let text = "[project]\nname=p\nscan_type=page\nloop=3\ninterval=1\nsleep=5\n[engine]\nproject=p\nname=slide\n\
                [task]\nproject=p\nengine=slide\nname=t\ntype=pid\nvalue=42\nT=1\nage=none\n";
    let mut file = etmem_config::parse(Path::new("test.yaml"), text, &etmem_engine::keys()).unwrap();
    file.tasks[0].target = Target::Process(first);
    let slide = engine(&file.engines[0], &ScanLocks::default()).unwrap();
    let mut work = slide.work(&file.projects[0], &file.tasks[0]).unwrap();
    assert_eq!(work.notes(&machine.kernel()), Vec::<String>::new());
    let report = work.step(&machine.kernel(), &FakePacer::endless());
    assert_eq!((report.gone, report.processes.len()), (None, 1));
    let was_out = swapped(&machine, 42);
    assert!(!was_out.is_empty());

    let child = FakeProcess::new(43, "child", START, 10, |_, _| Access::IDLE).child_of(42);
    for process in
        [FakeProcess { id: ProcessId { start_time: 2000, ..first }, ..machine.process(42).unwrap() }, child]
    {
        machine.start(FakeProcess { swapped: vec![false; process.swapped.len()], armed: 0, ..process });
    }
    let gone = Gone::Reused(first.pid);
    for _ in 0..3 {
        let report = work.step(&machine.kernel(), &FakePacer::endless());
        let expected = StepReport { gone: Some(gone), ..StepReport::default() };
        assert_eq!(format!("{report:?}"), format!("{expected:?}"));
    }
    assert_eq!(work.notes(&machine.kernel()), [format!("task t: {gone}")]);
    for pid in [42, 43] {
        let process = machine.process(pid).unwrap();
        assert_eq!((process.swapped_pages(), process.armed), (Vec::new(), 0), "{pid}");
    }
}

#[test]
fn what_does_not_go_together_is_refused() {
    let error =
        work("loop=3\ninterval=1\nsleep=1", "type=pid\nvalue=1\nT=10", &ScanLocks::default()).unwrap_err();
    assert_eq!(error.to_string(), "[task] T=10: must be 0..=9 (3 times loop=3 of project p)");
    assert!(work("loop=3\ninterval=1\nsleep=1", "type=pid\nvalue=1\nT=9", &ScanLocks::default()).is_ok());
}

#[test]
fn the_second_scanner_of_a_process_arms_again() {
    let machine = machine(every_fifth);
    let turns = ScanLocks::default();
    let page_scan = "loop=1\ninterval=1\nsleep=1";
    let mut first = work(page_scan, "type=pid\nvalue=42\nT=0", &turns).unwrap();
    let mut second = work(page_scan, "type=name\nvalue=mysqld\nT=0", &turns).unwrap();
    let mut armed = Vec::new();
    for firsts in [true, true, false, true, true] {
        let work = if firsts { &mut first } else { &mut second };
        let before = machine.process(42).unwrap().armed;
        work.step(&machine.kernel(), &FakePacer::endless());
        armed.push(machine.process(42).unwrap().armed - before);
    }
    assert_eq!(armed, [2, 1, 2, 2, 1]);
}

#[test]
fn control_groups_as_a_target_mean_all_their_processes_and_are_summed_up() {
    let process = |pid, comm: &str, group: &str| FakeProcess {
        group: group.to_owned(),
        ..FakeProcess::new(pid, comm, START, PAGES, |_, _| Access::IDLE)
    };
    let machine = FakeMachine::new(
        FakeMachine::roomy(),
        vec![
            process(10, "a process with a long name", "system.slice/db.service"),
            process(11, "db", "system.slice/db.service/worker"),
            process(12, "web", "system.slice/a-much-longer-name-than-fifteen.service"),
            process(13, "other", "user.slice/db.service"),
        ],
    );
    let mut task = usual("type=cgroup\nvalue=system.slice/*\nT=1\nmax_refault=none\nmax_rate=none");
    let report = task.step(&machine.kernel(), &FakePacer::endless());
    let groups = report.by_group();
    let sums: Vec<_> = groups
        .iter()
        .map(|(group, figures)| (*group, figures.get(&figures::FOUND), figures.get(&figures::MOVED)))
        .collect();
    let bytes = |pages: usize| Some(pages as u64 * 4096);
    let want = [
        ("system.slice/a-much-longer-name-than-fifteen.service", Some(1), bytes(PAGES)),
        ("system.slice/db.service", Some(2), bytes(2 * PAGES)),
    ];
    assert_eq!(sums, want);
    assert_eq!(swapped(&machine, 13), Vec::<usize>::new());
    let none = FakeMachine::new(FakeMachine::roomy(), Vec::new());
    assert_eq!(task.notes(&none.kernel()), ["task t: no control group system.slice/* yet; waiting for it"]);
}
