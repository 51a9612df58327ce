//! What stands for a probe where control groups are reclaimed as a whole and no page is looked at.

use etmem_core::kernel::probe::{AccessProbe, ProbeSource};
use etmem_core::kernel::process::{ProcessError, ProcessId};

/// Looks at no process.
#[derive(Debug)]
pub(crate) struct NoProbe;

impl ProbeSource for NoProbe {
    fn name(&self) -> &'static str {
        "psi"
    }

    fn attach(&self, _: ProcessId) -> Result<Box<dyn AccessProbe>, ProcessError> {
        Err(ProcessError::refused(
            "scanning a process",
            "this task reclaims control groups and looks at no page",
        ))
    }
}
