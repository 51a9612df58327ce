//! A lock on a folder (flock(2)), which ends with its holder however that ends.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::path::Path;

/// A held lock.
#[derive(Debug)]
pub(crate) struct FolderLock {
    /// The lock is this open folder's.
    _folder: File,
}

impl FolderLock {
    /// Takes the lock on the folder at `path`; `None` if another program has it.
    ///
    /// # Errors
    /// What open(2) or flock(2) answers.
    pub(crate) fn try_take(path: &Path) -> io::Result<Option<Self>> {
        let folder = File::open(path)?;
        // SAFETY: a system call on two numbers.
        if unsafe { libc::flock(folder.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) } == 0 {
            return Ok(Some(Self { _folder: folder }));
        }
        let error = io::Error::last_os_error();
        if error.kind() == io::ErrorKind::WouldBlock { Ok(None) } else { Err(error) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_holder_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let held = FolderLock::try_take(folder.path()).unwrap();
        assert!(held.is_some());
        assert!(FolderLock::try_take(folder.path()).unwrap().is_none());
        drop(held);
        assert!(FolderLock::try_take(folder.path()).unwrap().is_some());
        assert!(FolderLock::try_take(&folder.path().join("gone")).is_err());
    }
}
