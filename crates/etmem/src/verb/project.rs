//! `etmem project start|stop|show`: projects that were added; `add|del`: how etmem 1.0 said `obj add|del`.

use clap::{Arg, ArgAction, ArgMatches, Command};
use etmem_core::name::Name;
use etmem_wire::Request;

use crate::command_line::{Asked, missing, name, option, send, unknown_command};
use crate::dry_run::{DryRun, Form};
use crate::failure::Failure;
use crate::verb::obj::{dry_run_option, file, file_option, given_file};

pub(crate) fn command() -> Command {
    Command::new("project")
        .about("Start, stop or show projects; add or delete those of etmem 1.0")
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
                .arg(
                    Arg::new("verbose")
                        .long("verbose")
                        .action(ArgAction::SetTrue)
                        .help("Show as well how each task sees and moves pages, and why so"),
                )
                .override_usage("etmem project show [-n PROJECT] [--verbose] [-s SOCKET]")
                .after_help(
                    "Examples:\n  \
                     etmem project show -s etmemd_socket\n  \
                     etmem project show -n test -s etmemd_socket\n  \
                     etmem project show -n test --verbose -s etmemd_socket",
                ),
        )
        .subcommand(
            Command::new("add")
                .about("Add a project from a configuration file of etmem 1.0")
                .arg(file_option("The file, which begins with \"options:\"; root's own, mode 0600 or 0400"))
                .arg(dry_run_option())
                .override_usage(
                    "etmem project add -n PROJECT -f FILE [-s SOCKET]\n       \
                     etmem project add --dry-run -n PROJECT -f FILE",
                )
                .after_help(
                    "Examples:\n  \
                     etmem project add -n test -f /etc/etmem/example_conf.yaml -s etmemd_socket\n  \
                     etmem project add --dry-run -n test -f /etc/etmem/example_conf.yaml",
                ),
        )
        .subcommand(
            Command::new("del")
                .about("Delete a project with all it has; if it runs, it is stopped")
                .override_usage("etmem project del -n PROJECT [-s SOCKET]")
                .after_help("Example:\n  etmem project del -n test -s etmemd_socket"),
        )
        .after_help(
            "Examples:\n  \
             etmem project start -n test -s etmemd_socket\n  \
             etmem project stop -n test -s etmemd_socket\n  \
             etmem project show -s etmemd_socket\n  \
             etmem project add -n test -f /etc/etmem/example_conf.yaml -s etmemd_socket\n  \
             etmem project del -n test -s etmemd_socket",
        )
}

pub(crate) fn asked(matches: &ArgMatches) -> Result<Asked, Failure> {
    match matches.subcommand() {
        Some(("start", options)) => send(Request::ProjectStart { name: project(options, "project start")? }),
        Some(("stop", options)) => send(Request::ProjectStop { name: project(options, "project stop")? }),
        Some(("show", options)) => {
            send(Request::ProjectShow { name: name(options, "name")?, verbose: options.get_flag("verbose") })
        }
        Some(("add", options)) => {
            const WORDS: &str = "project add";
            let name = project(options, WORDS)?;
            if options.get_flag("dry-run") {
                let form = Form::Older { project: name };
                return Ok(Asked::DryRun(DryRun { file: given_file(options, WORDS)?, form }));
            }
            send(Request::ProjectAdd { name, file: file(options, WORDS)? })
        }
        Some(("del", options)) => send(Request::ProjectDel { name: project(options, "project del")? }),
        _ => Err(unknown_command("project")),
    }
}

/// The project that `words` cannot do without.
pub(super) fn project(options: &ArgMatches, words: &'static str) -> Result<Name, Failure> {
    name(options, "name")?.ok_or(missing(words, "-n|--name PROJECT"))
}
