//! The memory of a control group rises to a threshold: in the first version by an eventfd, in the second by reading it each second.

use super::group::{file_of, gone, no_group, refused};
use super::watch::{Crossing, Watch, mebibytes, number_in};
use crate::root::SysRoot;
use etmem_core::kernel::trigger::GroupPath;
use rustix::event::{EventfdFlags, PollFlags, eventfd};
use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;

/// A usage threshold.
#[derive(Debug)]
pub(super) struct UsageWatch {
    path: PathBuf,
    file: File,
    bytes: u64,
    crossing: Crossing,
    /// Counts crossings in both directions, and one at the end of the group; the second version has no such event.
    event: Option<OwnedFd>,
}

impl UsageWatch {
    /// Watches for `group` to have `bytes` of memory or more. With `afresh`, having them already is no crossing.
    ///
    /// # Errors
    /// Why it cannot be watched.
    pub(super) fn arm(sys: &SysRoot, group: &GroupPath, bytes: u64, afresh: bool) -> Result<Self, String> {
        let first = sys.first_memory_groups().join(group.relative());
        let path = first.join("memory.usage_in_bytes");
        let is_first = sys.first_memory_groups().join("memory.usage_in_bytes").exists();
        if is_first && !path.exists() {
            return Err(no_group(&first));
        }
        let path = if is_first { path } else { file_of(sys, group, "memory.current")? };
        let file = File::open(&path).map_err(|error| refused(&path, &error))?;
        let event = if is_first { Some(threshold(&first, &file, bytes)?) } else { None };
        let usage = number_in(&file).map_err(|error| gone(&path, &error))?;
        Ok(Self { path, file, bytes, crossing: Crossing::new(afresh && usage >= bytes), event })
    }

    /// How often the threshold was crossed since this was last asked, as far as the kernel counts it.
    fn crossings(&self) -> u64 {
        let Some(event) = &self.event else { return 0 };
        let mut count = [0; 8];
        match rustix::io::retry_on_intr(|| rustix::io::read(event, &mut count)) {
            Ok(_) => u64::from_ne_bytes(count),
            // There was none.
            Err(_) => 0,
        }
    }
}

/// Has the kernel count crossings of a group of the first version (Documentation/admin-guide/cgroup-v1/memory.rst, 9).
fn threshold(group: &std::path::Path, usage: &File, bytes: u64) -> Result<OwnedFd, String> {
    let path = group.join("cgroup.event_control");
    let event = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)
        .map_err(|error| format!("eventfd: {error}"))?;
    let text = format!("{} {} {bytes}", event.as_raw_fd(), usage.as_raw_fd());
    std::fs::write(&path, text).map_err(|error| refused(&path, &error))?;
    Ok(event)
}

impl Watch for UsageWatch {
    fn descriptor(&self) -> Option<(BorrowedFd<'_>, PollFlags)> {
        self.event.as_ref().map(|event| (event.as_fd(), PollFlags::IN))
    }

    fn begin(&mut self) -> Result<Option<String>, String> {
        self.read()
    }

    fn read(&mut self) -> Result<Option<String>, String> {
        let crossings = self.crossings();
        let usage = number_in(&self.file).map_err(|error| gone(&self.path, &error))?;
        let fired = self.crossing.came_past(usage >= self.bytes, crossings);
        Ok(fired.then(|| format!("its memory is {} MiB", mebibytes(usage))))
    }
}
