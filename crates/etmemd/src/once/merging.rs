//! `etmemd --ksm-run COMMAND [ARGUMENT...]`: becomes COMMAND, whose memory may be merged with equal pages of other programs.

use etmem_linux::ksm::allow_merging;
use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

/// The option.
pub(super) const OPTION: &str = "--ksm-run";

/// The statuses of env(1), nohup(1) and others that become another program.
const NOT_ALLOWED: u8 = 125;
const NOT_RUN: u8 = 126;
const NOT_FOUND: u8 = 127;

/// Becomes what `arguments` ask for; the status to exit with if that is not possible.
pub(super) fn run(arguments: &[OsString]) -> ExitCode {
    let Some((program, rest)) = arguments.get(2..).and_then(<[OsString]>::split_first) else {
        eprintln!("etmemd: {OPTION} needs a command: etmem ksm run -- COMMAND [ARGUMENT...]");
        return ExitCode::from(2);
    };
    if let Err(reason) = allow_merging() {
        eprintln!("etmemd: {reason}");
        return ExitCode::from(NOT_ALLOWED);
    }
    let error = Command::new(program).args(rest).exec();
    eprintln!("etmemd: cannot run {}: {error}", program.display());
    ExitCode::from(if error.kind() == io::ErrorKind::NotFound { NOT_FOUND } else { NOT_RUN })
}
