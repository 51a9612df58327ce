//! `etmem doctor`: what etmem can do on this machine.
//!
//! The examination reads from the kernel, which this program leaves to etmemd. So it becomes `etmemd --doctor`, whose
//! output and exit status it has then. It runs the etmemd in its own folder, else the one in PATH.

use std::convert::Infallible;
use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process;

use clap::{Arg, ArgMatches, Command, value_parser};
use etmem_manual::{ExitStatus, Help};

use crate::arguments::{Asked, Object, flag};
use crate::failure::Failure;

const PROGRAM: &str = "etmemd";

/// Options of etmemd, passed on as they are.
const ROOTS: [(&str, &str); 2] = [
    ("proc-root", "Where procfs is mounted, such as the host's in a container [default: /proc]"),
    ("sys-root", "Where sysfs is mounted [default: /sys]"),
];

pub(crate) const OBJECT: Object = Object {
    command,
    asked,
    help: Help {
        examples: &["etmem doctor", "etmem doctor --json"],
        exit_statuses: &[
            ExitStatus(0, "no finding is worse than a note"),
            ExitStatus(1, "the worst finding is a warning"),
            ExitStatus(2, "the worst finding is an error: something cannot work"),
            ExitStatus(3, "the findings could not be printed"),
            ExitStatus(254, "etmemd could not be run"),
        ],
        notes: "No daemon has to run for this. The command starts etmemd --doctor: the etmemd in its own folder or, if\n\
                there is none, the one in PATH.",
    },
};

fn command() -> Command {
    let roots = ROOTS.map(|(name, help)| {
        Arg::new(name).long(name).value_name("DIR").help(help).value_parser(value_parser!(OsString))
    });
    Command::new("doctor")
        .about("Examine this machine: what etmem can do here, what it cannot do and why, and what would help")
        .arg(flag("json", "Print one JSON object with all findings"))
        .args(roots)
        .override_usage("etmem doctor [--json] [--proc-root DIR] [--sys-root DIR]")
}

#[expect(clippy::unnecessary_wraps, reason = "as those of the other objects, which can fail")]
fn asked(options: &ArgMatches) -> Result<Asked, Failure> {
    let mut arguments = vec![OsString::from("--doctor")];
    if options.get_flag("json") {
        arguments.push("--json".into());
    }
    for (name, _) in ROOTS {
        if let Some(value) = options.get_one::<OsString>(name) {
            arguments.extend([format!("--{name}").into(), value.clone()]);
        }
    }
    Ok(Asked::Doctor(arguments))
}

/// Becomes `etmemd` with these arguments.
pub(crate) fn run(arguments: &[OsString]) -> Result<Infallible, Failure> {
    let program = in_own_folder().unwrap_or_else(|| PathBuf::from(PROGRAM));
    let source = process::Command::new(&program).args(arguments).exec();
    Err(Failure::NoEtmemd { program, source })
}

/// The etmemd in the folder of this program.
fn in_own_folder() -> Option<PathBuf> {
    let program = std::env::current_exe().ok()?.with_file_name(PROGRAM);
    program.is_file().then_some(program)
}
