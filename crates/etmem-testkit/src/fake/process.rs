//! Processes whose pages are touched by script.

use etmem_core::address::{AddressRange, BLOCK_SIZE, PAGE_SIZE};
use etmem_core::kernel::mapping::{Mapping, VmFlag};
use etmem_core::kernel::mover::Residence;
use etmem_core::kernel::nodes::{NodeId, OwnPlacement};
use etmem_core::kernel::probe::Access;
use etmem_core::kernel::process::{Pid, ProcessError, ProcessId, ProcessMemory};
use std::collections::{BTreeMap, BTreeSet};

/// What page number `page` of a process (counted from its first address) does in window number `window` of
/// observation (counted from 0).
pub type Script = fn(page: u64, window: u64) -> Access;

/// A process of a `FakeMachine`.
#[derive(Debug, Clone)]
pub struct FakeProcess {
    /// Its identity.
    pub id: ProcessId,
    /// Its `comm`.
    pub comm: String,
    /// Its parent.
    pub parent: Option<Pid>,
    /// The path of its control group; empty for the root.
    pub group: String,
    /// Its only mapping.
    pub mapping: Mapping,
    /// Flags of that mapping.
    pub flags: Vec<VmFlag>,
    /// Ranges of it that are locked in memory.
    pub locked: Vec<AddressRange>,
    /// How its pages are touched.
    pub script: Script,
    /// How they really are, where the probe is blind to it and sees only what `script` says.
    pub truth: Option<Script>,
    /// How it ends, and in which window.
    pub end: Option<(u64, ProcessError)>,
    /// Pages now in swap.
    pub swapped: Vec<bool>,
    /// How often a page was fetched from there.
    pub major_faults: u64,
    /// Its pages are huge ones of the pool, and its mapping has the flag `ht`.
    pub huge: bool,
    /// The node each page lies on, where the machine has nodes.
    pub places: Vec<NodeId>,
    /// Pages that the kernel holds on to, without a word: they do not move.
    pub pinned: BTreeSet<usize>,
    /// Pages that a forked process has as well: they do not move either.
    pub forked: BTreeSet<usize>,
    /// Whether what stands in its pages does not compress.
    pub noise: bool,
    /// Bytes in memory of mappings that are not its own: shared memory, files, the pool of huge pages.
    pub others: ProcessMemory,
    /// Pages that may be freed instead of swapped (`MADV_FREE`).
    pub lazily_freed: BTreeSet<usize>,
    /// Pages that were, and are nowhere since.
    pub freed: BTreeSet<usize>,
    /// How often a page went to swap.
    pub paged_out: u64,
    /// How often each page was read back from swap: each time it comes into another frame.
    pub read_back: BTreeMap<usize, u64>,
    /// How often each page was brought back because swap was taken away: into another frame as well.
    pub brought_back: BTreeMap<usize, u64>,
    /// Whether there is no swap that its pages could go to.
    pub without_swap: bool,
    /// Where it wants its memory itself.
    pub own_placement: OwnPlacement,
    /// Questions about its places and moves that are still answered before it exits.
    pub exits_after: Option<u64>,
    /// Windows observed so far.
    pub windows: u64,
    /// How often its accessed bits were cleared.
    pub armed: u64,
}

impl FakeProcess {
    /// A process of `pages` pages of anonymous memory at `start`.
    #[must_use]
    pub fn new(pid: u32, comm: &str, start: u64, pages: usize, script: Script) -> Self {
        let range = AddressRange::new(start, start + pages as u64 * PAGE_SIZE);
        Self {
            id: ProcessId { pid: Pid::new(pid).unwrap_or(Pid(std::num::NonZeroU32::MIN)), start_time: 1000 },
            comm: comm.to_owned(),
            parent: None,
            group: String::new(),
            mapping: Mapping {
                range,
                writable: true,
                executable: false,
                shared: false,
                inode: 0,
                special: false,
                huge_pool: false,
                guest: false,
            },
            flags: Vec::new(),
            locked: Vec::new(),
            script,
            truth: None,
            end: None,
            swapped: vec![false; pages],
            major_faults: 0,
            huge: false,
            places: Vec::new(),
            pinned: BTreeSet::new(),
            forked: BTreeSet::new(),
            noise: false,
            others: ProcessMemory::default(),
            lazily_freed: BTreeSet::new(),
            freed: BTreeSet::new(),
            paged_out: 0,
            read_back: BTreeMap::new(),
            brought_back: BTreeMap::new(),
            without_swap: false,
            own_placement: OwnPlacement::default(),
            exits_after: None,
            windows: 0,
            armed: 0,
        }
    }

    /// A process of `pages` huge pages of the pool at `start`.
    #[must_use]
    pub fn huge(pid: u32, comm: &str, start: u64, pages: usize, script: Script) -> Self {
        let mut process = Self::new(pid, comm, start, pages, script);
        process.huge = true;
        process.mapping.range.end = start + pages as u64 * BLOCK_SIZE;
        (process.mapping.inode, process.mapping.shared) = (7, true);
        process
    }

    /// With each page on the node that `place` says.
    #[must_use]
    pub fn placed(mut self, place: impl Fn(usize) -> u16) -> Self {
        self.places = (0..self.swapped.len()).map(|page| NodeId(place(page))).collect();
        self
    }

    /// The size of its pages.
    #[must_use]
    pub const fn page_size(&self) -> u64 {
        if self.huge { BLOCK_SIZE } else { PAGE_SIZE }
    }

    /// As a child of process `pid`.
    #[must_use]
    pub fn child_of(mut self, pid: u32) -> Self {
        self.parent = Pid::new(pid);
        self
    }

    /// The numbers of its pages that are in swap.
    #[must_use]
    pub fn swapped_pages(&self) -> Vec<usize> {
        self.swapped.iter().enumerate().filter(|(_, swapped)| **swapped).map(|(page, _)| page).collect()
    }

    /// Pages of it that were read back from swap, each time counted.
    #[must_use]
    pub fn pages_read_back(&self) -> u64 {
        self.read_back.values().sum()
    }

    /// Page `page` does what the script of this window says: if it is touched, it comes back from where it is.
    pub(super) fn live(&mut self, page: usize, window: u64) -> Access {
        let number = page as u64;
        let access = (self.script)(number, window);
        if self.truth.map_or(access, |truth| truth(number, window)) == Access::IDLE {
            return access;
        }
        self.freed.remove(&page);
        if std::mem::take(&mut self.swapped[page]) {
            self.major_faults += 1;
            *self.read_back.entry(page).or_default() += 1;
        }
        access
    }

    /// Page `page` is to go to swap.
    pub fn page_out(&mut self, page: usize) {
        if self.pinned.contains(&page) || self.forked.contains(&page) || self.freed.contains(&page) {
            return;
        }
        if self.lazily_freed.remove(&page) {
            self.freed.insert(page);
        } else if self.without_swap {
            // It stays.
        } else if !std::mem::replace(&mut self.swapped[page], true) {
            self.paged_out += 1;
        }
    }

    /// Swap is taken away: all of it is back, without a touch.
    pub(super) fn swap_off(&mut self) {
        for page in self.swapped_pages() {
            self.swapped[page] = false;
            *self.brought_back.entry(page).or_default() += 1;
        }
        self.without_swap = true;
    }

    /// Where page `page` is.
    pub(super) fn residence(&self, page: usize) -> Residence {
        if self.swapped[page] {
            return Residence::Swap;
        }
        if self.freed.contains(&page) {
            return Residence::Nowhere;
        }
        let times = [&self.read_back, &self.brought_back];
        let times: u64 = times.map(|back| back.get(&page).copied().unwrap_or(0)).iter().sum();
        let frame = 1 + page as u64 + times * self.swapped.len() as u64;
        Residence::Memory { frame, file: false, shared: self.forked.contains(&page) }
    }
}
