//! Whether this machine can run the page walk.

use super::shared_walk::SharedWalk;
use super::watch::BpfWatch;
use crate::root::{ProcRoot, SysRoot};
use crate::unavailable::Unavailable;
use etmem_core::kernel::probe::{AccessProbe, ProbeSource};
use etmem_core::kernel::process::{ProcessError, ProcessId};
use std::sync::Arc;

/// The first kernel whose iterators can be limited to one process.
const OLDEST: (u32, u32) = (6, 1);

/// The probe `bpf`: a page walk in the kernel, loaded once and shared by all that watch a process.
#[derive(Debug)]
pub struct Bpf {
    walk: Arc<SharedWalk>,
}

impl Bpf {
    /// Loads the walk and finds the direct map, which takes about 0.2 s.
    ///
    /// # Errors
    /// Says why this machine cannot, and what would help.
    pub fn detect(proc: &ProcRoot, sys: &SysRoot) -> Result<Self, Unavailable> {
        if !cfg!(target_arch = "x86_64") {
            return Err(Unavailable::Architecture);
        }
        check_version(proc)?;
        check_lockdown(sys)?;
        let clear_refs = proc.own("clear_refs");
        if !clear_refs.exists() {
            return Err(Unavailable::NotBuilt { path: clear_refs, option: "CONFIG_PROC_PAGE_MONITOR" });
        }
        Ok(Self { walk: Arc::new(SharedWalk::load(proc, sys)?) })
    }
}

impl ProbeSource for Bpf {
    fn name(&self) -> &'static str {
        "bpf"
    }

    fn attach(&self, process: ProcessId) -> Result<Box<dyn AccessProbe>, ProcessError> {
        Ok(Box::new(BpfWatch::new(Arc::clone(&self.walk), process)?))
    }
}

fn check_version(proc: &ProcRoot) -> Result<(), Unavailable> {
    let path = proc.machine("sys/kernel/osrelease");
    let running =
        std::fs::read_to_string(&path).map_err(|error| Unavailable::refused(path.display(), error))?;
    let running = running.trim().to_owned();
    let mut numbers = running.split(|c: char| !c.is_ascii_digit()).map(str::parse);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) if (major, minor) >= OLDEST => Ok(()),
        _ => Err(Unavailable::KernelTooOld { needed: "6.1", running }),
    }
}

/// In the mode `confidentiality` no program may read the kernel's memory; the mode in brackets is in force.
fn check_lockdown(sys: &SysRoot) -> Result<(), Unavailable> {
    match std::fs::read_to_string(sys.lockdown()) {
        Ok(modes) if modes.contains("[confidentiality]") => Err(Unavailable::Lockdown),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(tree: &tempfile::TempDir, file: &str, text: &str) {
        let path = tree.path().join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    #[test]
    fn what_a_machine_may_lack() {
        let tree = tempfile::tempdir().unwrap();
        let (proc, sys) = (ProcRoot::new(tree.path()), SysRoot::new(tree.path()));
        let reason = || Bpf::detect(&proc, &sys).unwrap_err();
        assert!(matches!(reason(), Unavailable::Refused { .. }));
        for old in ["5.10.0-30-amd64", "6.0.19", "6", "", "banana"] {
            write(&tree, "sys/kernel/osrelease", old);
            assert_eq!(reason(), Unavailable::KernelTooOld { needed: "6.1", running: old.into() });
        }
        for new in ["6.1.0-28-amd64\n", "6.12", "10.0-rc1"] {
            write(&tree, "sys/kernel/osrelease", new);
            assert!(matches!(reason(), Unavailable::NotBuilt { .. }), "{new}");
        }
        write(&tree, "kernel/security/lockdown", "none integrity [confidentiality]\n");
        assert_eq!(reason(), Unavailable::Lockdown);
        write(&tree, "kernel/security/lockdown", "none [integrity] confidentiality\n");
        write(&tree, "self/clear_refs", "");
        assert!(matches!(reason(), Unavailable::NotBuilt { option: "CONFIG_DEBUG_INFO_BTF", .. }));
    }
}
