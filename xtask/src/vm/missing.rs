//! What the laboratory cannot do without, and this machine has not got: a reason to skip, not a failure.

use std::fmt;
use std::io::ErrorKind;
use std::process::{Command, Output};

/// Something that must be installed or fetched first; its text says what and how.
#[derive(Debug)]
pub(crate) struct Missing(pub(crate) String);

impl fmt::Display for Missing {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for Missing {}

/// The end of `command`, or that its program, which Debian's `package` brings, is not installed.
pub(crate) fn output(command: &mut Command, package: &str) -> anyhow::Result<Output> {
    command.output().map_err(|error| not_run(command, package, error))
}

/// Why `command` could not be started.
pub(crate) fn not_run(command: &Command, package: &str, error: std::io::Error) -> anyhow::Error {
    let name = command.get_program().display();
    if error.kind() == ErrorKind::NotFound {
        Missing(format!("{name} is not installed; run make setup, or install Debian's package {package}"))
            .into()
    } else {
        anyhow::Error::new(error).context(format!("run {name}"))
    }
}

/// The first line in which apt and its kin complain, for a message of one line.
pub(crate) fn complaint(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stderr);
    let complaint = text.lines().find(|line| line.starts_with("E:")).or_else(|| text.lines().last());
    complaint.unwrap_or("it gave no reason").trim().to_owned()
}
