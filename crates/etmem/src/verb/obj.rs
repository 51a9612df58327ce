//! `etmem obj add|del`: a configuration file's projects, engines and tasks.

use std::path::Path;

use clap::{ArgMatches, Command};
use etmem_wire::{FilePath, Request};

use crate::command_line::{missing, option, text, unknown_command};
use crate::failure::Failure;

pub(crate) fn command() -> Command {
    Command::new("obj")
        .about("Add or delete the projects, engines and tasks of a configuration file")
        .arg(option("file", 'f', "FILE", "The configuration file; root's own, mode 0600 or 0400"))
        .subcommand(
            Command::new("add")
                .about("Add what a file lists")
                .override_usage("etmem obj add -f FILE [-s SOCKET]")
                .after_help("Example:\n  etmem obj add -f /etc/etmem/slide.conf -s etmemd_socket"),
        )
        .subcommand(
            Command::new("del")
                .about("Delete what a file lists; projects that run are stopped")
                .override_usage("etmem obj del -f FILE [-s SOCKET]")
                .after_help("Example:\n  etmem obj del -f /etc/etmem/slide.conf -s etmemd_socket"),
        )
        .after_help(
            "Examples:\n  \
             etmem obj add -f /etc/etmem/slide.conf -s etmemd_socket\n  \
             etmem obj del -f /etc/etmem/slide.conf -s etmemd_socket",
        )
}

pub(crate) fn request(matches: &ArgMatches) -> Result<Request, Failure> {
    match matches.subcommand() {
        Some(("add", options)) => Ok(Request::ObjAdd { file: file(options, "obj add")? }),
        Some(("del", options)) => Ok(Request::ObjDel { file: file(options, "obj del")? }),
        _ => Err(unknown_command("obj")),
    }
}

/// The file as the daemon finds it, whose working directory is another.
fn file(options: &ArgMatches, words: &'static str) -> Result<FilePath, Failure> {
    let given = text(options, "file").ok_or(missing(words, "-f|--file FILE"))?;
    let bad = |value: String, reason: String| Failure::Value { what: "file", value, reason };
    let path =
        std::path::absolute(Path::new(given)).map_err(|error| bad(given.to_owned(), error.to_string()))?;
    let path = path.to_string_lossy();
    FilePath::new(&path).map_err(|error| bad(path.into_owned(), error.to_string()))
}
