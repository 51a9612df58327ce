//! The kernel underneath, put together when it is first needed.

use etmem_core::kernel::nodes::NumaNodes;
use etmem_core::kernel::process::ProcessTable;
use etmem_core::kernel::wishes::{Chosen, Wishes};
use etmem_linux::choice::Interfaces;
use etmem_linux::nodes::MachineNodes;
use etmem_linux::process::table::Processes;
use etmem_linux::root::Roots;
use std::fmt;

/// A machine that tasks can run on.
pub(crate) trait Machine: fmt::Debug + Send + Sync {
    /// Its processes, which can be asked for on any kernel.
    fn processes(&self) -> &dyn ProcessTable;

    /// Its NUMA nodes, which can be asked for on any kernel, too.
    fn nodes(&self) -> &dyn NumaNodes;

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
    nodes: MachineNodes,
    /// Loaded at the first start of a task and kept: until then a daemon costs next to nothing.
    interfaces: Interfaces,
}

impl LinuxMachine {
    /// The machine whose file systems are mounted at `roots`.
    pub(crate) fn new(roots: Roots) -> Self {
        let (proc, sys) = (roots.proc.clone(), roots.sys.clone());
        Self {
            processes: Processes::new(proc),
            nodes: MachineNodes::new(sys),
            interfaces: Interfaces::new(roots),
        }
    }
}

impl Machine for LinuxMachine {
    fn processes(&self) -> &dyn ProcessTable {
        &self.processes
    }

    fn nodes(&self) -> &dyn NumaNodes {
        &self.nodes
    }

    fn kernel(&self, wishes: &Wishes) -> Result<Chosen, String> {
        let chosen = self.interfaces.kernel(wishes);
        chosen.map_err(|unavailable| format!("this machine cannot run it: {unavailable}"))
    }
}
