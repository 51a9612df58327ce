//! A process that a command looks at: claimed, so that no other scan clears what this one is to see, and armed.

use crate::scan_claims::{CommandClaim, CommandClaims, NotClaimed};
use etmem_core::heat::HeatMap;
use etmem_core::kernel::Kernel;
use etmem_core::kernel::pacer::Pacer;
use etmem_core::kernel::probe::AccessProbe;
use etmem_core::kernel::process::{ProcessError, ProcessId};
use etmem_core::scan::{Looks, ScanEnd, Slice, Wanted, is_swappable};
use etmem_engine::{Reason, ReasonName};
use std::time::Duration;

/// The longest that a scan of a daemon is waited for.
const LONGEST_SCAN: Duration = Duration::from_secs(60);

/// Claims the memory of `process`.
///
/// # Errors
/// Who has it, or why it cannot be claimed.
pub(super) fn claim(
    process: ProcessId,
    kernel: &Kernel,
    claims: &CommandClaims,
    pacer: &dyn Pacer,
) -> Result<CommandClaim, Reason> {
    claims.claim(process, &*kernel.processes, pacer, LONGEST_SCAN).map_err(not_claimed)
}

fn not_claimed(reason: NotClaimed) -> Reason {
    let name = match reason {
        NotClaimed::ByCommand | NotClaimed::ByDaemon(_) => ReasonName::Elsewhere,
        NotClaimed::Stopped => return stopped(),
        NotClaimed::Failed(_) => ReasonName::KernelRefused,
    };
    Reason::new(name, reason.to_string())
}

pub(super) fn stopped() -> Reason {
    Reason::new(ReasonName::Stopped, "stopped before all was done")
}

/// Looks at what of `process` could leave.
pub(super) fn looks(process: ProcessId, kernel: &Kernel) -> Looks<'_> {
    let wanted = Wanted { is_wanted: is_swappable, flags: &[], without: &[] };
    Looks::new(process, &*kernel.mappings, wanted)
}

/// A process that is looked at again and again.
#[derive(Debug)]
pub(super) struct Watch {
    pub(super) process: ProcessId,
    /// Held until the end.
    _claim: CommandClaim,
    probe: Box<dyn AccessProbe>,
}

impl Watch {
    /// Begins to watch `process`.
    ///
    /// # Errors
    /// Why it cannot be looked at.
    pub(super) fn begin(
        process: ProcessId,
        kernel: &Kernel,
        claims: &CommandClaims,
        pacer: &dyn Pacer,
    ) -> Result<Self, Reason> {
        let claim = claim(process, kernel, claims, pacer)?;
        let lost = |error: ProcessError| Reason::from(&error);
        let mut probe = kernel.probe.attach(process).map_err(lost)?;
        looks(process, kernel).begin(&mut *probe, false, Slice::default(), pacer).map_err(lost)?;
        Ok(Self { process, _claim: claim, probe })
    }

    /// What was touched since the last look; nothing after a stop, which the next wait shows.
    ///
    /// # Errors
    /// Why it cannot be looked at any more.
    pub(super) fn look(&mut self, kernel: &Kernel, pacer: &dyn Pacer) -> Result<Option<HeatMap>, Reason> {
        let mut looks = looks(self.process, kernel);
        let lost = |error: ProcessError| Reason::from(&error);
        looks.begin(&mut *self.probe, true, Slice::default(), pacer).map_err(lost)?;
        match looks.look(&mut *self.probe, pacer) {
            Ok(()) => Ok(Some(looks.finish().heat)),
            Err(ScanEnd::Stopped) => Ok(None),
            Err(ScanEnd::Process(error)) => Err(lost(error)),
            Err(ScanEnd::Left(skip)) => Err(Reason::from(&skip)),
        }
    }
}
