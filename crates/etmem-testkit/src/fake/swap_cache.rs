//! The swap cache of a scripted machine, which records what is asked of it.

use super::machine::FakeMachine;
use etmem_core::kernel::process::ProcessError;
use etmem_core::kernel::swap_cache::SwapCache;

/// What was asked of the swap cache.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FakeSwapCache {
    /// The low and the high watermark, in percent, once they were set.
    pub watermarks: Option<(u8, u8)>,
    /// How often it was reclaimed.
    pub reclaims: u64,
    /// How often the reclaim was ended.
    pub ends: u64,
}

impl FakeMachine {
    /// The same machine with a swap cache that can be reclaimed.
    #[must_use]
    pub fn with_swap_cache(self) -> Self {
        self.lock().swap_cache = Some(FakeSwapCache::default());
        self
    }

    /// What was asked of its swap cache; none where that cannot be reclaimed.
    #[must_use]
    pub fn swap_cache(&self) -> Option<FakeSwapCache> {
        self.lock().swap_cache
    }

    fn ask_swap_cache(&self, ask: impl FnOnce(&mut FakeSwapCache)) -> Result<(), ProcessError> {
        self.lock().swap_cache.as_mut().map(ask).ok_or_else(|| ProcessError::Refused {
            call: "swap cache".to_owned(),
            reason: "this machine cannot reclaim it".to_owned(),
        })
    }
}

impl SwapCache for FakeMachine {
    fn set_watermarks(&self, low: u8, high: u8) -> Result<(), ProcessError> {
        self.ask_swap_cache(|cache| cache.watermarks = Some((low, high)))
    }

    fn reclaim(&self) -> Result<(), ProcessError> {
        self.ask_swap_cache(|cache| cache.reclaims += 1)
    }

    fn end_reclaim(&self) -> Result<(), ProcessError> {
        self.ask_swap_cache(|cache| cache.ends += 1)
    }
}
