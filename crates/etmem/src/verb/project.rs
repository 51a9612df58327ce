//! `etmem project start|stop|show`: projects that were added; `add|del`: how etmem 1.0 said `obj add|del`.

use clap::{ArgMatches, Command};
use etmem_core::name::Name;
use etmem_manual::Help;
use etmem_wire::Request;

use crate::arguments::{Asked, Object, flag, missing, name, option, unknown_command};
use crate::dry_run::{DryRun, Form};
use crate::failure::Failure;
use crate::verb::obj::{dry_run_option, file, file_option, given_file};

pub(crate) const OBJECT: Object = Object {
    command,
    asked,
    help: Help::examples(&[
        "etmem project start -n test -s etmemd_socket",
        "etmem project stop -n test -s etmemd_socket",
        "etmem project show -s etmemd_socket",
        "etmem project add -n test -f /etc/etmem/example_conf.yaml -s etmemd_socket",
        "etmem project del -n test -s etmemd_socket",
    ]),
};

const START: Help = Help::examples(&["etmem project start -n test -s etmemd_socket"]);
const STOP: Help = Help::examples(&["etmem project stop -n test -s etmemd_socket"]);
const SHOW: Help = Help::examples(&[
    "etmem project show -s etmemd_socket",
    "etmem project show -n test -s etmemd_socket",
    "etmem project show -n test --verbose -s etmemd_socket",
]);
const ADD: Help = Help::examples(&[
    "etmem project add -n test -f /etc/etmem/example_conf.yaml -s etmemd_socket",
    "etmem project add --dry-run -n test -f /etc/etmem/example_conf.yaml",
]);
const DEL: Help = Help::examples(&["etmem project del -n test -s etmemd_socket"]);

fn command() -> Command {
    let add = Command::new("add")
        .about("Add a project from a configuration file of etmem 1.0")
        .arg(file_option(
            "The file, which begins with \"options:\", owned by root:root with mode 0600 or 0400",
        ))
        .arg(dry_run_option())
        .override_usage(
            "etmem project add -n PROJECT -f FILE [-s SOCKET]\n       \
             etmem project add --dry-run -n PROJECT -f FILE",
        );
    let show = Command::new("show")
        .about("List the tasks of one project or of all")
        .arg(flag("verbose", "Show also how each task scans and moves pages, and why in this way"))
        .override_usage("etmem project show [-n PROJECT] [--verbose] [-s SOCKET]");
    let plain = |word: &'static str, about: &'static str| {
        Command::new(word).about(about).override_usage(format!("etmem project {word} -n PROJECT [-s SOCKET]"))
    };
    Command::new("project")
        .about("Start, stop or show projects; add or delete those of etmem 1.0")
        .arg(option("name", 'n', "PROJECT", "Name of the project"))
        .subcommand(plain("start", "Start all tasks of a project").after_help(START.text()))
        .subcommand(plain("stop", "Stop all tasks of a project").after_help(STOP.text()))
        .subcommand(show.after_help(SHOW.text()))
        .subcommand(add.after_help(ADD.text()))
        .subcommand(
            plain("del", "Delete a project with all it has; if it runs, it is stopped first")
                .after_help(DEL.text()),
        )
}

fn asked(matches: &ArgMatches) -> Result<Asked, Failure> {
    let request = match matches.subcommand() {
        Some(("start", options)) => Request::ProjectStart(project(options, "project start")?),
        Some(("stop", options)) => Request::ProjectStop(project(options, "project stop")?),
        Some(("show", options)) => {
            Request::ProjectShow { name: name(options, "name")?, verbose: options.get_flag("verbose") }
        }
        Some(("add", options)) => {
            const WORDS: &str = "project add";
            let name = project(options, WORDS)?;
            if options.get_flag("dry-run") {
                let form = Form::Older { project: name };
                return Ok(Asked::DryRun(DryRun { file: given_file(options, WORDS)?, form }));
            }
            Request::ProjectAdd { name, file: file(options, WORDS)? }
        }
        Some(("del", options)) => Request::ProjectDel(project(options, "project del")?),
        _ => return Err(unknown_command("project")),
    };
    Ok(Asked::Send(request))
}

/// The name of the project, which `words` require.
pub(super) fn project(options: &ArgMatches, words: &'static str) -> Result<Name, Failure> {
    name(options, "name")?.ok_or(missing(words, "-n|--name PROJECT"))
}
