//! A mapping of a process, and a page of it.

use std::ops::Range;

/// A mapping of a process.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Mapping {
    /// Its addresses.
    pub range: Range<u64>,
    /// Whether it can be read.
    pub readable: bool,
    /// Whether it can be written.
    pub writable: bool,
    /// Whether it can be executed.
    pub executable: bool,
    /// Whether it is mapped as shared.
    pub shared: bool,
    /// The inode of the mapped file; 0 if no file is mapped.
    pub inode: u64,
    /// The path of the file, or the kernel's name for the mapping such as `[heap]`. Often empty; at most 255 bytes.
    pub name: Vec<u8>,
}

impl Mapping {
    /// Its size.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.range.end.saturating_sub(self.range.start)
    }
}

/// A page that was in memory at a scan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page {
    /// Its first address.
    pub address: u64,
    /// Its size.
    pub bytes: u64,
    /// The sum over all scans: 1 for each that found it read since the scan before, 3 for each that found it written.
    pub count: u32,
}

impl Page {
    /// Its addresses.
    #[must_use]
    pub const fn range(&self) -> Range<u64> {
        self.address..self.address.saturating_add(self.bytes)
    }
}
