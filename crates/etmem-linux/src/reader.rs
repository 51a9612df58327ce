//! Reading memory of other processes: process_vm_readv(2), of one byte of each page that is to come back from swap.
//!
//! An advice to read ahead (MADV_WILLNEED) would leave the pages in the swap cache, not in the process, and on zram both copies of
//! each in memory. A read does as a touch of the program itself would: the page is the program's, and its copy is freed.

use crate::mover::residence::Pagemap;
use crate::process::memory_files::thread_with_memory;
use crate::process::stat::{check_alive, process_error};
use crate::root::ProcRoot;
use crate::sys::read_memory::{self, MOST_RANGES};
use etmem_core::address::{AddressRange, PAGE_SIZE};
use etmem_core::kernel::mover::Residence;
use etmem_core::kernel::process::{Pid, ProcessError, ProcessId};
use etmem_core::kernel::reader::{MemoryReader, MemoryReaders};
use std::io;

const CALL: &str = "process_vm_readv";

/// Makes readers of the processes whose procfs is at the root.
#[derive(Debug, Clone)]
pub struct MachineReaders(pub ProcRoot);

impl MemoryReaders for MachineReaders {
    fn attach(&self, process: ProcessId) -> Result<Box<dyn MemoryReader>, ProcessError> {
        let pagemap = Pagemap::open(&self.0, process)?.ok_or_else(|| {
            ProcessError::refused("pagemap", "this kernel has none, so what is in swap could not be told")
        })?;
        let thread = thread_with_memory(&self.0, process.pid);
        // Alive under its number after that was opened by the number.
        check_alive(&self.0, process)?;
        Ok(Box::new(Reader { pagemap, thread, proc: self.0.clone(), process }))
    }
}

#[derive(Debug)]
struct Reader {
    pagemap: Pagemap,
    /// By which the kernel finds the memory.
    thread: Pid,
    proc: ProcRoot,
    process: ProcessId,
}

impl Reader {
    /// Reads `ranges` of equal length into `into`: how many, or `None` if the first cannot be read.
    fn read_some(&self, ranges: &[AddressRange], into: &mut [u8]) -> Result<Option<usize>, ProcessError> {
        let length = ranges.first().map_or(1, |range| usize::try_from(range.bytes()).unwrap_or(1)).max(1);
        match read_memory::read(self.thread, ranges, into) {
            Ok(bytes) if bytes >= length => Ok(Some(bytes / length)),
            Ok(_) => Ok(None),
            // It is unmapped, may not be read, or is the memory of a device.
            Err(error) if matches!(error.raw_os_error(), Some(libc::EFAULT | libc::ENOMEM | libc::EIO)) => {
                Ok(None)
            }
            Err(error) => {
                check_alive(&self.proc, self.process)?;
                Err(refused(&error))
            }
        }
    }
}

fn refused(error: &io::Error) -> ProcessError {
    match error.raw_os_error() {
        Some(libc::EPERM) => {
            ProcessError::refused(CALL, format!("{error}; run as root, or with CAP_SYS_PTRACE"))
        }
        _ => process_error(CALL, error),
    }
}

impl MemoryReader for Reader {
    fn touch(&mut self, ranges: &[AddressRange]) -> Result<(), ProcessError> {
        let mut bytes = [0; MOST_RANGES];
        let mut pages = ranges.iter().flat_map(|range| {
            let count = range.bytes().div_ceil(PAGE_SIZE);
            (0..count).map(|page| range.start + page * PAGE_SIZE)
        });
        let mut some: Vec<AddressRange> = Vec::with_capacity(MOST_RANGES);
        loop {
            some.clear();
            some.extend(pages.by_ref().take(MOST_RANGES).map(|at| AddressRange::new(at, at + 1)));
            let Some(first) = some.first() else { return Ok(()) };
            // The number may be another process's by now, or another program's.
            self.pagemap.check(first.start)?;
            let mut done = 0;
            while done < some.len() {
                done += self.read_some(&some[done..], &mut bytes[done..some.len()])?.unwrap_or(1);
            }
        }
    }

    fn read(&mut self, address: u64, page: &mut [u8]) -> Result<bool, ProcessError> {
        self.pagemap.check(address)?;
        let range = AddressRange::new(address, address + page.len() as u64);
        Ok(self.read_some(&[range], page)?.is_some())
    }

    fn residence(&mut self, ranges: &[AddressRange], out: &mut Vec<Residence>) -> Result<(), ProcessError> {
        out.clear();
        self.pagemap.residence(ranges, out)
    }
}
