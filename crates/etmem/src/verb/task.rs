//! `etmem task show`: what running tasks have done, and why not more.

use clap::{ArgMatches, Command};
use etmem_manual::Help;
use etmem_wire::{Request, TaskForm};

use crate::arguments::{Asked, Object, flag, name, option, unknown_command};
use crate::failure::Failure;
use crate::verb::project::project;
use crate::watch::TaskShow;

pub(crate) const OBJECT: Object = Object {
    command,
    asked,
    help: Help::examples(&[
        "etmem task show -n test -s etmemd_socket",
        "etmem task show -n test -t background --watch -s etmemd_socket",
    ]),
};

const SHOW: Help = Help::examples(&[
    "etmem task show -n test -s etmemd_socket",
    "etmem task show -n test -t background --watch -s etmemd_socket",
    "etmem task show -n test --json -s etmemd_socket",
]);

fn command() -> Command {
    Command::new("task")
        .about("Show what running tasks have done, and why not more")
        .arg(option("name", 'n', "PROJECT", "Name of the project"))
        .arg(option("task_name", 't', "TASK", "Name of the task [default: all tasks of the project]"))
        .subcommand(
            Command::new("show")
                .about("Show state, target processes, the last cycle and the sum of all cycles of each task")
                .arg(flag("watch", "Show it again each second, until Ctrl-C"))
                .arg(flag("json", "Print one JSON object for each task, on a line of its own"))
                .override_usage("etmem task show -n PROJECT [-t TASK] [--watch] [--json] [-s SOCKET]")
                .after_help(SHOW.text()),
        )
}

fn asked(matches: &ArgMatches) -> Result<Asked, Failure> {
    let Some(("show", options)) = matches.subcommand() else { return Err(unknown_command("task")) };
    let form = if options.get_flag("json") { TaskForm::Json } else { TaskForm::Text };
    let project = project(options, "task show")?;
    let request = Request::TaskShow { project, task: name(options, "task_name")?, form };
    Ok(Asked::TaskShow(TaskShow { request, form, watch: options.get_flag("watch") }))
}
