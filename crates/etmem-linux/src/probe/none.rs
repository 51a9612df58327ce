//! What stands for a probe in tasks that look at no process.

use etmem_core::kernel::probe::{AccessProbe, ProbeSource};
use etmem_core::kernel::process::{ProcessError, ProcessId};

/// Looks at no process.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NoProbe {
    /// What sees instead.
    pub(crate) name: &'static str,
    /// What it answers to those who want to look.
    pub(crate) refusal: &'static str,
}

impl ProbeSource for NoProbe {
    fn name(&self) -> &'static str {
        self.name
    }

    fn attach(&self, _: ProcessId) -> Result<Box<dyn AccessProbe>, ProcessError> {
        Err(ProcessError::refused("scanning a process", self.refusal))
    }
}
