//! Whether this kernel tracks idle pages.

use super::watch::IdleWatch;
use crate::frames::{Frames, MachineFrames};
use crate::process::address_space::AddressSpace;
use crate::root::{ProcRoot, SysRoot};
use crate::unavailable::Unavailable;
use etmem_core::kernel::probe::{AccessProbe, ProbeSource};
use etmem_core::kernel::process::{ProcessError, ProcessId};
use std::fs::File;
use std::io;
use std::sync::Arc;

/// What a program must have to read and set the bits.
const CAPABILITIES: &str = "CAP_SYS_ADMIN";

/// The probe `idle`.
#[derive(Debug)]
pub struct Idle {
    proc: ProcRoot,
    bitmap: Arc<File>,
    machine: Arc<MachineFrames>,
}

impl Idle {
    /// Whether the kernel has the bitmap.
    ///
    /// # Errors
    /// Says why not.
    pub fn detect(proc: &ProcRoot, sys: &SysRoot) -> Result<Self, Unavailable> {
        let path = sys.idle_bitmap();
        let bitmap = File::options().read(true).write(true).open(&path).map_err(|error| {
            if error.kind() == io::ErrorKind::NotFound {
                return Unavailable::NotBuilt { path: path.clone(), option: "CONFIG_IDLE_PAGE_TRACKING" };
            }
            Unavailable::from_io(path.display().to_string(), &error, CAPABILITIES)
        })?;
        let machine = Arc::new(MachineFrames::open(proc)?);
        Ok(Self { proc: proc.clone(), bitmap: Arc::new(bitmap), machine })
    }
}

impl ProbeSource for Idle {
    fn name(&self) -> &'static str {
        "idle"
    }

    fn attach(&self, process: ProcessId) -> Result<Box<dyn AccessProbe>, ProcessError> {
        let frames = Frames::open(&self.proc, process.pid)?;
        let space = AddressSpace::open(&self.proc, process)?;
        let (bitmap, machine) = (Arc::clone(&self.bitmap), Arc::clone(&self.machine));
        Ok(Box::new(IdleWatch { bitmap, frames, machine, space }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn detected_where_the_bitmap_is() {
        let tree = tempfile::tempdir().unwrap();
        let (proc, sys) = (ProcRoot::new(tree.path()), SysRoot::new(tree.path()));
        let missing = Idle::detect(&proc, &sys).map(drop).unwrap_err().to_string();
        assert!(
            missing.contains("page_idle/bitmap") && missing.contains("CONFIG_IDLE_PAGE_TRACKING"),
            "{missing}"
        );
        std::fs::create_dir_all(tree.path().join("kernel/mm/page_idle")).unwrap();
        std::fs::write(tree.path().join("kernel/mm/page_idle/bitmap"), "").unwrap();
        assert!(Idle::detect(&proc, &sys).is_err());
        std::fs::write(tree.path().join("kpageflags"), "").unwrap();
        assert_eq!(Idle::detect(&proc, &sys).unwrap().name(), "idle");
    }
}
