//! NUMA nodes, huge pages and DAMON, on machines that the laboratory makes (`cargo xtask vm`).
//!
//! Two machines boot, and in each this same program tells one story after the other; each story is a test.

mod bound;
mod cslide;
mod damon;
mod inside;
mod ports;

use std::process::ExitCode;

use anyhow::Result;
use etmem_testkit::built;
use etmem_testkit::daemon::Binaries;
use etmem_testkit::guest;
use etmem_testkit::laboratory::{self, Commands, Machine};
use etmem_testkit::trial::run_in_turn;
use inside::Inside;

/// A machine of two nodes: one fast, with the processors, and one slow.
const TWO: Machine = Machine { nodes: "2", memory: "1280M", ..Machine::of("6.12") };
/// Two such pairs.
const FOUR: Machine = Machine { nodes: "4", memory: "2G", ..Machine::of("6.12") };

type Story = guest::Story<Inside>;

const OF_TWO: [Story; 5] = [
    ("pages_are_found_and_moved_between_two_nodes", ports::two_nodes),
    ("cslide_places_huge_pages_on_two_nodes", cslide::huge_pages_of_two_nodes),
    ("cslide_places_base_pages_on_two_nodes", cslide::base_pages_of_two_nodes),
    ("cslide_leaves_what_programs_bound_themselves", bound::story),
    ("damon_tells_hot_from_cold_and_is_given_back", damon::story),
];
const OF_FOUR: [Story; 2] = [
    ("pages_are_found_and_moved_between_four_nodes", ports::four_nodes),
    ("cslide_places_huge_pages_on_four_nodes", cslide::huge_pages_of_four_nodes),
];

fn main() -> ExitCode {
    if damon::is_child() {
        return damon::play_child();
    }
    if let Some(status) = guest::story(tell) {
        return status;
    }
    let missing = laboratory::lacks(TWO.kernel);
    let of = |machine, stories| guest::trials(machine, stories, commands, missing.as_deref(), str::to_owned);
    run_in_turn([of(TWO, &OF_TWO), of(FOUR, &OF_FOUR)].into_iter().flatten().collect())
}

fn tell(name: &str, binaries: &Binaries) -> Result<()> {
    guest::tell(OF_TWO.iter().chain(&OF_FOUR), name, || Inside::new(binaries.clone()))
}

/// The commands that tell the stories.
fn commands(stories: &[Story]) -> Result<Commands> {
    guest::commands(stories, vec![built::program("hotset")?, bound::built()?])
}
