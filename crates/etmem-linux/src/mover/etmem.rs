//! The mover of openEuler's module etmem_swap: `/proc/PID/swap_pages`. The same file reclaims the machine's swap cache.
//!
//! It takes addresses, a line each, and pages out the page at each of them; one address is enough for a huge page. Of a
//! page that is gone, pinned or shared it says nothing, and it has a second look of its own, which keeps pages touched since:
//! what left is read from the process's pagemap.

use super::lines::{self, Lines};
use super::residence::Pagemap;
use crate::module::SWAP_PAGES;
use crate::process::address_space::AddressSpace;
use crate::root::ProcRoot;
use crate::sys::machine;
use crate::sys::module::{RECLAIM_NOW, RECLAIM_OFF, SET_WATERMARKS, request};
use crate::unavailable::Unavailable;
use etmem_core::address::AddressRange;
use etmem_core::idle_pages::PageSizes;
use etmem_core::kernel::mover::{Moved, PageMover, Residence, SwapOut};
use etmem_core::kernel::process::{ProcessError, ProcessId};
use etmem_core::kernel::swap_cache::SwapCache;
use std::fs::File;

/// The mover `etmem`, and the swap cache as the module reaches it.
#[derive(Debug, Clone)]
pub struct Etmem {
    proc: ProcRoot,
    sizes: PageSizes,
}

impl Etmem {
    /// Whether the module is loaded.
    ///
    /// # Errors
    /// Says why not, and what would help.
    pub fn detect(proc: &ProcRoot) -> Result<Self, Unavailable> {
        SWAP_PAGES.detect(proc)?;
        let bytes = machine::page_bytes();
        let sizes = PageSizes::of_base(bytes).ok_or(Unavailable::PageSize(bytes))?;
        Ok(Self { proc: proc.clone(), sizes })
    }
}

impl PageMover for Etmem {
    fn name(&self) -> &'static str {
        "etmem"
    }

    fn attach(&self, process: ProcessId) -> Result<Box<dyn SwapOut>, ProcessError> {
        let file = SWAP_PAGES.open(&self.proc, process)?;
        let path = self.proc.process(process.pid, SWAP_PAGES.name).display().to_string();
        let pagemap = Pagemap::open(&self.proc, process)?;
        let space = AddressSpace::open(&self.proc, process)?;
        Ok(Box::new(SwapPages { file, path, space, pagemap, sizes: self.sizes, lines: Lines::default() }))
    }
}

/// Pages out memory of one process. Its file belongs to the memory that the process had when this was made.
#[derive(Debug)]
struct SwapPages {
    file: File,
    path: String,
    space: AddressSpace,
    pagemap: Option<Pagemap>,
    sizes: PageSizes,
    lines: Lines,
}

impl SwapOut for SwapPages {
    fn swap_out(&mut self, ranges: &[AddressRange]) -> Result<Moved, ProcessError> {
        self.swap_out_pages(ranges, &[])
    }

    fn swap_out_pages(
        &mut self,
        ranges: &[AddressRange],
        huge: &[AddressRange],
    ) -> Result<Moved, ProcessError> {
        self.space.check()?;
        let moved = lines::write_all(&mut self.lines, self.sizes, ranges, huge, &mut self.file);
        moved.map_err(|error| SWAP_PAGES.error(self.path.clone(), &error))
    }

    fn residence(&mut self, ranges: &[AddressRange], out: &mut Vec<Residence>) -> Result<bool, ProcessError> {
        out.clear();
        let Some(pagemap) = &self.pagemap else { return Ok(false) };
        pagemap.residence(ranges, out)?;
        Ok(true)
    }
}

impl Etmem {
    /// A request about the whole machine, which the file of any process takes.
    fn ask(&self, ask: libc::Ioctl, number: u32, what: &str) -> Result<(), ProcessError> {
        let (file, path) = SWAP_PAGES.open_any(&self.proc)?;
        request(&file, ask, number).map_err(|error| SWAP_PAGES.error(format!("{path}: {what}"), &error))
    }
}

impl SwapCache for Etmem {
    fn set_watermarks(&self, low: u8, high: u8) -> Result<(), ProcessError> {
        let what = format!("swapcache watermarks {low} % and {high} %");
        self.ask(SET_WATERMARKS, u32::from(low) | u32::from(high) << 8, &what)
    }

    fn reclaim(&self) -> Result<(), ProcessError> {
        self.ask(RECLAIM_NOW, 0, "swapcache reclaim")
    }

    /// The watermarks stay: the module cannot be asked what they were before.
    fn end_reclaim(&self) -> Result<(), ProcessError> {
        self.ask(RECLAIM_OFF, 0, "end of swapcache reclaim")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use etmem_core::kernel::process::Pid;
    use std::fs;

    const STAT: &str = "7 (x) S 1 1 1 0 -1 0 1 2 3 4 5 6 7 8 20 0 1 0 5 1 2\n";

    #[test]
    fn what_arrives_in_the_file() {
        let tree = tempfile::tempdir().unwrap();
        let proc = ProcRoot::new(tree.path());
        assert!(matches!(Etmem::detect(&proc), Err(Unavailable::NoModule { .. })));
        let folder = tree.path().join("7");
        fs::create_dir(&folder).unwrap();
        for (file, text) in [("stat", STAT), ("maps", "1000-9000 rw-p 0 0:0 0\n"), ("swap_pages", "")] {
            fs::write(folder.join(file), text).unwrap();
        }
        let process = ProcessId { pid: Pid::new(7).unwrap(), start_time: 5 };
        let module = Etmem::detect(&proc).unwrap();
        let mut mover = module.attach(process).unwrap();
        let (bytes, start) = (machine::page_bytes(), 0x7000_0000_0000);
        let ranges = [AddressRange::new(start, start + 2 * bytes)];
        let moved = Moved { applied: 2 * bytes, ..Moved::default() };
        assert_eq!(mover.swap_out(&ranges), Ok(moved));
        let text = format!("0x{start:x}\n0x{:x}\n", start + bytes);
        assert_eq!(fs::read_to_string(folder.join("swap_pages")).unwrap(), text);
        // An ordinary file has no such requests; the error names the file.
        let refused = module.set_watermarks(3, 5).unwrap_err().to_string();
        assert!(refused.contains("7/swap_pages: swapcache watermarks 3 % and 5 %"), "{refused}");
        let later = ProcessId { start_time: 6, ..process };
        assert_eq!(module.attach(later).map(drop), Err(ProcessError::Exited));
        // A program that was replaced has another memory: nothing more is written.
        fs::write(folder.join("maps"), "").unwrap();
        assert_eq!(mover.swap_out(&ranges), Err(ProcessError::Replaced));
        assert_eq!(fs::read_to_string(folder.join("swap_pages")).unwrap(), text);
    }
}
