//! Plugins built for etmem 1.x, in the real daemon: what the daemon passes to them, what they may do wrong, and what they leave.
//!
//! They are compiled with gcc, once against the headers and GLib's, and once against offsets alone, as an author would
//! write them who knows only the written interface. `scan_library/layout.txt` is the table of offsets; the tests that
//! read it show that headers and mirrors agree with it.

mod containment;
#[path = "../scan_library/library.rs"]
mod library;
mod life;
mod plugins;
mod rounds;

use std::process::ExitCode;

use etmem_testkit::machine::Need;
use etmem_testkit::trial::{run_side_by_side, trial_or_skip};

fn main() -> ExitCode {
    if let Some(exit) = rounds::inside() {
        return exit;
    }
    let needs = [Need::Root, Need::Program("gcc"), Need::Program("pkg-config"), Need::Package("glib-2.0")];
    let with = |more: &[Need]| [&needs[..], more].concat();
    // Each has a daemon of its own, and most wait for a deadline of it for most of their time.
    run_side_by_side(
        4,
        vec![
            trial_or_skip("each_function_is_called_in_its_order", &needs, life::each_in_its_order),
            trial_or_skip("several_plugins_in_one_project", &needs, life::several_in_one_project),
            trial_or_skip(
                "what_a_function_refuses_leaves_all_as_it_was",
                &needs,
                life::refusals_by_functions,
            ),
            trial_or_skip(
                "libraries_that_cannot_be_plugins_are_refused",
                &needs,
                life::refusals_by_libraries,
            ),
            trial_or_skip("a_plugin_scans_by_the_scan_library", &with(&[Need::Bpf]), life::scans),
            trial_or_skip("forbidden_bytes_are_kept_from_the_client", &needs, containment::forbidden_bytes),
            trial_or_skip("megabytes_are_cut_off", &needs, containment::megabytes),
            trial_or_skip("a_closed_descriptor_does_no_harm", &needs, containment::closed_descriptor),
            trial_or_skip("a_command_that_never_returns", &needs, containment::a_command_that_never_returns),
            trial_or_skip("a_start_that_never_returns", &needs, containment::a_start_that_never_returns),
            trial_or_skip(
                "an_addition_that_never_returns",
                &needs,
                containment::an_addition_that_never_returns,
            ),
            trial_or_skip(
                "the_end_of_the_daemon_while_a_request_hangs",
                &needs,
                containment::the_end_of_the_daemon_meanwhile,
            ),
            trial_or_skip("a_stop_that_never_returns", &needs, containment::a_stop_that_never_returns),
            trial_or_skip(
                "a_hundred_rounds_leak_nothing",
                &with(&[Need::Program("valgrind")]),
                rounds::leave_nothing,
            ),
        ],
    )
}
