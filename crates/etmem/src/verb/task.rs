//! `etmem task show`: what running tasks have done, and why not more.

use clap::{Arg, ArgAction, ArgMatches, Command};
use etmem_wire::{Request, TaskForm};

use crate::command_line::{Asked, name, option, unknown_command};
use crate::failure::Failure;
use crate::verb::project::project;
use crate::watch::TaskShow;

pub(crate) fn command() -> Command {
    Command::new("task")
        .about("Show what running tasks have done, and why not more")
        .arg(option("name", 'n', "PROJECT", "The project's name"))
        .arg(option("task_name", 't', "TASK", "The task's name; without it, every task of the project"))
        .subcommand(
            Command::new("show")
                .about("Show state, targets, the last cycle and all cycles together of each task")
                .arg(flag("watch", "Show it again each second, until Ctrl-C"))
                .arg(flag("json", "Print a JSON object for each task, each on a line of its own"))
                .override_usage("etmem task show -n PROJECT [-t TASK] [--watch] [--json] [-s SOCKET]")
                .after_help(
                    "Examples:\n  \
                     etmem task show -n test -s etmemd_socket\n  \
                     etmem task show -n test -t background --watch -s etmemd_socket\n  \
                     etmem task show -n test --json -s etmemd_socket",
                ),
        )
        .after_help(
            "Examples:\n  \
             etmem task show -n test -s etmemd_socket\n  \
             etmem task show -n test -t background --watch -s etmemd_socket",
        )
}

fn flag(name: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).action(ArgAction::SetTrue).help(help)
}

pub(crate) fn asked(matches: &ArgMatches) -> Result<Asked, Failure> {
    match matches.subcommand() {
        Some(("show", options)) => {
            let form = if options.get_flag("json") { TaskForm::Json } else { TaskForm::Text };
            let request = Request::TaskShow {
                project: project(options, "task show")?,
                task: name(options, "task_name")?,
                form,
            };
            Ok(Asked::TaskShow(TaskShow { request, form, watch: options.get_flag("watch") }))
        }
        _ => Err(unknown_command("task")),
    }
}
