//! Rounds of balloon tasks over a scripted machine.

use super::*;
use crate::balloon::report::{AVAILABLE, BALLOONED, RETURNED, SAVED, TAKEN};
use crate::reason::ReasonName;
use etmem_core::kernel::balloon::{BalloonError, Reported};
use etmem_core::kernel::memory::MemoryState;
use etmem_core::kernel::probe::Access;
use etmem_testkit::fake::{FakeMachine, FakePacer, FakeProcess};
use std::path::Path;

const MIB: u64 = 1 << 20;
const STEP: u64 = 512 * MIB / 20 / 4096 * 4096;

struct Stage {
    machine: FakeMachine,
    work: Box<dyn TaskRunner>,
    pacer: FakePacer,
}

fn short() -> MemoryState {
    MemoryState { available: 1 << 30, ..FakeMachine::roomy() }
}

fn stage(keys: &str) -> Stage {
    let text = format!(
        "[project]\nname=p\nscan_type=none\ninterval=5\n[engine]\nproject=p\nname=balloon\n\
         [task]\nproject=p\nengine=balloon\nname=t\ntype=name\nvalue=qemu\nqmp_socket=/q\n{keys}\n"
    );
    let file = etmem_config::parse(Path::new("test.yaml"), &text, &crate::keys()).unwrap();
    let engine = crate::engine(&file.engines[0], &ScanLocks::default()).unwrap();
    let process = FakeProcess::new(42, "qemu", 0x1000_0000, 100_000, |_, _| Access::IDLE);
    let machine = FakeMachine::new(short(), vec![process]);
    machine.change_balloon(|balloon| {
        let reported = Reported { at: 1, available: 400 * MIB, major_faults: Some(0), swapped_in: Some(0) };
        balloon.state =
            GuestState { size: 512 * MIB, actual: 512 * MIB, halted: None, reported: Some(reported) };
    });
    Stage {
        machine,
        work: engine.work(&file.projects[0], &file.tasks[0]).unwrap(),
        pacer: FakePacer::endless(),
    }
}

impl Stage {
    fn step(&mut self) -> StepReport {
        let report = self.work.step(&self.machine.kernel(), &self.pacer);
        let _ = self.pacer.pause(self.work.period());
        report
    }

    fn reason(&mut self) -> Option<ReasonName> {
        self.step().processes[0].reason.as_ref().map(|reason| reason.name)
    }

    fn available(&self, bytes: u64) {
        self.machine.change_balloon(|balloon| {
            if let Some(reported) = &mut balloon.state.reported {
                reported.available = bytes;
            }
        });
    }

    fn actual(&self) -> u64 {
        self.machine.balloon().state.actual
    }
}

#[test]
fn a_guest_gives_step_by_step_down_to_its_floor_and_gets_all_back() {
    let mut stage = stage("");
    assert_eq!(stage.reason(), None);
    assert_eq!((stage.actual(), stage.machine.balloon().noted), (512 * MIB - STEP, vec![512 * MIB]));
    let report = stage.step();
    let figures = report.figures();
    assert_eq!(
        [&BALLOONED, &TAKEN, &AVAILABLE].map(|row| figures.get(row)),
        [Some(STEP), Some(STEP), Some(400 * MIB - STEP)]
    );
    while stage.reason().is_none() {}
    // A fifth of the 112 MiB that it uses are less than the 256 that it keeps in any case.
    assert!(
        stage.actual() >= 256 * MIB && stage.actual() < 257 * MIB + 512 * MIB / 400,
        "{}",
        stage.actual()
    );
    assert_eq!(stage.reason(), Some(ReasonName::BalloonFloor));
    assert!(stage.machine.balloon().asked.windows(2).all(|two| two[0] - two[1] <= STEP));
    stage.machine.set_memory(FakeMachine::roomy());
    let back = stage.step();
    assert_eq!(
        (stage.actual(), back.figures().get(&RETURNED).is_some_and(|bytes| bytes > 200 * MIB)),
        (512 * MIB, true)
    );
    assert_eq!((stage.reason(), stage.machine.balloon().removed), (Some(ReasonName::HostWell), 1));
}

#[test]
fn what_is_saved_is_what_qemu_has_less_in_memory() {
    let mut stage = stage("");
    stage.step();
    assert_eq!(stage.step().figures().get(&SAVED), Some(0), "the guest had never touched it");
    stage.machine.change(42, |process| (0..1000).for_each(|page| process.page_out(page)));
    assert_eq!(stage.step().figures().get(&SAVED), Some(1000 * 4096));
}

#[test]
fn a_guest_that_lacks_memory_gets_all_back_at_once_and_is_left_alone() {
    let mut stage = stage("balloon_min=64");
    for _ in 0..5 {
        stage.step();
    }
    assert!(stage.actual() < 400 * MIB);
    stage.available(stage.actual() / 10 - MIB);
    assert_eq!((stage.reason(), stage.actual()), (Some(ReasonName::GuestNeeds), 512 * MIB));
    stage.available(400 * MIB);
    let held: Vec<_> = (0..15).map(|_| stage.reason()).collect();
    assert_eq!((held, stage.actual()), (vec![Some(ReasonName::GuestNeeds); 15], 512 * MIB));
    assert_eq!(stage.reason(), None);
}

#[test]
fn a_guest_that_reads_back_more_gets_all_back() {
    for change in
        [(|reported: &mut Reported| reported.major_faults = Some(1000)) as fn(&mut Reported), |reported| {
            reported.swapped_in = Some(4096)
        }]
    {
        let mut stage = stage("");
        stage.step();
        stage.step();
        stage.machine.change_balloon(|balloon| balloon.state.reported.iter_mut().for_each(change));
        assert_eq!((stage.reason(), stage.actual()), (Some(ReasonName::GuestNeeds), 512 * MIB));
    }
}

#[test]
fn the_next_step_waits_until_the_one_before_has_arrived() {
    let mut stage = stage("");
    stage.machine.change_balloon(|balloon| balloon.is_stuck = true);
    assert_eq!(stage.reason(), None);
    // It moves, if slowly.
    for moved in 1..20 {
        stage.machine.change_balloon(|balloon| balloon.state.actual = 512 * MIB - moved * MIB);
        assert_eq!(stage.reason(), Some(ReasonName::BalloonWaits), "{moved}");
    }
    assert_eq!(stage.machine.balloon().asked, [512 * MIB - STEP]);
    let words: Vec<_> = (0..6).map(|_| stage.reason()).collect();
    assert_eq!((words[4], words[5]), (Some(ReasonName::BalloonWaits), Some(ReasonName::BalloonStuck)));
    assert_eq!(stage.machine.balloon().asked, [512 * MIB - STEP, 512 * MIB], "it is taken back");
}

#[test]
fn a_monitor_that_fails_is_connected_again_and_what_was_taken_is_known() {
    let mut stage = stage("");
    stage.step();
    let lost = BalloonError::Lost { socket: "/q".into(), reason: "closed".into() };
    stage.machine.change_balloon(|balloon| balloon.fails = Some(lost));
    assert_eq!(stage.reason(), Some(ReasonName::QmpLost));
    assert_eq!(stage.reason(), Some(ReasonName::QmpLost));
    stage.machine.change_balloon(|balloon| balloon.fails = None);
    stage.machine.set_memory(FakeMachine::roomy());
    stage.step();
    assert_eq!(stage.actual(), 512 * MIB);
}

#[test]
fn the_end_gives_back_or_leaves_the_note() {
    let mut good = stage("");
    good.step();
    good.work.end(&good.machine.kernel()).unwrap();
    let balloon = good.machine.balloon();
    assert_eq!((balloon.state.actual, balloon.removed), (512 * MIB, 1));
    let mut bad = stage("");
    bad.step();
    bad.machine.change_balloon(|balloon| balloon.fails = Some(BalloonError::Taken("/q".into())));
    bad.work.end(&bad.machine.kernel()).unwrap_err();
    drop(bad.work);
    assert_eq!(bad.machine.balloon().removed, 0);
}

#[test]
fn nothing_is_taken_that_cannot_be_written_down() {
    let mut stage = stage("");
    stage.machine.change_balloon(|balloon| balloon.not_noted = true);
    assert_eq!(stage.reason(), Some(ReasonName::KernelRefused));
    assert_eq!(stage.machine.balloon().asked, [0; 0]);
}

#[test]
fn nothing_is_taken_by_an_old_report() {
    let mut stage = stage("");
    stage.step();
    stage.machine.change_balloon(|balloon| balloon.is_silent = true);
    let words: Vec<_> = (0..5).map(|_| stage.reason()).collect();
    let (waits, stale) = (Some(ReasonName::BalloonWaits), Some(ReasonName::GuestStale));
    assert_eq!(words, [waits, waits, waits, stale, stale]);
    assert_eq!(stage.machine.balloon().asked.len(), 1);
}

#[test]
fn a_guest_that_has_ended_is_forgotten() {
    let mut stage = stage("");
    stage.step();
    let nothing = FakeMachine::new(short(), Vec::new());
    let kernel = Kernel { processes: nothing.kernel().processes, ..stage.machine.kernel() };
    assert!(stage.work.step(&kernel, &stage.pacer).is_empty());
    assert_eq!((stage.machine.balloon().removed, stage.machine.balloon().asked.len()), (1, 1));
    stage.work.end(&kernel).unwrap();
    assert_eq!(stage.machine.balloon().asked.len(), 1);
}
