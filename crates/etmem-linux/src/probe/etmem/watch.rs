//! Watching one process.

use super::source::ScanWishes;
use super::walk::{BUFFER_BYTES, WalkEnd, walk};
use crate::module::IDLE_PAGES;
use crate::process::address_space::AddressSpace;
use crate::root::ProcRoot;
use crate::sys::module::{
    ADD_MAPPING_FLAGS, ADD_SCAN_FLAGS, REMOVE_MAPPING_FLAGS, REMOVE_SCAN_FLAGS, request,
};
use etmem_core::address::AddressRange;
use etmem_core::idle_pages::PageSizes;
use etmem_core::kernel::probe::{Access, AccessProbe, AccessSink, Block};
use etmem_core::kernel::process::{ProcessError, ProcessId};
use std::fs::File;

/// Watches one process. Its file belongs to the memory that the process had when this was made.
#[derive(Debug)]
pub(super) struct Watch {
    file: File,
    path: String,
    space: AddressSpace,
    sizes: PageSizes,
    wishes: ScanWishes,
    buffer: Vec<u8>,
    /// What the last `check` read, and thereby cleared; empty once that window has begun.
    cleared: Vec<AddressRange>,
    skipped: u64,
}

/// Takes what is to be forgotten.
struct Forgotten;

impl AccessSink for Forgotten {
    fn block(&mut self, _: u64, _: Block<'_>) {}

    fn equal_blocks(&mut self, _: u64, _: u64, _: Access) {}

    fn equal_huge_blocks(&mut self, _: u64, _: u64, _: Access) {}
}

impl Watch {
    /// Watches `process` from now on.
    ///
    /// # Errors
    /// When it is gone or the kernel refuses.
    pub(super) fn new(
        proc: &ProcRoot,
        sizes: PageSizes,
        wishes: ScanWishes,
        process: ProcessId,
    ) -> Result<Self, ProcessError> {
        let file = IDLE_PAGES.open(proc, process)?;
        let path = proc.process(process.pid, IDLE_PAGES.name).display().to_string();
        let space = AddressSpace::open(proc, process)?;
        let buffer = vec![0; BUFFER_BYTES];
        let mut watch = Self {
            file,
            path,
            space,
            sizes,
            wishes: ScanWishes::default(),
            buffer,
            cleared: Vec::new(),
            skipped: 0,
        };
        watch.ask_for(wishes)?;
        Ok(watch)
    }

    /// Sets the flags that `wishes` need; kept are those that were set, to be taken back.
    fn ask_for(&mut self, wishes: ScanWishes) -> Result<(), ProcessError> {
        let flags = wishes.scan_flags();
        if flags != 0 {
            let call = || format!("{}: scan flags {flags:#o}", self.path);
            request(&self.file, ADD_SCAN_FLAGS, flags).map_err(|error| IDLE_PAGES.error(call(), &error))?;
            self.wishes = ScanWishes { only_marked: false, ..wishes };
        }
        let flags = wishes.mapping_flags();
        if flags != 0 {
            let call = || format!("{}: only mappings marked by MADV_SWAPFLAG (swap_flag=yes)", self.path);
            request(&self.file, ADD_MAPPING_FLAGS, flags).map_err(|error| {
                match IDLE_PAGES.error(call(), &error) {
                    ProcessError::Refused { call, reason } => ProcessError::Refused {
                        call,
                        reason: format!(
                            "{reason}; or leave swap_flag out and name the mappings by vm_flags="
                        ),
                    },
                    gone @ (ProcessError::Exited | ProcessError::Replaced) => gone,
                }
            })?;
            self.wishes = wishes;
        }
        Ok(())
    }

    fn walk(&mut self, ranges: &[AddressRange], sink: &mut dyn AccessSink) -> Result<(), ProcessError> {
        self.cleared.clear();
        let walked = walk(&self.file, self.sizes, ranges, &mut self.buffer, sink);
        // First of all: a process that is gone explains everything else.
        self.space.check()?;
        let skipped = walked.map_err(|end| {
            let call = format!("{}, read from {:#x}", self.path, end.address());
            match end {
                WalkEnd::Read { error, .. } => IDLE_PAGES.error(call, &error),
                WalkEnd::Stream { .. } | WalkEnd::StoodStill { .. } | WalkEnd::Astray { .. } => {
                    ProcessError::Refused { call, reason: format!("not as the module writes it: {end}") }
                }
            }
        })?;
        if skipped > self.skipped {
            tracing::warn!("{}: {skipped} pages are not aligned to their size and left out", self.path);
            self.skipped = skipped;
        }
        Ok(())
    }
}

impl AccessProbe for Watch {
    fn prepare(&mut self, ranges: &[AddressRange]) -> Result<(), ProcessError> {
        if !ranges.is_empty() && self.cleared == ranges {
            // The check that came right before has cleared them: its window ended where this one begins.
            self.cleared.clear();
            return Ok(());
        }
        self.walk(ranges, &mut Forgotten)
    }

    fn check(&mut self, ranges: &[AddressRange], sink: &mut dyn AccessSink) -> Result<(), ProcessError> {
        self.walk(ranges, sink)?;
        self.cleared.extend_from_slice(ranges);
        Ok(())
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        // What was set is taken back; where the process is gone, so are the flags.
        for (ask, flags) in [
            (REMOVE_SCAN_FLAGS, self.wishes.scan_flags()),
            (REMOVE_MAPPING_FLAGS, self.wishes.mapping_flags()),
        ] {
            if flags != 0
                && let Err(error) = request(&self.file, ask, flags)
            {
                tracing::debug!("{}: taking flags back: {error}", self.path);
            }
        }
    }
}
