//! `etmem obj add|del`: a configuration file's projects, engines and tasks.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use etmem_wire::{Request, Word};

use crate::command_line::{Asked, missing, option, send, unknown_command};
use crate::dry_run::{DryRun, Form};
use crate::failure::Failure;

pub(crate) fn command() -> Command {
    Command::new("obj")
        .about("Add or delete the projects, engines and tasks of a configuration file")
        .arg(file_option("The configuration file; root's own, mode 0600 or 0400"))
        .subcommand(
            Command::new("add")
                .about("Add what a file lists: all of it, or nothing")
                .arg(
                    Arg::new("strict")
                        .long("strict")
                        .action(ArgAction::SetTrue)
                        .help("Refuse the file if anything in it would be ignored, such as an unknown key"),
                )
                .arg(dry_run_option())
                .override_usage("etmem obj add [--strict] -f FILE [-s SOCKET]\n       etmem obj add [--strict] --dry-run -f FILE")
                .after_help(
                    "Examples:\n  \
                     etmem obj add -f /etc/etmem/slide.yaml -s etmemd_socket\n  \
                     etmem obj add --dry-run --strict -f /etc/etmem/slide.yaml",
                ),
        )
        .subcommand(
            Command::new("del")
                .about("Delete what a file lists; projects that run are stopped")
                .override_usage("etmem obj del -f FILE [-s SOCKET]")
                .after_help("Example:\n  etmem obj del -f /etc/etmem/slide.yaml -s etmemd_socket"),
        )
        .after_help(
            "Examples:\n  \
             etmem obj add -f /etc/etmem/slide.yaml -s etmemd_socket\n  \
             etmem obj add --dry-run -f /etc/etmem/slide.yaml\n  \
             etmem obj del -f /etc/etmem/slide.yaml -s etmemd_socket",
        )
}

pub(crate) fn asked(matches: &ArgMatches) -> Result<Asked, Failure> {
    match matches.subcommand() {
        Some(("add", options)) => {
            let strict = options.get_flag("strict");
            if options.get_flag("dry-run") {
                let form = Form::Current { strict };
                return Ok(Asked::DryRun(DryRun { file: given_file(options, "obj add")?, form }));
            }
            send(if strict {
                Request::ObjAddStrict { file: file(options, "obj add")? }
            } else {
                Request::ObjAdd { file: file(options, "obj add")? }
            })
        }
        Some(("del", options)) => send(Request::ObjDel { file: file(options, "obj del")? }),
        _ => Err(unknown_command("obj")),
    }
}

pub(super) fn file_option(help: &'static str) -> Arg {
    option("file", 'f', "FILE", help).value_parser(value_parser!(OsString))
}

pub(super) fn dry_run_option() -> Arg {
    Arg::new("dry-run")
        .long("dry-run")
        .action(ArgAction::SetTrue)
        .help("Only check the file, with no etmemd; prints what etmemd would say of it")
}

/// The file as the daemon finds it, whose working directory is another.
pub(super) fn file<const MOST: usize>(
    options: &ArgMatches,
    words: &'static str,
) -> Result<Word<MOST>, Failure> {
    let given = given_file(options, words)?;
    let bad = |path: &Path, reason: String| Failure::Value {
        what: "file",
        value: path.to_string_lossy().into_owned(),
        reason,
    };
    let path = std::path::absolute(&given).map_err(|error| bad(&given, error.to_string()))?;
    let text =
        path.to_str().ok_or_else(|| bad(&path, "is not UTF-8, which the protocol needs".to_owned()))?;
    Word::new(text).map_err(|error| bad(&path, error.to_string()))
}

/// The file as it was named.
pub(super) fn given_file(options: &ArgMatches, words: &'static str) -> Result<PathBuf, Failure> {
    options.get_one::<OsString>("file").map(PathBuf::from).ok_or(missing(words, "-f|--file FILE"))
}
