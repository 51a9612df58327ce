//! `etmem migrate start|stop`: how etmem 1.0 said `project start|stop`.

use clap::{ArgMatches, Command};
use etmem_wire::Request;

use crate::command_line::{Asked, option, send, unknown_command};
use crate::failure::Failure;
use crate::verb::project::project;

pub(crate) fn command() -> Command {
    Command::new("migrate")
        .about("Start or stop a project, in the words of etmem 1.0")
        .arg(option("name", 'n', "PROJECT", "The project's name"))
        .subcommand(
            Command::new("start")
                .about("The same as \"project start\"")
                .override_usage("etmem migrate start -n PROJECT [-s SOCKET]")
                .after_help("Example:\n  etmem migrate start -n test -s etmemd_socket"),
        )
        .subcommand(
            Command::new("stop")
                .about("The same as \"project stop\"")
                .override_usage("etmem migrate stop -n PROJECT [-s SOCKET]")
                .after_help("Example:\n  etmem migrate stop -n test -s etmemd_socket"),
        )
        .after_help(
            "Examples:\n  \
             etmem migrate start -n test -s etmemd_socket\n  \
             etmem migrate stop -n test -s etmemd_socket",
        )
}

pub(crate) fn asked(matches: &ArgMatches) -> Result<Asked, Failure> {
    match matches.subcommand() {
        Some(("start", options)) => send(Request::ProjectStart { name: project(options, "migrate start")? }),
        Some(("stop", options)) => send(Request::ProjectStop { name: project(options, "migrate stop")? }),
        _ => Err(unknown_command("migrate")),
    }
}
