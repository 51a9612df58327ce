//! `etmem migrate start|stop`: how etmem 1.0 said `project start|stop`.

use clap::{ArgMatches, Command};
use etmem_manual::Help;
use etmem_wire::Request;

use crate::arguments::{Asked, Object, option, unknown_command};
use crate::failure::Failure;
use crate::verb::project::project;

pub(crate) const OBJECT: Object = Object {
    command,
    asked,
    help: Help::examples(&[
        "etmem migrate start -n test -s etmemd_socket",
        "etmem migrate stop -n test -s etmemd_socket",
    ]),
};

const START: Help = Help::examples(&["etmem migrate start -n test -s etmemd_socket"]);
const STOP: Help = Help::examples(&["etmem migrate stop -n test -s etmemd_socket"]);

fn command() -> Command {
    let verb = |word: &'static str, help: Help| {
        Command::new(word)
            .about(format!("The same as \"project {word}\""))
            .override_usage(format!("etmem migrate {word} -n PROJECT [-s SOCKET]"))
            .after_help(help.text())
    };
    Command::new("migrate")
        .about("Start or stop a project, in the words of etmem 1.0")
        .arg(option("name", 'n', "PROJECT", "Name of the project"))
        .subcommands([verb("start", START), verb("stop", STOP)])
}

fn asked(matches: &ArgMatches) -> Result<Asked, Failure> {
    let request = match matches.subcommand() {
        Some(("start", options)) => Request::ProjectStart(project(options, "migrate start")?),
        Some(("stop", options)) => Request::ProjectStop(project(options, "migrate stop")?),
        _ => return Err(unknown_command("migrate")),
    };
    Ok(Asked::Send(request))
}
