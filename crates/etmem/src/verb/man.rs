//! `etmem man DIRECTORY`: the manual pages of this program, made from the definition of its command line.
//!
//! It is for people who build and package etmem, so help does not list it.

use std::io;
use std::path::{Path, PathBuf};

use clap::{Arg, ArgMatches, Command, value_parser};
use etmem_manual::{CommandPage, Help, Page, Section, command_page, write_pages};
use etmem_wire::Status;

use crate::arguments::{Asked, Object, missing};
use crate::failure::Failure;

const ENVIRONMENT: &[(&str, &str)] = &[(
    "ETMEM_SOCKET",
    "Name of the socket if -s is left out. If this is not set either, etmem uses the socket of the only etmemd that runs.",
)];

const FILES: &[(&str, &str)] = &[(
    "/etc/etmem/*.yaml",
    "Samples of configuration files, which explain each key. etmemd reads a file only if root:root owns it and its \
     mode is 0600 or 0400.",
)];

pub(crate) fn command() -> Command {
    Command::new("man").about("Write the manual pages of etmem").hide(true).arg(
        Arg::new("directory")
            .value_name("DIRECTORY")
            .help("Directory to write to; it is made if it is missing")
            .required(true)
            .value_parser(value_parser!(PathBuf)),
    )
}

pub(crate) fn asked(options: &ArgMatches) -> Result<Asked, Failure> {
    let directory = options.get_one::<PathBuf>("directory").cloned();
    directory.map(Asked::Manual).ok_or(missing("man", "DIRECTORY"))
}

/// Writes the pages of `program`, whose own help is `help`, and of `objects` into `directory`.
pub(crate) fn write(
    directory: &Path,
    mut program: Command,
    help: &Help,
    objects: &[Object],
) -> io::Result<Status> {
    program.build();
    let objects = objects.iter().map(|object| ((object.command)().get_name().to_owned(), object.help));
    let objects = objects.filter_map(|(name, own)| {
        let exit_statuses = if own.exit_statuses.is_empty() { help.exit_statuses } else { own.exit_statuses };
        Some((program.find_subcommand(name)?, Help { exit_statuses, ..own }))
    });
    let commands: Vec<(&Command, Help)> = std::iter::once((&program, *help)).chain(objects).collect();
    let names = commands.iter().map(|(command, _)| command.get_display_name().unwrap_or("etmem"));
    let see_also: Vec<String> =
        names.map(|name| format!("{name}(1)")).chain(["etmemd(8)".to_owned()]).collect();
    let page = |(command, help): &(&Command, Help)| {
        command_page(&CommandPage {
            command,
            section: Section::Commands,
            help,
            environment: ENVIRONMENT,
            files: FILES,
            see_also: &see_also,
        })
    };
    write_pages(directory, &commands.iter().map(page).collect::<io::Result<Vec<Page>>>()?)?;
    Ok(Status::Success)
}
