//! Whether this machine has the module.

use super::watch::EtmemWatch;
use crate::module::IDLE_PAGES;
use crate::process::address_space::AddressSpace;
use crate::process::stat::check_alive;
use crate::root::ProcRoot;
use crate::sys::machine;
use crate::unavailable::Unavailable;
use etmem_core::idle_pages::PageSizes;
use etmem_core::kernel::probe::{AccessProbe, ProbeSource};
use etmem_core::kernel::process::{ProcessError, ProcessId};
use etmem_core::kernel::wishes::ScanWishes;

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
        let sizes = PageSizes::of_base(bytes).ok_or(Unavailable::PageSize(bytes))?;
        Ok(Self { proc: proc.clone(), sizes, wishes })
    }
}

impl ProbeSource for Etmem {
    fn name(&self) -> &'static str {
        "etmem"
    }

    fn attach(&self, process: ProcessId) -> Result<Box<dyn AccessProbe>, ProcessError> {
        let path = self.proc.process(process.pid, IDLE_PAGES.name).display().to_string();
        let space = AddressSpace::open(&self.proc, process)?;
        let proc = self.proc.clone();
        let open = Box::new(move || {
            let file = IDLE_PAGES.open(&proc, process)?;
            check_alive(&proc, process)?;
            Ok(file)
        });
        Ok(Box::new(EtmemWatch::new(open, path, space, self.sizes, self.wishes)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
