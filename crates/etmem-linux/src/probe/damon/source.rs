//! Whether this machine has DAMON, and the processes that a task watches with it.

use super::session::Session;
use super::watch::{DamonWatch, Watched};
use crate::damon::SharedDamon;
use crate::frames::{Frames, MachineFrames};
use crate::process::address_space::AddressSpace;
use crate::process::memory_files::thread_with_memory;
use crate::root::ProcRoot;
use crate::unavailable::Unavailable;
use etmem_core::kernel::probe::{AccessProbe, ProbeSource};
use etmem_core::kernel::process::{ProcessError, ProcessId};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The probe `damon` of one task. What it has set is taken back when it is dropped.
#[derive(Debug)]
pub struct Damon {
    proc: ProcRoot,
    machine: Arc<MachineFrames>,
    shared: Arc<SharedDamon>,
    sessions: Mutex<BTreeMap<ProcessId, Arc<Mutex<Watched>>>>,
}

impl Damon {
    /// Whether this machine has DAMON, and no other program uses it; nothing is set before a process is watched.
    ///
    /// # Errors
    /// Says why not, and what would help.
    pub fn detect(proc: &ProcRoot, shared: Arc<SharedDamon>) -> Result<Self, Unavailable> {
        shared.detect()?;
        let machine = Arc::new(MachineFrames::open(proc)?);
        Ok(Self { proc: proc.clone(), machine, shared, sessions: Mutex::default() })
    }

    /// The session that watches `process`, from the cycle before or a new one.
    fn session(&self, process: ProcessId) -> Result<Arc<Mutex<Watched>>, ProcessError> {
        let mut sessions = self.sessions.lock();
        // Those of processes that are gone, or run another program by now, are given back.
        sessions.retain(|_, watched| watched.lock().space.check().is_ok());
        if let Some(watched) = sessions.get(&process) {
            return Ok(Arc::clone(watched));
        }
        let session = Session::new(self.shared.claim()?, thread_with_memory(&self.proc, process.pid))?;
        // Alive under its number after it was named by that number.
        let space = AddressSpace::open(&self.proc, process)?;
        let watched = Arc::new(Mutex::new(Watched { session, space }));
        sessions.insert(process, Arc::clone(&watched));
        Ok(watched)
    }
}

impl ProbeSource for Damon {
    fn name(&self) -> &'static str {
        "damon"
    }

    /// A block that was touched says nothing of its single pages: those that the kernel kept, or read ahead from swap, would
    /// count as refaults.
    fn is_page_exact(&self) -> bool {
        false
    }

    fn attach(&self, process: ProcessId) -> Result<Box<dyn AccessProbe>, ProcessError> {
        let frames = Frames::open(&self.proc, process.pid)?;
        let watched = self.session(process)?;
        watched.lock().space.check()?;
        Ok(Box::new(DamonWatch { watched, frames, machine: Arc::clone(&self.machine) }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::root::SysRoot;
    use std::fs;

    #[test]
    fn whether_it_can_be_had_is_found_without_touching_it() {
        let tree = tempfile::tempdir().unwrap();
        let (proc, sys) = (ProcRoot::new(tree.path()), SysRoot::new(tree.path()));
        let detect = || Damon::detect(&proc, Arc::new(SharedDamon::new(&sys))).map(drop);
        assert!(detect().unwrap_err().to_string().contains("CONFIG_DAMON_SYSFS"));
        let kdamonds = tree.path().join("kernel/mm/damon/admin/kdamonds");
        fs::create_dir_all(kdamonds.join("0/contexts")).unwrap();
        fs::write(kdamonds.join("nr_kdamonds"), "0\n").unwrap();
        assert!(detect().unwrap_err().to_string().contains("kpageflags"));
        fs::write(tree.path().join("kpageflags"), "").unwrap();
        assert_eq!(detect(), Ok(()));
        let damon = Damon::detect(&proc, Arc::new(SharedDamon::new(&sys))).unwrap();
        assert!(!damon.is_page_exact());
        fs::write(kdamonds.join("nr_kdamonds"), "1\n").unwrap();
        fs::write(kdamonds.join("0/state"), "on\n").unwrap();
        fs::write(kdamonds.join("0/contexts/nr_contexts"), "0\n").unwrap();
        let taken = detect().unwrap_err().to_string();
        assert!(
            taken.starts_with("DAMON is in use by another program: ") && taken.contains("1 of them run"),
            "{taken}"
        );
        assert_eq!(fs::read_to_string(kdamonds.join("nr_kdamonds")).unwrap(), "1\n");
        fs::write(kdamonds.join("nr_kdamonds"), "many\n").unwrap();
        assert!(detect().unwrap_err().to_string().contains("not a number"));
    }
}
