//! What a task wishes of the kernel, and what it gets.

use super::Kernel;

/// `tracker=`: how to see which pages were touched.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Tracker {
    /// The best that there is: `etmem`, `bpf`, `idle`, `damon`; of huge page pools and KVM guests `etmem`, `damon`, `idle`.
    #[default]
    Auto,
    /// `/proc/PID/idle_pages` of the module etmem_scan.
    Etmem,
    /// Page tables through BPF.
    Bpf,
    /// Idle page tracking (`/sys/kernel/mm/page_idle`).
    Idle,
    /// DAMON (`/sys/kernel/mm/damon`).
    Damon,
}

impl Tracker {
    /// Its name in `tracker=`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Etmem => "etmem",
            Self::Bpf => "bpf",
            Self::Idle => "idle",
            Self::Damon => "damon",
        }
    }
}

/// `mover=`: how to get pages out of memory.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Mover {
    /// The module's file where it is, else process_madvise(2).
    #[default]
    Auto,
    /// `/proc/PID/swap_pages` of the module etmem_swap.
    Etmem,
    /// process_madvise(2).
    Madvise,
    /// None: another program, or the kernel itself, moves pages.
    Elsewhere,
}

/// What the module etmem_scan is to do other than by default.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ScanWishes {
    /// Look only at mappings that the process marked by madvise(MADV_SWAPFLAG) (`swap_flag=yes`).
    pub only_marked: bool,
    /// Take a virtual machine's memory for huge pages.
    pub as_huge: bool,
    /// Leave out what the host itself touched of a virtual machine's memory (`ign_host=yes`).
    pub ignore_host: bool,
}

/// What a task wishes of the kernel.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Wishes {
    /// How to see.
    pub tracker: Tracker,
    /// How to move.
    pub mover: Mover,
    /// What only the module's scan can do.
    pub scan: ScanWishes,
    /// Whether all of the memory is of the huge page pool (`vm_flags=ht`), as that of virtual machines is: `bpf` does not
    /// see who touches it.
    pub huge_pool: bool,
    /// Whether a process of the target runs a KVM guest. What the guest touches goes through page tables of its own.
    pub guest: bool,
    /// Whether pages are to move between NUMA nodes ([`super::Moving::Nodes`]) instead of out of memory. `mover` has no
    /// meaning then.
    pub nodes: bool,
    /// Whether pages move between NUMA nodes as well as out of memory ([`Kernel::between`]).
    pub between: bool,
    /// Whether control groups are reclaimed as a whole ([`super::Moving::Groups`]), for which no page is looked at. Nothing else
    /// has a meaning then.
    pub groups: bool,
    /// Whether the kernel watches and acts itself ([`super::monitoring`]): neither `tracker` nor `mover` has a meaning then.
    pub monitoring: bool,
    /// Whether compressed swap is written to a disk ([`super::sinking`]), for which no page is looked at. Nothing else has a meaning
    /// then.
    pub sinking: bool,
    /// Whether what leaves goes past zswap, to the disk behind it (`disk_directly=yes`).
    pub past_zswap: bool,
    /// Whether the kernel merges equal pages ([`super::merging`]), for which no page is looked at: nothing else has a meaning then.
    pub merging: bool,
    /// Whether guests give memory by a balloon ([`super::balloon`]), for which no page is looked at either.
    pub balloon: bool,
}

/// Which of openEuler's modules are loaded: what `auto` chooses depends on it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Modules {
    /// etmem_scan.
    pub scan: bool,
    /// etmem_swap.
    pub swap: bool,
}

/// What was chosen, and why.
#[derive(Debug, Clone, PartialEq, Eq, derive_more::Display)]
#[display("{name} ({reason})")]
pub struct Choice {
    /// The short name of the probe or mover.
    pub name: &'static str,
    /// Why this one, in a line.
    pub reason: String,
}

/// The ports that a task gets.
#[derive(Debug, Clone)]
pub struct Chosen {
    /// All of them.
    pub kernel: Kernel,
    /// The probe among them.
    pub probe: Choice,
    /// The mover among them.
    pub mover: Choice,
}
