//! The project's own chores, run as `cargo xtask CHORE`.
//!
//! `check` compares the tree with the project's rules ([`check`]), `test` runs every test and reports what was
//! skipped and why ([`suite`]), `bpf` rebuilds the committed BPF object ([`bpf`]), `fuzz` searches for input that breaks
//! a reader ([`fuzz`]), `notices` and `sbom` list what the programs contain of others ([`supply`]), `vm` runs a command on another kernel ([`vm`]), `lines` counts the lines of each crate
//! ([`lines`]), `words` lists every expression that the word list replaces ([`check::plain_words`]).

mod bpf;
mod check;
mod fuzz;
mod lines;
mod project;
mod source;
mod suite;
mod supply;
mod vm;

use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgAction, ArgMatches, Command};
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

fn command_line() -> Command {
    let check = Command::new("check").about("Compare the tree with the project's rules").arg(
        Arg::new("only")
            .long("only")
            .value_name("NAME")
            .help("Run this check alone; may be given several times")
            .action(ArgAction::Append)
            .value_parser(PossibleValuesParser::new(check::list::CHECKS.iter().map(|check| check.name))),
    );
    let test = Command::new("test")
        .about("Run every test, then say how many passed, failed and were skipped, and why")
        .arg(
            Arg::new("allowed-skips")
                .long("allowed-skips")
                .value_name("FILE")
                .help("Fail when a test is skipped that FILE does not list")
                .value_parser(clap::value_parser!(PathBuf)),
        )
        .arg(
            Arg::new("cargo-test")
                .value_name("ARGUMENT")
                .help("Given to cargo test in place of --workspace")
                .num_args(0..)
                .last(true)
                .value_parser(clap::value_parser!(OsString)),
        );
    Command::new("cargo xtask")
        .about("The project's own chores")
        .subcommand_required(true)
        .subcommand(check)
        .subcommand(test)
        .subcommand(
            Command::new("lines").about("Count the lines of product code of each crate").arg(
                Arg::new("root")
                    .value_name("FOLDER")
                    .help("A checkout of this project [default: this one]")
                    .value_parser(clap::value_parser!(PathBuf)),
            ),
        )
        .subcommand(
            Command::new("words").about(
                "List every expression that the word list replaces, in comments and names of tests too",
            ),
        )
        .subcommand(Command::new("bpf").about("Rebuild the committed BPF object from its source"))
        .subcommand(Command::new("generate").about("Write the files that are generated from the code"))
        .subcommand(Command::new("notices").about("Print the licences of all that the programs contain"))
        .subcommand(Command::new("sbom").about("Print the list of materials of the programs, as CycloneDX"))
        .subcommand(fuzz::chore::chore())
        .subcommand(vm::command_line::chore())
}

fn run(matches: &ArgMatches) -> anyhow::Result<ExitCode> {
    let root = project::root();
    match matches.subcommand() {
        Some(("check", options)) => {
            let only: Vec<&str> =
                options.get_many::<String>("only").into_iter().flatten().map(String::as_str).collect();
            Ok(check::list::run(&root, &only))
        }
        Some(("test", options)) => {
            let allowed = options.get_one::<PathBuf>("allowed-skips").map(PathBuf::as_path);
            let arguments: Vec<OsString> =
                options.get_many::<OsString>("cargo-test").into_iter().flatten().cloned().collect();
            suite::run::run(&root, &arguments, allowed)
        }
        Some(("lines", options)) => {
            let folder = options.get_one::<PathBuf>("root").unwrap_or(&root);
            lines::print(folder).map(|()| ExitCode::SUCCESS)
        }
        Some(("words", _)) => check::plain_words::list(&root).map(|()| ExitCode::SUCCESS),
        Some(("bpf", _)) => bpf::rebuild(&root).map(|()| ExitCode::SUCCESS),
        Some(("generate", _)) => check::generated::write(&root).map(|()| ExitCode::SUCCESS),
        Some(("notices", _)) => supply::notices::print(&root).map(|()| ExitCode::SUCCESS),
        Some(("sbom", _)) => supply::bill::print(&root).map(|()| ExitCode::SUCCESS),
        Some(("fuzz", options)) => fuzz::chore::run(&root, options),
        Some(("vm", options)) => Ok(vm::laboratory::run(vm::command_line::request(options)?)),
        _ => unreachable!("clap asks for one of the chores above"),
    }
}

fn main() -> ExitCode {
    match run(&command_line().get_matches()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}
