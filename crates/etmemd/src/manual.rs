//! `etmemd --man DIRECTORY`: the daemon's manual page, made of the definition of its command line.
//!
//! For builds and packages; the help does not show the option.

use crate::exit::failed;
use clap::Command;
use etmem_manual::{CommandPage, ExitStatus, Help, Section, command_page, write_pages};
use std::path::Path;
use std::process::ExitCode;

/// What `--help` and the page say after the options.
pub(crate) const HELP: Help = Help {
    examples: &[
        "etmemd -s etmemd_socket          # listen on the abstract socket etmemd_socket, log errors",
        "etmemd -s etmemd_socket -l 1     # log also each cycle of each task",
        "etmemd -s etmemd_socket --config-dir /etc/etmem/conf.d    # begin with the projects of these files",
        "etmemd -s etmemd_socket -m       # go on in the background, for Type=forking of systemd",
        "etmemd --doctor                  # report what etmem can do on this machine",
        "etmemd --take-back               # after kill -9, if no daemon is to start again",
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
        "Where the log goes: stderr, or syslog:/SOCKET with the path of a socket. Unset: see NOTES.",
    ),
    ("ETMEMD_STATE_FOLDER", "The directory of what outlives a daemon or a command, instead of /run/etmem."),
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
    (
        "/etc/etmem/conf.d/*.conf",
        "With --config-dir /etc/etmem/conf.d, as in etmemd-notify.service: files whose projects are added and started when the \
         daemon starts, except those with autostart=no, and read again by etmem reload or SIGHUP. One that is refused is named in the log and keeps no other out.",
    ),
    ("/run/etmemd.pid", "With -m: the daemon's pid."),
    (
        "/run/etmem/",
        "Cleanup records: what the daemon has set in the kernel. If the daemon is killed, the next one takes it back. scans: locks \
         that keep the scans of daemons and commands apart. idle: what etmem idle has paged out.",
    ),
];

/// Writes the page of `command` into `directory`; the status to exit with.
pub(crate) fn write(mut command: Command, directory: &Path) -> ExitCode {
    command.build();
    let page = command_page(&CommandPage {
        command: &command,
        section: Section::Administration,
        help: &HELP,
        environment: ENVIRONMENT,
        files: FILES,
        see_also: &["etmem(1)".to_owned()],
    });
    let written = page.and_then(|page| write_pages(directory, &[page]));
    written.map_or_else(
        |error| failed(format_args!("cannot write the manual page: {error}")),
        |()| ExitCode::SUCCESS,
    )
}
