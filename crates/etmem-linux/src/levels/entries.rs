//! The entries of a process's page tables, mapping by mapping, as far as anything of a mapping is in memory or in swap.

use crate::frames::{PRESENT, SWAPPED};
use crate::mapping::line::{MapsLine, is_detail, number};
use crate::process::memory_files::memory_file;
use crate::process::stat::{check_alive, means_gone, process_error};
use crate::root::ProcRoot;
use crate::small_file;
use etmem_core::address::{AddressRange, PAGE_SIZE};
use etmem_core::kernel::process::{ProcessError, ProcessId};
use std::fs::File;
use std::io::{BufRead, BufReader};

/// Of an entry in swap: bits 0 to 4 are the type, 5 to 54 the offset in pages.
const TYPE_BITS: u32 = 5;
const OFFSET: u64 = (1 << 50) - 1;

/// Entries of a read.
const READ: usize = 8192;

/// Where a page is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Entry {
    /// In memory.
    Memory,
    /// In swap: on the device of this type, at this page of it.
    Swap { kind: usize, offset: u64 },
    /// Neither, as far as this entry says.
    Nowhere,
}

impl Entry {
    pub(super) fn of(entry: u64) -> Self {
        if entry & PRESENT != 0 {
            Self::Memory
        } else if entry & SWAPPED != 0 {
            let kind = usize::try_from(entry & ((1 << TYPE_BITS) - 1)).unwrap_or(usize::MAX);
            Self::Swap { kind, offset: entry >> TYPE_BITS & OFFSET }
        } else {
            Self::Nowhere
        }
    }
}

/// A mapping as `smaps` has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mapped {
    pub(super) range: AddressRange,
    /// Bytes in memory, and in swap, that of shared memory included.
    pub(super) resident: u64,
    pub(super) swapped: u64,
}

/// The mappings of `process` of which anything is in memory or in swap.
pub(super) fn mappings(proc: &ProcRoot, process: ProcessId) -> Result<Vec<Mapped>, ProcessError> {
    let path = memory_file(proc, process.pid, "smaps");
    let failed = |error: &std::io::Error| process_error(path.display().to_string(), error);
    let lines = BufReader::new(File::open(&path).map_err(|error| failed(&error))?).split(b'\n');
    let mut mapped: Vec<Mapped> = Vec::new();
    for line in lines {
        let line = line.map_err(|error| failed(&error))?;
        if !is_detail(&line) {
            let range = MapsLine::parse(&line).map(|line| line.range);
            mapped.extend(range.map(|range| Mapped { range, resident: 0, swapped: 0 }));
        } else if let Some(last) = mapped.last_mut() {
            let bytes = |name: &[u8]| {
                let rest = line.strip_prefix(name)?.trim_ascii().strip_suffix(b"kB")?;
                number(rest.trim_ascii(), 10)?.checked_mul(1024)
            };
            last.resident = bytes(b"Rss:").unwrap_or(last.resident);
            last.swapped = bytes(b"Swap:").unwrap_or(last.swapped);
        }
    }
    mapped.retain(|mapping| mapping.resident > 0 || mapping.swapped > 0);
    check_alive(proc, process)?;
    Ok(mapped)
}

/// The entries of a process, of the memory that it has when this is made.
#[derive(Debug)]
pub(super) struct Entries {
    file: File,
}

impl Entries {
    pub(super) fn open(proc: &ProcRoot, process: ProcessId) -> Result<Self, ProcessError> {
        let path = memory_file(proc, process.pid, "pagemap");
        let file = File::open(&path).map_err(|error| process_error(path.display().to_string(), &error))?;
        check_alive(proc, process)?;
        Ok(Self { file })
    }

    /// Calls `see` for each page of `range`; those past the end of what the kernel tells are nowhere.
    pub(super) fn each(&self, range: AddressRange, mut see: impl FnMut(Entry)) -> Result<(), ProcessError> {
        let mut words = [0; READ];
        let mut at = range.start / PAGE_SIZE;
        let end = range.end / PAGE_SIZE;
        while at < end {
            let count = usize::try_from(end - at).unwrap_or(READ).min(READ);
            words[..count].fill(0);
            small_file::read_words(&self.file, at, &mut words[..count]).map_err(|error| {
                if means_gone(&error) {
                    ProcessError::Exited
                } else {
                    process_error("reading pagemap", &error)
                }
            })?;
            words[..count].iter().for_each(|word| see(Entry::of(*word)));
            at += count as u64;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_says_where_the_page_is() {
        for (entry, want) in [
            (0, Entry::Nowhere),
            (PRESENT | 77, Entry::Memory),
            (PRESENT | SWAPPED, Entry::Memory),
            (SWAPPED | 1234 << 5 | 3, Entry::Swap { kind: 3, offset: 1234 }),
            // Bits 55 and 61 are no part of the offset.
            (SWAPPED | 1 << 61 | 1 << 55 | OFFSET << 5, Entry::Swap { kind: 0, offset: OFFSET }),
        ] {
            assert_eq!(Entry::of(entry), want, "{entry:x}");
        }
    }
}
