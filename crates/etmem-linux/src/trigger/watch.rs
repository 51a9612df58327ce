//! One trigger that is armed.

use rustix::event::PollFlags;
use std::fmt;
use std::fs::File;
use std::io;
use std::os::fd::BorrowedFd;
use std::os::unix::fs::FileExt;

/// A trigger that is armed.
pub(super) trait Watch: fmt::Debug + Send {
    /// On what to wait, and for which events; `None` if it has to be read each second.
    fn descriptor(&self) -> Option<(BorrowedFd<'_>, PollFlags)>;

    /// Begins a wait: what the cycle before may have caused is forgotten. A threshold that was crossed meanwhile has fired.
    fn begin(&mut self) -> Result<Option<String>, String>;

    /// Reads what happened, after its descriptor had an event or a second has passed: the evidence if it fired.
    ///
    /// # Errors
    /// Why it cannot be watched any longer.
    fn read(&mut self) -> Result<Option<String>, String>;
}

/// Whether a figure is past a threshold, and whether it has come to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Crossing {
    is_past: bool,
}

impl Crossing {
    /// Of a figure that is past its threshold already, or not.
    pub(super) const fn new(is_past: bool) -> Self {
        Self { is_past }
    }

    /// The figure is past its threshold now, or not, after `crossings` that were seen: whether it came to be past it.
    pub(super) const fn came_past(&mut self, is_past: bool, crossings: u64) -> bool {
        let was_past = self.is_past;
        self.is_past = is_past;
        // From past it, the first crossing leads back.
        if was_past { crossings > 1 } else { is_past || crossings > 0 }
    }
}

/// Longest text of a file that is read here.
const LONGEST: usize = 4096;

/// What the kernel's small file holds now, from its beginning.
pub(super) fn text_of(file: &File) -> io::Result<String> {
    let mut bytes = [0; LONGEST];
    let length = file.read_at(&mut bytes, 0)?;
    Ok(String::from_utf8_lossy(&bytes[..length]).into_owned())
}

/// The number that the kernel's small file holds now.
pub(super) fn number_in(file: &File) -> io::Result<u64> {
    let text = text_of(file)?;
    text.trim()
        .parse()
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, format!("holds {text:?}, no number")))
}

/// A number of bytes in whole MiB, for evidence.
pub(super) const fn mebibytes(bytes: u64) -> u64 {
    bytes >> 20
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_way_up_is_a_crossing() {
        let mut crossing = Crossing::new(false);
        for (is_past, crossings, want) in [
            (false, 0, false),
            (true, 1, true),
            (true, 0, false),
            (false, 1, false),
            // Up and down again between two reads.
            (false, 2, true),
            // Without events, as where it is read each second.
            (true, 0, true),
            // Down and up again.
            (true, 2, true),
        ] {
            assert_eq!(crossing.came_past(is_past, crossings), want, "{is_past} {crossings}");
        }
        assert!(!Crossing::new(true).came_past(true, 0));
    }
}
