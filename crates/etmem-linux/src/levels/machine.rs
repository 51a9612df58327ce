//! The levels of a machine, and where the pages of its processes are.

use super::entries::{Entries, Entry, mappings};
use super::list::{Swap, list};
use super::swap_types::{SwapTypes, TYPES, anchor};
use crate::mapping::numa_maps::bytes_by_node;
use crate::root::Roots;
use crate::sinking::device::ZramFiles;
use crate::sinking::slots;
use etmem_core::address::PAGE_SIZE;
use etmem_core::kernel::levels::{Level, LevelKind, Levels, Whereabouts};
use etmem_core::kernel::process::{ProcessError, ProcessId};
use std::collections::BTreeMap;

/// Slots of a device, a bit for each.
#[derive(Debug, Default)]
struct Slots(Vec<u64>);

impl Slots {
    fn add(&mut self, slot: u32) {
        let place = (slot / 64) as usize;
        if place >= self.0.len() {
            self.0.resize(place + 1, 0);
        }
        self.0[place] |= 1 << (slot % 64);
    }

    fn contains(&self, slot: u64) -> bool {
        let word = usize::try_from(slot / 64).ok().and_then(|place| self.0.get(place));
        word.is_some_and(|word| word >> (slot % 64) & 1 == 1)
    }
}

/// The levels of the machine whose file systems are mounted at `roots`, as they were when this was made.
#[derive(Debug)]
pub struct MachineLevels {
    roots: Roots,
    levels: Vec<Level>,
    swaps: Vec<Swap>,
    types: SwapTypes,
    /// For each of `swaps` that has a disk behind it: which of its pages are there.
    on_disk: Vec<Option<Slots>>,
}

impl MachineLevels {
    /// Those of the machine at `roots`. To learn which device is which, a page of our own is paged out.
    #[must_use]
    pub fn new(roots: &Roots) -> Self {
        let (levels, swaps) = list(roots);
        let found = if swaps.len() > 1 { anchor(&roots.proc, &swaps) } else { None };
        let types = SwapTypes::of(swaps.len(), found);
        let on_disk = swaps.iter().map(|swap| on_disk(roots, swap)).collect();
        Self { roots: roots.clone(), levels, swaps, types, on_disk }
    }

    /// The levels of the machine at `roots`, without a look at which device is which.
    #[must_use]
    pub fn listed(roots: &Roots) -> Vec<Level> {
        list(roots).0
    }

    /// On which level the page at `offset` of a swap device is; `None`: it cannot be told.
    fn level(&self, place: usize, offset: u64) -> Option<usize> {
        let swap = self.swaps.get(place)?;
        match (&swap.zram, self.on_disk.get(place)?) {
            (Some((_, Some(disk))), Some(on_disk)) if on_disk.contains(offset) => Some(*disk),
            // There is a disk, and the kernel does not say which pages are on it.
            (Some((_, Some(_))), None) => None,
            (Some(_), _) | (None, _) => Some(swap.level),
        }
    }
}

/// Which pages of a zram device are on the disk behind it; `None` if there is none, or the kernel does not say.
fn on_disk(roots: &Roots, swap: &Swap) -> Option<Slots> {
    let (name, disk) = swap.zram.as_ref()?;
    disk.as_ref()?;
    let mut found = Slots::default();
    let path = ZramFiles::new(&roots.sys, name).block_state();
    slots::each(&path, |slot| {
        if slot.on_disk {
            found.add(slot.number);
        }
    })
    .ok()?;
    Some(found)
}

impl Levels for MachineLevels {
    fn levels(&self) -> &[Level] {
        &self.levels
    }

    fn of(&self, process: ProcessId) -> Result<Whereabouts, ProcessError> {
        let proc = &self.roots.proc;
        let mapped = mappings(proc, process)?;
        let entries = Entries::open(proc, process)?;
        let mut found = Whereabouts::default();
        // Pages by type and level, before it is known whether there is a hole among the types.
        let mut by_type: BTreeMap<usize, BTreeMap<Option<usize>, u64>> = BTreeMap::new();
        let mut highest = 0;
        for mapping in mapped {
            found.memory += mapping.resident;
            let mut swapped = 0;
            if mapping.swapped > 0 {
                entries.each(mapping.range, |entry| {
                    if let Entry::Swap { kind, offset } = entry {
                        swapped += PAGE_SIZE;
                        if kind < TYPES {
                            highest = highest.max(kind);
                        }
                        // The first page of a device is its header: the kernel hides where pages are.
                        let place = self.types.place(kind, 0).filter(|_| offset > 0);
                        let level = place.and_then(|place| self.level(place, offset));
                        *by_type.entry(kind).or_default().entry(level).or_default() += PAGE_SIZE;
                    }
                })?;
            }
            // What its own entries do not show is shared memory.
            found.shared += mapping.swapped.saturating_sub(swapped);
        }
        let mut levels: BTreeMap<usize, u64> = BTreeMap::new();
        for (kind, pages) in by_type {
            let is_known = self.types.place(kind, highest).is_some();
            for (level, bytes) in pages {
                match level.filter(|_| is_known) {
                    Some(level) => *levels.entry(level).or_default() += bytes,
                    None => found.elsewhere += bytes,
                }
            }
        }
        found.levels = levels.into_iter().collect();
        if self.levels.iter().filter(|level| level.kind == LevelKind::Node).count() > 1 {
            let nodes = bytes_by_node(proc, process)?;
            found.nodes =
                nodes.into_iter().map(|(node, bytes)| (format!("node{node}").into(), bytes)).collect();
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::root::{ProcRoot, SysRoot};
    use etmem_core::kernel::process::Pid;
    use std::fs;

    const SWAPPED: u64 = 1 << 62;
    const PRESENT: u64 = 1 << 63;

    #[test]
    fn a_slot_is_in_the_set_once_it_was_added() {
        let mut slots = Slots::default();
        [0, 63, 64, 1000].into_iter().for_each(|slot| slots.add(slot));
        let found: Vec<u64> = (0..2000).filter(|slot| slots.contains(*slot)).collect();
        assert_eq!(found, [0, 63, 64, 1000]);
        assert!(!slots.contains(u64::MAX));
    }

    #[test]
    fn each_page_is_counted_where_it_is() {
        let tree = tempfile::tempdir().unwrap();
        let write = |file: &str, text: &[u8]| {
            let path = tree.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        let roots = Roots { proc: ProcRoot::new(tree.path()), sys: SysRoot::new(tree.path()) };
        let process = ProcessId { pid: Pid::new(7).unwrap(), start_time: 5 };
        write("7/stat", b"7 (x) S 1 1 1 0 -1 0 1 2 3 4 5 6 7 8 20 0 1 0 5 1 2\n");
        write("meminfo", b"MemTotal: 9 kB\n");
        write("swaps", b"F T S U P\n/dev/zram0 partition 8192 4096 100\n/dev/vdc partition 1024 8 -2\n");
        for (file, text) in [
            ("disksize", "8388608\n"),
            ("mm_stat", "40960 1 1 0\n"),
            ("bd_stat", "2 0 2\n"),
            ("backing_dev", "/dev/vdb\n"),
        ] {
            write(&format!("block/zram0/{file}"), text.as_bytes());
        }
        write("kernel/debug/zram/zram0/block_state", b"10 1.0 .w....\n11 1.0 ......\n12 1.0 .w....\n");
        let on = |kind: u64, offset: u64| SWAPPED | offset << 5 | kind;
        // Pages from 16 on: two in memory, three in zram of which one is on its disk, one on vdc, one that migrates.
        let mut pages = vec![0; 16];
        pages.extend([PRESENT | 5, PRESENT | 6, on(0, 10), on(0, 11), on(0, 13), on(1, 10), on(30, 1), 0]);
        let bytes: Vec<u8> = pages.iter().flat_map(|page: &u64| page.to_ne_bytes()).collect();
        write("7/pagemap", &bytes);
        // The second mapping is shared memory, of which 8 KiB are in swap.
        let smaps = "10000-18000 rw-p 00000000 00:00 0\nRss: 8 kB\nSwap: 16 kB\nVmFlags: rd wr\n\
             20000-30000 rw-s 00000000 00:01 9 /memfd\nRss: 4 kB\nSwap: 8 kB\n40000-80000 ---p 00000000 00:00 0\nRss: 0 kB\nSwap: 0 kB\n";
        write("7/smaps", smaps.as_bytes());
        let levels = MachineLevels::new(&roots);
        let found = levels.of(process).unwrap();
        let named: Vec<_> =
            found.levels.iter().map(|(level, bytes)| (&*levels.levels()[*level].name, *bytes)).collect();
        assert_eq!(named, [("zram0", 2 * PAGE_SIZE), ("/dev/vdb", PAGE_SIZE), ("vdc", PAGE_SIZE)]);
        assert_eq!((found.memory, found.shared, found.elsewhere), (12 << 10, 8 << 10, PAGE_SIZE));
        assert_eq!(found.out(), 5 * PAGE_SIZE + (8 << 10));
        // Without the list of slots, what is in zram may be on its disk.
        fs::remove_file(tree.path().join("kernel/debug/zram/zram0/block_state")).unwrap();
        let found = MachineLevels::new(&roots).of(process).unwrap();
        assert_eq!(found.elsewhere, 4 * PAGE_SIZE);
        let other = ProcessId { start_time: 6, ..process };
        assert_eq!(levels.of(other), Err(ProcessError::Exited));
    }
}
