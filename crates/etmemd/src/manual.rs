//! `etmemd --man DIRECTORY`: the daemon's manual page, made of the definition of its command line.
//!
//! For those who build and package it, so it is not told of in the help.

use clap::{Arg, ArgMatches, Command, value_parser};
use etmem_manual::{Page, Section, write_pages};
use std::path::PathBuf;
use std::process::ExitCode;

const OPTION: &str = "man";

const EXIT_STATUS: &str = "\
Exit status:
  0 it was stopped by SIGINT or SIGTERM; or help was asked for, 1 it could not start, 2 the command line is wrong;
  --doctor: 0 nothing worse than notes, 1 warnings, 2 errors, 3 what was found could not be printed";

const ENVIRONMENT: &[(&str, &str)] = &[
    (
        "ETMEMD_LOG",
        "Where the log goes: stderr, or syslog:/SOCKET with the path of a socket. Without it: see NOTES.",
    ),
    (
        "ETMEMD_STATE_FOLDER",
        "Where it is written down what has to be taken back if the daemon is killed, in the place of /run/etmem.",
    ),
    ("ETMEMD_PID_FILE", "The pid file of -m, in the place of /run/etmemd.pid."),
    ("NOTIFY_SOCKET", "Set by systemd, which is told at that socket when the daemon listens."),
    ("WATCHDOG_USEC", "Set by systemd, which is told at least twice in that time that the daemon is alive."),
];

const FILES: &[(&str, &str)] = &[
    (
        "/etc/etmem/*.yaml",
        "Samples of configuration files, with what each key means. Files have to be owned by root:root with mode \
         0600 or 0400.",
    ),
    ("/run/etmemd.pid", "With -m: the daemon's pid."),
    ("/run/etmem/", "What has to be taken back by the next daemon if this one is killed."),
];

/// The option that asks for the page.
pub(crate) fn option() -> Arg {
    Arg::new(OPTION)
        .long(OPTION)
        .value_name("DIRECTORY")
        .help("Write the manual page into DIRECTORY, and nothing else")
        .hide(true)
        .exclusive(true)
        .value_parser(value_parser!(PathBuf))
}

/// Writes the page of `command` if `matches` ask for it; the status to end with then.
pub(crate) fn asked_for(mut command: Command, matches: &ArgMatches) -> Option<ExitCode> {
    let directory = matches.get_one::<PathBuf>(OPTION)?;
    command.build();
    let page = Page {
        command: &command,
        section: Section::Administration,
        shared: EXIT_STATUS,
        environment: ENVIRONMENT,
        files: FILES,
        see_also: &["etmem(1)".to_owned()],
    };
    Some(match write_pages(directory, &[page]) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("etmemd: cannot write the manual page: {error}");
            ExitCode::FAILURE
        }
    })
}
