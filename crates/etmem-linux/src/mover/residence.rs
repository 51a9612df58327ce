//! Where the pages of a process are: its `pagemap` (`Documentation/admin-guide/mm/pagemap.rst`).

use crate::frames::{FRAME, PRESENT, SWAPPED};
use crate::process::memory_files::memory_file;
use crate::process::stat::{check_alive, process_error};
use crate::root::ProcRoot;
use etmem_core::address::{AddressRange, PAGE_SIZE};
use etmem_core::kernel::mover::Residence;
use etmem_core::kernel::process::{ProcessError, ProcessId};
use std::fs::File;
use std::io::ErrorKind;
use std::os::unix::fs::FileExt;

/// Of an entry: of a file or shared.
const FILE: u64 = 1 << 61;
/// Of an entry that is in memory: no other mapping has the page (since Linux 4.2).
const EXCLUSIVE: u64 = 1 << 56;

/// Bytes of an entry, and of a read.
const ENTRY: usize = 8;
const READ_BYTES: usize = 16 * 1024;

/// The pagemap of one process. It belongs to the memory that the process had when this was made.
#[derive(Debug)]
pub(crate) struct Pagemap {
    file: File,
    proc: ProcRoot,
    process: ProcessId,
}

impl Pagemap {
    /// Opens that of `process`, which must be checked to live under its number afterwards. `None` if the kernel has no such file.
    ///
    /// # Errors
    /// When the process is gone or the kernel refuses.
    pub(crate) fn open(proc: &ProcRoot, process: ProcessId) -> Result<Option<Self>, ProcessError> {
        let path = memory_file(proc, process.pid, "pagemap");
        match File::open(&path) {
            Ok(file) => Ok(Some(Self { file, proc: proc.clone(), process })),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                check_alive(proc, process)?;
                Ok(None)
            }
            Err(error) => Err(process_error(path.display().to_string(), &error)),
        }
    }

    /// Checks that the process still has the memory that it had when this was opened: the pagemap of memory that is no longer
    /// in use reads as empty (`fs/proc/task_mmu.c`, `pagemap_read`).
    ///
    /// # Errors
    /// When it has not, or the kernel refuses.
    pub(crate) fn check(&self, address: u64) -> Result<(), ProcessError> {
        self.read(address, &mut [0; ENTRY]).map(drop)
    }

    /// Where each page of `ranges` is, appended to `out`.
    ///
    /// # Errors
    /// As `check`.
    pub(crate) fn residence(
        &self,
        ranges: &[AddressRange],
        out: &mut Vec<Residence>,
    ) -> Result<(), ProcessError> {
        let mut entries = [0; READ_BYTES];
        // What was read: from this address on, that number of pages.
        let (mut begin, mut pages) = (0, 0);
        for (number, range) in ranges.iter().enumerate() {
            let mut at = range.start;
            while at < range.end {
                if at < begin || at >= begin + pages as u64 * PAGE_SIZE {
                    let end = end_of_near(&ranges[number..], at + (READ_BYTES / ENTRY) as u64 * PAGE_SIZE);
                    let wanted = usize::try_from((end - at) / PAGE_SIZE).unwrap_or(usize::MAX).max(1);
                    let wanted = wanted.saturating_mul(ENTRY).min(READ_BYTES);
                    (begin, pages) = (at, self.read(at, &mut entries[..wanted])? / ENTRY);
                }
                let number = |address| usize::try_from((address - begin) / PAGE_SIZE).unwrap_or(usize::MAX);
                let (from, to) = (number(at), number(range.end).min(pages));
                let whole = &entries.as_chunks().0[from..to];
                out.extend(whole.iter().map(|entry| residence(u64::from_ne_bytes(*entry))));
                at = begin + to as u64 * PAGE_SIZE;
            }
        }
        Ok(())
    }

    /// Reads entries from that of `address` on, one at least.
    fn read(&self, address: u64, entries: &mut [u8]) -> Result<usize, ProcessError> {
        loop {
            return match self.file.read_at(entries, address / PAGE_SIZE * ENTRY as u64) {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => Err(process_error("reading pagemap", &error)),
                Ok(read) if read < ENTRY => {
                    check_alive(&self.proc, self.process)?;
                    Err(ProcessError::Replaced)
                }
                Ok(read) => Ok(read),
            };
        }
    }
}

/// Pages between two ranges that are rather read than skipped by another call.
const NEAR: u64 = 16 * PAGE_SIZE;

/// Where the ranges end that follow the first closely and begin below `limit`.
fn end_of_near(ranges: &[AddressRange], limit: u64) -> u64 {
    let follows = |pair: &&[AddressRange]| pair[1].start < limit && pair[1].start - pair[0].end <= NEAR;
    let last = ranges.windows(2).take_while(follows).last().map(|pair| pair[1]);
    last.or(ranges.first().copied()).map_or(limit, |range| range.end)
}

const fn residence(entry: u64) -> Residence {
    if entry & PRESENT != 0 {
        let shared = entry & EXCLUSIVE == 0;
        Residence::Memory { frame: entry & FRAME, file: entry & FILE != 0, shared }
    } else if entry & SWAPPED != 0 {
        Residence::Swap
    } else {
        Residence::Nowhere
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use etmem_core::kernel::process::Pid;

    #[test]
    fn entries_of_any_number_of_pages() {
        let tree = tempfile::tempdir().unwrap();
        let proc = ProcRoot::new(tree.path());
        let process = ProcessId { pid: Pid::new(7).unwrap(), start_time: 5 };
        let folder = tree.path().join("7");
        std::fs::create_dir(&folder).unwrap();
        let stat = "7 (x) S 1 1 1 0 -1 0 1 2 3 4 5 6 7 8 20 0 1 0 5 1 2\n";
        std::fs::write(folder.join("stat"), stat).unwrap();
        assert!(Pagemap::open(&proc, process).unwrap().is_none());
        let pages = 20_000u64;
        let entry = |page: u64| match page % 4 {
            0 => PRESENT | EXCLUSIVE | page,
            1 => SWAPPED | FILE | 77,
            2 => PRESENT | FILE | page,
            _ => 0,
        };
        let bytes: Vec<u8> = (0..pages).flat_map(|page| entry(page).to_ne_bytes()).collect();
        std::fs::write(folder.join("pagemap"), bytes).unwrap();
        let pagemap = Pagemap::open(&proc, process).unwrap().unwrap();
        let range = |from: u64, to: u64| AddressRange::new(from * PAGE_SIZE, to * PAGE_SIZE);
        let mut out = Vec::new();
        pagemap.residence(&[range(3, 4), range(10, 18_000)], &mut out).unwrap();
        let want = (3..4).chain(10..18_000u64).map(|page| match page % 4 {
            0 => Residence::Memory { frame: page, file: false, shared: false },
            1 => Residence::Swap,
            2 => Residence::Memory { frame: page, file: true, shared: true },
            _ => Residence::Nowhere,
        });
        assert!(out.iter().copied().eq(want), "{} pages", out.len());
        assert_eq!(pagemap.check(0), Ok(()));
        assert_eq!(pagemap.check(pages * PAGE_SIZE), Err(ProcessError::Replaced));
        assert_eq!(pagemap.residence(&[range(pages - 1, pages + 1)], &mut out), Err(ProcessError::Replaced));
    }
}
