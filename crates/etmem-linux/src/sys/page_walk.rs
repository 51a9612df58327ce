//! The maps of the page walk, shared with the kernel: a mirror of `bpf/page_walk.bpf.c`.

use super::iterator::TaskLink;
use etmem_core::address::PAGES_PER_BLOCK;
use memmap2::{MmapOptions, MmapRaw};
use std::io;
use std::os::fd::BorrowedFd;

/// Page tables that one run can copy (`SLOTS`).
pub(crate) const SLOTS: usize = 32;

/// Spans that one request can hold (`SPANS`).
pub(crate) const SPANS: usize = 512;

/// A page table: one entry for each base page of a block.
pub(crate) type Table = [u64; PAGES_PER_BLOCK];

/// `struct span`: whole blocks from `start` up to `end`.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Span {
    /// The first address, a multiple of a block.
    pub(crate) start: u64,
    /// The first address after it, a multiple of a block.
    pub(crate) end: u64,
}

/// `struct slot`: what the walk found for one block.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub(crate) struct Slot {
    /// Where the block starts.
    pub(crate) address: u64,
    /// Its entry in the table above: of a page table, or of a huge page.
    pub(crate) entry: u64,
}

/// `struct walk`: request, reply, and what the program keeps between its steps.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Walk {
    /// Request: where the kernel sees physical address 0; 0 walks nothing and only says which process it is.
    pub(crate) direct_map: u64,
    /// Request: 4 or 5.
    pub(crate) levels: u64,
    spans: u64,
    /// Reply: why the run ended, one of [`ended`].
    pub(crate) ended: u64,
    spans_begun: u64,
    /// Reply: where to go on, where the run ended early.
    pub(crate) next: u64,
    slots_used: u64,
    /// Reply: when the process started, in nanoseconds since boot.
    pub(crate) start_boottime: u64,
    /// Reply: changes with each program that the process runs.
    pub(crate) exec_id: u64,
    /// Reply: where the kernel sees the topmost table.
    pub(crate) root_table: u64,
    span_end: u64,
    pmd_table: u64,
    pmd_region: u64,
}

/// Why a run ended.
pub(crate) mod ended {
    /// There is no such process, or it has no memory.
    pub(crate) const FOUND_NOBODY: u64 = 0;
    /// Slots or steps ran out.
    pub(crate) const EARLY: u64 = 1;
    /// All spans were walked.
    pub(crate) const COMPLETE: u64 = 2;
}

/// Maps the memory of `map`, which holds `entries` values of the type `T`.
fn mapped<T>(map: BorrowedFd<'_>, entries: usize, writable: bool) -> io::Result<MmapRaw> {
    let mut options = MmapOptions::new();
    options.len(entries * size_of::<T>());
    if writable { options.map_raw(&map) } else { options.map_raw_read_only(&map) }
}

/// The four maps that user space and the program share.
///
/// The kernel writes to them only inside [`PageWalk::run`], which borrows them exclusively.
#[derive(Debug)]
pub(crate) struct PageWalk {
    walk: MmapRaw,
    spans: MmapRaw,
    slots: MmapRaw,
    tables: MmapRaw,
    used: usize,
}

impl PageWalk {
    /// Maps the program's maps of these names.
    ///
    /// # Errors
    /// What mmap(2) answers.
    pub(crate) fn new([walk, spans, slots, tables]: [BorrowedFd<'_>; 4]) -> io::Result<Self> {
        Ok(Self {
            walk: mapped::<Walk>(walk, 1, true)?,
            spans: mapped::<Span>(spans, SPANS, true)?,
            slots: mapped::<Slot>(slots, SLOTS, false)?,
            tables: mapped::<Table>(tables, SLOTS, false)?,
            used: 0,
        })
    }

    /// Walks `spans` (at most [`SPANS`] of them) of the process that `link` names; returns the program's reply.
    ///
    /// # Errors
    /// What bpf(2) or read(2) answers.
    pub(crate) fn run(
        &mut self,
        link: &TaskLink,
        direct_map: u64,
        levels: u64,
        spans: &[Span],
    ) -> io::Result<Walk> {
        let count = spans.len().min(SPANS);
        let request = Walk { direct_map, levels, spans: count as u64, ..Walk::default() };
        self.used = 0;
        // SAFETY: both maps are mapped writable and hold at least as much as is written; `count` is within the
        // map; no program runs now, because each run is one call of this function under an exclusive borrow.
        unsafe {
            std::ptr::copy_nonoverlapping(spans.as_ptr(), self.spans.as_mut_ptr().cast(), count);
            self.walk.as_mut_ptr().cast::<Walk>().write_volatile(request);
        }
        link.run()?;
        // SAFETY: the mapping is readable, any bits make a `Walk`, and the run has ended.
        let reply = unsafe { self.walk.as_ptr().cast::<Walk>().read_volatile() };
        self.used = usize::try_from(reply.slots_used).unwrap_or(SLOTS).min(SLOTS);
        Ok(reply)
    }

    /// What the last run found, block after block. The table means nothing where the slot's entry is a huge page.
    pub(crate) fn found(&self) -> impl Iterator<Item = (Slot, &Table)> {
        // SAFETY: `used` is within both maps, any bits make a value of either type, and the kernel writes to them
        // only in `run`, which cannot be called while this borrow lives.
        let (slots, tables) = unsafe {
            (
                std::slice::from_raw_parts(self.slots.as_ptr().cast(), self.used),
                std::slice::from_raw_parts(self.tables.as_ptr().cast(), self.used),
            )
        };
        slots.iter().copied().zip(tables)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::mem::offset_of;

    /// The structures and bounds of the C file, as its text has them.
    #[test]
    fn mirrors_the_program() {
        let source = include_str!("../../bpf/page_walk.bpf.c");
        assert!(source.contains(&format!("#define SLOTS {SLOTS}\n")));
        assert!(source.contains(&format!("#define SPANS {SPANS}\n")));
        for (name, value) in [
            ("FOUND_NOBODY", ended::FOUND_NOBODY),
            ("ENDED_EARLY", ended::EARLY),
            ("ENDED_COMPLETE", ended::COMPLETE),
        ] {
            assert!(source.contains(&format!("#define {name} {value}")), "{name}");
        }
        let walk = source.split("struct walk {").nth(1).unwrap().split("};").next().unwrap();
        let fields: Vec<&str> = walk
            .lines()
            .filter_map(|line| line.trim().strip_prefix("u64 "))
            .map(|field| field.split(';').next().unwrap())
            .collect();
        assert_eq!(fields.len() * 8, size_of::<Walk>());
        for (name, offset) in [
            ("direct_map", offset_of!(Walk, direct_map)),
            ("levels", offset_of!(Walk, levels)),
            ("spans", offset_of!(Walk, spans)),
            ("ended", offset_of!(Walk, ended)),
            ("spans_begun", offset_of!(Walk, spans_begun)),
            ("next", offset_of!(Walk, next)),
            ("slots_used", offset_of!(Walk, slots_used)),
            ("start_boottime", offset_of!(Walk, start_boottime)),
            ("exec_id", offset_of!(Walk, exec_id)),
            ("root_table", offset_of!(Walk, root_table)),
            ("span_end", offset_of!(Walk, span_end)),
            ("pmd_table", offset_of!(Walk, pmd_table)),
            ("pmd_region", offset_of!(Walk, pmd_region)),
        ] {
            assert_eq!(fields[offset / 8], name);
        }
        assert!(source.contains("struct span {\n\tu64 start, end;"));
        assert!(source.contains("struct slot {\n\tu64 address, entry;"));
    }
}
