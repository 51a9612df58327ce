//! `etmem doctor`: what this machine can do, by the examination that etmemd has.
//!
//! The examination looks into the kernel, which this program leaves to etmemd: so it becomes `etmemd --doctor`, whose
//! output and status are then its own. It takes the etmemd that lies beside it, else the one in PATH.

use std::convert::Infallible;
use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process;

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};

use crate::command_line::Asked;
use crate::failure::Failure;

const PROGRAM: &str = "etmemd";

/// Options that are etmemd's own, passed on as they are.
const ROOTS: [(&str, &str); 2] = [
    ("proc-root", "Where procfs is mounted, if elsewhere: in a container, the host's"),
    ("sys-root", "Where sysfs is mounted, if elsewhere"),
];

pub(crate) fn command() -> Command {
    let roots = ROOTS.map(|(name, help)| {
        Arg::new(name).long(name).value_name("DIR").help(help).value_parser(value_parser!(OsString))
    });
    Command::new("doctor")
        .about("Examine this machine: what etmem can do here, and where not, why and what would help")
        .arg(
            Arg::new("json")
                .long("json")
                .action(ArgAction::SetTrue)
                .help("Print one JSON object with all findings"),
        )
        .args(roots)
        .override_usage("etmem doctor [--json] [--proc-root DIR] [--sys-root DIR]")
        .after_help(
            "Examples:\n  \
             etmem doctor\n  \
             etmem doctor --json\n\n\
             It needs no running etmemd: it runs etmemd --doctor, of the etmemd beside it, else in PATH.\n\n\
             Exit status:\n  \
             0 nothing worse than notes, 1 warnings, 2 errors: something cannot work,\n  \
             254 no etmemd could be run",
        )
}

#[expect(clippy::unnecessary_wraps, reason = "as the other functions of verb/, which can fail")]
pub(crate) fn asked(options: &ArgMatches) -> Result<Asked, Failure> {
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
    let program = beside().unwrap_or_else(|| PathBuf::from(PROGRAM));
    let source = process::Command::new(&program).args(arguments).exec();
    Err(Failure::NoEtmemd { program, source })
}

/// The etmemd in the folder of this program.
fn beside() -> Option<PathBuf> {
    let program = std::env::current_exe().ok()?.with_file_name(PROGRAM);
    program.is_file().then_some(program)
}
