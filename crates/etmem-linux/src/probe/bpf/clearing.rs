//! Clearing the accessed bits of a process: `/proc/PID/clear_refs`.
//!
//! The kernel clears the bits but leaves the processor's cached translations (TLB) alone, and a page whose translation
//! is cached is touched without its bit being set: a program that keeps to some hundred pages, or to some huge ones,
//! on a processor of its own would look idle. `4` (soft-dirty) ends with a flush of the process's translations; on
//! a kernel without soft-dirty tracking it does nothing else, so there it follows. On a kernel with soft-dirty tracking
//! it would take every page's right to be written and spoil the tracking for its users: there, pages stay cached until
//! something else evicts them.

use crate::process::memory_files::memory_file;
use crate::process::stat::process_error;
use crate::root::ProcRoot;
use etmem_core::kernel::process::{Pid, ProcessError};
use std::fs::File;
use std::io::{self, Write};

/// The accessed bits of all pages (proc_pid_clear_refs(5)).
const ACCESSED: &[u8] = b"1";

/// The soft-dirty bits of all pages, and the cached translations.
const SOFT_DIRTY: &[u8] = b"4";

/// Clears the bits of one process; bound to it, not to its pid.
#[derive(Debug)]
pub(super) struct Clearing {
    file: File,
    flush: bool,
}

impl Clearing {
    /// For the process that now has the number `pid`; `soft_dirty`: whether the kernel tracks soft-dirty pages.
    ///
    /// # Errors
    /// When there is none or the kernel refuses.
    pub(super) fn open(proc: &ProcRoot, pid: Pid, soft_dirty: bool) -> Result<Self, ProcessError> {
        let path = memory_file(proc, pid, "clear_refs");
        let call = path.display().to_string();
        let file = File::options().write(true).open(path).map_err(|error| process_error(call, &error))?;
        Ok(Self { file, flush: !soft_dirty })
    }

    /// Clears.
    ///
    /// # Errors
    /// When the process is gone or the kernel refuses.
    pub(super) fn clear(&mut self) -> Result<(), ProcessError> {
        let failed = |error: io::Error| process_error("clearing accessed bits through clear_refs", &error);
        self.file.write_all(ACCESSED).map_err(failed)?;
        if self.flush {
            self.file.write_all(SOFT_DIRTY).map_err(failed)?;
        }
        Ok(())
    }
}
