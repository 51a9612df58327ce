//! PSI triggers: the kernel's own, on the machine or on a group (Documentation/accounting/psi.rst).

use super::group::{ended, file_of, refused};
use super::watch::{Watch, text_of};
use crate::root::Roots;
use etmem_core::kernel::trigger::{GroupPath, Stalled};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::PathBuf;
use std::time::Duration;

/// A PSI trigger, which the kernel holds for as long as its file is open.
#[derive(Debug)]
pub(super) struct PressureWatch {
    path: PathBuf,
    file: File,
    stalled: Stalled,
    stall: Duration,
    /// What the kernel had counted when the wait began, or the last event came.
    counted: Option<Duration>,
}

impl PressureWatch {
    /// Asks the kernel for an event when programs of `group`, or of the machine, wait for `stall` within `window`.
    ///
    /// # Errors
    /// Why it refuses.
    pub(super) fn arm(
        roots: &Roots,
        group: Option<&GroupPath>,
        stalled: Stalled,
        (stall, window): (Duration, Duration),
    ) -> Result<Self, String> {
        let path = match group {
            Some(group) => file_of(&roots.sys, group, "memory.pressure")?,
            None => roots.proc.machine("pressure/memory"),
        };
        let off = |error: &std::io::Error| match error.raw_os_error() {
            Some(libc::ENOENT | libc::EOPNOTSUPP) if group.is_none() => {
                format!("the kernel reports no pressure ({}: {error}); boot with psi=1", path.display())
            }
            Some(libc::EOPNOTSUPP) => format!("PSI is off ({}: {error}); boot with psi=1", path.display()),
            Some(libc::EINVAL) => {
                format!("{}: the kernel refuses the trigger ({error})", path.display())
            }
            _ => refused(&path, error),
        };
        let mut file = File::options().read(true).write(true).open(&path).map_err(|error| off(&error))?;
        // The kernel overwrites the last byte with the end of the text.
        let text = format!("{} {} {}\0", stalled.word(), stall.as_micros(), window.as_micros());
        file.write_all(text.as_bytes()).map_err(|error| off(&error))?;
        let mut watch = Self { path, file, stalled, stall, counted: None };
        watch.counted = watch.figure("total=").and_then(microseconds);
        Ok(watch)
    }

    /// Whether there was an event, which is over then.
    fn take_event(&self) -> Result<bool, String> {
        let mut one = [PollFd::new(&self.file, PollFlags::PRI)];
        poll(&mut one, Some(&Timespec::default())).map_err(|error| refused(&self.path, &error.into()))?;
        let events = one[0].revents();
        if events.contains(PollFlags::ERR) {
            return Err(ended(&self.path));
        }
        Ok(events.contains(PollFlags::PRI))
    }

    /// A figure of the kernel's line, as it has it.
    fn figure(&self, name: &str) -> Option<String> {
        let text = text_of(&self.file).ok()?;
        let line = text.lines().find(|line| line.starts_with(self.stalled.word()))?;
        line.split(' ').find_map(|word| word.strip_prefix(name)).map(str::to_owned)
    }

    /// Whether programs have waited since this was last asked, or since the wait began. The first events of a trigger that was set
    /// without CAP_SYS_RESOURCE are of nothing, up to two at the next stalls of any length: the kernel compares two counts that are not the
    /// same (`psi_trigger_create` of kernel/sched/psi.c, seen on 6.18). Half of the stall, as its window may have begun earlier.
    fn is_credible(&mut self) -> bool {
        let now = self.figure("total=").and_then(microseconds);
        let before = std::mem::replace(&mut self.counted, now);
        now.zip(before).is_none_or(|(now, before)| now.saturating_sub(before) >= self.stall / 2)
    }

    /// What the kernel says of the last 10 s.
    fn evidence(&self) -> String {
        let share = self.figure("avg10=");
        let programs = match self.stalled {
            Stalled::Some => "programs wait for memory",
            Stalled::Full => "all programs wait for memory",
        };
        share.map_or_else(|| programs.to_owned(), |share| format!("{programs}, {share} % of the last 10 s"))
    }
}

impl Watch for PressureWatch {
    fn descriptor(&self) -> Option<(BorrowedFd<'_>, PollFlags)> {
        Some((self.file.as_fd(), PollFlags::PRI))
    }

    fn begin(&mut self) -> Result<Option<String>, String> {
        self.take_event()?;
        self.counted = self.figure("total=").and_then(microseconds);
        Ok(None)
    }

    /// poll(2) takes the event when it reports it, so what was polled has fired, unless its group is gone.
    fn read(&mut self) -> Result<Option<String>, String> {
        self.take_event()?;
        Ok(self.is_credible().then(|| self.evidence()))
    }
}

/// A number of microseconds of the kernel's.
fn microseconds(text: String) -> Option<Duration> {
    text.trim_end().parse().ok().map(Duration::from_micros)
}
