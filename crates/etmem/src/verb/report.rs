//! `etmem report`: what programs touch, as a heat map, by age, or over time. It becomes `etmemd --report`.

use std::ffi::OsString;

use clap::{Arg, ArgGroup, ArgMatches, Command, value_parser};
use etmem_manual::{ExitStatus, Help};

use super::{record, target};
use crate::arguments::{Asked, Object};
use crate::etmemd;
use crate::failure::Failure;

pub(crate) const OBJECT: Object = Object {
    command,
    asked,
    help: Help {
        examples: &[
            "etmem report heatmap --from db.rec",
            "etmem report heatmap --from day.rec --format html >day.html",
            "etmem report ages -N mysqld --for 5m",
            "etmem report wss --from db.rec -p 4711 --format csv",
        ],
        exit_statuses: &[
            ExitStatus(0, "done"),
            ExitStatus(
                2,
                "nothing was reported: the file is no record, there is no such process, or an option is bad",
            ),
            ExitStatus(3, "the report could not be printed"),
            ExitStatus(254, "etmemd could not be run"),
        ],
        notes: "heatmap: what of the address space was touched when. ages: bytes that have been idle for at least each age.\n\
                wss: the working set over time. With --from, a record is read: one of etmem record, or one of damo record in\n\
                its formats json and json_compressed; -p chooses a process of it. Else the program is looked at for --for\n\
                first, as root. svg and html are files of their own, for a browser. NO_COLOR: text has no colours.",
    },
};

fn command() -> Command {
    let what = Arg::new("what").value_name("WHAT").required(true).help("heatmap, ages or wss");
    let from = Arg::new("from").long("from").value_name("FILE").help("A record to read");
    let format =
        Arg::new("format").long("format").value_name("FORMAT").help("text, svg, html or csv [default: text]");
    Command::new("report")
        .about("Show what programs touch: as a heat map, by age, or as the working set over time")
        .arg(what.value_parser(["heatmap", "ages", "wss"]).hide_possible_values(true))
        .arg(from.value_parser(value_parser!(OsString)))
        .args(target::options())
        .group(ArgGroup::new("whom").args(["pid", "name", "cgroup", "from"]).required(true).multiple(true))
        .arg(format.value_parser(["text", "svg", "html", "csv"]).hide_possible_values(true))
        .args(record::looking())
        .args(etmemd::roots())
        .override_usage(
            "etmem report heatmap|ages|wss --from FILE [-p PID] [--format FORMAT]\n       \
             etmem report heatmap|ages|wss -p PID|-N NAME|-c CGROUP [--for TIME] [--every TIME] [--format FORMAT]",
        )
}

#[expect(clippy::unnecessary_wraps, reason = "as those of the other objects, which can fail")]
fn asked(options: &ArgMatches) -> Result<Asked, Failure> {
    let mut arguments = target::passed_on("--report", options, &["from", "for", "every"], &[]);
    for name in ["what", "format"] {
        arguments.extend(options.get_one::<String>(name).map(|value| format!("--{name}={value}").into()));
    }
    Ok(Asked::Etmemd(arguments))
}
