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
    /// The inode of its file; 0 for anonymous memory.
    pub inode: u64,
    /// Made by the kernel and never to be paged out: `[vvar]`, `[vdso]`, `[vsyscall]` and their like.
    pub special: bool,
    /// Of the pool of huge pages, which swap cannot hold. Known of anonymous mappings (`MAP_HUGETLB`); mapped files of a hugetlbfs
    /// are shared, nearly always.
    pub huge_pool: bool,
    /// A processor of a KVM guest: the process runs one.
    pub guest: bool,
}

/// A flag of a mapping as the line `VmFlags` of `/proc/PID/smaps` writes it: two lower-case letters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VmFlag([u8; 2]);

impl VmFlag {
    /// Locked in memory (`VM_LOCKED`).
    pub const LOCKED: Self = Self(*b"lo");

    /// The flag `text`; none if it is not two lower-case letters.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let letters: [u8; 2] = text.as_bytes().try_into().ok()?;
        letters.iter().all(u8::is_ascii_lowercase).then_some(Self(letters))
    }

    /// Its two letters.
    #[must_use]
    pub const fn letters(self) -> [u8; 2] {
        self.0
    }
}

/// Lists mappings. Called before every scan: mappings come and go.
pub trait MappingSource: fmt::Debug + Send + Sync {
    /// The mappings of `process` that have all of `flags`, in ascending order of address, into `out` (cleared first).
    /// Flags cost: the kernel counts every page of a mapping that it lists with its flags.
    ///
    /// # Errors
    /// [`ProcessError::Exited`] where the process is gone.
    fn mappings(
        &self,
        process: ProcessId,
        flags: &[VmFlag],
        out: &mut Vec<Mapping>,
    ) -> Result<(), ProcessError>;

    /// The ranges of `process` that the kernel keeps in memory whatever it is asked (`mlock(2)`), in ascending order, into
    /// `out` (cleared first). Cheap where there are none.
    ///
    /// # Errors
    /// [`ProcessError::Exited`] where the process is gone.
    fn locked(&self, process: ProcessId, out: &mut Vec<AddressRange>) -> Result<(), ProcessError> {
        let _ = process;
        out.clear();
        Ok(())
    }
}
