//! A lock on a folder (flock(2)), which ends with its holder however that ends.

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use std::fs::File;
use std::io;
use std::path::Path;

/// Takes the lock on the folder at `path`; `None` if another program has it. The lock is the open folder's.
///
/// # Errors
/// What open(2) or flock(2) answers.
pub(crate) fn try_take(path: &Path) -> io::Result<Option<File>> {
    let folder = File::open(path)?;
    match flock(&folder, FlockOperation::NonBlockingLockExclusive) {
        Err(Errno::WOULDBLOCK) => Ok(None),
        locked => Ok(locked.map(|()| Some(folder))?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_holder_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let held = try_take(folder.path()).unwrap();
        assert!(held.is_some());
        assert!(try_take(folder.path()).unwrap().is_none());
        drop(held);
        assert!(try_take(folder.path()).unwrap().is_some());
        assert!(try_take(&folder.path().join("gone")).is_err());
    }
}
