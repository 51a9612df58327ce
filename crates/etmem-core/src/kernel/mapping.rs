//! The mappings of a process.

use super::process::{ProcessError, ProcessId};
use crate::address::AddressRange;
use std::fmt;

/// One mapping of a process: a line of `/proc/PID/maps`, without its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mapping {
    /// Where it lies.
    pub range: AddressRange,
    /// May be written.
    pub writable: bool,
    /// May be executed.
    pub executable: bool,
    /// Shared with other processes (`s` in the fourth place), not private (`p`).
    pub shared: bool,
    /// The inode behind it; 0 for anonymous memory.
    pub inode: u64,
    /// Made by the kernel and never to be paged out: `[vvar]`, `[vdso]`, `[vsyscall]` and their like.
    pub special: bool,
}

/// Lists mappings. Called before every scan: mappings come and go.
pub trait MappingSource: fmt::Debug + Send + Sync {
    /// The mappings of `process` in ascending order of address, into `out` (cleared first).
    ///
    /// # Errors
    /// [`ProcessError::Exited`] where the process is gone.
    fn mappings(&self, process: ProcessId, out: &mut Vec<Mapping>) -> Result<(), ProcessError>;
}
