//! The kernel underneath, put together when it is first needed.

use crate::traces::{self, Trace};
use etmem_core::kernel::process::ProcessTable;
use etmem_core::kernel::wishes::{Chosen, Wishes};
use etmem_linux::choice::Interfaces;
use etmem_linux::process::table::Processes;
use etmem_linux::root::{ProcRoot, Roots};
use std::{fmt, io};

/// A machine that tasks can run on.
pub(crate) trait Machine: fmt::Debug + Send + Sync {
    /// Its processes, which can be asked for on any kernel.
    fn processes(&self) -> &dyn ProcessTable;

    /// Writes down that a task sets things in this kernel, for the next daemon if this one is killed.
    ///
    /// # Errors
    /// When that cannot be written.
    fn trace(&self) -> io::Result<Option<Trace>> {
        Ok(None)
    }

    /// All its ports, the probe and the mover chosen by `wishes`.
    ///
    /// # Errors
    /// What this kernel lacks, and what would help.
    fn kernel(&self, wishes: &Wishes) -> Result<Chosen, String>;
}

/// The machine that the daemon runs on.
#[derive(Debug)]
pub(crate) struct LinuxMachine {
    processes: Processes,
    proc: ProcRoot,
    /// Loaded at the first start of a task and kept: until then a daemon costs next to nothing.
    interfaces: Interfaces,
}

impl LinuxMachine {
    /// The machine whose file systems are mounted at `roots`.
    pub(crate) fn new(roots: Roots) -> Self {
        Self {
            processes: Processes::new(roots.proc.clone()),
            proc: roots.proc.clone(),
            interfaces: Interfaces::new(roots),
        }
    }
}

impl Machine for LinuxMachine {
    fn processes(&self) -> &dyn ProcessTable {
        &self.processes
    }

    fn trace(&self) -> io::Result<Option<Trace>> {
        Trace::of_swap_cache(&traces::folder(), &self.proc).map(Some)
    }

    fn kernel(&self, wishes: &Wishes) -> Result<Chosen, String> {
        let chosen = self.interfaces.kernel(wishes);
        chosen.map_err(|unavailable| format!("this machine cannot run it: {unavailable}"))
    }
}
