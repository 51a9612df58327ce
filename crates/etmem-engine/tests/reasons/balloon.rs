//! Reasons of balloon.

use crate::case::machine_of;
use etmem_core::kernel::balloon::{BalloonError, GuestState, Reported};
use etmem_core::kernel::memory::MemoryState;
use etmem_core::kernel::pacer::Pacer;
use etmem_core::kernel::process::ProcessTable;
use etmem_engine::{Engine, ScanLocks, StepReport, TaskRunner, engine};
use etmem_testkit::fake::{FakeBalloon, FakeMachine, FakePacer};
use std::path::{Path, PathBuf};

const MIB: u64 = 1 << 20;

/// A project with a guest for each of these keys, beside the other tasks of `locks`.
fn runners(keys: &[&str], locks: &ScanLocks) -> Vec<Box<dyn TaskRunner>> {
    let tasks: String = (0..)
        .zip(keys)
        .map(|(number, keys)| {
            format!("[task]\nproject=p\nengine=balloon\nname=t{number}\ntype=pid\nvalue=42\nqmp_socket=/q\n{keys}\n")
        })
        .collect();
    let text = format!(
        "[project]\nname=p\nscan_type=none\ninterval=5\n[engine]\nproject=p\nname=balloon\nhost_pressure=none\n{tasks}"
    );
    let file = etmem_config::parse(Path::new("test.yaml"), &text, &etmem_engine::keys()).unwrap();
    let balloon: Box<dyn Engine> = engine(&file.engines[0], locks).unwrap();
    file.tasks.iter().map(|task| balloon.work(&file.projects[0], task).unwrap()).collect()
}

/// A host that is short of memory, with a guest that has much.
fn machine(change: impl FnOnce(&mut FakeBalloon)) -> FakeMachine {
    let machine = machine_of();
    machine.set_memory(MemoryState { available: 1 << 30, ..FakeMachine::roomy() });
    let reported = Reported { at: 1, available: 400 * MIB, major_faults: Some(0), swapped_in: Some(0) };
    machine.change_balloon(|balloon| {
        balloon.state =
            GuestState { size: 512 * MIB, actual: 512 * MIB, halted: None, reported: Some(reported) };
        change(balloon);
    });
    machine
}

/// Rounds, with a change before each.
fn rounds(machine: &FakeMachine, keys: &str, changes: &[fn(&FakeMachine)]) -> Vec<StepReport> {
    let (mut work, pacer) = (runners(&[keys], &ScanLocks::default()).remove(0), FakePacer::endless());
    let mut last = None;
    for change in changes {
        change(machine);
        last = Some(work.step(&machine.kernel(), &pacer));
        let _ = pacer.pause(work.period());
    }
    last.into_iter().collect()
}

const NO_CHANGE: fn(&FakeMachine) = |_| {};

fn fails(error: BalloonError) -> Vec<StepReport> {
    rounds(&machine(|balloon| balloon.fails = Some(error)), "", &[NO_CHANGE])
}

fn socket() -> PathBuf {
    "/q".into()
}

pub(crate) fn absent() -> Vec<StepReport> {
    fails(BalloonError::Absent { socket: socket(), reason: "No such file or directory".into() })
}

pub(crate) fn taken() -> Vec<StepReport> {
    fails(BalloonError::Taken(socket()))
}

pub(crate) fn lost() -> Vec<StepReport> {
    fails(BalloonError::Lost { socket: socket(), reason: "closed".into() })
}

pub(crate) fn garbled() -> Vec<StepReport> {
    fails(BalloonError::Garbled { socket: socket(), said: "hello".into() })
}

pub(crate) fn refused() -> Vec<StepReport> {
    fails(BalloonError::Refused { socket: socket(), command: "balloon", reason: "GenericError: no".into() })
}

pub(crate) fn no_device() -> Vec<StepReport> {
    fails(BalloonError::NoDevice(socket()))
}

pub(crate) fn silent() -> Vec<StepReport> {
    rounds(&machine(|balloon| balloon.state.reported = None), "", &[NO_CHANGE])
}

pub(crate) fn stale() -> Vec<StepReport> {
    rounds(&machine(|balloon| balloon.is_silent = true), "", &[NO_CHANGE; 5])
}

pub(crate) fn halted() -> Vec<StepReport> {
    rounds(&machine(|balloon| balloon.state.halted = Some("the guest migrates".into())), "", &[NO_CHANGE])
}

/// A descendant of the process that the task names.
pub(crate) fn unclear() -> Vec<StepReport> {
    let machine = machine(|_| {});
    let mut child = machine.process(42).unwrap();
    child.id.pid = etmem_core::kernel::process::Pid::new(43).unwrap();
    child.parent = etmem_core::kernel::process::Pid::new(42);
    machine.start(child);
    rounds(&machine, "", &[NO_CHANGE])
}

pub(crate) fn needs() -> Vec<StepReport> {
    let needs: fn(&FakeMachine) = |machine| {
        machine.change_balloon(|balloon| {
            if let Some(reported) = &mut balloon.state.reported {
                reported.available = MIB;
            }
        });
    };
    let machine = machine(|_| {});
    let mut reports = rounds(&machine, "", &[NO_CHANGE, needs]);
    // And some rounds after that.
    let enough: fn(&FakeMachine) = |machine| {
        machine.change_balloon(|balloon| {
            if let Some(reported) = &mut balloon.state.reported {
                reported.available = 400 * MIB;
            }
        });
    };
    reports.extend(rounds(&machine, "", &[enough, NO_CHANGE, needs, enough, NO_CHANGE]));
    reports
}

pub(crate) fn waits() -> Vec<StepReport> {
    rounds(&machine(|balloon| balloon.is_stuck = true), "", &[NO_CHANGE; 2])
}

pub(crate) fn stuck() -> Vec<StepReport> {
    rounds(&machine(|balloon| balloon.is_stuck = true), "", &[NO_CHANGE; 7])
}

pub(crate) fn floor() -> Vec<StepReport> {
    rounds(&machine(|_| {}), "balloon_min=512", &[NO_CHANGE])
}

pub(crate) fn no_shares() -> Vec<StepReport> {
    rounds(&machine(|_| {}), "shares=0", &[NO_CHANGE])
}

/// Of two guests alike, the first gives all that is missing.
pub(crate) fn others() -> Vec<StepReport> {
    let machine = machine(|_| {});
    let total = FakeMachine::roomy().total;
    machine.set_memory(MemoryState { available: total / 100 * 20 - MIB, ..FakeMachine::roomy() });
    let mut works = runners(&["", "shares=2000"], &ScanLocks::default());
    let pacer = FakePacer::endless();
    let reports: Vec<_> = works.iter_mut().map(|work| work.step(&machine.kernel(), &pacer)).collect();
    reports.into_iter().skip(1).collect()
}

pub(crate) fn host_well() -> Vec<StepReport> {
    let machine = machine(|_| {});
    machine.set_memory(FakeMachine::roomy());
    rounds(&machine, "", &[NO_CHANGE])
}

pub(crate) fn elsewhere() -> Vec<StepReport> {
    let (machine, locks, pacer) = (machine(|_| {}), ScanLocks::default(), FakePacer::endless());
    let mut work = runners(&[""], &locks).remove(0);
    let other = locks.another();
    let process = machine.process(42).unwrap().id;
    let table: &dyn ProcessTable = &machine;
    let _held = other.take(process, table, &pacer).unwrap();
    vec![work.step(&machine.kernel(), &pacer)]
}

/// Memory is taken, and given back.
pub(crate) fn both_ways() -> [StepReport; 2] {
    let machine = machine(|_| {});
    let (mut work, pacer) = (runners(&[""], &ScanLocks::default()).remove(0), FakePacer::endless());
    let step = |work: &mut dyn TaskRunner| work.step(&machine.kernel(), &pacer);
    let _ = step(&mut *work);
    machine.change(42, |process| process.page_out(0));
    let taken = step(&mut *work);
    machine.set_memory(FakeMachine::roomy());
    [taken, step(&mut *work)]
}
