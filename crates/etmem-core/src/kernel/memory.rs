//! The state of the machine's memory and swap.

use super::process::ProcessError;
use std::fmt;
use std::time::Duration;

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
    /// What pages in compressed swap take: memory of zram devices that are swap, and of zswap's pool (`Zswap`).
    pub swap_compressed: u64,
    /// Whether all of swap is compressed memory (zram): what does not compress saves nothing there.
    pub swap_in_memory: bool,
    /// What swap may still take, where a device of it is compressed memory with a limit.
    pub swap_limit: Option<SwapLimit>,
    /// Bytes that stay in memory, in the swap cache, as writing them to swap has failed; 0 unless that is a good part of it.
    pub swap_stuck: u64,
}

impl MemoryState {
    /// What of `out` bytes in swap is really free for others: less their share of what all that is in swap still takes of
    /// memory, compressed or in the swap cache.
    #[must_use]
    pub fn saved(&self, out: u64) -> u64 {
        // The kernel's figures of the machine may lag behind those of a process.
        let used = self.swap_total.saturating_sub(self.swap_free).max(out);
        let free = used.saturating_sub(self.swap_compressed).saturating_sub(self.swap_cached);
        let share = u128::from(out) * u128::from(free) / u128::from(used.max(1));
        u64::try_from(share).unwrap_or(u64::MAX).min(out)
    }
}

/// A limit of swap that `SwapFree` does not show: what is beyond it stays in memory, in the swap cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SwapLimit {
    /// Bytes of memory that the devices with a limit may take (`mem_limit` of zram).
    pub limit: u64,
    /// Bytes of pages that may still go to swap, by what those that are there compress to.
    pub room: u64,
}

/// What reading from a device of swap has taken.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SwapReads {
    /// Tells it from others.
    pub id: u64,
    /// Reads since the machine was started: of one page each where swap is compressed memory, and of a few on a disk.
    pub reads: u64,
    /// What they took, all together.
    pub took: Duration,
    /// What one takes on such a device, as far as is known before any was seen.
    pub usual: Duration,
    /// Bytes of swap that are in it.
    pub used: u64,
    /// Whether it is where pages go first.
    pub is_next: bool,
}

impl SwapReads {
    /// Whether both are of one device.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        (self.id, self.usual) == (other.id, other.usual)
    }
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

    /// What reading from the swap that the machine has now took, of each device.
    fn reads(&self) -> Vec<SwapReads> {
        Vec::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn saved_is_what_no_copy_takes() {
        let memory = |swap_compressed, swap_cached| MemoryState {
            swap_total: 1000,
            swap_free: 200,
            swap_compressed,
            swap_cached,
            ..MemoryState::default()
        };
        assert_eq!(memory(0, 0).saved(400), 400, "on a disk");
        assert_eq!(memory(200, 0).saved(400), 300);
        assert_eq!(memory(200, 400).saved(400), 100);
        assert_eq!(memory(500, 400).saved(400), 0, "it takes more than it was");
        assert_eq!(MemoryState::default().saved(400), 400, "figures that lag");
        assert_eq!(memory(0, 0).saved(0), 0);
    }
}
