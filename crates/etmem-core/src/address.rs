//! Addresses of a process's memory, and ranges of them.

/// Size of a base page in bytes. x86-64 has no other (Linux, `arch/x86/include/asm/page_types.h`).
pub const PAGE_SIZE: u64 = 4096;

/// Size of a huge page, and of the address space one page table covers, in bytes (x86-64: 2 MiB).
pub const BLOCK_SIZE: u64 = 2 * 1024 * 1024;

/// Base pages in a block.
pub const PAGES_PER_BLOCK: usize = 512;

/// Addresses from `start` up to, not including, `end`, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AddressRange {
    /// The first address.
    pub start: u64,
    /// The first address after the range.
    pub end: u64,
}

impl AddressRange {
    /// The range from `start` up to `end`; empty where `end` is not above `start`.
    #[must_use]
    pub const fn new(start: u64, end: u64) -> Self {
        Self { start, end }
    }

    /// Its length in bytes.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.end.saturating_sub(self.start)
    }

    /// Whether it holds no address.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.end <= self.start
    }

    /// The part that both ranges hold, empty where they do not meet.
    #[must_use]
    pub fn intersection(&self, other: Self) -> Self {
        Self { start: self.start.max(other.start), end: self.end.min(other.end) }
    }
}

/// Appends `range` to `ranges`; to the last of them, if it goes on where that ends.
pub fn append(ranges: &mut Vec<AddressRange>, range: AddressRange) {
    match ranges.last_mut() {
        Some(last) if last.end == range.start => last.end = range.end,
        _ => ranges.push(range),
    }
}

/// The start of the block that holds `address`.
#[must_use]
pub const fn block_of(address: u64) -> u64 {
    address & !(BLOCK_SIZE - 1)
}
