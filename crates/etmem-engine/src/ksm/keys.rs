//! The keys of engine ksm.

use etmem_config::error::Rule;
use etmem_config::keys;
use etmem_config::values::{Percent, seconds};
use std::time::Duration;

keys! { pub(super) ENGINE;
    MAX_CPU: Percent = or("max_cpu", "20", |text| Percent::read(text, 1)).ours("0.1.0").unit("% of a processor")
        .help("Most processor time that the kernel's advisor lets the search for equal pages take (`advisor_max_cpu`, Linux 6.8 and \
               later). Before, the number of pages rises while less than 20 % of memory is available, and falls otherwise.").example("20");
    SCAN_TIME: Duration = or("scan_time", "200", seconds).ours("0.1.0").unit("s")
        .help("How long a scan of all memory that may be merged is to take (`advisor_target_scan_time`, Linux 6.8 and later). A page is \
               merged when two scans have found it with the same content.").example("200");
    AT_STOP: AtStop = or("at_stop", "keep", at_stop).ours("0.1.0")
        .help("What becomes of merged pages when the last task of engine ksm stops. `keep`: each stays merged until a program writes to \
               it. `separate`: all are separated at once, also those of other programs, if memory has room for them.").example("keep");
}

/// `at_stop=`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AtStop {
    /// They stay.
    Keep,
    /// They are separated.
    Separate,
}

fn at_stop(text: &str) -> Result<AtStop, Rule> {
    match text {
        "keep" => Ok(AtStop::Keep),
        "separate" => Ok(AtStop::Separate),
        _ => Err(Rule::Form("keep or separate")),
    }
}
