//! Watching one process: clearing its accessed bits, and walking its page tables.
//!
//! Who is watched is settled at the start: the process that the walk finds then, checked against its start time.
//! Each later run reports again which process it saw, so that a pid that was given away, or a program that was replaced, ends
//! the watch instead of spoiling what it says.

use super::clearing::Clearing;
use super::program::CAPABILITIES;
use super::shared_walk::SharedWalk;
use super::spans::{self, Clip};
use crate::probe::sight::{self, Kind};
use crate::process::stat::check_alive;
use crate::sys::iterator::TaskLink;
use crate::sys::page_walk::{PageWalk, SPANS, Span, Walk, ended};
use etmem_core::address::AddressRange;
use etmem_core::kernel::probe::{AccessProbe, AccessSink};
use etmem_core::kernel::process::{ProcessError, ProcessId};
use etmem_core::kernel::wishes::Tracker;
use std::io;
use std::sync::Arc;

/// Watches one process.
#[derive(Debug)]
pub(super) struct BpfWatch {
    walk: Arc<SharedWalk>,
    link: TaskLink,
    clearing: Clearing,
    identity: Identity,
    spans: Vec<Span>,
}

/// One program run by one process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Identity {
    start_boottime: u64,
    exec_id: u64,
}

impl Identity {
    /// Who `reply` is about.
    fn of(reply: &Walk) -> Result<Self, ProcessError> {
        match reply.ended {
            ended::FOUND_NOBODY => Err(ProcessError::Exited),
            ended::EARLY | ended::COMPLETE => {
                Ok(Self { start_boottime: reply.start_boottime, exec_id: reply.exec_id })
            }
            _ => Err(ProcessError::Replaced),
        }
    }

    /// Checks that `reply` is about the same.
    fn check(self, reply: &Walk) -> Result<(), ProcessError> {
        let seen = Self::of(reply)?;
        if seen.start_boottime != self.start_boottime {
            Err(ProcessError::Exited)
        } else if seen.exec_id != self.exec_id {
            Err(ProcessError::Replaced)
        } else {
            Ok(())
        }
    }
}

/// What fails while the program runs.
const RUNNING: &str = "running the page walk";

fn failed(error: &io::Error) -> ProcessError {
    match error.raw_os_error() {
        Some(libc::EPERM | libc::EACCES) => {
            ProcessError::refused(RUNNING, format!("{error}; run as root, or with {CAPABILITIES}"))
        }
        _ => ProcessError::refused(RUNNING, error),
    }
}

impl BpfWatch {
    /// Watches `process` from now on.
    ///
    /// # Errors
    /// When it is gone or the kernel refuses.
    pub(super) fn new(walk: Arc<SharedWalk>, process: ProcessId) -> Result<Self, ProcessError> {
        let clearing = Clearing::open(&walk.proc, process.pid, walk.soft_dirty)?;
        let link = walk.link(process.pid.get()).map_err(|error| failed(&error))?;
        let reply =
            walk.maps.lock().run(&link, 0, walk.direct_map.levels, &[]).map_err(|error| failed(&error))?;
        // Alive under its number after all was opened by that number: all of it belongs to this process.
        check_alive(&walk.proc, process)?;
        let identity = Identity::of(&reply)?;
        if !walk.is_same_start(identity.start_boottime, process.start_time) {
            let proc = walk.proc.path().display();
            let reason = format!("{proc} is of another pid namespace than etmemd; run both in the same");
            return Err(ProcessError::refused(format!("finding process {process} through BPF"), reason));
        }
        Ok(Self { walk, link, clearing, identity, spans: vec![Span::default(); SPANS] })
    }

    /// One run over the blocks of `ranges` from address `from`; where to go on, none at the end.
    fn run(
        &mut self,
        maps: &mut PageWalk,
        ranges: &[AddressRange],
        from: u64,
        clip: &mut Clip<'_>,
    ) -> Result<Option<u64>, ProcessError> {
        let direct_map = self.walk.direct_map;
        let spans = spans::fill(ranges, from, direct_map.user_end(), &mut self.spans);
        let Some(last) = spans.last() else { return Ok(None) };
        let reply = maps
            .run(&self.link, direct_map.base, direct_map.levels, spans)
            .map_err(|error| failed(&error))?;
        self.identity.check(&reply)?;
        for (slot, table) in maps.found() {
            clip.give(slot, table);
        }
        let next = if reply.ended == ended::COMPLETE { last.end } else { reply.next };
        if next > from {
            return Ok(Some(next));
        }
        Err(ProcessError::refused(RUNNING, format!("stood still at address {from:#x}")))
    }
}

impl AccessProbe for BpfWatch {
    fn prepare(&mut self, _ranges: &[AddressRange]) -> Result<(), ProcessError> {
        self.clearing.clear()
    }

    fn check(&mut self, ranges: &[AddressRange], sink: &mut dyn AccessSink) -> Result<(), ProcessError> {
        let walk = Arc::clone(&self.walk);
        let mut clip = Clip::new(ranges, sink);
        let mut next = Some(0);
        while let Some(from) = next {
            // Taken for each run, so that those who watch other processes get their turn.
            next = self.run(&mut walk.maps.lock(), ranges, from, &mut clip)?;
        }
        Ok(())
    }

    fn looks_without_clearing(&self) -> bool {
        true
    }

    fn blind_to_guests(&self) -> Option<&'static str> {
        sight::blind_to(Tracker::Bpf, Kind::Guest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whom_a_run_saw() {
        let reply = |ended, start_boottime, exec_id| {
            let mut reply = Walk::default();
            (reply.ended, reply.start_boottime, reply.exec_id) = (ended, start_boottime, exec_id);
            reply
        };
        let identity = Identity::of(&reply(ended::EARLY, 7, 3)).unwrap();
        for (reply, want) in [
            (reply(ended::EARLY, 7, 3), Ok(())),
            (reply(ended::COMPLETE, 7, 3), Ok(())),
            (reply(ended::FOUND_NOBODY, 0, 0), Err(ProcessError::Exited)),
            (reply(ended::COMPLETE, 8, 3), Err(ProcessError::Exited)),
            (reply(ended::COMPLETE, 8, 4), Err(ProcessError::Exited)),
            (reply(ended::COMPLETE, 7, 4), Err(ProcessError::Replaced)),
            (reply(3, 7, 3), Err(ProcessError::Replaced)),
        ] {
            assert_eq!(identity.check(&reply), want);
        }
    }
}
