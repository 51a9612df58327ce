//! Rounds of a ksm task over a scripted machine.

use super::*;
use crate::ScanLocks;
use crate::ksm::report::{COPIED, COST, MERGED, SHARED};
use crate::reason::ReasonName;
use etmem_core::kernel::memory::MemoryState;
use etmem_core::kernel::probe::Access;
use etmem_testkit::fake::{FakeMachine, FakeMerging, FakePacer, FakeProcess};
use std::path::Path;

const MIB: u64 = 1 << 20;

fn runner(keys: &str) -> Box<dyn TaskRunner> {
    let text = format!(
        "[project]\nname=p\nscan_type=none\ninterval=5\n[engine]\nproject=p\nname=ksm\n{keys}\n\
         [task]\nproject=p\nengine=ksm\nname=t\ntype=name\nvalue=db\n"
    );
    let file = etmem_config::parse(Path::new("test.yaml"), &text, &crate::keys()).unwrap();
    let engine = crate::engine(&file.engines[0], &ScanLocks::default()).unwrap();
    engine.work(&file.projects[0], &file.tasks[0]).unwrap()
}

fn process(pid: u32) -> FakeProcess {
    FakeProcess::new(pid, "db", 0x1000_0000, 8, |_, _| Access::IDLE)
}

/// Two processes, of each of which so much is merged at such a cost.
fn machine(merged: u64, cost: u64, pids: &[u32]) -> FakeMachine {
    let machine = FakeMachine::new(FakeMachine::roomy(), pids.iter().map(|pid| process(*pid)).collect());
    machine.change_merging(|merging| {
        *merging = FakeMerging {
            state: MergingState {
                shared: merged / 2,
                sharing: merged / 2,
                copied: Some(7 * MIB),
                has_advisor: true,
                ..MergingState::default()
            },
            scans_a_round: 1,
            process: ProcessMerging { merged, cost, allowed: Some(true) },
            ..FakeMerging::default()
        };
    });
    machine
}

fn step(runner: &mut dyn TaskRunner, machine: &FakeMachine) -> StepReport {
    runner.step(&machine.kernel(), &FakePacer::endless())
}

fn reasons(report: &StepReport) -> Vec<Option<ReasonName>> {
    report.processes.iter().map(|one| one.reason.as_ref().map(|reason| reason.name)).collect()
}

#[test]
fn it_runs_while_it_saves_memory_and_ends_with_the_task() {
    let machine = machine(128 * MIB, MIB, &[42, 43]);
    let mut runner = runner("max_cpu=7\nscan_time=30");
    let first = step(&mut *runner, &machine);
    assert_eq!(reasons(&first), [Some(ReasonName::MergingFirstScans); 2]);
    let speed = Speed::Advisor { processor_percent: 7, full_scan: Duration::from_secs(30) };
    assert_eq!(machine.merging().speeds, [speed]);
    let mut last = first;
    for _ in 0..10 {
        last = step(&mut *runner, &machine);
    }
    assert_eq!(reasons(&last), [None; 2]);
    let figures = last.figures();
    let amounts = [&MERGED, &COST, &SHARED, &COPIED].map(|row| figures.get(row));
    assert_eq!(amounts, [Some(256 * MIB), Some(2 * MIB), Some(192 * MIB), Some(0)]);
    assert_eq!(
        last.processes[0].text.to_string(),
        "131072 KiB merged, at a cost of 1024 KiB: profit 130048 KiB"
    );
    assert_eq!((runner.period(), machine.merging().speeds.len()), (Duration::from_secs(5), 1));
    runner.end(&machine.kernel()).unwrap();
    assert_eq!(machine.merging().ended, [false]);
}

#[test]
fn it_ends_for_want_of_profit_and_begins_again_for_another_process() {
    let machine = machine(0, MIB, &[42]);
    let mut runner = runner("at_stop=separate");
    let words: Vec<_> = (0..5).map(|_| reasons(&step(&mut *runner, &machine))[0]).collect();
    let (first, none) = (Some(ReasonName::MergingFirstScans), Some(ReasonName::MergingNoProfit));
    assert_eq!(words, [first, first, first, none, none]);
    assert_eq!((machine.merging().ended, machine.merging().speeds.len()), (vec![true], 1));
    machine.start(process(43));
    step(&mut *runner, &machine);
    assert_eq!((machine.merging().state.mode, machine.merging().speeds.len()), (Mode::Running, 2));
}

#[test]
fn it_ends_where_programs_write_to_all_that_is_merged() {
    let machine = machine(128 * MIB, MIB, &[42]);
    let mut runner = runner("");
    for _ in 0..5 {
        step(&mut *runner, &machine);
    }
    machine.change_merging(|merging| merging.copied_a_round = 63 * MIB);
    for _ in 0..5 {
        assert_eq!(step(&mut *runner, &machine).figures().get(&COPIED), Some(63 * MIB));
    }
    machine.change_merging(|merging| merging.copied_a_round = 64 * MIB);
    let words: Vec<_> = (0..3).map(|_| reasons(&step(&mut *runner, &machine))[0]).collect();
    assert_eq!(words, [None, None, Some(ReasonName::MergingCopied)]);
    assert_eq!(machine.merging().state.mode, Mode::Stopped);
}

#[test]
fn what_another_program_writes_to_run_is_left_as_it_is() {
    let machine = machine(128 * MIB, MIB, &[42]);
    let mut runner = runner("");
    step(&mut *runner, &machine);
    machine.change_merging(|merging| merging.state.mode = Mode::Separated);
    for _ in 0..2 {
        assert_eq!(reasons(&step(&mut *runner, &machine)), [Some(ReasonName::MergingChanged)]);
    }
    assert_eq!((machine.merging().state.mode, machine.merging().speeds.len()), (Mode::Separated, 1));
}

#[test]
fn a_process_that_does_not_let_its_memory_be_merged_is_named() {
    for allowed in [Some(false), None] {
        let machine = machine(0, 0, &[42]);
        machine.change_merging(|merging| merging.process.allowed = allowed);
        let mut runner = runner("");
        let words: Vec<_> = (0..4).map(|_| reasons(&step(&mut *runner, &machine))[0]).collect();
        assert_eq!(words[3], Some(ReasonName::MergingNotAllowed), "{words:?}");
        assert_eq!(words[0] == words[3], allowed.is_some(), "{words:?}");
        assert_eq!(machine.merging().state.mode, Mode::Stopped);
        machine.change_merging(|merging| {
            merging.process = ProcessMerging { merged: MIB, cost: 1, allowed: Some(true) }
        });
        step(&mut *runner, &machine);
        assert_eq!(machine.merging().state.mode, Mode::Running, "it does now");
    }
}

#[test]
fn ksm_that_runs_already_is_only_reported() {
    let machine = machine(128 * MIB, MIB, &[42]);
    machine.change_merging(|merging| merging.ran_before = true);
    let mut runner = runner("");
    let first = step(&mut *runner, &machine);
    assert!(first.events[0].text.to_string().starts_with("KSM runs already"), "{first:?}");
    runner.end(&machine.kernel()).unwrap();
    let merging = machine.merging();
    assert_eq!((merging.speeds, merging.ended, merging.state.mode), (vec![], vec![], Mode::Running));
}

#[test]
fn without_a_process_it_does_not_run() {
    let machine = machine(128 * MIB, MIB, &[42]);
    let mut runner = runner("");
    step(&mut *runner, &machine);
    let nothing = FakeMachine::new(FakeMachine::roomy(), Vec::new());
    let kernel = Kernel { processes: nothing.kernel().processes, ..machine.kernel() };
    assert!(runner.step(&kernel, &FakePacer::endless()).is_empty());
    assert_eq!(machine.merging().state.mode, Mode::Stopped);
}

#[test]
fn a_kernel_without_an_advisor_looks_faster_while_memory_is_short() {
    let machine = machine(128 * MIB, MIB, &[42]);
    machine.change_merging(|merging| merging.state.has_advisor = false);
    let mut runner = runner("");
    step(&mut *runner, &machine);
    machine.set_memory(MemoryState { available: 1 << 30, ..FakeMachine::roomy() });
    step(&mut *runner, &machine);
    let pages: Vec<_> = machine
        .merging()
        .speeds
        .iter()
        .map(|speed| match speed {
            Speed::Pages { pages, .. } => *pages,
            Speed::Advisor { .. } => 0,
        })
        .collect();
    assert_eq!(pages, [64, 364]);
}

#[test]
fn a_kernel_that_refuses_is_named() {
    let machine = machine(128 * MIB, MIB, &[42]);
    machine.change_merging(|merging| merging.fails = Some(ProcessError::refused("run", "no")));
    assert_eq!(reasons(&step(&mut *runner(""), &machine)), [Some(ReasonName::KernelRefused)]);
}

#[test]
fn a_stop_comes_first() {
    let machine = machine(128 * MIB, MIB, &[42]);
    let pacer = FakePacer::stopping_after(0);
    let _ = pacer.pause(Duration::ZERO);
    assert!(runner("").step(&machine.kernel(), &pacer).stopped);
}

#[test]
fn the_notes_say_what_sharing_gives_away() {
    let notes = runner("").notes(&machine(0, 0, &[42]).kernel());
    assert!(notes.len() == 1 && notes[0].contains("docs/ksm.md"), "{notes:?}");
}
