//! The folder of a control group, open, so that all that is read and written is of that group.

use etmem_core::kernel::groups::{GroupError, Reclaimed, Swappiness};
use rustix::fs::{Mode, OFlags, fstat, open, openat};
use rustix::io::Errno;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::path::PathBuf;

/// The file by which memory is reclaimed.
pub(super) const RECLAIM: &str = "memory.reclaim";

/// An open folder.
#[derive(Debug)]
pub(super) struct Folder {
    folder: OwnedFd,
    path: PathBuf,
}

impl Folder {
    /// The folder at `path`, if it is the one that the kernel has given the number `id`.
    pub(super) fn open(path: PathBuf, id: Option<u64>) -> Result<Self, GroupError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let refused = |errno: Errno| match errno {
            Errno::NOENT | Errno::NODEV | Errno::NOTDIR => GroupError::Removed,
            errno => GroupError::refused(path.display(), std::io::Error::from(errno)),
        };
        let folder = open(&path, flags, Mode::empty()).map_err(refused)?;
        let now = fstat(&folder).map_err(refused)?.st_ino;
        if id.is_some_and(|id| id != now) { Err(GroupError::Removed) } else { Ok(Self { folder, path }) }
    }

    fn file(&self, name: &str, flags: OFlags) -> rustix::io::Result<File> {
        Ok(File::from(openat(&self.folder, name, flags | OFlags::CLOEXEC, Mode::empty())?))
    }

    /// What became of a call on the file `name` that the kernel answered with `errno`.
    pub(super) fn refused(&self, name: &str, error: std::io::Error) -> GroupError {
        match error.raw_os_error() {
            // A file of a group that was removed while it was open.
            Some(libc::ENODEV) => GroupError::Removed,
            Some(libc::EROFS) => {
                let help = "in a unit of systemd, ProtectControlGroups=no lets etmemd write there";
                GroupError::refused(self.path.join(name).display(), format!("{error}: {help}"))
            }
            _ => GroupError::refused(self.path.join(name).display(), error),
        }
    }

    /// The text of the file `name`; `None` if there is none, or the kernel has switched it off.
    pub(super) fn text(&self, name: &str) -> Result<Option<String>, GroupError> {
        let file = match self.file(name, OFlags::RDONLY) {
            Ok(file) => file,
            Err(Errno::NOENT) => return if self.exists() { Ok(None) } else { Err(GroupError::Removed) },
            Err(errno) => return Err(self.refused(name, errno.into())),
        };
        let mut text = String::with_capacity(4096);
        match file.take(u64::MAX).read_to_string(&mut text) {
            Ok(_) => Ok(Some(text)),
            Err(error) if error.raw_os_error() == Some(libc::EOPNOTSUPP) => Ok(None),
            Err(error) => Err(self.refused(name, error)),
        }
    }

    /// Whether the group still is.
    fn exists(&self) -> bool {
        fstat(&self.folder).is_ok_and(|folder| folder.st_nlink > 0)
    }

    /// The figure in the file `name`: `max` is no bound, and so is a file that is not there.
    pub(super) fn figure(&self, name: &str) -> Result<Option<u64>, GroupError> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        match text.trim_end() {
            "max" => Ok(None),
            digits => digits.parse().map(Some).map_err(|_| {
                let reason = format!("says {digits:?}, which is neither a number nor max");
                GroupError::refused(self.path.join(name).display(), reason)
            }),
        }
    }

    /// Asks for `bytes` to be reclaimed. `stolen` counts what has left memory so far.
    pub(super) fn reclaim(
        &self,
        bytes: u64,
        swappiness: Option<Swappiness>,
        stolen: impl Fn(&Self) -> Result<Stolen, GroupError>,
    ) -> Result<Reclaimed, GroupError> {
        let mut file = match self.file(RECLAIM, OFlags::WRONLY) {
            Ok(file) => file,
            Err(Errno::NOENT) if self.exists() => return Err(GroupError::NoMemory),
            Err(Errno::NOENT) => return Err(GroupError::Removed),
            Err(errno) => return Err(self.refused(RECLAIM, errno.into())),
        };
        let before = stolen(self)?;
        let request = match swappiness {
            Some(swappiness) => format!("{bytes} swappiness={swappiness}"),
            None => bytes.to_string(),
        };
        // Not written again after a signal: what was asked for has begun to be done.
        let no_more = match file.write(request.as_bytes()) {
            Ok(_) => false,
            Err(error) => match (error.raw_os_error(), swappiness) {
                (Some(libc::EAGAIN), _) => true,
                (Some(libc::EINTR), _) => false,
                (Some(libc::EINVAL), Some(_)) => return Err(GroupError::NoSwappiness),
                (_, _) => return Err(self.refused(RECLAIM, error)),
            },
        };
        Ok(Reclaimed { got: stolen(self)?.since(before), no_more })
    }
}

/// What says how much has left memory.
#[derive(Debug, Clone, Copy)]
pub(super) enum Stolen {
    /// Bytes that reclaim has taken so far.
    Counted(u64),
    /// The kernel does not count them: bytes in use now.
    InUse(u64),
}

impl Stolen {
    fn since(self, before: Self) -> u64 {
        match (before, self) {
            (Self::Counted(before), Self::Counted(now)) | (Self::InUse(now), Self::InUse(before)) => {
                now.saturating_sub(before)
            }
            (_, _) => 0,
        }
    }
}
