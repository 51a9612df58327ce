//! Whether the shared object of a policy from outside may be loaded, as far as that can be said without loading it.
//!
//! The daemon is root and runs what is in it, so only root may have been able to write it: an absolute path to a
//! regular file (symbolic links are followed), root:root, mode 0500 or 0700.

use crate::excerpt::path_excerpt;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The modes that a library may have.
const MODES: [u32; 2] = [0o500, 0o700];

/// The check that a library fails.
#[derive(Debug, thiserror::Error)]
pub enum LibraryError {
    /// It is not there, or what it links to is not.
    #[error("cannot be opened: {source}; check the path as etmemd sees it")]
    Unreachable {
        /// What the kernel answered.
        source: io::Error,
    },
    /// It is something else than a regular file.
    /// The file.
    #[error("{}: is not a regular file; name the shared object itself", path_excerpt(.0))]
    NotRegular(PathBuf),
    /// It belongs to a user other than root, or to another group.
    #[error("{path}: belongs to {user}:{group} (uid:gid), must belong to root:root; run chown root:root {path}", path = path_excerpt(.path))]
    Owner {
        /// The file.
        path: PathBuf,
        /// Its uid.
        user: u32,
        /// Its gid.
        group: u32,
    },
    /// It may be read or run by others, or not be run.
    #[error("{path}: has mode {mode:04o}, must have 0500 or 0700; run chmod 500 {path}", path = path_excerpt(.path))]
    Mode {
        /// The file.
        path: PathBuf,
        /// Its permission bits, with set-id and sticky bits.
        mode: u32,
    },
}

/// A library that may be loaded: its file, all links followed, and what tells it from a file of that name made later.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckedLibrary {
    /// The file itself.
    pub path: PathBuf,
    /// Device, inode, size in bytes, and time of the last change in seconds and nanoseconds.
    pub identity: (u64, u64, u64, i64, i64),
}

/// Looks at the library at `path`.
///
/// # Errors
/// Says which check it fails.
pub fn check(path: &Path) -> Result<CheckedLibrary, LibraryError> {
    let unreachable = |source| LibraryError::Unreachable { source };
    let path = fs::canonicalize(path).map_err(unreachable)?;
    let metadata = fs::metadata(&path).map_err(unreachable)?;
    if !metadata.is_file() {
        return Err(LibraryError::NotRegular(path));
    }
    let (user, group) = (metadata.uid(), metadata.gid());
    if (user, group) != (0, 0) {
        return Err(LibraryError::Owner { path, user, group });
    }
    let mode = metadata.mode() & 0o7777;
    if !MODES.contains(&mode) {
        return Err(LibraryError::Mode { path, mode });
    }
    let identity = (metadata.dev(), metadata.ino(), metadata.size(), metadata.mtime(), metadata.mtime_nsec());
    Ok(CheckedLibrary { path, identity })
}
