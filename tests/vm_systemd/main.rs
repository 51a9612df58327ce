//! The packages on a real systemd, in a virtual machine: from installing to purging, each unit on the way.
//!
//! In the machine this same program tells one story after the other, each of which is a test. Each begins by making sure
//! that the package is installed and that its service runs.

mod container;
mod engines;
mod inside;
mod life;
#[path = "../packages/built.rs"]
mod packages;
mod removal;
mod units;

use std::process::ExitCode;

use anyhow::Result;
use etmem_testkit::built;
use etmem_testkit::daemon::Binaries;
use etmem_testkit::guest;
use etmem_testkit::laboratory::{Commands, Machine};
use etmem_testkit::machine::{self, Need};
use etmem_testkit::trial::{for_soak, run_in_turn};
use inside::Inside;

const MACHINE: Machine =
    Machine { modules: &["zram", "lz4"], systemd: true, seconds: 600, ..Machine::of("6.12") };

type Story = guest::Story<Inside>;

const STORIES: &[Story] = &[
    ("installing_starts_nothing", life::installed),
    ("slide_moves_cold_memory_in_the_sandbox", life::moves),
    ("a_killed_daemon_is_back_within_5_s_with_its_projects", life::killed),
];

/// Those that take long, in a machine of their own.
const SOAK: &[Story] = &[
    ("the_watchdog_restarts_a_stopped_daemon", life::stopped),
    ("a_reload_takes_changed_files", life::reloaded),
    ("an_upgrade_leaves_tasks_and_plugins_running", life::upgraded),
    ("the_forking_unit_restarts_as_well", units::forking),
    ("the_container_of_the_daemon_set_pages_out_a_process_of_the_node", container::pages_out),
    ("removing_takes_back_and_purging_leaves_nothing", removal::purged),
];

/// The rows of docs/service.md, each on a program of its own, on a machine with two NUMA nodes and a disk behind its swap.
const ENGINES: &[Story] = &[
    ("slide_works_in_the_sandbox", engines::slide),
    ("cslide_works_in_the_sandbox", engines::cslide),
    ("a_plugin_of_its_own_process_works_in_the_sandbox", engines::isolated_plugin),
    ("memdcd_works_in_the_sandbox", engines::memdcd),
    ("balloon_works_in_the_sandbox", engines::balloon),
    ("psi_works_with_its_drop_in", engines::psi),
    ("damon_works_with_its_drop_in", engines::damon),
    ("ksm_works_with_its_drop_in", engines::ksm),
    ("tiers_works_with_its_drop_in", engines::tiers),
    ("metrics_are_written_with_their_drop_in", engines::metrics),
];
const OF_ENGINES: Machine =
    Machine { modules: &["zram", "lz4", "null_blk"], nodes: "2", memory: "1536M", ..MACHINE };

fn main() -> ExitCode {
    if let Some(status) = guest::story(tell) {
        return status;
    }
    let missing =
        machine::lacks(&[Need::Program("dpkg-deb"), Need::Program("objcopy")]).or_else(|| MACHINE.lacks());
    let of = |machine, stories| {
        guest::trials(machine, stories, commands, missing.as_deref(), |name| for_soak(name, 2))
    };
    let all = [of(MACHINE, STORIES), of(MACHINE, SOAK), of(OF_ENGINES, ENGINES)];
    run_in_turn(all.into_iter().flatten().map(|trial| trial.with_ignored_flag(true)).collect())
}

fn tell(name: &str, binaries: &Binaries) -> Result<()> {
    guest::tell(STORIES.iter().chain(SOAK).chain(ENGINES), name, || Inside::new(binaries.clone()))
}

/// The commands that tell the stories, with the packages and the plugin of an engine.
fn commands(stories: &[Story]) -> Result<Commands> {
    let packages = packages::built()?.to_owned();
    guest::commands(stories, vec![packages, built::program("hotset")?, built::library("libcold_pages.so")?])
}
