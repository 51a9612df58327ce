//! The project's watermarks of the swap cache, where the kernel can be told of them.

use super::settings::Settings;
use etmem_core::guard;
use etmem_core::kernel::Kernel;
use etmem_core::kernel::mover::SwapOut;
use etmem_core::kernel::process::ProcessError;
use std::sync::atomic::{AtomicBool, Ordering};

/// What was told of them.
#[derive(Debug, Default)]
pub(super) struct SwapCache {
    is_set: AtomicBool,
}

impl SwapCache {
    /// Has the kernel take back the swap cache where it is above the watermarks.
    pub(super) fn keep_within(
        &self,
        settings: &Settings,
        kernel: &Kernel,
        mover: &mut dyn SwapOut,
    ) -> Result<(), ProcessError> {
        let (Some(marks), Some(swap_cache)) = (settings.swapcache_watermarks, mover.swap_cache()) else {
            return Ok(());
        };
        if guard::swap_cache_is_above(marks.high.get(), &kernel.memory.state()?) {
            if !self.is_set.swap(true, Ordering::Relaxed) {
                swap_cache.set_watermarks(marks.low.get(), marks.high.get())?;
            }
            swap_cache.reclaim()?;
        }
        Ok(())
    }

    /// Takes back what was told.
    pub(super) fn release(&mut self, kernel: &Kernel) -> Result<(), ProcessError> {
        let was_set = std::mem::take(self.is_set.get_mut());
        if was_set { kernel.mover.leave_swap_cache_alone() } else { Ok(()) }
    }
}
