//! Moving pages out of memory.

use super::process::{ProcessError, ProcessId};
use crate::address::AddressRange;
use std::fmt;

/// What became of the ranges of one call, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Moved {
    /// The kernel took them. It leaves alone, without a word, pages that are shared, locked or in use.
    pub applied: u64,
    /// No longer mapped when the call came.
    pub vanished: u64,
    /// Refused: mappings that cannot be paged out (locked, huge page pool, device memory).
    pub refused: u64,
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
