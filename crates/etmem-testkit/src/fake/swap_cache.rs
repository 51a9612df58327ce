//! What a scripted machine records of its swap cache.

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
