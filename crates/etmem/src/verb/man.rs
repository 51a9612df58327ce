//! `etmem man DIRECTORY`: this program's manual pages, made of the definition of its command line.
//!
//! For those who build and package it, so it is not told of in the help.

use std::io;
use std::path::{Path, PathBuf};

use clap::{Arg, ArgMatches, Command, value_parser};
use etmem_manual::{Page, Section, write_pages};
use etmem_wire::Status;

use crate::command_line::{Asked, missing, program};
use crate::failure::Failure;

const ENVIRONMENT: &[(&str, &str)] = &[(
    "ETMEM_SOCKET",
    "The name of the socket where -s is left out. Without it, the one etmemd that listens on this machine is asked.",
)];

const FILES: &[(&str, &str)] = &[(
    "/etc/etmem/*.yaml",
    "Samples of configuration files, with what each key means. etmemd reads files of root:root with mode 0600 or \
     0400 only.",
)];

pub(crate) fn command() -> Command {
    Command::new("man").about("Write the manual pages of etmem").hide(true).arg(
        Arg::new("directory")
            .value_name("DIRECTORY")
            .help("Where to; it is made if it is not there")
            .required(true)
            .value_parser(value_parser!(PathBuf)),
    )
}

pub(crate) fn asked(options: &ArgMatches) -> Result<Asked, Failure> {
    let directory = options.get_one::<PathBuf>("directory").cloned();
    directory.map(Asked::Manual).ok_or(missing("man", "DIRECTORY"))
}

/// Writes the pages.
pub(crate) fn write(directory: &Path) -> io::Result<Status> {
    let mut program = program();
    program.build();
    let shared = program.get_after_help().map(ToString::to_string).unwrap_or_default();
    write_pages(directory, &pages(&program, &shared, &see_also(&program)))?;
    Ok(Status::Success)
}

/// The program and its objects.
fn commands(program: &Command) -> impl Iterator<Item = &Command> {
    let objects = program.get_subcommands();
    std::iter::once(program)
        .chain(objects.filter(|object| !object.is_hide_set() && object.get_name() != "help"))
}

/// The pages to look at next.
fn see_also(program: &Command) -> Vec<String> {
    let names =
        commands(program).map(|command| command.get_display_name().unwrap_or_else(|| command.get_name()));
    names.map(|name| format!("{name}(1)")).chain(["etmemd(8)".to_owned()]).collect()
}

fn pages<'a>(program: &'a Command, shared: &'a str, see_also: &'a [String]) -> Vec<Page<'a>> {
    let page = |command| Page {
        command,
        section: Section::Commands,
        shared,
        environment: ENVIRONMENT,
        files: FILES,
        see_also,
    };
    commands(program).map(page).collect()
}
