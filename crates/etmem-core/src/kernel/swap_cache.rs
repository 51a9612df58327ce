//! The swap cache: pages of the whole machine that are in swap and in memory.

use super::process::ProcessError;
use std::fmt;

/// Has the kernel take the swap cache out of memory.
pub trait SwapCache: fmt::Debug + Send + Sync {
    /// Sets how much of memory it may take before it is reclaimed, and how much is left then, in percent; `low` is
    /// below `high`, and neither is above 100.
    ///
    /// # Errors
    /// When the kernel refuses.
    fn set_watermarks(&self, low: u8, high: u8) -> Result<(), ProcessError>;

    /// Reclaims it now, down to the low watermark.
    ///
    /// # Errors
    /// When the kernel refuses.
    fn reclaim(&self) -> Result<(), ProcessError>;

    /// Ends the reclaim that `reclaim` began.
    ///
    /// # Errors
    /// When the kernel refuses.
    fn end_reclaim(&self) -> Result<(), ProcessError>;
}
