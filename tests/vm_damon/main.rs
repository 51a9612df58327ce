//! Engine damon on a kernel that has DAMON, in a virtual machine: only there may a test write DAMON's files.
//!
//! The machine boots once, and in it this same program tells one story after the other; each story is a test.

mod giving_back;
mod inside;
mod limits;
mod paging_out;

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Result;
use etmem_testkit::daemon::Binaries;
use etmem_testkit::guest;
use etmem_testkit::laboratory::{self, Machine, SharedBoot, trial};
use etmem_testkit::trial::{for_soak, run_in_turn};
use inside::Inside;

const MACHINE: Machine = Machine { modules: &["zram", "lz4"], ..Machine::of("6.12") };

type Story = guest::Story<Inside>;

const STORIES: [Story; 6] = [
    ("cold_memory_of_two_processes_leaves", paging_out::two_at_once),
    ("processes_come_and_go", paging_out::come_and_go),
    ("what_is_set_is_taken_back", giving_back::every_end),
    ("another_owner_is_left_alone", giving_back::others),
    ("regions_are_listed_and_quotas_kept", limits::regions_and_quotas),
    ("the_probe_and_the_engine_share_damon", limits::beside_the_probe),
];

fn main() -> ExitCode {
    if let Some(status) = guest::story(tell) {
        return status;
    }
    let missing = laboratory::lacks(MACHINE.kernel);
    let boot = Arc::new(SharedBoot::new(MACHINE, || guest::commands(&STORIES, Vec::new())));
    let trials = STORIES.map(|(name, _)| {
        trial(&for_soak(name, 1), missing.as_deref(), guest::told(&boot, name)).with_ignored_flag(true)
    });
    run_in_turn(trials.into())
}

fn tell(name: &str, binaries: &Binaries) -> Result<()> {
    guest::tell(&STORIES, name, || Inside::new(binaries))
}
