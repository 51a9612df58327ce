//! The terminal that a program writes to.

use std::os::fd::AsFd;

/// Its columns; none if `output` is no terminal, or does not know.
#[must_use]
pub fn columns(output: impl AsFd) -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(output).ok()?;
    (size.ws_col > 0).then(|| usize::from(size.ws_col))
}
