//! `etmem engine COMMAND`: a command that the engine alone understands.

use clap::{Arg, ArgMatches, Command};
use etmem_wire::{CommandWord, Request};

use crate::command_line::{Asked, missing, name, option, send, text};
use crate::failure::Failure;

pub(crate) fn command() -> Command {
    Command::new("engine")
        .about("Pass a command to an engine of a started project")
        .arg(
            Arg::new("command")
                .value_name("COMMAND")
                .help("The engine's command, such as showtaskpages or showhostpages of cslide"),
        )
        .arg(option("proj_name", 'n', "PROJECT", "The project's name").alias("name"))
        .arg(option("engine", 'e', "ENGINE", "The engine's name"))
        .arg(option("task_name", 't', "TASK", "The task's name, if the command is about one"))
        .override_usage(
            "etmem engine COMMAND -n PROJECT -e ENGINE [-t TASK] [-s SOCKET]\n       etmem engine help",
        )
        .arg_required_else_help(true)
        .after_help(
            "Examples:\n  \
             etmem engine showtaskpages -t task -n test -e cslide -s etmemd_socket\n  \
             etmem engine showhostpages -n test -e cslide -s etmemd_socket",
        )
}

/// Whether help is asked for, which is no command of any engine.
pub(crate) fn asks_for_help(options: &ArgMatches) -> bool {
    text(options, "command") == Some("help")
}

pub(crate) fn asked(options: &ArgMatches) -> Result<Asked, Failure> {
    let command = text(options, "command").ok_or(missing("engine", "COMMAND"))?;
    let command = CommandWord::new(command).map_err(|error| Failure::Value {
        what: "command",
        value: command.to_owned(),
        reason: error.to_string(),
    })?;
    send(Request::Engine {
        project: name(options, "proj_name")?.ok_or(missing("engine", "-n|--proj_name PROJECT"))?,
        engine: name(options, "engine")?.ok_or(missing("engine", "-e|--engine ENGINE"))?,
        command,
        task: name(options, "task_name")?,
    })
}
