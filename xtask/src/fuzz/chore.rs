//! The options of `cargo xtask fuzz`, and what is done about them.

use super::target::{self, TARGETS, Target};
use super::{build, search};
use crate::project;
use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgMatches, Command};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

/// Something must be installed first.
const MISSING: u8 = 77;

/// The chore `fuzz`.
pub(crate) fn chore() -> Command {
    Command::new("fuzz")
        .about("Look for bytes from outside that etmem cannot cope with")
        .after_help(
            "Exit status: 0 nothing was found; 1 something was, or the search could not run; 77 the C++ compiler is \
             missing.\nWhat a search finds worth keeping stays in the target folder, for the next one to go on from.",
        )
        .arg(
            Arg::new("target")
                .value_name("TARGET")
                .help("The reader to feed [default: each in turn]")
                .value_parser(PossibleValuesParser::new(TARGETS.map(|target| target.name))),
        )
        .arg(
            Arg::new("seconds")
                .long("seconds")
                .value_name("N")
                .help("How long to search, each target")
                .default_value("60")
                .value_parser(clap::value_parser!(u64).range(1..=86_400)),
        )
        .arg(
            Arg::new("replay")
                .long("replay")
                .value_name("FILE")
                .help("Feed TARGET this one input, such as a finding, and show what comes of it")
                .requires("target")
                .conflicts_with("seconds")
                .value_parser(clap::value_parser!(PathBuf)),
        )
}

/// Builds and runs what `options` ask for.
pub(crate) fn run(root: &Path, options: &ArgMatches) -> anyhow::Result<ExitCode> {
    if let Some(reason) = build::missing_compiler() {
        eprintln!("xtask: not fuzzed: {reason}");
        return Ok(ExitCode::from(MISSING));
    }
    let named = options.get_one::<String>("target").and_then(|name| target::named(name));
    let targets: Vec<Target> = named.map_or_else(|| TARGETS.to_vec(), |target| vec![target]);
    let workshop = project::read(root)?.target.join("fuzz");
    let programs = build::build(root, &workshop, &targets)?;
    if let (Some(target), Some(file)) = (named, options.get_one::<PathBuf>("replay")) {
        return search::replay(&programs, target, file);
    }
    let seconds = options.get_one::<u64>("seconds").copied().unwrap_or(60);
    let mut found = false;
    for target in targets {
        found |= search::search(root, &workshop, &programs, target, Duration::from_secs(seconds))?;
    }
    Ok(if found { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options() {
        let accepted = |line: &str| chore().try_get_matches_from(line.split(' ')).is_ok();
        for line in ["fuzz", "fuzz request", "fuzz key_file --seconds 600", "fuzz request --replay /f"] {
            assert!(accepted(line), "{line}");
        }
        for line in
            ["fuzz nothing", "fuzz --seconds 0", "fuzz --replay /f", "fuzz request --replay /f --seconds 1"]
        {
            assert!(!accepted(line), "{line}");
        }
    }
}
