//! `etmem project start|stop|show`: projects that were added.

use clap::{ArgMatches, Command};
use etmem_core::name::Name;
use etmem_wire::Request;

use crate::command_line::{missing, name, option, unknown_command};
use crate::failure::Failure;

pub(crate) fn command() -> Command {
    Command::new("project")
        .about("Start, stop or show projects")
        .arg(option("name", 'n', "PROJECT", "The project's name"))
        .subcommand(
            Command::new("start")
                .about("Start every task of a project")
                .override_usage("etmem project start -n PROJECT [-s SOCKET]")
                .after_help("Example:\n  etmem project start -n test -s etmemd_socket"),
        )
        .subcommand(
            Command::new("stop")
                .about("Stop every task of a project")
                .override_usage("etmem project stop -n PROJECT [-s SOCKET]")
                .after_help("Example:\n  etmem project stop -n test -s etmemd_socket"),
        )
        .subcommand(
            Command::new("show")
                .about("List the tasks of a project, or of all")
                .override_usage("etmem project show [-n PROJECT] [-s SOCKET]")
                .after_help(
                    "Examples:\n  \
                     etmem project show -s etmemd_socket\n  \
                     etmem project show -n test -s etmemd_socket",
                ),
        )
        .after_help(
            "Examples:\n  \
             etmem project start -n test -s etmemd_socket\n  \
             etmem project stop -n test -s etmemd_socket\n  \
             etmem project show -s etmemd_socket",
        )
}

pub(crate) fn request(matches: &ArgMatches) -> Result<Request, Failure> {
    match matches.subcommand() {
        Some(("start", options)) => Ok(Request::ProjectStart { name: project(options, "project start")? }),
        Some(("stop", options)) => Ok(Request::ProjectStop { name: project(options, "project stop")? }),
        Some(("show", options)) => Ok(Request::ProjectShow { name: name(options, "name")? }),
        _ => Err(unknown_command("project")),
    }
}

/// The project that `words` cannot do without.
pub(super) fn project(options: &ArgMatches, words: &'static str) -> Result<Name, Failure> {
    name(options, "name")?.ok_or(missing(words, "-n|--name PROJECT"))
}
