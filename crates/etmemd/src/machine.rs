//! The kernel underneath, put together when it is first needed.

use etmem_core::kernel::Kernel;
use etmem_core::kernel::process::ProcessTable;
use etmem_linux::process::table::Processes;
use etmem_linux::root::{ProcRoot, SysRoot};
use std::fmt;
use std::sync::{Mutex, PoisonError};
use tracing::info;

/// A machine that tasks can run on.
pub(crate) trait Machine: fmt::Debug + Send + Sync {
    /// Its processes, which can be asked for on any kernel.
    fn processes(&self) -> &dyn ProcessTable;

    /// All its ports.
    ///
    /// # Errors
    /// What this kernel lacks, and what would help.
    fn kernel(&self) -> Result<Kernel, String>;
}

/// The machine that the daemon runs on.
#[derive(Debug)]
pub(crate) struct LinuxMachine {
    processes: Processes,
    /// Loaded at the first start of a task and kept: until then a daemon costs next to nothing.
    kernel: Mutex<Option<Kernel>>,
}

impl Default for LinuxMachine {
    fn default() -> Self {
        Self { processes: Processes::new(ProcRoot::default()), kernel: Mutex::default() }
    }
}

impl Machine for LinuxMachine {
    fn processes(&self) -> &dyn ProcessTable {
        &self.processes
    }

    fn kernel(&self) -> Result<Kernel, String> {
        let mut loaded = self.kernel.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(kernel) = &*loaded {
            return Ok(kernel.clone());
        }
        let kernel = etmem_linux::kernel(&ProcRoot::default(), &SysRoot::default())
            .map_err(|unavailable| format!("this machine cannot run it: {unavailable}"))?;
        info!("probe {}, mover {}", kernel.probe.name(), kernel.mover.name());
        *loaded = Some(kernel.clone());
        Ok(kernel)
    }
}
