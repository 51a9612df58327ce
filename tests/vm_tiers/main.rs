//! Levels and engine tiers on a real kernel, in a virtual machine whose compressed swap has a disk behind it.
//!
//! In it this same program tells one story after the other; each story is a test.

mod inside;
mod killed;
mod outcomes;
mod sinking;
mod where_is;

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Result;
use etmem_testkit::built;
use etmem_testkit::daemon::Binaries;
use etmem_testkit::guest;
use etmem_testkit::laboratory::{self, Commands, Machine, SharedBoot, trial};
use etmem_testkit::trial::run_in_turn;
use inside::Inside;

/// A story waits three times as long as the machine needs to page out 256 MiB.
const MACHINE: Machine = Machine {
    modules: &["zram", "lz4", "configfs", "null_blk"],
    memory: "2G",
    seconds: 900,
    ..Machine::of("6.12")
};

type Story = guest::Story<Inside>;

const STORIES: [Story; 5] = [
    ("untouched_pages_sink_and_no_others", sinking::by_age),
    ("a_full_device_sinks_its_oldest_within_rate_and_budget", sinking::by_marks),
    ("each_refusal_of_the_kernel_is_an_outcome", outcomes::all),
    ("where_counts_each_page_where_it_is", where_is::exact),
    ("a_killed_daemon_leaves_no_limit", killed::limit),
];

fn main() -> ExitCode {
    if let Some(status) = guest::story(tell) {
        return status;
    }
    let missing = laboratory::lacks(MACHINE.kernel);
    let boot = Arc::new(SharedBoot::new(MACHINE, commands));
    let trials = STORIES.iter().map(|(name, _)| trial(name, missing.as_deref(), guest::told(&boot, name)));
    run_in_turn(trials.collect())
}

fn tell(name: &str, binaries: &Binaries) -> Result<()> {
    guest::tell(&STORIES, name, || Inside::new(binaries.clone()))
}

/// The commands that tell the stories.
fn commands() -> Result<Commands> {
    // That of busybox takes no priority.
    guest::commands(&STORIES, vec![built::program("hotset")?, "/usr/sbin/swapon".into()])
}
