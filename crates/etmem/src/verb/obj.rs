//! `etmem obj add|diff|del`: the projects, engines and tasks of a configuration file.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::{Arg, ArgMatches, Command, value_parser};
use etmem_manual::Help;
use etmem_wire::{Request, Word};

use crate::arguments::{Asked, Object, flag, missing, option, unknown_command};
use crate::dry_run::{DryRun, Form};
use crate::failure::Failure;

pub(crate) const OBJECT: Object = Object {
    command,
    asked,
    help: Help::examples(&[
        "etmem obj add -f /etc/etmem/slide.yaml -s etmemd_socket",
        "etmem obj add --dry-run -f /etc/etmem/slide.yaml",
        "etmem obj add --keep -f /etc/etmem/slide.yaml -s etmemd_socket",
        "etmem obj diff -f /etc/etmem/slide.yaml -s etmemd_socket",
        "etmem obj del -f /etc/etmem/slide.yaml -s etmemd_socket",
    ]),
};

const ADD: Help = Help::examples(&[
    "etmem obj add -f /etc/etmem/slide.yaml -s etmemd_socket",
    "etmem obj add --dry-run --strict -f /etc/etmem/slide.yaml",
    "etmem obj add --keep -f /etc/etmem/slide.yaml -s etmemd_socket",
]);

const DIFF: Help = Help::examples(&["etmem obj diff -f /etc/etmem/slide.yaml -s etmemd_socket"]);

const DEL: Help = Help::examples(&["etmem obj del -f /etc/etmem/slide.yaml -s etmemd_socket"]);

fn command() -> Command {
    Command::new("obj")
        .about("Add, compare or delete the projects, engines and tasks of a configuration file")
        .arg(file_option("The configuration file, owned by root:root with mode 0600 or 0400"))
        .subcommand(
            Command::new("add")
                .about("Add all that the file lists, or nothing if any of it is refused")
                .arg(flag(
                    "strict",
                    "Refuse the file if anything in it would be ignored, such as an unknown key",
                ))
                .arg(dry_run_option())
                .arg(
                    flag(
                        "keep",
                        "Also copy the file to the folder of etmemd --config-dir, so that it is added and started after each start",
                    )
                    .conflicts_with_all(["strict", "dry-run"]),
                )
                .override_usage(
                    "etmem obj add [--strict|--keep] -f FILE [-s SOCKET]\n       \
                     etmem obj add [--strict] --dry-run -f FILE",
                )
                .after_help(ADD.text()),
        )
        .subcommand(
            Command::new("diff")
                .about("Say what would be added and changed if the file were in the folder of etmemd and read again; changes nothing")
                .override_usage("etmem obj diff -f FILE [-s SOCKET]")
                .after_help(DIFF.text()),
        )
        .subcommand(
            Command::new("del")
                .about("Delete what the file lists; a project that runs is stopped first")
                .override_usage("etmem obj del -f FILE [-s SOCKET]")
                .after_help(DEL.text()),
        )
}

fn asked(matches: &ArgMatches) -> Result<Asked, Failure> {
    match matches.subcommand() {
        Some(("add", options)) => {
            let strict = options.get_flag("strict");
            if options.get_flag("dry-run") {
                let form = Form::Current { strict };
                return Ok(Asked::DryRun(DryRun { file: given_file(options, "obj add")?, form }));
            }
            if options.get_flag("keep") {
                return Ok(Asked::Send(Request::ObjAddKeep(file(options, "obj add")?)));
            }
            Ok(Asked::Send(if strict {
                Request::ObjAddStrict(file(options, "obj add")?)
            } else {
                Request::ObjAdd(file(options, "obj add")?)
            }))
        }
        Some(("diff", options)) => Ok(Asked::Send(Request::ObjDiff(file(options, "obj diff")?))),
        Some(("del", options)) => Ok(Asked::Send(Request::ObjDel(file(options, "obj del")?))),
        _ => Err(unknown_command("obj")),
    }
}

pub(super) fn file_option(help: &'static str) -> Arg {
    option("file", 'f', "FILE", help).value_parser(value_parser!(OsString))
}

pub(super) fn dry_run_option() -> Arg {
    flag("dry-run", "Only check the file, without an etmemd, and print what etmemd would answer")
}

/// The file by an absolute path, as the daemon has another working directory.
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
    let text = path
        .to_str()
        .ok_or_else(|| bad(&path, "is not UTF-8; the protocol carries UTF-8 only".to_owned()))?;
    Word::new(text).map_err(|error| bad(&path, error.to_string()))
}

/// The file as it was named.
pub(super) fn given_file(options: &ArgMatches, words: &'static str) -> Result<PathBuf, Failure> {
    options.get_one::<OsString>("file").map(PathBuf::from).ok_or(missing(words, "-f|--file FILE"))
}
