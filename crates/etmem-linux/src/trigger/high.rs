//! A control group exceeds its `memory.high`, which the kernel counts in `memory.events`.

use super::group::{ended, file_of, gone, refused};
use super::watch::{Watch, text_of};
use crate::root::SysRoot;
use etmem_core::kernel::trigger::GroupPath;
use rustix::event::PollFlags;
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags};
use std::ffi::OsString;
use std::fs::File;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// The count of a group.
#[derive(Debug)]
pub(super) struct HighWatch {
    path: PathBuf,
    file: File,
    count: u64,
    /// Says when the file changes, and when a group of the same parent is removed: a file that is gone says nothing.
    changes: OwnedFd,
    name: OsString,
}

impl HighWatch {
    /// Watches the count of `group`.
    ///
    /// # Errors
    /// Why it cannot be watched.
    pub(super) fn arm(sys: &SysRoot, group: &GroupPath) -> Result<Self, String> {
        let path = file_of(sys, group, "memory.events").map_err(|reason| {
            let first = sys.first_memory_groups().join(group.relative());
            if first.is_dir() {
                return format!(
                    "{} is a group of the first version, which has no memory.events",
                    first.display()
                );
            }
            reason
        })?;
        let changes = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)
            .map_err(|error| format!("inotify: {error}"))?;
        let watch = |path: &Path, events| {
            inotify::add_watch(&changes, path, events).map_err(|error| refused(path, &error.into()))
        };
        watch(&path, WatchFlags::MODIFY)?;
        let folder = path.parent().unwrap_or(&path);
        let name = folder.file_name().unwrap_or_default().to_owned();
        if let Some(parent) = folder.parent() {
            watch(parent, WatchFlags::DELETE | WatchFlags::ONLYDIR)?;
        }
        let file = File::open(&path).map_err(|error| refused(&path, &error))?;
        let count = count_in(&file, &path)?;
        Ok(Self { path, file, count, changes, name })
    }

    /// Takes the changes that came.
    ///
    /// # Errors
    /// The group is gone.
    fn take_changes(&self) -> Result<(), String> {
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut reader = Reader::new(&self.changes, &mut buffer);
        while let Ok(event) = reader.next() {
            let is_own = event.file_name().is_some_and(|name| name.to_bytes() == self.name.as_bytes());
            if is_own && event.events().contains(ReadFlags::DELETE) {
                return Err(ended(&self.path));
            }
        }
        Ok(())
    }
}

/// `high` of the text of `memory.events`.
fn count_in(file: &File, path: &Path) -> Result<u64, String> {
    let text = text_of(file).map_err(|error| gone(path, &error))?;
    let count = text.lines().find_map(|line| line.strip_prefix("high ")?.trim_end().parse().ok());
    count.ok_or_else(|| format!("{} has no line high", path.display()))
}

impl Watch for HighWatch {
    fn descriptor(&self) -> Option<(BorrowedFd<'_>, PollFlags)> {
        Some((self.changes.as_fd(), PollFlags::IN))
    }

    fn begin(&mut self) -> Result<Option<String>, String> {
        self.read().map(|_| None)
    }

    fn read(&mut self) -> Result<Option<String>, String> {
        self.take_changes()?;
        let count = count_in(&self.file, &self.path)?;
        let more = count.saturating_sub(std::mem::replace(&mut self.count, count));
        Ok((more > 0).then(|| format!("over memory.high {more} times since")))
    }
}
