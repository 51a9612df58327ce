//! Becoming etmemd, for what this program may not do itself: it may not use `etmem-linux`.
//!
//! It runs the etmemd in its own folder, else the one in PATH.

use std::convert::Infallible;
use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process;

use clap::{Arg, ArgMatches, value_parser};

use crate::failure::Failure;

const PROGRAM: &str = "etmemd";

/// Options of etmemd, passed on as they are.
const ROOTS: [(&str, &str); 2] = [
    ("proc-root", "Where procfs is mounted, such as the host's in a container [default: /proc]"),
    ("sys-root", "Where sysfs is mounted [default: /sys]"),
];

/// The options that say where the kernel's file systems are.
pub(crate) fn roots() -> [Arg; 2] {
    ROOTS.map(|(name, help)| {
        Arg::new(name).long(name).value_name("DIR").help(help).value_parser(value_parser!(OsString))
    })
}

/// What of these was given, as arguments of etmemd.
pub(crate) fn roots_given(options: &ArgMatches) -> Vec<OsString> {
    let mut arguments = Vec::new();
    for (name, _) in ROOTS {
        if let Some(value) = options.get_one::<OsString>(name) {
            arguments.extend([format!("--{name}").into(), value.clone()]);
        }
    }
    arguments
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
