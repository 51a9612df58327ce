//! The packages on a real systemd, in a virtual machine: from installing to purging, each unit on the way.
//!
//! In the machine this same program tells one story after the other, each of which is a test. Each begins by making sure
//! that the package is installed and that its service runs.

mod inside;
mod life;
#[path = "../packages/built.rs"]
mod packages;
mod removal;
mod units;

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Result;
use etmem_testkit::built;
use etmem_testkit::daemon::Binaries;
use etmem_testkit::guest;
use etmem_testkit::laboratory::{Commands, Machine, SharedBoot, trial};
use etmem_testkit::machine::{self, Need};
use etmem_testkit::trial::run_in_turn;
use inside::Inside;

const MACHINE: Machine = Machine { modules: &["zram", "lz4"], systemd: true, ..Machine::of("6.12") };

type Story = guest::Story<Inside>;

const STORIES: [Story; 8] = [
    ("installing_starts_nothing", life::installed),
    ("slide_moves_cold_memory_in_the_sandbox", life::moves),
    ("a_killed_daemon_is_back_within_5_s_with_its_projects", life::killed),
    ("the_watchdog_restarts_a_stopped_daemon", life::stopped),
    ("a_reload_takes_changed_files", life::reloaded),
    ("an_upgrade_leaves_tasks_and_plugins_running", life::upgraded),
    ("the_forking_unit_restarts_as_well", units::forking),
    ("removing_takes_back_and_purging_leaves_nothing", removal::purged),
];

fn main() -> ExitCode {
    if let Some(status) = guest::story(tell) {
        return status;
    }
    let missing =
        machine::lacks(&[Need::Program("dpkg-deb"), Need::Program("objcopy")]).or_else(|| MACHINE.lacks());
    let boot = Arc::new(SharedBoot::new(MACHINE, commands));
    let trials = STORIES.map(|(name, _)| trial(name, missing.as_deref(), guest::told(&boot, name)));
    run_in_turn(trials.into())
}

fn tell(name: &str, binaries: &Binaries) -> Result<()> {
    guest::tell(&STORIES, name, || Inside::new(binaries.clone()))
}

/// The commands that tell the stories, with the packages and the plugin of an engine.
fn commands() -> Result<Commands> {
    let packages = packages::built()?.to_owned();
    guest::commands(&STORIES, vec![packages, built::program("hotset")?, built::library("libcold_pages.so")?])
}
