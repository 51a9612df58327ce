//! Reasons of memdcd.

use crate::case::{machine_of, runner_of};
use etmem_core::kernel::decider::{AbstractName, Unanswered};
use etmem_engine::{KINDS, StepReport};
use etmem_testkit::fake::FakePacer;

/// Its decider answers so, or not at all.
fn decider_says(error: Unanswered) -> StepReport {
    let kind = KINDS.iter().find(|kind| kind.keys.name == "memdcd").unwrap();
    let machine = machine_of();
    machine.decider_fails(0, error);
    runner_of(kind).step(&machine.kernel(), &FakePacer::endless())
}

pub(crate) fn decider() -> Vec<StepReport> {
    let name = || AbstractName::new("decider").unwrap();
    let limit = std::time::Duration::from_secs(10);
    [
        Unanswered::Absent(name()),
        Unanswered::Late { name: name(), limit },
        Unanswered::Refused { name: name(), text: "failed".into() },
        Unanswered::Failed { name: name(), reason: "Broken pipe".into() },
    ]
    .map(decider_says)
    .into()
}

/// Nothing has the flag of userswap.
pub(crate) fn nothing_suitable() -> Vec<StepReport> {
    let kind = KINDS.iter().find(|kind| kind.keys.name == "memdcd").unwrap();
    let machine = machine_of();
    machine.change(42, |process| process.flags.clear());
    vec![runner_of(kind).step(&machine.kernel(), &FakePacer::endless())]
}
