//! What a cycle did, for the log and for whoever asks.

use etmem_core::act::Rehearsal;
use etmem_core::kernel::process::{ProcessError, ProcessId};
use etmem_core::plan::{Ended, Outcome};
use etmem_core::policy::Hold;
use std::fmt;
use std::time::Duration;

/// One cycle of a task.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StepReport {
    /// Each process that was found, in ascending order of pid.
    pub processes: Vec<ProcessReport>,
    /// Why processes could not even be looked for.
    pub fault: Option<ProcessError>,
    /// Processor time that the cycle took, of all its threads.
    pub processor_time: Duration,
}

/// One process in a cycle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProcessReport {
    /// Which.
    pub process: ProcessId,
    /// What became of it.
    pub result: ProcessResult,
}

/// What became of a process in a cycle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProcessResult {
    /// Looked at, and what was cold was moved.
    Scanned(Scanned),
    /// Left alone.
    Held(Hold),
    /// Gone, or the kernel refused.
    Lost(ProcessError),
    /// A stop came first.
    Stopped,
}

/// A process that was looked at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scanned {
    /// Bytes present in the mappings looked at.
    pub present: u64,
    /// Over what time touches were seen: from when the accessed bits were cleared first to the last look.
    pub window: Duration,
    /// What became of the cold ones.
    pub outcome: Outcome,
    /// What would have been moved, where nothing was to be (`dry_run=yes`).
    pub rehearsal: Option<Rehearsal>,
}

const fn mib(bytes: u64) -> u64 {
    bytes >> 20
}

impl fmt::Display for ProcessResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Scanned(scanned) => scanned.fmt(f),
            Self::Held(hold) => hold.fmt(f),
            Self::Lost(error) => error.fmt(f),
            Self::Stopped => f.write_str("stopped in mid-scan"),
        }
    }
}

impl fmt::Display for Scanned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Outcome { planned, tried: _, applied, vanished, refused, over_budget, ended } = &self.outcome;
        write!(f, "scanned {} MiB, cold {} MiB, ", mib(self.present), mib(*planned))?;
        match &self.rehearsal {
            None => write!(f, "paged out {} MiB", mib(*applied))?,
            Some(Rehearsal { bytes, ranges }) => {
                let noun = if *ranges == 1 { "range" } else { "ranges" };
                write!(f, "dry run: would page out {} MiB in {ranges} {noun}", mib(*bytes))?;
            }
        }
        for (bytes, what) in [
            (vanished, "unmapped meanwhile"),
            (refused, "cannot be paged out"),
            (over_budget, "no room in swap"),
        ] {
            if *bytes > 0 {
                write!(f, ", {what} {} KiB", bytes >> 10)?;
            }
        }
        match ended {
            None => Ok(()),
            Some(Ended::Stopped) => f.write_str(", stopped"),
            Some(Ended::Process(error)) => write!(f, ", ended early: {error}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scanned() -> Scanned {
        Scanned { present: 200 << 20, ..Scanned::default() }
    }

    #[test]
    fn a_dry_run_says_what_it_would_do() {
        let outcome = Outcome { planned: 100 << 20, over_budget: 10 << 20, ..Outcome::default() };
        let rehearsal = Some(Rehearsal { bytes: 90 << 20, ranges: 7 });
        assert_eq!(
            ProcessResult::Scanned(Scanned { outcome, rehearsal, ..scanned() }).to_string(),
            "scanned 200 MiB, cold 100 MiB, dry run: would page out 90 MiB in 7 ranges, no room in swap 10240 KiB"
        );
    }

    #[test]
    fn one_line_says_it_all() {
        let outcome = Outcome {
            planned: 100 << 20,
            tried: 90 << 20,
            applied: 80 << 20,
            vanished: 4096,
            refused: 0,
            over_budget: 10 << 20,
            ended: Some(Ended::Process(ProcessError::Exited)),
        };
        assert_eq!(
            ProcessResult::Scanned(Scanned { outcome, ..scanned() }).to_string(),
            "scanned 200 MiB, cold 100 MiB, paged out 80 MiB, unmapped meanwhile 4 KiB, no room in swap 10240 KiB, \
             ended early: the process exited"
        );
    }
}
