//! `etmemd --man DIRECTORY`: the daemon's manual page, made of the definition of its command line.
//!
//! For builds and packages; the help does not show the option.

use clap::Command;
use etmem_manual::{Page, Section, write_pages};
use std::path::Path;
use std::process::ExitCode;

const EXIT_STATUS: &str = "\
Exit status:
  0 stopped by SIGINT or SIGTERM; or help was asked for, 1 it could not start, 2 the command line is wrong;
  --doctor: 0 nothing worse than notes, 1 warnings, 2 errors, 3 the findings could not be printed";

const ENVIRONMENT: &[(&str, &str)] = &[
    (
        "ETMEMD_LOG",
        "Where the log goes: stderr, or syslog:/SOCKET with the path of a socket. Unset: see NOTES.",
    ),
    ("ETMEMD_STATE_FOLDER", "The directory of the cleanup records, instead of /run/etmem."),
    ("ETMEMD_PID_FILE", "The pid file of -m, instead of /run/etmemd.pid."),
    ("NOTIFY_SOCKET", "Set by systemd: the socket at which the daemon reports that it listens."),
    ("WATCHDOG_USEC", "Set by systemd: the daemon reports at least twice in that time that it is alive."),
];

const FILES: &[(&str, &str)] = &[
    (
        "/etc/etmem/*.yaml",
        "Samples of configuration files, which explain each key. A configuration file must belong to root:root and \
         have mode 0600 or 0400.",
    ),
    ("/run/etmemd.pid", "With -m: the daemon's pid."),
    (
        "/run/etmem/",
        "Cleanup records: what the daemon has set in the kernel. If the daemon is killed, the next one takes it back.",
    ),
];

/// Writes the page of `command` into `directory`; the status to exit with.
pub(crate) fn write(mut command: Command, directory: &Path) -> ExitCode {
    command.build();
    let page = Page {
        command: &command,
        section: Section::Administration,
        shared: EXIT_STATUS,
        environment: ENVIRONMENT,
        files: FILES,
        see_also: &["etmem(1)".to_owned()],
    };
    match write_pages(directory, &[page]) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("etmemd: cannot write the manual page: {error}");
            ExitCode::FAILURE
        }
    }
}
