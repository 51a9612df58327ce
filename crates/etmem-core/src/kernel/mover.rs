//! Moving pages out of memory.

use super::process::{ProcessError, ProcessId};
use crate::address::AddressRange;
use std::fmt;

/// What the kernel answered about the ranges of one call, in bytes. What became of them only [`SwapOut::residence`] tells.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Moved {
    /// The kernel took them. Without a word it leaves alone pages that are shared, pinned or in use.
    pub applied: u64,
    /// No longer mapped when the call came.
    pub vanished: u64,
    /// Refused: mappings that cannot be paged out (locked, huge page pool, device memory).
    pub refused: u64,
}

/// Where a page is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Residence {
    /// Neither in memory nor in swap: never used, freed or unmapped.
    Nowhere,
    /// In swap.
    Swap,
    /// In memory.
    Memory {
        /// The number of its frame; 0 where the kernel does not show it.
        frame: u64,
        /// Whether it is a page of a file, or of shared memory.
        file: bool,
        /// Whether more than one mapping has it: with a forked process, say, until one of both writes to it. The kernel pages
        /// out no such page.
        shared: bool,
    },
}

impl Residence {
    /// Whether it is in memory.
    #[must_use]
    pub const fn is_memory(self) -> bool {
        matches!(self, Self::Memory { .. })
    }
}

/// Moves pages of one process.
pub trait SwapOut: fmt::Debug + Send {
    /// Asks the kernel to page out `ranges`, which ascend and do not overlap.
    ///
    /// # Errors
    /// When the process is gone, or the kernel refuses the call as a whole.
    fn swap_out(&mut self, ranges: &[AddressRange]) -> Result<Moved, ProcessError>;

    /// The same, with the parts of `ranges` that were huge pages when they were looked at, in ascending order: of use
    /// where the kernel is asked page by page, and one address stands for a huge page.
    ///
    /// # Errors
    /// As `swap_out`.
    fn swap_out_pages(
        &mut self,
        ranges: &[AddressRange],
        huge: &[AddressRange],
    ) -> Result<Moved, ProcessError> {
        let _ = huge;
        self.swap_out(ranges)
    }

    /// Where each page of `ranges` is now, in order, into `out` (cleared first). Returns false, and no pages, where this
    /// kernel does not tell.
    ///
    /// Called right before and right after `swap_out` of the same ranges: what was in memory and no longer is has left; what
    /// is still there, in the same frame, stayed.
    ///
    /// # Errors
    /// When the process is gone or the kernel refuses.
    fn residence(&mut self, ranges: &[AddressRange], out: &mut Vec<Residence>) -> Result<bool, ProcessError>;
}

/// Makes movers. One per kernel interface.
pub trait PageMover: fmt::Debug + Send + Sync {
    /// Its short name: what `mover=` in a task and the log call it.
    fn name(&self) -> &'static str;

    /// A mover for `process`, bound to it: should its pid be given to another process, nothing more moves.
    ///
    /// Bound to the program it runs now, too: made before the last `check` of a cycle, a mover tells by
    /// [`ProcessError::Replaced`] that the addresses seen are no longer those of the process.
    ///
    /// # Errors
    /// When the process is gone or the kernel refuses.
    fn attach(&self, process: ProcessId) -> Result<Box<dyn SwapOut>, ProcessError>;
}
