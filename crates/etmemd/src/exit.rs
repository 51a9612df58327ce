//! The end of a process that could not do its work.

use std::fmt::Display;
use std::process::ExitCode;

/// Says on standard error why.
pub(crate) fn failed(reason: impl Display) -> ExitCode {
    eprintln!("etmemd: {reason}");
    ExitCode::FAILURE
}
