//! Engine psi on a real kernel with control groups of the second version, in virtual machines: one whose swap is compressed
//! memory, one whose swap is a disk.
//!
//! In each this same program tells one story after the other; each story is a test.

mod gates;
mod inside;
mod port;

use std::process::ExitCode;

use anyhow::Result;
use etmem_testkit::built;
use etmem_testkit::daemon::Binaries;
use etmem_testkit::guest;
use etmem_testkit::laboratory::{self, Commands, Machine};
use etmem_testkit::trial::run_in_turn;
use inside::Inside;

const ZRAM: Machine = Machine { modules: &["zram", "lz4"], ..Machine::of("6.12") };
const DISK: Machine = Machine { modules: &["configfs", "null_blk"], ..Machine::of("6.12") };

type Story = guest::Story<Inside>;

const OF_ZRAM: &[Story] = &[
    ("without_swap_only_file_pages_leave", gates::no_swap),
    ("a_request_takes_what_it_asks_for", port::exact),
    ("a_task_stays_above_its_floor", port::floor),
    ("the_root_is_a_group_as_well", port::root),
    ("a_group_that_is_removed_or_made_again_is_an_outcome", port::removed),
    ("a_limit_below_the_floor_asks_for_nothing", gates::limit_below_floor),
    ("a_hot_set_that_triples_ends_in_memory", gates::triples),
    ("what_the_kernel_has_looked_at_leaves_only_if_idle", gates::looks),
    ("full_swap_is_said_once", gates::full_swap),
];
const OF_DISK: &[Story] = &[("waiting_for_a_disk_stops_it_within_two_rounds", gates::disk)];

fn main() -> ExitCode {
    if let Some(status) = guest::story(tell) {
        return status;
    }
    let missing = laboratory::lacks(ZRAM.kernel);
    let machines = [(ZRAM, OF_ZRAM), (DISK, OF_DISK)].into_iter();
    let of =
        |(machine, stories)| guest::trials(machine, stories, commands, missing.as_deref(), str::to_owned);
    run_in_turn(machines.flat_map(of).collect())
}

fn tell(name: &str, binaries: &Binaries) -> Result<()> {
    guest::tell(OF_ZRAM.iter().chain(OF_DISK), name, || Inside::new(binaries.clone()))
}

/// The commands that tell the stories.
fn commands(stories: &[Story]) -> Result<Commands> {
    guest::commands(stories, vec![built::program("hotset")?])
}
