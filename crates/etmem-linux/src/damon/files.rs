//! Reading and writing DAMON's files, and what their errors mean.

use crate::pacer::SystemPacer;
use etmem_core::kernel::pacer::Pacer;
use etmem_core::kernel::process::ProcessError;
use std::fmt::Display;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What a program must have to set DAMON.
pub(crate) const CAPABILITIES: &str = "root's right to write below /sys";

/// The error when another program has DAMON.
pub(crate) const IN_USE: &str = "DAMON is in use by another program";

/// How long DAMON may be busy, and how often it is asked again meanwhile: it refuses a request while it carries out another
/// (`damon_sysfs_lock`), which takes some tenths of a second. If another program has DAMON, it refuses for longer.
const ANSWER_LIMIT: Duration = Duration::from_millis(500);
const ASK_AGAIN: Duration = Duration::from_millis(10);

/// What `ask` answers once DAMON is not busy, or still is after some time.
pub(crate) fn patiently<T>(mut ask: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    let clock = SystemPacer::new();
    loop {
        let answer = ask();
        let is_busy = answer.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::ResourceBusy);
        if !is_busy || clock.now() >= ANSWER_LIMIT {
            return answer;
        }
        // No other thread has this clock, so none can stop it.
        let _ = clock.pause(ASK_AGAIN);
    }
}

/// A folder of DAMON's, such as that of a kdamond.
#[derive(Debug, Clone)]
pub(crate) struct Folder(PathBuf);

impl Folder {
    /// The folder at `path`.
    pub(crate) fn new(path: PathBuf) -> Self {
        Self(path)
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// A folder in it.
    pub(crate) fn folder(&self, name: impl Display) -> Self {
        Self(self.0.join(name.to_string()))
    }

    /// What a file in it holds, without the line end.
    ///
    /// # Errors
    /// What the kernel answers.
    pub(crate) fn read(&self, file: &str) -> io::Result<String> {
        let path = self.0.join(file);
        let mut text = patiently(|| std::fs::read_to_string(&path))?;
        text.truncate(text.trim_end().len());
        Ok(text)
    }

    /// The number that a file in it holds.
    ///
    /// # Errors
    /// What the kernel answers, or that it is not a number.
    pub(crate) fn number(&self, file: &str) -> io::Result<u64> {
        let text = self.read(file)?;
        text.parse().map_err(|_| io::Error::other(format!("{text:?} is not a number")))
    }

    /// Writes `value` to a file in it.
    ///
    /// # Errors
    /// Which file the kernel refused, and why.
    pub(crate) fn write(&self, file: &str, value: impl Display) -> Result<(), ProcessError> {
        self.try_write(file, &value).map_err(|error| self.refused(file, &value, &error))
    }

    /// The same, with the kernel's own answer.
    ///
    /// # Errors
    /// What the kernel answers.
    pub(crate) fn try_write(&self, file: &str, value: impl Display) -> io::Result<()> {
        let (path, value) = (self.0.join(file), value.to_string());
        patiently(|| std::fs::write(&path, &value))
    }

    /// What an `error` of writing `value` to `file` is to the caller.
    pub(crate) fn refused(&self, file: &str, value: impl Display, error: &io::Error) -> ProcessError {
        let help = match error.raw_os_error() {
            Some(libc::EBUSY) => format!("{error}: {IN_USE}"),
            Some(libc::ENOENT) => format!("{error}: another program has changed DAMON's settings meanwhile"),
            Some(libc::EROFS) => {
                format!("{error}: in a unit of systemd, ProtectKernelTunables=no lets etmemd write there")
            }
            Some(libc::EPERM | libc::EACCES) => format!("{error}; run with {CAPABILITIES}"),
            _ => error.to_string(),
        };
        ProcessError::refused(format!("{}: writing {value}", self.0.join(file).display()), help)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_busy_is_asked_again_for_a_while() {
        let busy = || io::Error::from(io::ErrorKind::ResourceBusy);
        let mut times = 0;
        let mut ask = |needed| {
            times += 1;
            if times < needed { Err(busy()) } else { Ok(times) }
        };
        assert_eq!(patiently(|| ask(3)).unwrap(), 3);
        let mut asked = 0;
        let refused = patiently(|| -> io::Result<()> {
            asked += 1;
            Err(io::ErrorKind::NotFound.into())
        });
        assert_eq!((refused.unwrap_err().kind(), asked), (io::ErrorKind::NotFound, 1));
        let refused = patiently(|| -> io::Result<()> { Err(busy()) });
        assert_eq!(refused.unwrap_err().kind(), io::ErrorKind::ResourceBusy);
    }
}
