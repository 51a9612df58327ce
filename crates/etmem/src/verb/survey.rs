//! `etmem survey`: what programs leave idle, and what moving it out would save. It becomes `etmemd --survey`.

use std::ffi::OsString;

use clap::{Arg, ArgMatches, Command, value_parser};
use etmem_manual::{ExitStatus, Help};

use super::target;
use crate::arguments::{Asked, Object, flag};
use crate::etmemd;
use crate::failure::Failure;

pub(crate) const OBJECT: Object = Object {
    command,
    asked,
    help: Help {
        examples: &[
            "etmem survey -N mysqld",
            "etmem survey 4711 --for 2m",
            "etmem survey --all --for 30m --json",
        ],
        exit_statuses: &[
            ExitStatus(0, "done"),
            ExitStatus(1, "ended early: what was known by then is printed"),
            ExitStatus(
                2,
                "nothing is known: there is no such process, no right or no way, or an option is bad",
            ),
            ExitStatus(3, "what was found could not be printed"),
            ExitStatus(254, "etmemd could not be run"),
        ],
        notes: "Nothing moves, and no daemon and no project is needed. One that runs leaves the processes alone meanwhile.\n\
                Looking takes at most 2 % of a processor: it looks less often where that would not be enough. The end is the\n\
                configuration by which a task would move out what is idle. Ctrl-C gives what is known so far.",
    },
};

fn command() -> Command {
    let length = Arg::new("for")
        .long("for")
        .value_name("TIME")
        .help("How long to look: digits and s, m or h [default: 10m]")
        .value_parser(value_parser!(OsString));
    Command::new("survey")
        .about("Look for a while at what programs leave idle, and say what moving it out would save")
        .args(target::arguments())
        .arg(flag("all", "All programs"))
        .group(target::group().arg("all"))
        .arg(length)
        .arg(flag("no-sample", "Read no page for a sample of how well cold memory compresses"))
        .arg(flag("json", "Print one JSON object"))
        .args(etmemd::roots())
        .override_usage("etmem survey PID|-p PID|-N NAME|-c CGROUP|--all [--for TIME] [--no-sample] [--json]")
}

#[expect(clippy::unnecessary_wraps, reason = "as those of the other objects, which can fail")]
fn asked(options: &ArgMatches) -> Result<Asked, Failure> {
    Ok(Asked::Etmemd(target::passed_on("--survey", options, &["for"], &["all", "no-sample", "json"])))
}
