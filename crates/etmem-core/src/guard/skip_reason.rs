//! Why a process is left alone in a cycle.

use crate::kernel::groups::GroupUse;
use crate::kernel::pressure::Share;
use crate::kernel::process::Pid;
use std::fmt;

/// Why a process was left alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SkipReason {
    /// The machine has no swap.
    NoSwap,
    /// Swap has no room left.
    SwapFull,
    /// Swap has no room left, though there is plenty of memory.
    SwapFullMemoryFine {
        /// Bytes of memory available.
        available: u64,
    },
    /// Swap is in zram, which has taken as much memory as it may.
    ZramLimit {
        /// In bytes.
        limit: u64,
    },
    /// Writes to swap fail, so that pages stay in the swap cache.
    SwapFails {
        /// Bytes of them.
        stuck: u64,
    },
    /// Swap is used up to `max_swap_use`.
    SwapUse {
        /// In percent.
        used_percent: u64,
        /// The limit.
        most: u8,
    },
    /// Programs already wait for memory.
    Pressure {
        /// Share of the last ten seconds in which at least one did.
        some: Share,
        /// The limit.
        most: Share,
    },
    /// The process's cgroup may not use swap, or no more of it.
    GroupSwap(GroupUse),
    /// The process's cgroup is promised its memory.
    GroupProtected(GroupUse),
    /// A command such as `etmem survey` scans it.
    ByCommand,
    /// It was forked just now and runs its parent's program, or it is the parent.
    JustForked {
        /// The child.
        child: Pid,
        /// Who forked it.
        parent: Pid,
    },
    /// Enough memory is free.
    MemoryFree {
        /// Free memory in percent of the total.
        free_percent: u64,
        /// The limit.
        below: u8,
    },
    /// The process is too small.
    Small {
        /// Bytes in memory.
        resident: u64,
        /// The limit in bytes.
        above: u64,
    },
    /// Enough of the process is in swap already.
    SwappedEnough {
        /// Bytes in swap.
        swapped: u64,
        /// `sysmem_threshold` percent of the process, in bytes.
        share: u64,
    },
}

impl SkipReason {
    /// Whether it is about the machine, and so the same for all processes of a task.
    #[must_use]
    pub const fn is_of_machine(&self) -> bool {
        match self {
            Self::NoSwap
            | Self::SwapFull
            | Self::SwapFullMemoryFine { .. }
            | Self::ZramLimit { .. }
            | Self::SwapFails { .. }
            | Self::SwapUse { .. }
            | Self::Pressure { .. }
            | Self::MemoryFree { .. } => true,
            Self::ByCommand
            | Self::JustForked { .. }
            | Self::GroupSwap(_)
            | Self::GroupProtected(_)
            | Self::Small { .. }
            | Self::SwappedEnough { .. } => false,
        }
    }
}

impl fmt::Display for SkipReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSwap => {
                f.write_str("this machine has no swap, so nothing can be moved out: add some (swapon)")
            }
            Self::SwapFull => f.write_str("swap is full, so nothing can be moved out until there is room"),
            Self::SwapFullMemoryFine { available } => write!(
                f,
                "swap is full though {} MiB of memory are available, so nothing is moved out until there is room: \
                 make swap larger, or move less",
                available >> 20
            ),
            Self::ZramLimit { limit } => write!(
                f,
                "zram has taken the {} MiB of memory that its mem_limit allows, so what is moved out would stay in the swap \
                 cache: a higher limit (/sys/block/zram*/mem_limit), or other swap",
                limit >> 20
            ),
            Self::SwapFails { stuck } => write!(
                f,
                "writes to swap fail, so that {} MiB that were moved out stay in memory, in the swap cache: see the kernel's log \
                 (dmesg), mend the device or make room for its file, then swapoff and swapon",
                stuck >> 20
            ),
            Self::SwapUse { used_percent, most } => write!(
                f,
                "{used_percent} % of swap is in use; max_swap_use={most} keeps the rest for the machine's own need"
            ),
            Self::Pressure { some, most } => write!(
                f,
                "programs wait for memory {some} of the time (PSI some avg10); max_pressure={most} moves nothing then"
            ),
            Self::GroupSwap(group) => write!(
                f,
                "its cgroup has no room in swap: memory.swap.max, memory.swap.high or its part of zswap is {} MiB and \
                 {} MiB are used",
                group.bound >> 20,
                group.used >> 20
            ),
            Self::GroupProtected(group) => write!(
                f,
                "its cgroup is promised {} MiB of memory (memory.min, memory.low) and has {} MiB",
                group.bound >> 20,
                group.used >> 20
            ),
            Self::ByCommand => f.write_str(
                "a command such as etmem survey or etmem idle scans it, and two scans would clear each other's accessed bits",
            ),
            Self::JustForked { child, parent } => write!(
                f,
                "process {parent} forked {child} less than a minute ago, which has its memory and may be reading all of it: nothing \
                 of either leaves"
            ),
            Self::MemoryFree { free_percent, below } => {
                write!(f, "{free_percent} % of memory is free; sysmem_threshold acts below {below} %")
            }
            Self::Small { resident, above } => write!(
                f,
                "the process has {} MiB in memory; swap_threshold acts above {} MiB",
                resident >> 20,
                above >> 20
            ),
            Self::SwappedEnough { swapped, share } => write!(
                f,
                "{} MiB of the process are in swap already, no less than the {} MiB that sysmem_threshold asks for",
                swapped >> 20,
                share >> 20
            ),
        }
    }
}
