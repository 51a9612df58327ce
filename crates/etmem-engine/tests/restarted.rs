//! A task that goes on after a restart of the daemon: what is out is known to be out, and what is owed stays owed.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use etmem_core::kernel::pacer::{Pace, Pacer};
use etmem_core::kernel::probe::Access;
use etmem_engine::figures::{MOVED, REFAULTED, Row};
use etmem_engine::{ScanLocks, StepReport, TaskRunner, engine};
use etmem_testkit::fake::{FakeMachine, FakePacer, FakeProcess, Script};
use proptest::prelude::*;
use std::path::Path;
use std::time::Duration;

const PAGES: usize = 3000;
const START: u64 = 0x7f00_0000_3000;
const PAGE: u64 = 4096;
const CYCLES: usize = 14;

/// A third is hot, another third every eight windows.
fn wanders(page: u64, window: u64) -> Access {
    if page % 3 == window / 8 % 3 { Access::WRITTEN } else { Access::IDLE }
}

/// One page of a hundred is touched, each in a window of its own.
fn ticks(page: u64, window: u64) -> Access {
    if page.is_multiple_of(100) && page / 100 % 10 == window % 10 { Access::READ } else { Access::IDLE }
}

/// All of it is read in the tenth window, and nothing otherwise.
fn returns(_: u64, window: u64) -> Access {
    if window == 9 { Access::READ } else { Access::IDLE }
}

fn work(lines: &str) -> Box<dyn TaskRunner> {
    let text = format!(
        "[project]\nname=p\nscan_type=page\nloop=1\ninterval=1\nsleep=1\n[engine]\nproject=p\nname=slide\n\
         [task]\nproject=p\nengine=slide\nname=t\ntype=pid\nvalue=42\nT=1\n{lines}\n"
    );
    let file = etmem_config::parse(Path::new("test.yaml"), &text, &etmem_engine::keys()).unwrap();
    engine(&file.engines[0], &ScanLocks::default()).unwrap().work(&file.projects[0], &file.tasks[0]).unwrap()
}

fn machine(script: Script) -> FakeMachine {
    FakeMachine::new(FakeMachine::roomy(), vec![FakeProcess::new(42, "mysqld", START, PAGES, script)])
}

/// What happens before some of the cycles.
#[derive(Debug, Clone, Copy)]
enum Before {
    /// Another daemon takes over, which recalls what the last one wrote this time ago.
    Restart(Duration),
    /// As long passes as a new daemon needs to arm the process.
    Wait,
}

/// The figures `of` in each cycle; before those `at` these places something happens.
fn run(script: Script, lines: &str, at: &[usize], before: Before, of: &[&'static Row]) -> Vec<Vec<u64>> {
    let (machine, pacer) = (machine(script), FakePacer::endless());
    let kernel = machine.kernel();
    let mut runner = work(lines);
    let cycle = |runner: &mut Box<dyn TaskRunner>| {
        let report: StepReport = runner.step(&kernel, &pacer);
        let _ = pacer.pause(runner.period());
        of.iter().map(|row| report.processes[0].figures.get(row).unwrap_or(0)).collect()
    };
    let mut cycles = Vec::new();
    for number in 0..CYCLES {
        match before {
            _ if !at.contains(&number) => {}
            Before::Restart(gap) => {
                let known = runner.remembered(&kernel, true).unwrap();
                runner = work(lines);
                runner.recall(&known, gap, &kernel).unwrap();
            }
            Before::Wait => assert_eq!(pacer.pause(Duration::from_secs(1)), Pace::Continue),
        }
        cycles.push(cycle(&mut runner));
    }
    cycles
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]
    /// With any restarts all happens as it would without, at the same time.
    #[test]
    fn a_restart_changes_nothing(
        script in prop::sample::select(vec![wanders as Script, ticks, returns]),
        lines in prop::sample::select(vec!["age=none", "age=3s", "age=none\nmax_refault=none"]),
        restarts in prop::collection::vec(1..CYCLES, 0..4),
    ) {
        let figures = [&MOVED, &REFAULTED];
        let without = run(script, lines, &restarts, Before::Wait, &figures);
        prop_assert!(without.iter().any(|cycle| cycle[0] > 0), "nothing left");
        let with = run(script, lines, &restarts, Before::Restart(Duration::ZERO), &figures);
        prop_assert_eq!(with, without);
    }
}

#[test]
fn what_is_back_after_a_restart_has_refaulted() {
    let refaulted = |restarts: &[usize], gap: u64| -> u64 {
        let restart = Before::Restart(Duration::from_secs(gap));
        run(returns, "age=none\nmax_refault=none", restarts, restart, &[&REFAULTED])
            .iter()
            .map(|cycle| cycle[0])
            .sum()
    };
    let all = PAGES as u64 * PAGE;
    assert!(refaulted(&[], 0) * 10 > all * 9, "{}", refaulted(&[], 0));
    assert_eq!(refaulted(&[6], 0), refaulted(&[], 0));
    assert_eq!(refaulted(&[6], 500), refaulted(&[], 0));
}

#[test]
fn what_came_back_long_ago_is_not_held_against_it() {
    let long = Duration::from_secs(3600);
    let (machine, pacer) = (machine(returns), FakePacer::endless());
    let kernel = machine.kernel();
    let mut before = work("age=none");
    for _ in 0..6 {
        before.step(&kernel, &pacer);
    }
    let known = before.remembered(&kernel, true).unwrap();
    assert!(before.remembered(&kernel, false).is_none(), "no news since");
    // All of it is in memory by the time of the next daemon.
    machine.change(42, |process| {
        for page in process.swapped_pages() {
            process.swapped[page] = false;
            *process.read_back.entry(page).or_default() += 1;
        }
    });
    for (gap, want) in [(Duration::ZERO, true), (long, false)] {
        let mut after = work("age=none");
        after.recall(&known, gap, &kernel).unwrap();
        let report = after.step(&kernel, &pacer);
        let refaulted = report.processes[0].figures.get(&REFAULTED).unwrap_or(0);
        assert_eq!(refaulted > 0, want, "after {gap:?}: {refaulted}");
    }
}

#[test]
fn what_is_of_no_use_is_refused() {
    let (machine, pacer) = (machine(returns), FakePacer::endless());
    let kernel = machine.kernel();
    let mut before = work("age=none");
    before.step(&kernel, &pacer);
    let known = before.remembered(&kernel, true).unwrap();
    let refused = |lines: &str, known: &[u8]| work(lines).recall(known, Duration::ZERO, &kernel).unwrap_err();
    assert!(refused("age=30s", &known).contains("another length or kind"), "{}", refused("age=30s", &known));
    for cut in 0..known.len() {
        assert!(work("age=none").recall(&known[..cut], Duration::ZERO, &kernel).is_err(), "cut at {cut}");
    }
    machine.change(42, |process| process.comm = String::from("postgres"));
    assert!(refused("age=none", &known).contains("gone, or run other programs"));
}
