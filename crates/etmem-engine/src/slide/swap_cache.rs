//! Keeps the swap cache within the project's watermarks, where the kernel can reclaim it.

use etmem_config::values::Watermarks;
use etmem_core::guard;
use etmem_core::kernel::Kernel;
use etmem_core::kernel::process::ProcessError;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether a task has set the watermarks in the kernel.
#[derive(Debug, Default)]
pub(super) struct SwapCacheKeeper {
    is_set: AtomicBool,
}

impl SwapCacheKeeper {
    /// Reclaims the swap cache where it is above the high watermark.
    pub(super) fn keep_within(&self, marks: Option<Watermarks>, kernel: &Kernel) -> Result<(), ProcessError> {
        let (Some(marks), Some(swap_cache)) = (marks, &kernel.swap_cache) else { return Ok(()) };
        if guard::swap_cache_is_above(marks.high.get(), &kernel.memory.state()?) {
            if !self.is_set.swap(true, Ordering::Relaxed) {
                swap_cache.set_watermarks(marks.low.get(), marks.high.get())?;
            }
            swap_cache.reclaim()?;
        }
        Ok(())
    }

    /// Ends the reclaim, if this task began one.
    pub(super) fn release(&mut self, kernel: &Kernel) -> Result<(), ProcessError> {
        match &kernel.swap_cache {
            Some(swap_cache) if std::mem::take(self.is_set.get_mut()) => swap_cache.end_reclaim(),
            Some(_) | None => Ok(()),
        }
    }
}
