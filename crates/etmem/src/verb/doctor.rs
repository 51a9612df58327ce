//! `etmem doctor`: what etmem can do on this machine.
//!
//! The examination reads from the kernel, which this program leaves to etmemd. So it becomes `etmemd --doctor`, whose
//! output and exit status it has then.

use std::ffi::OsString;

use clap::{ArgMatches, Command};
use etmem_manual::{ExitStatus, Help};

use crate::arguments::{Asked, Object, flag};
use crate::etmemd;
use crate::failure::Failure;

pub(crate) const OBJECT: Object = Object {
    command,
    asked,
    help: Help {
        examples: &["etmem doctor", "etmem doctor --json"],
        exit_statuses: &[
            ExitStatus(0, "no finding is worse than a note"),
            ExitStatus(1, "the worst finding is a warning"),
            ExitStatus(2, "the worst finding is an error: something cannot work"),
            ExitStatus(3, "the findings could not be printed"),
            ExitStatus(254, "etmemd could not be run"),
        ],
        notes: "No daemon has to run for this. The command starts etmemd --doctor: the etmemd in its own folder or, if\n\
                there is none, the one in PATH.",
    },
};

fn command() -> Command {
    Command::new("doctor")
        .about("Examine this machine: what etmem can do here, what it cannot do and why, and what would help")
        .arg(flag("json", "Print one JSON object with all findings"))
        .args(etmemd::roots())
        .override_usage("etmem doctor [--json] [--proc-root DIR] [--sys-root DIR]")
}

#[expect(clippy::unnecessary_wraps, reason = "as those of the other objects, which can fail")]
fn asked(options: &ArgMatches) -> Result<Asked, Failure> {
    let mut arguments = vec![OsString::from("--doctor")];
    if options.get_flag("json") {
        arguments.push("--json".into());
    }
    arguments.extend(etmemd::roots_given(options));
    Ok(Asked::Etmemd(arguments))
}
