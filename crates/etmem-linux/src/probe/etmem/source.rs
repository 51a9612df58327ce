//! Whether this machine has the module, and how it is to scan.

use super::watch::EtmemWatch;
use crate::module::IDLE_PAGES;
use crate::process::address_space::AddressSpace;
use crate::root::ProcRoot;
use crate::sys::machine;
use crate::unavailable::Unavailable;
use etmem_core::idle_pages::PageSizes;
use etmem_core::kernel::probe::{AccessProbe, ProbeSource};
use etmem_core::kernel::process::{ProcessError, ProcessId};
use etmem_core::kernel::wishes::ScanWishes;

/// `SCAN_AS_HUGE` and `SCAN_IGN_HOST` (`fs/proc/etmem_scan.h`).
const AS_HUGE: u32 = 0o100_000_000;
const IGNORE_HOST: u32 = 0o200_000_000;

/// `VMA_SCAN_FLAG`: mappings that were marked.
const MARKED: u32 = 0x1000;

/// Scan flags of the module for `wishes`.
pub(super) fn scan_flags(wishes: ScanWishes) -> u32 {
    (if wishes.as_huge { AS_HUGE } else { 0 }) | (if wishes.ignore_host { IGNORE_HOST } else { 0 })
}

/// Flags of the mappings to look at for `wishes`.
pub(super) fn mapping_flags(wishes: ScanWishes) -> u32 {
    if wishes.only_marked { MARKED } else { 0 }
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
        Ok(Box::new(EtmemWatch::new(file, path, space, self.sizes, self.wishes)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_as_the_module_has_them() {
        let none = ScanWishes::default();
        assert_eq!((scan_flags(none), mapping_flags(none)), (0, 0));
        let both = ScanWishes { as_huge: true, ignore_host: true, ..none };
        assert_eq!((scan_flags(both), mapping_flags(both)), (0x0300_0000, 0));
        let ignoring = ScanWishes { ignore_host: true, ..none };
        assert_eq!(scan_flags(ignoring), 0x0200_0000);
        assert_eq!(mapping_flags(ScanWishes { only_marked: true, ..none }), 0x1000);
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
