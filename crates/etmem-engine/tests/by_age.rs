//! A task of slide with the default age, over a scripted machine: when pages leave, and what is said of it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use etmem_core::feedback::BackOff;
use etmem_core::forecast::{Stage, Told};
use etmem_core::kernel::memory::SwapReads;
use etmem_core::kernel::pacer::Pacer;
use etmem_core::kernel::probe::Access;
use etmem_engine::slide::Scanned;
use etmem_engine::{Feedback, ProcessResult, ScanLocks, StepReport, TaskRunner, engine};
use etmem_testkit::fake::{FakeMachine, FakePacer, FakeProcess, Script};
use std::path::Path;
use std::time::Duration;

const PAGES: usize = 6000;
const START: u64 = 0x7f00_0000_3000;

fn work(task: &str) -> Box<dyn TaskRunner> {
    let text = format!(
        "[project]\nname=p\nscan_type=page\nloop=1\ninterval=1\nsleep=10\n[engine]\nproject=p\nname=slide\n\
         [task]\nproject=p\nengine=slide\nname=t\ntype=name\nvalue=mysqld\nT=1\n{task}\n"
    );
    let file = etmem_config::parse(Path::new("test.yaml"), &text, &etmem_engine::keys()).unwrap();
    engine(&file.engines[0], &ScanLocks::default()).unwrap().work(&file.projects[0], &file.tasks[0]).unwrap()
}

fn machine(script: Script) -> FakeMachine {
    FakeMachine::new(FakeMachine::roomy(), vec![FakeProcess::new(42, "mysqld", START, PAGES, script)])
}

/// The reports of `cycles` cycles, and how many pages were out after each.
fn run(machine: &FakeMachine, task: &str, cycles: usize) -> Vec<(StepReport, usize)> {
    let (mut work, pacer) = (work(task), FakePacer::endless());
    let mut reports = Vec::new();
    for _ in 0..cycles {
        let report = work.step(&machine.kernel(), &pacer);
        let _ = pacer.pause(work.period());
        reports.push((report, machine.process(42).unwrap().swapped_pages().len()));
    }
    reports
}

fn told(report: &StepReport) -> Told {
    let process = &report.processes[0];
    assert!(matches!(process.result, ProcessResult::WorkedOn(_)), "{report:?}");
    process.feedback.as_ref().unwrap().forecast.clone().unwrap()
}

#[test]
fn an_idle_program_is_out_within_five_cycles() {
    let machine = machine(|_, _| Access::IDLE);
    let reports = run(&machine, "", 5);
    let out: Vec<usize> = reports.iter().map(|(_, out)| *out).collect();
    assert_eq!((out[0], out[4]), (0, PAGES), "{out:?}");
    assert!(out[1] > 0 && out[1] < PAGES / 2, "little leaves first: {out:?}");
}

/// A third is always in use, a third each minute, a third never.
fn each_minute(page: u64, window: u64) -> Access {
    match page % 3 {
        0 => Access::WRITTEN,
        1 if window.is_multiple_of(6) => Access::READ,
        _ => Access::IDLE,
    }
}

#[test]
fn what_returns_each_minute_leaves_once_at_most_and_what_does_not_is_out() {
    let machine = machine(each_minute);
    let reports = run(&machine, "", 60);
    let refaulted = |reports: &[(StepReport, usize)]| -> u64 {
        let of = |report: &StepReport| report.processes[0].text.value::<Scanned>().unwrap().history.refaulted;
        reports.iter().map(|(report, _)| of(report)).sum()
    };
    let (last, out) = reports.last().unwrap();
    // The first minute is not over when the first pages leave.
    assert!(refaulted(&reports[..10]) <= PAGES as u64 / 3 * 4096);
    assert_eq!((refaulted(&reports[10..]), *out), (0, PAGES / 3));
    let told = told(last);
    assert!(told.age.unwrap() > Duration::from_secs(50), "{told:?}");
    assert!(
        told.offers.iter().any(|offer| offer.age < told.age.unwrap() && offer.of_goal.hundredths() > 10_000)
    );
}

#[test]
fn an_age_of_its_own_is_kept_to() {
    let machine = machine(each_minute);
    let reports = run(&machine, "age=30s", 4);
    let out: Vec<usize> = reports.iter().map(|(_, out)| *out).collect();
    assert_eq!(&out[..2], [0, 0], "{out:?}");
    assert_eq!(told(&reports[3].0).age, Some(Duration::from_secs(30)));
    assert!(out[3] > 0, "{out:?}");
}

#[test]
fn without_an_age_or_a_goal_it_acts_on_what_a_cycle_says() {
    for task in ["age=none", "max_refault=none"] {
        let machine = machine(|_, _| Access::IDLE);
        let reports = run(&machine, task, 1);
        assert_eq!(reports[0].1, PAGES, "{task}");
        assert_eq!(reports[0].0.processes[0].feedback.as_ref().unwrap().forecast, None);
    }
}

#[test]
fn a_dry_run_forecasts_all_that_would_leave() {
    let machine = machine(each_minute);
    let reports = run(&machine, "dry_run=yes", 60);
    let (last, out) = reports.last().unwrap();
    let scanned = last.processes[0].text.value::<Scanned>().unwrap();
    assert_eq!(*out, 0);
    assert_eq!(scanned.rehearsal.unwrap().bytes, PAGES as u64 / 3 * 4096, "{last:?}");
}

#[test]
fn a_surprise_is_said_and_what_follows_is_little() {
    // In use for three minutes in one half, then in the other.
    let machine =
        machine(|page, window| if (page % 2 == 0) == (window < 18) { Access::READ } else { Access::IDLE });
    let reports = run(&machine, "max_refault=0.2", 40);
    let trial = reports.iter().find(|(report, _)| matches!(told(report).stage, Stage::Trial(_)));
    let (report, _) = trial.unwrap();
    let events: Vec<String> = report.events.iter().map(|event| event.text.to_string()).collect();
    assert!(
        events.iter().any(|text| text.contains("more came back than max_refault or max_stall allows")),
        "{events:?}"
    );
}

/// Swap of which a read takes that long.
fn swap_that_takes(usual: Duration) -> Vec<SwapReads> {
    vec![SwapReads { id: 1, usual, used: 4096, is_next: true, ..SwapReads::default() }]
}

/// 48 pages return each minute. From compressed memory that is next to nothing; from a disk that takes its time it is too much, until it
/// is fast again.
#[test]
fn what_returns_may_as_far_as_waiting_for_it_takes_no_more_than_it_may() {
    let few = |page: u64, window: u64| match page % 3 {
        0 => Access::WRITTEN,
        _ if page % 250 == 1 && window.is_multiple_of(6) => Access::READ,
        _ => Access::IDLE,
    };
    let feedback = |report: &StepReport| report.processes[0].feedback.clone().unwrap();
    for (age, took, is_idle_out) in
        [("auto", 12, true), ("auto", 20_000, false), ("none", 12, true), ("none", 20_000, false)]
    {
        let machine = machine(few);
        machine.set_reads(swap_that_takes(Duration::from_micros(took)));
        let task = format!("age={age}");
        let (mut work, pacer) = (work(&task), FakePacer::endless());
        let mut cycles = |count: usize| {
            let mut last = None;
            for _ in 0..count {
                last = Some(work.step(&machine.kernel(), &pacer));
                let _ = pacer.pause(work.period());
            }
            last.unwrap()
        };
        let last = cycles(60);
        let told = feedback(&last);
        assert_eq!(told.max_stall, Some(Duration::from_millis(60)));
        let cost = told.refault_cost.unwrap();
        assert!(cost.as_micros().abs_diff(u128::from(took) + 9) <= 1, "{cost:?}");
        if age == "none" {
            assert_eq!(told.back_off == BackOff::None, is_idle_out, "{told:?}");
            continue;
        }
        let youngest = |told: &Feedback| told.forecast.as_ref().unwrap().age;
        let is_young = youngest(&told).is_some_and(|age| age < Duration::from_secs(60));
        assert_eq!(is_young, is_idle_out, "{told:?}");
        if !is_idle_out {
            // What was dear is not held against it for hours.
            machine.set_reads(swap_that_takes(Duration::from_micros(12)));
            let told = feedback(&cycles(180));
            assert!(youngest(&told).unwrap() < Duration::from_secs(60), "{told:?}");
        }
    }
}

#[test]
fn processes_of_a_task_share_what_leaves_first() {
    let processes =
        (42..50).map(|pid| FakeProcess::new(pid, "mysqld", START, PAGES, |_, _| Access::IDLE)).collect();
    let machine = FakeMachine::new(FakeMachine::roomy(), processes);
    let reports = run(&machine, "", 2);
    let left: usize = (42..50).map(|pid| machine.process(pid).unwrap().swapped_pages().len()).sum();
    assert!(left > 0 && left <= PAGES * 8 / 10, "{left} pages of {}", PAGES * 8);
    assert!(reports.len() == 2);
}
