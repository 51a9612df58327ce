//! The state of the machine's memory and swap.

use super::process::ProcessError;
use std::fmt;

/// Figures of `/proc/meminfo`, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MemoryState {
    /// `MemTotal`.
    pub total: u64,
    /// `MemFree`.
    pub free: u64,
    /// `MemAvailable`: what could be had without pushing anything out.
    pub available: u64,
    /// `SwapTotal`: 0 where the machine has no swap.
    pub swap_total: u64,
    /// `SwapFree`.
    pub swap_free: u64,
    /// `SwapCached`.
    pub swap_cached: u64,
    /// What swap may still take, where a device of it is compressed memory with a limit.
    pub swap_limit: Option<SwapLimit>,
    /// Bytes that stay in memory, in the swap cache, as writing them to swap has failed; 0 unless that is a good part of it.
    pub swap_stuck: u64,
}

/// A limit of swap that `SwapFree` does not show: what is beyond it stays in memory, in the swap cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SwapLimit {
    /// Bytes of memory that the devices with a limit may take (`mem_limit` of zram).
    pub limit: u64,
    /// Bytes of pages that may still go to swap, by what those that are there compress to.
    pub room: u64,
}

/// Tells the state of memory.
pub trait SystemMemory: fmt::Debug + Send + Sync {
    /// The state now. Called before a process is scanned and before its pages are moved.
    ///
    /// # Errors
    /// When the kernel does not tell.
    fn state(&self) -> Result<MemoryState, ProcessError>;

    /// Bytes that the machine has read back from swap since it was started, read ahead or not; `None` if the kernel does not
    /// count them. No process can have had more of its pages read back.
    fn swapped_in(&self) -> Option<u64> {
        None
    }
}
