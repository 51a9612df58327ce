//! Whether this machine has the module, and how it is to scan.

use super::watch::Watch;
use crate::module::IDLE_PAGES;
use crate::process::address_space::AddressSpace;
use crate::root::ProcRoot;
use crate::sys::machine;
use crate::unavailable::Unavailable;
use etmem_core::idle_pages::PageSizes;
use etmem_core::kernel::probe::{AccessProbe, ProbeSource};
use etmem_core::kernel::process::{ProcessError, ProcessId};

/// What the module is to do other than by default.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ScanWishes {
    /// Look only at mappings that the process marked by madvise(MADV_SWAPFLAG) (`swap_flag=yes`).
    pub only_marked: bool,
    /// Take a virtual machine's memory for huge pages.
    pub as_huge: bool,
    /// Leave out what the host itself touched of a virtual machine's memory (`ign_host=yes`).
    pub ignore_host: bool,
}

/// `SCAN_AS_HUGE` and `SCAN_IGN_HOST` (`fs/proc/etmem_scan.h`).
const AS_HUGE: u32 = 0o100_000_000;
const IGNORE_HOST: u32 = 0o200_000_000;

/// `VMA_SCAN_FLAG`: mappings that were marked.
const MARKED: u32 = 0x1000;

impl ScanWishes {
    /// Scan flags of the module.
    pub(super) fn scan_flags(self) -> u32 {
        (if self.as_huge { AS_HUGE } else { 0 }) | (if self.ignore_host { IGNORE_HOST } else { 0 })
    }

    /// Flags of the mappings to look at.
    pub(super) fn mapping_flags(self) -> u32 {
        if self.only_marked { MARKED } else { 0 }
    }
}

/// The probe `etmem`.
#[derive(Debug, Clone)]
pub struct Etmem {
    proc: ProcRoot,
    sizes: PageSizes,
    wishes: ScanWishes,
}

impl Etmem {
    /// Whether the module is loaded.
    ///
    /// # Errors
    /// Says why not, and what would help.
    pub fn detect(proc: &ProcRoot, wishes: ScanWishes) -> Result<Self, Unavailable> {
        IDLE_PAGES.detect(proc)?;
        let bytes = machine::page_bytes();
        let sizes = PageSizes::of_base(bytes).ok_or(Unavailable::PageSize { bytes })?;
        Ok(Self { proc: proc.clone(), sizes, wishes })
    }
}

impl ProbeSource for Etmem {
    fn name(&self) -> &'static str {
        "etmem"
    }

    fn attach(&self, process: ProcessId) -> Result<Box<dyn AccessProbe>, ProcessError> {
        let file = IDLE_PAGES.open(&self.proc, process)?;
        let path = self.proc.process(process.pid, IDLE_PAGES.name).display().to_string();
        let space = AddressSpace::open(&self.proc, process)?;
        Ok(Box::new(Watch::new(file, path, space, self.sizes, self.wishes)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_as_the_module_has_them() {
        let none = ScanWishes::default();
        assert_eq!((none.scan_flags(), none.mapping_flags()), (0, 0));
        let both = ScanWishes { as_huge: true, ignore_host: true, ..none };
        assert_eq!((both.scan_flags(), both.mapping_flags()), (0x0300_0000, 0));
        let ignoring = ScanWishes { ignore_host: true, ..none };
        assert_eq!(ignoring.scan_flags(), 0x0200_0000);
        assert_eq!(ScanWishes { only_marked: true, ..none }.mapping_flags(), 0x1000);
    }

    #[test]
    fn detected_where_the_file_is() {
        let tree = tempfile::tempdir().unwrap();
        let proc = ProcRoot::new(tree.path());
        assert!(matches!(Etmem::detect(&proc, ScanWishes::default()), Err(Unavailable::NoModule { .. })));
        std::fs::create_dir(tree.path().join("self")).unwrap();
        std::fs::write(tree.path().join("self/idle_pages"), "").unwrap();
        assert_eq!(Etmem::detect(&proc, ScanWishes::default()).unwrap().name(), "etmem");
    }
}
