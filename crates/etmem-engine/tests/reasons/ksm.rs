//! Reasons of ksm.

use crate::case::{machine_of, runner_of};
use etmem_core::kernel::merging::{MergingState, Mode, ProcessMerging};
use etmem_engine::{KINDS, StepReport};
use etmem_testkit::fake::{FakeMerging, FakePacer};

/// The last of some rounds with a process of which this is so.
fn rounds(count: u64, process: ProcessMerging, change: impl Fn(u64, &mut FakeMerging)) -> Vec<StepReport> {
    let kind = KINDS.iter().find(|kind| kind.keys.name == "ksm").unwrap();
    let machine = machine_of();
    let mut work = runner_of(kind);
    machine.change_merging(|merging| {
        let (copied, has_advisor) = (Some(0), true);
        *merging = FakeMerging {
            state: MergingState { sharing: 4096, copied, has_advisor, ..MergingState::default() },
            scans_a_round: 1,
            process,
            ..FakeMerging::default()
        };
    });
    let reports = (0..count).map(|round| {
        machine.change_merging(|merging| change(round, merging));
        work.step(&machine.kernel(), &FakePacer::endless())
    });
    reports.last().into_iter().collect()
}

const GOOD: ProcessMerging = ProcessMerging { merged: 1 << 20, cost: 64, allowed: Some(true) };

pub(crate) fn not_allowed() -> Vec<StepReport> {
    rounds(1, ProcessMerging { allowed: Some(false), ..ProcessMerging::default() }, |_, _| {})
}

pub(crate) fn first_scans() -> Vec<StepReport> {
    rounds(1, GOOD, |_, _| {})
}

pub(crate) fn no_profit() -> Vec<StepReport> {
    rounds(4, ProcessMerging { merged: 4096, cost: 4096, ..GOOD }, |_, _| {})
}

pub(crate) fn copied() -> Vec<StepReport> {
    rounds(4, GOOD, |_, merging| merging.copied_a_round = 4096)
}

pub(crate) fn changed() -> Vec<StepReport> {
    rounds(2, GOOD, |round, merging| {
        if round == 1 {
            merging.state.mode = Mode::Stopped;
        }
    })
}
