//! Engine memdcd: the connection to deciders of every manner, and the whole way to a decider that pages out.

use std::process::ExitCode;

use etmem_testkit::machine::Need;
use etmem_testkit::size::MIB;
use etmem_testkit::trial::{run_in_turn, trial_or_skip};

mod manners;
mod whole_way;

pub(crate) const SWAP: usize = 512 * MIB;

fn main() -> ExitCode {
    run_in_turn(vec![
        trial_or_skip("deciders_of_every_manner", &[], manners::every_manner),
        trial_or_skip("a_decider_that_holds_up_is_waited_for_until_the_limit", &[], manners::late),
        trial_or_skip("a_stop_ends_the_wait_for_a_decider", &[], manners::stop),
        trial_or_skip(
            "the_daemon_stops_beside_a_silent_decider",
            &[Need::Root, Need::Bpf],
            whole_way::silent,
        ),
        trial_or_skip("the_original_decider_hears_every_page", &[Need::Root, Need::Bpf], whole_way::hears),
        trial_or_skip(
            "the_example_pages_out_what_is_cold",
            &[Need::Root, Need::Bpf, Need::Swap(SWAP)],
            whole_way::example,
        ),
    ])
}
