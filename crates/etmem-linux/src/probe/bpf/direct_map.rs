//! Where the kernel sees physical memory.
//!
//! Page tables hold physical addresses; the walk needs the kernel's address of physical address 0, the base of its
//! direct map. The kernel does not reveal it (it is randomised in steps of 1 GiB, `arch/x86/mm/kaslr.c`), but the
//! topmost table of our own process lies in it. So bases are tried until the walk gives, for several fresh pages of
//! our own, exactly the page numbers that `/proc/self/pagemap` gives.

use super::entry;
use super::program::CAPABILITIES;
use crate::figures::bytes_of;
use crate::root::ProcRoot;
use crate::sys::iterator::TaskLink;
use crate::sys::page_walk::{PageWalk, Span};
use crate::unavailable::Unavailable;
use etmem_core::address::{BLOCK_SIZE, PAGE_SIZE, block_of};
use std::fs::File;
use std::hint::black_box;
use std::io;
use std::os::unix::fs::FileExt;

/// How the walk gets from a physical address to a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct DirectMap {
    /// Where the kernel sees physical address 0.
    pub(super) base: u64,
    /// Levels of page tables: 4 or 5.
    pub(super) levels: u64,
}

/// Where a kernel without KASLR puts it (`Documentation/arch/x86/x86_64/mm.rst`).
const DEFAULT_FOUR: u64 = 0xffff_8880_0000_0000;
const DEFAULT_FIVE: u64 = 0xff11_0000_0000_0000;

/// Steps in which the base is randomised.
const STEP: u64 = 1 << 30;

/// Pages of our own to check a base by, each in a block of its own.
const SAMPLES: usize = 4;

/// Of an entry of `pagemap`: the page's number, and whether it was written to lately.
const PAGEMAP_FRAME: u64 = (1 << 55) - 1;
const PAGEMAP_SOFT_DIRTY: u64 = 1 << 55;

/// How often to look again where the kernel moved a page of ours meanwhile.
const ATTEMPTS: usize = 3;

impl DirectMap {
    /// The first address that is no process's.
    pub(super) fn user_end(self) -> u64 {
        if self.levels == 5 { 1 << 56 } else { 1 << 47 }
    }

    /// Finds it; `own` names our own process.
    ///
    /// # Errors
    /// When no base stands the check, or the kernel does not give page numbers.
    pub(super) fn find(proc: &ProcRoot, maps: &mut PageWalk, own: &TaskLink) -> Result<Self, Unavailable> {
        let call = "running the page walk";
        let failed = |error: io::Error| Unavailable::from_io(call, &error, CAPABILITIES);
        let root_table = maps.run(own, 0, 4, &[]).map_err(failed)?.root_table;
        if root_table == 0 {
            return Err(Unavailable::refused(call, "did not find this process"));
        }
        let mut tried = 0;
        for _ in 0..ATTEMPTS {
            let samples = Samples::new(proc)?;
            tried = 0;
            for candidate in candidates(root_table, highest_physical_address(proc)) {
                tried += 1;
                if samples.agree(maps, own, candidate).map_err(failed)? {
                    return Ok(candidate);
                }
            }
        }
        Err(Unavailable::NoDirectMap(tried))
    }
}

/// The bases worth trying, given where the kernel sees a page of physical memory that ends at `highest`.
fn candidates(root_table: u64, highest: u64) -> impl Iterator<Item = DirectMap> {
    // The upper half of 48 bits, or an address that only 5 levels reach.
    let (likely, other) = if root_table >= 0xffff_8000_0000_0000 { (4, 5) } else { (5, 4) };
    let nearest = root_table & !(STEP - 1);
    let steps = (0..=highest / STEP).map_while(move |step| nearest.checked_sub(step * STEP));
    [DEFAULT_FOUR, DEFAULT_FIVE]
        .into_iter()
        .filter(move |base| *base <= root_table)
        .chain(steps)
        .flat_map(move |base| [DirectMap { base, levels: likely }, DirectMap { base, levels: other }])
}

/// The end of physical memory: of the last `System RAM` in `/proc/iomem`, or, where that is hidden, a generous guess.
fn highest_physical_address(proc: &ProcRoot) -> u64 {
    let listed = std::fs::read_to_string(proc.machine("iomem")).ok().and_then(|text| {
        let ends = text.lines().filter(|line| line.ends_with(": System RAM")).filter_map(|line| {
            let (_, end) = line.split_whitespace().next()?.split_once('-')?;
            u64::from_str_radix(end, 16).ok()
        });
        ends.max().filter(|end| *end > 0)
    });
    listed.unwrap_or_else(|| {
        let total = std::fs::read(proc.machine("meminfo")).ok().and_then(|text| bytes_of(&text, "MemTotal"));
        // Memory may have holes, mostly below 4 GiB and between nodes.
        total.unwrap_or(0).saturating_mul(2).saturating_add(64 * STEP)
    })
}

/// Whether the kernel tracks which pages are written to (soft-dirty): then it says so of any fresh page.
///
/// # Errors
/// When the kernel does not say it of our own pages.
pub(super) fn soft_dirty(proc: &ProcRoot) -> Result<bool, Unavailable> {
    let samples = Samples::new(proc)?;
    let entry = samples.pagemap(samples.addresses[0]).map_err(|error| {
        Unavailable::from_io(proc.own("pagemap").display().to_string(), &error, CAPABILITIES)
    })?;
    Ok(entry & PAGEMAP_SOFT_DIRTY != 0)
}

/// Fresh pages of our own.
struct Samples {
    _memory: Vec<u8>,
    addresses: [u64; SAMPLES],
    pagemap: File,
}

impl Samples {
    fn new(proc: &ProcRoot) -> Result<Self, Unavailable> {
        let path = proc.own("pagemap");
        let failed = |error: &_| Unavailable::from_io(path.display().to_string(), error, CAPABILITIES);
        let pagemap = File::open(&path).map_err(|error| failed(&error))?;
        // Large enough to be a mapping of its own; what is not touched costs nothing.
        let block = usize::try_from(BLOCK_SIZE).unwrap_or(usize::MAX);
        let mut memory = vec![0u8; (SAMPLES + 1) * block];
        let addresses = std::array::from_fn(|number| {
            let byte = &mut memory[number * block + (number + 1) * 5 * 4096];
            *byte = 1;
            std::ptr::from_mut(black_box(byte)).addr() as u64
        });
        let samples = Self { _memory: memory, addresses, pagemap };
        if samples.frame(samples.addresses[0]).map_err(|error| failed(&error))? == 0 {
            let error = io::Error::from_raw_os_error(libc::EPERM);
            return Err(Unavailable::from_io("reading page numbers from pagemap", &error, CAPABILITIES));
        }
        Ok(samples)
    }

    /// What `pagemap` says of the page at `address` (`Documentation/admin-guide/mm/pagemap.rst`).
    fn pagemap(&self, address: u64) -> io::Result<u64> {
        let mut bytes = [0; 8];
        self.pagemap.read_exact_at(&mut bytes, address / PAGE_SIZE * 8)?;
        Ok(u64::from_ne_bytes(bytes))
    }

    /// The number of the page at `address`; 0 where it is hidden.
    fn frame(&self, address: u64) -> io::Result<u64> {
        Ok(self.pagemap(address)? & PAGEMAP_FRAME)
    }

    /// Whether the walk gives the right page number of every sample.
    fn agree(&self, maps: &mut PageWalk, own: &TaskLink, candidate: DirectMap) -> io::Result<bool> {
        for address in self.addresses {
            let start = block_of(address);
            let span = Span { start, end: start + BLOCK_SIZE };
            maps.run(own, candidate.base, candidate.levels, &[span])?;
            let index = usize::try_from((address - start) / PAGE_SIZE).unwrap_or(0);
            let seen = maps.found().next().and_then(|(slot, table)| {
                let entry = if entry::is_huge(slot.entry) { slot.entry } else { table[index] };
                entry::frame(entry, address)
            });
            if seen.is_none() || seen != Some(self.frame(address)?) {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn candidates_come_near_first_and_end() {
        let root_table = 0xffff_9123_4567_8000;
        let all: Vec<DirectMap> = candidates(root_table, 3 * STEP).collect();
        assert_eq!(all[0], DirectMap { base: DEFAULT_FOUR, levels: 4 });
        assert!(all.contains(&DirectMap { base: 0xffff_9123_4000_0000, levels: 4 }));
        assert!(all.contains(&DirectMap { base: 0xffff_9122_8000_0000, levels: 4 }));
        assert!(!all.contains(&DirectMap { base: 0xffff_9122_4000_0000, levels: 4 }));
        assert!(all.iter().all(|candidate| candidate.base <= root_table));
        let five: Vec<DirectMap> = candidates(0xff22_0000_4567_8000, STEP).collect();
        assert_eq!(five[0], DirectMap { base: DEFAULT_FIVE, levels: 5 });
        assert!(!five.iter().any(|candidate| candidate.base == DEFAULT_FOUR));
    }

    #[test]
    fn the_end_of_physical_memory() {
        let tree = tempfile::tempdir().unwrap();
        let proc = ProcRoot::new(tree.path());
        assert_eq!(highest_physical_address(&proc), 64 * STEP);
        std::fs::write(tree.path().join("meminfo"), "MemTotal: 1048576 kB\n").unwrap();
        assert_eq!(highest_physical_address(&proc), 66 * STEP);
        std::fs::write(
            tree.path().join("iomem"),
            "00001000-0009fbff : System RAM\n100000000-63fffffff : System RAM\n  1c0000000-1c1 : Kernel code\n\
             fd000000000-fffffffffff : Reserved\n",
        )
        .unwrap();
        assert_eq!(highest_physical_address(&proc), 0x6_3fff_ffff);
        std::fs::write(tree.path().join("iomem"), "00000000-00000000 : System RAM\n").unwrap();
        assert_eq!(highest_physical_address(&proc), 66 * STEP);
    }
}
