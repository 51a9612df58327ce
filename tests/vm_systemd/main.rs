//! The packages on a real systemd, in a virtual machine: installed, and started in the sandbox of the confined unit.
//!
//! In the machine this same program tells one story after the other, each of which is a test. Each begins by making sure
//! that the package is installed and that its service runs.

mod inside;
mod life;
#[path = "../packages/built.rs"]
mod packages;

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

const STORIES: [Story; 2] =
    [("installing_starts_nothing", life::installed), ("slide_moves_cold_memory_in_the_sandbox", life::moves)];

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

/// The commands that tell the stories, with the packages.
fn commands() -> Result<Commands> {
    let packages = packages::built()?.to_owned();
    guest::commands(&STORIES, vec![packages, built::program("hotset")?])
}
