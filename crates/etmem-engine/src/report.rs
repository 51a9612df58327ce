//! What a cycle did, for the log and for whoever asks.

use etmem_core::feedback::BackOff;
use etmem_core::guard::Bound;
use etmem_core::kernel::pressure::Share;
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
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scanned {
    /// Bytes present in the mappings looked at.
    pub present: u64,
    /// What became of the cold ones.
    pub outcome: Outcome,
    /// What bounded it, where more was cold than might leave.
    pub bound: Option<Bound>,
    /// Bytes that the kernel took and left in memory without a word: shared, locked or in use.
    pub stayed: u64,
    /// Bytes of mappings not looked at because they are locked in memory.
    pub locked: u64,
    /// What came back, and what follows from it.
    pub feedback: Box<Feedback>,
    /// What it cost.
    pub effort: Effort,
}

/// What came back of a process, and how its task is held back.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Feedback {
    /// Bytes that were moved out and came back since the last cycle.
    pub came_back: u64,
    /// Bytes that left in this cycle.
    pub left: u64,
    /// Bytes that were moved out and still are.
    pub out: u64,
    /// Bytes left alone, as they came back before.
    pub held: u64,
    /// Bytes touched in this cycle.
    pub touched: u64,
    /// Bytes touched in the last two minutes, as far as cycles were counted.
    pub working_set: u64,
    /// What came back of all processes of the task within the last minute, as a share of their working sets.
    pub came_back_per_minute: Share,
    /// How the task is held back.
    pub back_off: BackOff,
    /// Bytes a second that may leave; none where nothing may, nothing limits it, or it is not known yet.
    pub bytes_per_second: Option<u64>,
    /// Bytes a second that this machine moves at full speed; 0 while it is not known.
    pub ability_bytes_per_second: u64,
}

/// What a cycle over a process cost.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Effort {
    /// Bytes of mappings that were looked at.
    pub looked_at: u64,
    /// Whether that is all of the process; else it is a slice, and the next cycle goes on behind it.
    pub whole: bool,
    /// Processor time that looking took.
    pub looking: Duration,
    /// Processor time that moving took.
    pub moving: Duration,
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
        let Outcome { planned, tried: _, applied, vanished, refused, touched, later, over_budget, ended } =
            &self.outcome;
        write!(
            f,
            "scanned {} MiB, cold {} MiB, paged out {} MiB",
            mib(self.present),
            mib(*planned),
            mib(*applied)
        )?;
        let over = self.bound.map_or_else(|| "no room in swap".to_owned(), |bound| bound.to_string());
        for (bytes, what) in [
            (self.feedback.came_back, "came back"),
            (*vanished, "unmapped meanwhile"),
            (*touched, "touched meanwhile"),
            (*refused, "cannot be paged out"),
            (self.stayed, "shared, locked or in use"),
            (self.locked, "locked"),
            (*later, "left for later"),
            (*over_budget, &over),
        ] {
            if bytes > 0 {
                write!(f, ", {what} {} KiB", bytes >> 10)?;
            }
        }
        if self.feedback.back_off != BackOff::None {
            write!(f, "; {}", self.feedback.back_off)?;
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

    #[test]
    fn one_line_says_it_all() {
        let outcome = Outcome {
            planned: 100 << 20,
            tried: 90 << 20,
            applied: 80 << 20,
            vanished: 4096,
            over_budget: 10 << 20,
            later: 1 << 20,
            ended: Some(Ended::Process(ProcessError::Exited)),
            ..Outcome::default()
        };
        let scanned = Scanned {
            present: 200 << 20,
            outcome,
            bound: Some(Bound::GroupSwap),
            stayed: 0,
            locked: 8192,
            feedback: Box::new(Feedback {
                came_back: 12 << 10,
                back_off: BackOff::Paused { left: Duration::from_secs(61) },
                ..Feedback::default()
            }),
            effort: Effort::default(),
        };
        assert_eq!(
            ProcessResult::Scanned(scanned).to_string(),
            "scanned 200 MiB, cold 100 MiB, paged out 80 MiB, came back 12 KiB, unmapped meanwhile 4 KiB, locked 8 KiB, \
             left for later 1024 KiB, over its cgroup's memory.swap.max 10240 KiB; far more came back than max_refault \
             allows: nothing moves for 2 min, ended early: the process exited"
        );
    }
}
