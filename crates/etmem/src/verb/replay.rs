//! `etmem replay`: what a task of slide would have done over a record. It becomes `etmemd --replay`.

use std::ffi::OsString;

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use etmem_manual::{ExitStatus, Help};

use crate::arguments::{Asked, Object, flag};
use crate::failure::Failure;

pub(crate) const OBJECT: Object = Object {
    command,
    asked,
    help: Help {
        examples: &[
            "etmem replay db.rec --set T=1",
            "etmem replay db.rec --set T=2 --set loop=3 --set age=none",
            "etmem replay db.rec --set age=5m --json",
        ],
        exit_statuses: &[
            ExitStatus(0, "done"),
            ExitStatus(1, "the record is cut off or damaged: it was replayed up to there"),
            ExitStatus(2, "nothing was replayed: the file is no record, or a setting is bad"),
            ExitStatus(3, "what was found could not be printed"),
            ExitStatus(254, "etmemd could not be run"),
        ],
        notes: "The task is that of the daemon, with all its caution; the record stands for the machine. Keys are those of a\n\
                slide task and loop, interval and sleep of its project (docs/configuration.md); left out, loop is 1, T is 1,\n\
                and interval and sleep are the time between two looks of the record. Nothing moves, and root is not needed.",
    },
};

fn command() -> Command {
    let file =
        Arg::new("file").value_name("FILE").required(true).help("A record, of etmem record or damo record");
    let set = Arg::new("set").long("set").value_name("KEY=VALUE").action(ArgAction::Append);
    Command::new("replay")
        .about("Say what a task of slide would have moved, and what would have come back, over a record")
        .arg(file.value_parser(value_parser!(OsString)))
        .arg(
            set.value_parser(value_parser!(OsString))
                .help("A key of the task or project; may be given several times"),
        )
        .arg(flag("json", "Print one JSON object"))
        .override_usage("etmem replay FILE [--set KEY=VALUE]... [--json]")
}

#[expect(clippy::unnecessary_wraps, reason = "as those of the other objects, which can fail")]
fn asked(options: &ArgMatches) -> Result<Asked, Failure> {
    let argument = |name: &str, value: &OsString| {
        let mut argument = OsString::from(format!("--{name}="));
        argument.push(value);
        argument
    };
    let mut arguments = vec![OsString::from("--replay")];
    arguments.extend(options.get_one("file").map(|file| argument("file", file)));
    arguments.extend(options.get_many("set").into_iter().flatten().map(|set| argument("set", set)));
    if options.get_flag("json") {
        arguments.push("--json".into());
    }
    Ok(Asked::Etmemd(arguments))
}
