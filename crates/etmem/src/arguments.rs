//! What a command line asks for, and what the objects share to define and read their options.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::error::ErrorKind;
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use clap_complete::Shell;
use etmem_core::name::Name;
use etmem_manual::Help;
use etmem_wire::Request;

use crate::dry_run::DryRun;
use crate::failure::{BAD_OPTION, Failure};
use crate::metrics::Metrics;
use crate::metrics::listen::Listen;
use crate::pressure::Place;
use crate::top::Top;
use crate::watch::TaskShow;
use crate::whereabouts::WhereOfProject;

/// The argument that is a command.
const COMMAND: &str = "COMMAND";

/// What the arguments ask for.
#[derive(Debug)]
pub(crate) enum Asked {
    /// A request to the daemon.
    Send(Request),
    /// A request about tasks, sent once or every second.
    TaskShow(TaskShow),
    /// A live view of tasks.
    Top(Top),
    /// A request for metrics, which may go to a file.
    Metrics(Metrics),
    /// To answer requests for metrics over the network.
    Listen(Listen),
    /// Something that needs no daemon, done by etmemd with these arguments.
    Etmemd(Vec<OsString>),
    /// The same about the processes of a project, which the daemon knows.
    WhereOfProject(WhereOfProject),
    /// A check of a file, without a daemon.
    DryRun(DryRun),
    /// A command to run at each request for memory from this place; no request comes if it is switched off.
    PressureRun(Option<Place>, Vec<OsString>),
    /// This text on standard output.
    Print(String),
    /// The script by which this shell completes command lines.
    Completions(Shell),
    /// The manual pages of this program, written into this directory.
    Manual(PathBuf),
}

/// An object of the command line, such as `project`.
#[derive(Debug)]
pub(crate) struct Object {
    /// Its definition, without the text after the options.
    pub(crate) command: fn() -> Command,
    /// What its arguments ask for.
    pub(crate) asked: fn(&ArgMatches) -> Result<Asked, Failure>,
    /// The text after the options. Exit statuses are only listed where they differ from those of the program.
    pub(crate) help: Help,
}

/// An option with a value, accepted before and after the command's words.
pub(crate) fn option(long: &'static str, short: char, value: &'static str, help: &'static str) -> Arg {
    Arg::new(long).long(long).short(short).value_name(value).help(help).global(true)
}

/// An option without a value.
pub(crate) fn flag(name: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).action(ArgAction::SetTrue).help(help)
}

/// A command and its arguments, after `--`.
pub(crate) fn command() -> Arg {
    Arg::new(COMMAND)
        .value_name(COMMAND)
        .help("The command and its arguments, after --")
        .required(true)
        .num_args(1..)
        .last(true)
        .value_parser(value_parser!(OsString))
}

/// The words of a [`command`].
pub(crate) fn words(options: &ArgMatches) -> impl Iterator<Item = OsString> {
    options.get_many::<OsString>(COMMAND).into_iter().flatten().cloned()
}

/// An option's value as it was given.
pub(crate) fn text<'a>(options: &'a ArgMatches, long: &str) -> Option<&'a str> {
    options.get_one::<String>(long).map(String::as_str)
}

/// An option's value as a name.
pub(crate) fn name(options: &ArgMatches, long: &'static str) -> Result<Option<Name>, Failure> {
    let Some(value) = text(options, long) else { return Ok(None) };
    match Name::new(value) {
        Ok(name) => Ok(Some(name)),
        Err(error) => Err(Failure::Value { what: long, value: value.to_owned(), reason: error.to_string() }),
    }
}

/// `command` needs `option`, which was not given.
pub(crate) const fn missing(command: &'static str, option: &'static str) -> Failure {
    Failure::Missing { command, option, number: BAD_OPTION }
}

/// `object` has no such command.
pub(crate) fn unknown_command(object: &str) -> Failure {
    let text = format!("{object} has no such command; see etmem help");
    Failure::command_line(Command::new("etmem").error(ErrorKind::InvalidSubcommand, text), true)
}
