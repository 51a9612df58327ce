//! Reading and writing DAMON's files, and what their errors mean.

use etmem_core::kernel::process::ProcessError;
use std::fmt::Display;
use std::io;
use std::path::{Path, PathBuf};

/// What a program must have to set DAMON.
pub(super) const CAPABILITIES: &str = "root's right to write below /sys";

/// What is said where somebody else has DAMON.
pub(super) const IN_USE: &str = "DAMON is in use by another program";

/// A folder of DAMON's, such as that of a kdamond.
#[derive(Debug, Clone)]
pub(super) struct Folder(PathBuf);

impl Folder {
    /// The folder at `path`.
    pub(super) fn new(path: PathBuf) -> Self {
        Self(path)
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    /// A folder in it.
    pub(super) fn folder(&self, name: impl Display) -> Self {
        Self(self.0.join(name.to_string()))
    }

    /// What a file in it holds, without the line end.
    ///
    /// # Errors
    /// What the kernel answers.
    pub(super) fn read(&self, file: &str) -> io::Result<String> {
        let mut text = std::fs::read_to_string(self.0.join(file))?;
        text.truncate(text.trim_end().len());
        Ok(text)
    }

    /// The number that a file in it holds.
    ///
    /// # Errors
    /// What the kernel answers, or that it is not a number.
    pub(super) fn number(&self, file: &str) -> io::Result<u64> {
        let text = self.read(file)?;
        text.parse().map_err(|_| io::Error::other(format!("{text:?} is not a number")))
    }

    /// Writes `value` to a file in it.
    ///
    /// # Errors
    /// Which file the kernel refused, and why.
    pub(super) fn write(&self, file: &str, value: impl Display) -> Result<(), ProcessError> {
        self.try_write(file, &value).map_err(|error| self.refused(file, &value, &error))
    }

    /// The same, with the kernel's own answer.
    ///
    /// # Errors
    /// What the kernel answers.
    pub(super) fn try_write(&self, file: &str, value: impl Display) -> io::Result<()> {
        std::fs::write(self.0.join(file), value.to_string())
    }

    /// What an `error` of writing `value` to `file` is to the caller.
    pub(super) fn refused(&self, file: &str, value: impl Display, error: &io::Error) -> ProcessError {
        let help = match error.raw_os_error() {
            Some(libc::EBUSY) => format!("{error}: {IN_USE}"),
            Some(libc::ENOENT) => format!("{error}: another program has changed DAMON's settings meanwhile"),
            Some(libc::EROFS) => {
                format!("{error}: in a unit of systemd, ProtectKernelTunables=no lets etmemd write there")
            }
            Some(libc::EPERM | libc::EACCES) => format!("{error}; run with {CAPABILITIES}"),
            _ => error.to_string(),
        };
        let call = format!("{}: writing {value}", self.0.join(file).display());
        ProcessError::Refused { call, reason: help }
    }
}
