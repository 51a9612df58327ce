//! Levels and engine tiers on a real kernel, in a virtual machine whose compressed swap has a disk behind it.
//!
//! In it this same program tells one story after the other; each story is a test.

mod compared;
mod gate;
mod inside;
mod killed;
mod levels;
mod outcomes;
mod sinking;
mod where_is;

use std::process::ExitCode;

use anyhow::Result;
use etmem_testkit::built;
use etmem_testkit::daemon::Binaries;
use etmem_testkit::guest;
use etmem_testkit::laboratory::{self, Commands, Machine};
use etmem_testkit::trial::run_in_turn;
use inside::Inside;

/// A story waits three times as long as the machine needs to page out 256 MiB.
const MACHINE: Machine = Machine {
    modules: &["zram", "lz4", "configfs", "null_blk", "virtio_pci", "virtio_blk"],
    disk: Some(400),
    memory: "2G",
    seconds: 900,
    ..Machine::of("6.12")
};

/// With a slow node beside the one with the processors.
const NODES: Machine = Machine { nodes: "2", memory: "1280M", ..MACHINE };

type Story = guest::Story<Inside>;

const STORIES: &[Story] = &[
    ("untouched_pages_sink_and_no_others", sinking::by_age),
    ("a_full_device_sinks_its_oldest_within_rate_and_budget", sinking::by_marks),
    ("each_refusal_of_the_kernel_is_an_outcome", outcomes::all),
    ("where_counts_each_page_where_it_is", where_is::exact),
    ("a_killed_daemon_leaves_no_limit", killed::limit),
    ("what_is_chosen_goes_past_zswap_and_nothing_else", gate::chosen),
    ("a_killed_daemon_leaves_no_way_past_zswap", gate::killed),
];

/// Those of a machine with two nodes.
const OF_NODES: &[Story] = &[("each_class_is_on_its_level_also_when_the_hot_ones_change", levels::all)];

/// Those that take long, each in a machine of its own.
const COMPARED: &[Story] = &[("tiers_sinks_what_stays_on_disk", compared::all)];
const SOAK: &[Story] = &[("a_hundred_killed_daemons_leave_no_way_past_zswap", gate::killed_often)];

fn main() -> ExitCode {
    if let Some(status) = guest::story(tell) {
        return status;
    }
    let missing = laboratory::lacks(MACHINE.kernel);
    let of = |machine, stories, note: &str| {
        guest::trials(machine, stories, commands, missing.as_deref(), |name| format!("{name}{note}"))
    };
    let longer = Machine { seconds: 2 * MACHINE.seconds, ..MACHINE };
    let compared = of(longer, COMPARED, " [skipped: takes 15 minutes: make compare]");
    let soak = of(longer, SOAK, " [skipped: takes 10 minutes: make soak]");
    let long = compared.into_iter().chain(soak).map(|trial| trial.with_ignored_flag(true));
    run_in_turn(of(MACHINE, STORIES, "").into_iter().chain(of(NODES, OF_NODES, "")).chain(long).collect())
}

fn tell(name: &str, binaries: &Binaries) -> Result<()> {
    guest::tell(STORIES.iter().chain(OF_NODES).chain(COMPARED).chain(SOAK), name, || {
        Inside::new(binaries.clone())
    })
}

/// The commands that tell `stories`.
fn commands(stories: &[Story]) -> Result<Commands> {
    // That of busybox takes no priority.
    guest::commands(stories, vec![built::program("hotset")?, "/usr/sbin/swapon".into()])
}
