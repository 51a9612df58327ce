//! `etmem idle`: pages out what a program has not touched lately, at once. It becomes `etmemd --idle`.

use std::ffi::OsString;

use clap::{Arg, ArgMatches, Command, value_parser};
use etmem_manual::{ExitStatus, Help};

use super::target;
use crate::arguments::{Asked, Object, flag};
use crate::etmemd;
use crate::failure::Failure;

/// Options with a value: name, what it is called, help.
const VALUES: [(&str, &str, &str); 2] = [
    (
        "keep",
        "TIME",
        "What was touched in this time stays: digits and s, m or h; 0: nothing is waited for [default: 30s]",
    ),
    ("max-swap-use", "PERCENT", "How much of the machine's swap may be in use, 1 to 100 [default: 80]"),
];

pub(crate) const OBJECT: Object = Object {
    command,
    asked,
    help: Help {
        examples: &[
            "etmem idle 4711",
            "etmem idle -c tenants/7 --keep 2m",
            "etmem idle -N sandbox --keep 0 --json",
        ],
        exit_statuses: &STATUSES,
        notes: "The command watches the processes for --keep and then pages out what they have not touched. A program\n\
                that is stopped touches nothing: --keep 0 does not wait for it. No daemon and no project is needed. One\n\
                that runs leaves the processes alone meanwhile. What went out is recorded in /run/etmem/idle\n\
                (ETMEMD_STATE_FOLDER), by which etmem warm brings it back. Ctrl-C ends it with what was done so far.",
    },
};

/// The exit statuses of `idle` and `warm`.
pub(super) const STATUSES: [ExitStatus; 5] = [
    ExitStatus(0, "done"),
    ExitStatus(1, "done in part: the reasons are printed"),
    ExitStatus(2, "nothing was done: there is no such process, no right or no way, or an option is bad"),
    ExitStatus(3, "what was done could not be printed"),
    ExitStatus(254, "etmemd could not be run"),
];

fn command() -> Command {
    let values = VALUES.map(|(name, value, help)| {
        Arg::new(name).long(name).value_name(value).help(help).value_parser(value_parser!(OsString))
    });
    Command::new("idle")
        .about("Page out all of a program but what it has touched lately, at once")
        .args(target::arguments())
        .group(target::group())
        .args(values)
        .arg(flag("json", "Print one JSON object"))
        .args(etmemd::roots())
        .override_usage(
            "etmem idle PID|-p PID|-N NAME|-c CGROUP [--keep TIME] [--max-swap-use PERCENT] [--json]",
        )
}

#[expect(clippy::unnecessary_wraps, reason = "as those of the other objects, which can fail")]
fn asked(options: &ArgMatches) -> Result<Asked, Failure> {
    Ok(Asked::Etmemd(target::passed_on("--idle", options, &VALUES.map(|(name, ..)| name), &["json"])))
}
