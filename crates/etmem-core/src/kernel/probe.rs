//! Seeing which pages were touched, in two beats.
//!
//! `prepare` arms: it clears what was seen so far. `check` tells what was touched since. Where reading clears
//! (the etmem module's `idle_pages`), `prepare` reads and forgets; right after a `check` of the same ranges, which
//! has just cleared them, it has nothing to do.

use super::process::{ProcessError, ProcessId};
use crate::address::{AddressRange, BLOCK_SIZE, PAGES_PER_BLOCK};
use std::fmt;

/// What a probe saw of one page since the last `prepare`.
///
/// The weights are the original's: a page read counts 1, a page written 3.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Access(u8);

impl Access {
    /// Present and not touched.
    pub const IDLE: Self = Self(0);
    /// Touched, and clean.
    pub const READ: Self = Self(1);
    /// Touched, and dirty.
    pub const WRITTEN: Self = Self(3);
    /// Not in memory, or outside the range asked for.
    pub const ABSENT: Self = Self(u8::MAX);

    /// Whether the page is in memory.
    #[must_use]
    pub const fn is_present(self) -> bool {
        self.0 != u8::MAX
    }

    /// What this adds to the count of a page that is present.
    #[must_use]
    pub const fn weight(self) -> u8 {
        self.0
    }

    /// A touched page, told by its dirty bit, or an idle one. Branch-free: probes call it per page.
    #[must_use]
    pub const fn from_bits(present: bool, accessed: bool, dirty: bool) -> Self {
        Self::from_flags(present as u16, accessed as u16, dirty as u16)
    }

    /// The same of numbers that are 0 or 1.
    #[must_use]
    pub const fn from_flags(present: u16, accessed: u16, dirty: u16) -> Self {
        // accessed: 1, dirty as well: 1 + 2; absent: all bits set.
        let weight = accessed | ((accessed & dirty) << 1);
        Self((weight | present.wrapping_sub(1)).to_le_bytes()[0])
    }
}

/// What a probe saw of one block: 2 MiB of address space that start at a multiple of 2 MiB.
#[derive(Debug, Clone, Copy)]
pub enum Block<'a> {
    /// Base pages; those outside the ranges asked for are absent.
    Pages(&'a [Access; PAGES_PER_BLOCK]),
    /// One huge page, which is touched, counted and moved as a whole.
    Huge(Access),
}

/// Takes what a probe saw, block after block.
pub trait AccessSink {
    /// Block `start` (a multiple of 2 MiB). Blocks come in ascending order; a block that two ranges share may
    /// come twice in a row, with different pages present.
    fn block(&mut self, start: u64, block: Block<'_>);

    /// `blocks` blocks from `start` on, whose base pages are all as `access` says: as many calls of `block`, which an
    /// implementation may take as one.
    fn equal_blocks(&mut self, start: u64, blocks: u64, access: Access) {
        let pages = [access; PAGES_PER_BLOCK];
        for number in 0..blocks {
            self.block(start + number * BLOCK_SIZE, Block::Pages(&pages));
        }
    }

    /// The same of `blocks` huge pages.
    fn equal_huge_blocks(&mut self, start: u64, blocks: u64, access: Access) {
        for number in 0..blocks {
            self.block(start + number * BLOCK_SIZE, Block::Huge(access));
        }
    }

    /// `pages` huge pages of `size` bytes, a multiple of a block: as many huge blocks, for those who need not tell a
    /// page of 1 GiB from 512 of 2 MiB.
    fn equal_huge_pages(&mut self, start: u64, pages: u64, size: u64, access: Access) {
        self.equal_huge_blocks(start, pages * (size / BLOCK_SIZE), access);
    }
}

/// Watches one process.
pub trait AccessProbe: fmt::Debug + Send {
    /// Arms: forgets what was touched until now. Called before each observation window: on a new probe, and right
    /// after each `check`.
    ///
    /// `ranges` are those the next `check` will ask for; a probe whose kernel interface knows only whole
    /// processes (`clear_refs`) may clear more.
    ///
    /// # Errors
    /// When the process is gone, replaced its program, or the kernel refuses.
    fn prepare(&mut self, ranges: &[AddressRange]) -> Result<(), ProcessError>;

    /// Tells what was touched since `prepare`. Called at the end of each observation window.
    ///
    /// `ranges` ascend and do not overlap. Pages that came or went meanwhile are no error.
    ///
    /// # Errors
    /// As `prepare`; blocks given to `sink` before the error are to be thrown away.
    fn check(&mut self, ranges: &[AddressRange], sink: &mut dyn AccessSink) -> Result<(), ProcessError>;

    /// Whether `check` leaves what it tells as it was, so that it may be asked again and again. Where reading clears, it
    /// does not.
    fn looks_without_clearing(&self) -> bool {
        false
    }

    /// Why it does not see what touches a process that runs a KVM guest; `None` if it does.
    fn blind_to_guests(&self) -> Option<&'static str> {
        None
    }

    /// Whether `prepare` arms the ranges it is given and no others, so that a scan can be done in slices.
    fn arms_by_range(&self) -> bool {
        false
    }
}

/// Makes probes. One per kernel interface.
pub trait ProbeSource: fmt::Debug + Send + Sync {
    /// Its short name: what `tracker=` in a task and the log call it.
    fn name(&self) -> &'static str;

    /// Whether its probes see each page on its own. Where not, refaults are estimated.
    fn is_page_exact(&self) -> bool {
        true
    }

    /// A probe on `process`. Called once per process and cycle.
    ///
    /// # Errors
    /// When the process is gone or the kernel refuses.
    fn attach(&self, process: ProcessId) -> Result<Box<dyn AccessProbe>, ProcessError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_become_weights() {
        for (present, accessed, dirty, want) in [
            (true, false, false, Access::IDLE),
            (true, false, true, Access::IDLE),
            (true, true, false, Access::READ),
            (true, true, true, Access::WRITTEN),
            (false, false, false, Access::ABSENT),
            (false, true, true, Access::ABSENT),
        ] {
            assert_eq!(Access::from_bits(present, accessed, dirty), want);
        }
    }
}
