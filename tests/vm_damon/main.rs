//! Engine damon on a kernel that has DAMON, in a virtual machine: only there may a test write DAMON's files.
//!
//! Two machines boot, one of them with two nodes, and in each this same program tells one story after the other; each story is a test.

mod giving_back;
mod inside;
mod limits;
mod migrating;
mod paging_out;

use std::process::ExitCode;

use anyhow::Result;
use etmem_testkit::built;
use etmem_testkit::daemon::Binaries;
use etmem_testkit::guest;
use etmem_testkit::laboratory::{self, Commands, Machine};
use etmem_testkit::trial::{for_soak, run_in_turn};
use inside::Inside;

const MACHINE: Machine = Machine { modules: &["zram", "lz4"], ..Machine::of("6.12") };

/// A machine of two nodes: one fast, with the processors, and one slow.
const TWO: Machine = Machine { nodes: "2", memory: "1280M", ..MACHINE };

type Story = guest::Story<Inside>;

const OF_TWO: [Story; 4] = [
    ("cold_memory_of_a_group_goes_to_the_slow_node", migrating::cold_goes_down),
    ("hot_memory_of_a_group_goes_to_the_fast_node", migrating::hot_comes_up),
    ("what_is_set_for_groups_is_taken_back", migrating::taken_back),
    ("what_cannot_move_between_nodes_is_refused", migrating::refused),
];

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
    let of = |machine, stories| {
        guest::trials(machine, stories, commands, missing.as_deref(), |name| for_soak(name, 1))
    };
    let all = [of(MACHINE, &STORIES), of(TWO, &OF_TWO)];
    run_in_turn(all.into_iter().flatten().map(|trial| trial.with_ignored_flag(true)).collect())
}

fn tell(name: &str, binaries: &Binaries) -> Result<()> {
    guest::tell(STORIES.iter().chain(&OF_TWO), name, || Inside::new(binaries))
}

/// The commands that tell the stories.
fn commands(stories: &[Story]) -> Result<Commands> {
    guest::commands(stories, vec![built::program("hotset")?])
}
