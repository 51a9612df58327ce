//! `etmem record`: writes down what programs touch. It becomes `etmemd --record`.

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
            "etmem record db.rec -N mysqld",
            "etmem record day.rec -p 4711 --for 24h --every 10s",
            "etmem report heatmap --from day.rec --format html >day.html",
        ],
        exit_statuses: &[
            ExitStatus(0, "done"),
            ExitStatus(1, "ended early: what was seen by then is in the file"),
            ExitStatus(
                2,
                "nothing was recorded: there is no such process, no right or no way, or an option is bad",
            ),
            ExitStatus(3, "what was done could not be printed"),
            ExitStatus(254, "etmemd could not be run"),
        ],
        notes: "Nothing moves, and no daemon and no project is needed. One that runs leaves the processes alone meanwhile.\n\
                FILE must not exist yet. It is of mode 0600, as it says where programs have their memory. Each look is appended\n\
                at once: Ctrl-C, or a kill, leaves a record that is whole up to the last look. Looking takes at most 1 % of a\n\
                processor: it looks less often where that would not be enough.",
    },
};

/// How long and how often to look.
pub(super) fn looking() -> [Arg; 2] {
    let time = |name, help| {
        Arg::new(name).long(name).value_name("TIME").help(help).value_parser(value_parser!(OsString))
    };
    [
        time("for", "How long to look: digits and s, m or h [default: 10m]"),
        time("every", "Time between two looks: digits and s, m or h [default: 10s]"),
    ]
}

fn command() -> Command {
    let file = Arg::new("file").value_name("FILE").required(true).help("The file to write");
    Command::new("record")
        .about("Look for a while at what programs touch, and write it to a file")
        .arg(file.value_parser(value_parser!(OsString)))
        .args(target::options())
        .group(target::group_of_options())
        .args(looking())
        .arg(flag("json", "Print one JSON object"))
        .args(etmemd::roots())
        .override_usage("etmem record FILE -p PID|-N NAME|-c CGROUP [--for TIME] [--every TIME] [--json]")
}

#[expect(clippy::unnecessary_wraps, reason = "as those of the other objects, which can fail")]
fn asked(options: &ArgMatches) -> Result<Asked, Failure> {
    Ok(Asked::Etmemd(target::passed_on("--record", options, &["file", "for", "every"], &["json"])))
}
