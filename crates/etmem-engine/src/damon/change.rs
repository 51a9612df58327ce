//! What the account of refaults sees of a process, from one cycle to the next.

use etmem_core::kernel::process::ProcessMemory;

/// What became of a process, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Change {
    /// What it has in memory, and in swap.
    pub(super) memory: ProcessMemory,
    /// By how much more is in swap.
    pub(super) left: u64,
    /// What was refaulted.
    pub(super) refaulted: u64,
}
