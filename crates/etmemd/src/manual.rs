//! `etmemd --man DIRECTORY`: the daemon's manual page, made of the definition of its command line.
//!
//! For those who build and package it, so it is not told of in the help.

use clap::{Arg, ArgMatches, Command, value_parser};
use etmem_manual::{CommandPage, ExitStatus, Help, Section, command_page, write_pages};
use std::path::PathBuf;
use std::process::ExitCode;

const OPTION: &str = "man";

/// What `--help` and the page say after the options.
pub(crate) const HELP: Help = Help {
    examples: &[
        "etmemd -s etmemd_socket          # listen on the abstract socket etmemd_socket, log errors",
        "etmemd -s etmemd_socket -l 1     # log also each cycle of each task",
        "etmemd -s etmemd_socket -m       # go on in the background, for Type=forking of systemd",
        "etmemd --doctor                  # report what etmem can do on this machine",
        "etmem obj add -f /etc/etmem/slide.yaml -s etmemd_socket    # once etmemd listens",
        "etmem project start -n NAME -s etmemd_socket",
    ],
    exit_statuses: &[
        ExitStatus(
            0,
            "SIGINT or SIGTERM stopped it, or it printed help; --doctor: no finding is worse than a note",
        ),
        ExitStatus(1, "it could not start; --doctor: the worst finding is a warning"),
        ExitStatus(2, "the command line is wrong; --doctor: the worst finding is an error"),
        ExitStatus(3, "--doctor: the findings could not be printed"),
    ],
    notes: "The log goes to the journal if there is one, else to syslog, else to standard error. The environment\n\
            variables ETMEMD_LOG=stderr and ETMEMD_LOG=syslog:/SOCKET choose another place. ETMEMD_PID_FILE names\n\
            another pid file for -m. If systemd sets NOTIFY_SOCKET and WATCHDOG_USEC, etmemd sends notifications.",
};

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
    let page = command_page(&CommandPage {
        command: &command,
        section: Section::Administration,
        help: &HELP,
        environment: ENVIRONMENT,
        files: FILES,
        see_also: &["etmem(1)".to_owned()],
    });
    Some(match page.and_then(|page| write_pages(directory, &[page])) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("etmemd: cannot write the manual page: {error}");
            ExitCode::FAILURE
        }
    })
}
