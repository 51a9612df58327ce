//! etmemd as a service: in the background, under a service manager, with its log handed in, and with the rights that
//! its unit gives it. The other side (systemd, syslog) is played by real sockets.

mod background;
mod confined;
mod logging;
mod notify;
mod stand;
mod units;

use etmem_testkit::machine::Need;
use etmem_testkit::trial::{run_in_turn, trial_or_skip};
use std::process::ExitCode;

fn main() -> ExitCode {
    let root = [Need::Root];
    let analyze = [Need::Program("systemd-analyze")];
    let confined = [Need::Root, Need::Bpf, Need::Swap(confined::SWAP), Need::Program("setpriv")];
    run_in_turn(vec![
        trial_or_skip("background::starts_and_leaves_nothing_behind", &root, background::starts_and_stops),
        trial_or_skip("background::its_memory_is_locked_or_it_says_why_not", &root, background::own_memory),
        trial_or_skip("background::names_in_use_are_seen_by_the_starter", &root, background::name_in_use),
        trial_or_skip("background::a_held_pid_file_is_left_alone", &root, background::held_pid_file),
        trial_or_skip("background::a_stale_pid_file_is_replaced", &root, background::stale_pid_file),
        trial_or_skip("background::a_pid_file_that_cannot_be", &root, background::impossible_pid_file),
        trial_or_skip("background::a_daemon_that_dies_early", &root, background::dies_early),
        trial_or_skip("notify::ready_watched_and_stopping", &root, notify::whole_life),
        trial_or_skip("notify::nothing_without_a_manager", &root, notify::without_manager),
        trial_or_skip("logging::syslog_gets_the_words_of_the_client", &root, logging::same_words),
        trial_or_skip("logging::a_lost_syslog_does_no_harm", &root, logging::lost_syslog),
        trial_or_skip("logging::a_place_that_is_none", &root, logging::no_such_place),
        trial_or_skip("units::verify", &analyze, units::verify),
        trial_or_skip("units::security", &analyze, units::security),
        trial_or_skip("confined::its_rights_are_enough", &confined, confined::rights_are_enough),
    ])
}
