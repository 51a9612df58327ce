//! The levels that memory can be on, and on which of them the pages of a process are.

use super::process::{ProcessError, ProcessId};
use std::fmt;

/// What a level is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LevelKind {
    /// The memory of a NUMA node.
    Node,
    /// A zram device that is swap: compressed in memory.
    Zram,
    /// The disk behind a zram device.
    ZramDisk,
    /// zswap: compressed in memory, before a disk.
    Zswap,
    /// A disk or file that is swap.
    Disk,
}

impl LevelKind {
    /// In a word, for programs.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Node => "node",
            Self::Zram => "zram",
            Self::ZramDisk => "zram_disk",
            Self::Zswap => "zswap",
            Self::Disk => "disk",
        }
    }
}

/// A level of a machine. Bytes are those of the pages that are on it, as programs have them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Level {
    /// What it is.
    pub kind: LevelKind,
    /// Its name: a node's, a device's or a file's.
    pub name: Box<str>,
    /// Bytes that fit on it, if that is bounded.
    pub size: Option<u64>,
    /// Bytes that are on it.
    pub used: u64,
    /// Bytes of memory that these take, where they are compressed.
    pub takes: Option<u64>,
    /// Bytes of memory that they may take.
    pub may_take: Option<u64>,
    /// Bytes that were written to it since it was set up, where that is counted.
    pub written: Option<u64>,
    /// Bytes that were read back from it since then.
    pub read: Option<u64>,
    /// What is missing for pages to go on from here to the next level, a line each.
    pub missing: Vec<String>,
}

/// Where the pages of a process are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Whereabouts {
    /// Bytes in memory, of its own and shared.
    pub memory: u64,
    /// The same by NUMA node, if there is more than one: the node's name and bytes.
    pub nodes: Vec<(Box<str>, u64)>,
    /// Bytes on each other level: its place in the list of levels, and bytes.
    pub levels: Vec<(usize, u64)>,
    /// Bytes in swap of which it cannot be told on which device they are.
    pub elsewhere: u64,
    /// Bytes of shared memory in swap: the kernel does not tell on which device.
    pub shared: u64,
}

impl Whereabouts {
    /// All bytes that are not in memory.
    #[must_use]
    pub fn out(&self) -> u64 {
        self.levels.iter().map(|(_, bytes)| bytes).sum::<u64>() + self.elsewhere + self.shared
    }
}

/// Tells where memory is.
pub trait Levels: fmt::Debug + Send + Sync {
    /// The levels of the machine, the fastest first.
    fn levels(&self) -> &[Level];

    /// Where the pages of `process` are.
    ///
    /// # Errors
    /// When it is gone or the kernel refuses.
    fn of(&self, process: ProcessId) -> Result<Whereabouts, ProcessError>;
}
