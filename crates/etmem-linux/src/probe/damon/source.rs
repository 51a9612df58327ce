//! Whether this machine has DAMON, and what all tasks that use it share.

use super::claim::{self, Claim, Owner};
use super::files::Folder;
use super::session::Session;
use super::watch::{DamonWatch, Watched};
use crate::frames::{Frames, MachineFrames};
use crate::process::address_space::AddressSpace;
use crate::process::memory_files::thread_with_memory;
use crate::root::{ProcRoot, SysRoot};
use crate::unavailable::Unavailable;
use etmem_core::kernel::probe::{AccessProbe, ProbeSource};
use etmem_core::kernel::process::{ProcessError, ProcessId};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Weak};

/// The probe `damon` of one task. What it has set is taken back when it is dropped.
#[derive(Debug)]
pub struct Damon {
    proc: ProcRoot,
    machine: Arc<MachineFrames>,
    shared: Arc<SharedDamon>,
    sessions: Mutex<BTreeMap<ProcessId, Arc<Mutex<Watched>>>>,
}

/// Takes back what an etmem that was killed has left set in the DAMON of the machine whose sysfs is at `sys`; whether there was
/// anything. `written_down`: it is known that one was about to set it, so that what does not bear its mark yet is its own,
/// too, if it looks so.
///
/// # Errors
/// What the kernel refuses.
pub(crate) fn take_back_left(sys: &SysRoot, written_down: bool) -> Result<bool, ProcessError> {
    let kdamonds = Folder::new(sys.damon().join("kdamonds"));
    if !kdamonds.path().join("nr_kdamonds").exists() {
        return Ok(false);
    }
    claim::take_back_left(&kdamonds, written_down)
}

/// The machine's DAMON, for all tasks of a program.
#[derive(Debug)]
pub struct SharedDamon {
    kdamonds: Folder,
    /// Ours while any task watches.
    claim: Mutex<Weak<Claim>>,
}

/// Who has DAMON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Holder {
    /// No program.
    Free,
    /// An etmemd, or a program with its scan library.
    Etmem,
    /// No program, but one of these was killed and has left its settings, which the next one takes back.
    LeftBehind,
    /// Another program: what is set, in words.
    Other(String),
}

impl SharedDamon {
    /// That of the machine whose sysfs is at `sys`; it is not looked at yet.
    #[must_use]
    pub fn new(sys: &SysRoot) -> Self {
        Self { kdamonds: Folder::new(sys.damon().join("kdamonds")), claim: Mutex::default() }
    }

    /// Whether it can be had; nothing is changed.
    fn detect(&self) -> Result<(), Unavailable> {
        let path = self.kdamonds.path();
        if !path.join("nr_kdamonds").exists() {
            return Err(Unavailable::NotBuilt { path: path.to_owned(), option: "CONFIG_DAMON_SYSFS" });
        }
        if self.claim.lock().strong_count() > 0 {
            return Ok(());
        }
        let refused = |error| {
            let call = path.display().to_string();
            Unavailable::from_io(call, &error, super::files::CAPABILITIES)
        };
        let taken = |by| Err(Unavailable::Taken { what: "DAMON", by });
        match self.holder().map_err(refused)? {
            Holder::Free | Holder::LeftBehind => Ok(()),
            Holder::Etmem => taken("another etmemd, or a program with its scan library".to_owned()),
            Holder::Other(what) => taken(what),
        }
    }

    /// Who has it, this program among others; nothing is changed.
    ///
    /// # Errors
    /// What the kernel answers.
    pub(crate) fn holder(&self) -> io::Result<Holder> {
        Ok(match Owner::look(&self.kdamonds)? {
            Owner::Free => Holder::Free,
            Owner::Unsigned(what) | Owner::Other(what) => Holder::Other(what),
            Owner::Ours => match claim::lock(&self.kdamonds)? {
                Some(_) => Holder::LeftBehind,
                None => Holder::Etmem,
            },
        })
    }

    /// Takes DAMON for this program.
    fn claim(&self) -> Result<Arc<Claim>, ProcessError> {
        let mut claim = self.claim.lock();
        if let Some(claim) = claim.upgrade() {
            return Ok(claim);
        }
        let taken = Arc::new(Claim::take(&self.kdamonds)?);
        *claim = Arc::downgrade(&taken);
        Ok(taken)
    }
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
