//! Whether a configuration file may be read at all.
//!
//! The daemon is root and does what the file says, so only root may have been able to write it: a regular
//! file (symbolic links are followed), root:root, mode 0600 or 0400, of at most 10 MiB. The file is opened once
//! and all is asked of the open file, so that it cannot be exchanged between the check and the reading.

use crate::excerpt::path_excerpt;
use nix::errno::Errno;
use nix::fcntl::OFlag;
use std::fs::{File, FileType, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Most bytes that a configuration file may have.
pub const SIZE_MAX: u64 = 10 << 20;

/// The modes that a configuration file may have.
const MODES: [u32; 2] = [0o600, 0o400];

/// The check that a file fails.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It cannot be opened, or not be read.
    #[error("{}: cannot be read: {source}; check the path as etmemd sees it", path_excerpt(.path))]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the kernel answered.
        source: io::Error,
    },
    /// It is something else than a regular file.
    #[error("{}: is {kind}, must be a regular file; name the configuration file itself", path_excerpt(.path))]
    NotRegular {
        /// The file.
        path: PathBuf,
        /// What it is instead.
        kind: &'static str,
    },
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
    /// Other users may read or write it, or a user may execute it.
    #[error("{path}: has mode {mode:04o}, must have 0600 or 0400; run chmod 600 {path}", path = path_excerpt(.path))]
    Mode {
        /// The file.
        path: PathBuf,
        /// Its permission bits, with set-id and sticky bits.
        mode: u32,
    },
    /// It has more bytes than [`SIZE_MAX`].
    /// The file.
    #[error("{}: has more than {SIZE_MAX} bytes (10 MiB); spread its groups over several files", path_excerpt(.0))]
    TooLarge(PathBuf),
}

/// The bytes of the file at `path`, after every check.
///
/// # Errors
/// Says which check the file fails.
pub fn read(path: &Path) -> Result<Vec<u8>, FileError> {
    let unreadable = |source| FileError::Unreadable { path: path.into(), source };
    let file = open(path)?;
    let metadata = file.metadata().map_err(unreadable)?;
    if !metadata.is_file() {
        return Err(FileError::NotRegular { path: path.into(), kind: kind(metadata.file_type()) });
    }
    let (user, group) = (metadata.uid(), metadata.gid());
    if (user, group) != (0, 0) {
        return Err(FileError::Owner { path: path.into(), user, group });
    }
    let mode = metadata.mode() & 0o7777;
    if !MODES.contains(&mode) {
        return Err(FileError::Mode { path: path.into(), mode });
    }
    let too_large = |size| (size > SIZE_MAX).then(|| FileError::TooLarge(path.into()));
    if let Some(error) = too_large(metadata.len()) {
        return Err(error);
    }
    // It may have grown since.
    let mut bytes = Vec::new();
    let taken = file.take(SIZE_MAX + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    u64::try_from(taken).ok().and_then(too_large).map_or(Ok(bytes), Err)
}

/// Opens without waiting for the other end of a pipe and without taking a terminal.
fn open(path: &Path) -> Result<File, FileError> {
    let flags = OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
    OpenOptions::new().read(true).custom_flags(flags.bits()).open(path).map_err(|source| {
        // What open(2) answers for a socket.
        if source.raw_os_error() == Some(Errno::ENXIO as i32) {
            FileError::NotRegular { path: path.into(), kind: "a socket or a device that is not there" }
        } else {
            FileError::Unreadable { path: path.into(), source }
        }
    })
}

fn kind(file_type: FileType) -> &'static str {
    if file_type.is_dir() {
        "a directory"
    } else if file_type.is_fifo() {
        "a pipe"
    } else {
        "a device"
    }
}
