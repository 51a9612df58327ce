//! Engine balloon: a daemon that is killed while it has memory of a guest, monitors of every manner beside a good one, and two guests of
//! QEMU under a host that is short of memory.
//!
//! `scripted` has monitors that answer by a script, `guests` real ones. What the host has is a file in the place of `/proc/meminfo`
//! ([`host`]).

mod guests;
mod host;
mod scripted;

use std::process::ExitCode;

use etmem_testkit::laboratory;
use etmem_testkit::machine::Need;
use etmem_testkit::size::MIB;
use etmem_testkit::trial::{for_soak, run_in_turn, trial_or_skip};

/// What the virtual machines boot.
const SERIES: &str = "6.12";

fn main() -> ExitCode {
    let mut trials = vec![
        trial_or_skip("killed_at_50_moments_it_gives_back_what_it_took", &[Need::Root], scripted::killed),
        trial_or_skip(
            "a_monitor_of_bad_manners_has_its_reason_and_others_go_on",
            &[Need::Root],
            scripted::manners,
        ),
    ];
    let missing = laboratory::lacks(SERIES)
        .or_else(|| etmem_testkit::machine::lacks(&[Need::Root, Need::Memory(2048 * MIB)]));
    let name = for_soak("two_guests_of_a_host_that_is_short", 5);
    trials.push(laboratory::trial(&name, missing.as_deref(), guests::two).with_ignored_flag(true));
    run_in_turn(trials)
}
