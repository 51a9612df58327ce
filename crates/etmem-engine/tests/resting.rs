//! A task of slide that has nothing to decide looks rarely, and is back at its own pace as soon as there is something.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use etmem_core::kernel::pacer::Pacer;
use etmem_core::kernel::probe::Access;
use etmem_engine::figures::{MOVED, REFAULTED};
use etmem_engine::{ScanLocks, engine};
use etmem_testkit::fake::{FakeMachine, FakePacer, FakeProcess, Script};
use std::path::Path;
use std::time::Duration;

const PAGES: usize = 3000;
const START: u64 = 0x7f00_0000_0000;
const SLEEP: Duration = Duration::from_secs(5);
const HOUR: Duration = Duration::from_secs(3600);

/// When a cycle began, how long after it the next does, and bytes that left or refaulted in it.
struct Cycle {
    at: Duration,
    wait: Duration,
    moved: u64,
    refaulted: u64,
}

/// The cycles of an hour.
fn hour(script: Script, lines: &str) -> Vec<Cycle> {
    let machine =
        FakeMachine::new(FakeMachine::roomy(), vec![FakeProcess::new(42, "mysqld", START, PAGES, script)]);
    let (kernel, pacer) = (machine.kernel(), FakePacer::endless());
    let text = format!(
        "[project]\nname=p\nscan_type=page\nloop=3\ninterval=1\nsleep=5\n[engine]\nproject=p\nname=slide\n\
         [task]\nproject=p\nengine=slide\nname=t\ntype=pid\nvalue=42\nT=1\n{lines}\n"
    );
    let file = etmem_config::parse(Path::new("test.yaml"), &text, &etmem_engine::keys()).unwrap();
    let engine = engine(&file.engines[0], &ScanLocks::default()).unwrap();
    let mut task = engine.work(&file.projects[0], &file.tasks[0]).unwrap();
    let mut cycles = Vec::new();
    while pacer.now() < HOUR {
        let at = pacer.now();
        let report = task.step(&kernel, &pacer);
        let of = |row| report.processes[0].figures.get(row).unwrap_or(0);
        cycles.push(Cycle { at, wait: task.period(), moved: of(&MOVED), refaulted: of(&REFAULTED) });
        let _ = pacer.pause(task.period());
    }
    cycles
}

#[test]
fn an_idle_program_is_looked_at_rarely() {
    let cycles = hour(|_, _| Access::IDLE, "");
    let out: u64 = cycles.iter().map(|cycle| cycle.moved).sum();
    assert_eq!(out, (PAGES * 4096) as u64);
    assert!(
        cycles.iter().take(30).all(|cycle| cycle.wait == SLEEP),
        "little has happened for too short a time"
    );
    let late: Vec<_> = cycles.iter().filter(|cycle| cycle.at > HOUR / 2).collect();
    assert!(late.iter().all(|cycle| cycle.wait == Duration::from_secs(30)));
    assert!((55..=62).contains(&late.len()), "{} cycles of one look in half an hour", late.len());
}

#[test]
fn what_comes_back_ends_the_rest_at_once() {
    // The windows of the first minutes are short; then there is one in half a minute.
    let cycles = hour(|_, window| if window == 150 { Access::WRITTEN } else { Access::IDLE }, "");
    let back = cycles.iter().position(|cycle| cycle.refaulted > 0).unwrap();
    assert!(cycles[back - 1].wait > SLEEP, "it rested");
    assert_eq!(cycles[back].refaulted, (PAGES * 4096) as u64);
    assert!(cycles[back..].iter().take(30).all(|cycle| cycle.wait <= SLEEP * 2), "and does no more");
}

#[test]
fn tasks_that_decide_by_a_cycle_never_rest() {
    for lines in ["age=none", "max_refault=none", "dry_run=yes"] {
        assert!(hour(|_, _| Access::IDLE, lines).iter().all(|cycle| cycle.wait == SLEEP), "{lines}");
    }
}
