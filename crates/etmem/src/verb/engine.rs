//! `etmem engine COMMAND`: a command that the engine alone understands.

use clap::{Arg, ArgMatches, Command};
use etmem_manual::Help;
use etmem_wire::{CommandWord, Request};

use crate::arguments::{Asked, Object, missing, name, option, text};
use crate::failure::{Failure, UNKNOWN_COMMAND};

pub(crate) const OBJECT: Object = Object {
    command,
    asked,
    help: Help::examples(&[
        "etmem engine showtaskpages -t task -n test -e cslide -s etmemd_socket",
        "etmem engine showhostpages -n test -e cslide -s etmemd_socket",
    ]),
};

fn command() -> Command {
    Command::new("engine")
        .about("Pass a command to an engine of a started project")
        .arg(
            Arg::new("command")
                .value_name("COMMAND")
                .help("Command of the engine, such as showtaskpages or showhostpages of cslide"),
        )
        .arg(option("proj_name", 'n', "PROJECT", "Name of the project").alias("name"))
        .arg(option("engine", 'e', "ENGINE", "Name of the engine"))
        .arg(option("task_name", 't', "TASK", "Name of the task, if the command is about one"))
        .override_usage(
            "etmem engine COMMAND -n PROJECT -e ENGINE [-t TASK] [-s SOCKET]\n       etmem engine help",
        )
}

/// Whether help is asked for, which is no command of any engine.
pub(crate) fn asks_for_help(options: &ArgMatches) -> bool {
    text(options, "command") == Some("help")
}

/// `etmem engine` needs `option`, which was not given. The original has another exit status for these two than for others.
const fn missing_here(option: &'static str) -> Failure {
    Failure::Missing { command: "engine", option, number: UNKNOWN_COMMAND }
}

fn asked(options: &ArgMatches) -> Result<Asked, Failure> {
    let command = text(options, "command").ok_or(missing_here("COMMAND"))?;
    let command = CommandWord::new(command).map_err(|error| Failure::Value {
        what: "command",
        value: command.to_owned(),
        reason: error.to_string(),
    })?;
    Ok(Asked::Send(Request::Engine {
        project: name(options, "proj_name")?.ok_or(missing("engine", "-n|--proj_name PROJECT"))?,
        engine: name(options, "engine")?.ok_or(missing_here("-e|--engine ENGINE"))?,
        command,
        task: name(options, "task_name")?,
    }))
}
