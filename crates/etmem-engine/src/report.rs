//! What a cycle did, for the log and for whoever asks.

use etmem_core::act::Rehearsal;
use etmem_core::feedback::BackOff;
use etmem_core::guard::Bound;
use etmem_core::guard::SkipReason;
use etmem_core::kernel::nodes::Migrated;
use etmem_core::kernel::pressure::Share;
use etmem_core::kernel::process::{Gone, ProcessError, ProcessId};
use etmem_core::placement::Carried;
use etmem_core::plan::{Ended, Outcome};
use etmem_core::policy::exchange::Exchange;
use etmem_core::policy::pairs::Pair;
use std::fmt;
use std::time::Duration;

/// One cycle of a task.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StepReport {
    /// Each process that was found, in ascending order of pid.
    pub processes: Vec<ProcessReport>,
    /// Why processes could not even be looked for.
    pub fault: Option<ProcessError>,
    /// Why there are none any more, where the task means a process that has ended.
    pub gone: Option<Gone>,
    /// What changed places between each pair of NUMA nodes, for all tasks of the engine: in the report of one of them.
    pub pairs: Vec<PairReport>,
    /// A stop came before it was this task's turn.
    pub stopped: bool,
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
    /// Looked at, and its pages carried to where they should lie.
    Placed(Placed),
    /// Another task of the engine, this one, looks at it.
    Elsewhere(String),
    /// Left alone.
    Skipped(SkipReason),
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

/// A process whose pages lie on NUMA nodes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Placed {
    /// Bytes present in the mappings looked at.
    pub present: u64,
    /// Bytes of them that are hot.
    pub hot: u64,
    /// Those that moved to fast nodes, or did not.
    pub up: Carried,
    /// Those that moved to slow nodes, or did not.
    pub down: Carried,
    /// Why it ended early.
    pub ended: Option<Ended>,
}

/// What changed places between two nodes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PairReport {
    /// Which nodes.
    pub pair: Pair,
    /// Which memory, in words.
    pub memory: &'static str,
    /// What was to move.
    pub planned: Exchange,
    /// What moved to the fast node, or did not.
    pub up: Carried,
    /// What moved to the slow node, or did not.
    pub down: Carried,
}

const fn mib(bytes: u64) -> u64 {
    bytes >> 20
}

impl fmt::Display for ProcessResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Scanned(scanned) => scanned.fmt(f),
            Self::Placed(placed) => placed.fmt(f),
            Self::Elsewhere(task) => write!(f, "task {task} of this engine looks at it already"),
            Self::Skipped(hold) => hold.fmt(f),
            Self::Lost(error) => error.fmt(f),
            Self::Stopped => f.write_str("stopped in mid-scan"),
        }
    }
}

impl fmt::Display for Scanned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Outcome { planned, tried: _, applied, vanished, refused, touched, later, over_budget, ended } =
            &self.outcome;
        write!(f, "scanned {} MiB, cold {} MiB, ", mib(self.present), mib(*planned))?;
        match &self.rehearsal {
            None => write!(f, "paged out {} MiB", mib(applied.saturating_sub(self.stayed)))?,
            Some(Rehearsal { bytes, ranges }) => {
                let noun = if *ranges == 1 { "range" } else { "ranges" };
                write!(f, "dry run: would page out {} MiB in {ranges} {noun}", mib(*bytes))?;
            }
        }
        let over = self.bound.map_or_else(|| "no room in swap".to_owned(), |bound| bound.to_string());
        for (bytes, what) in [
            (self.feedback.came_back, "came back"),
            (self.feedback.held, "left alone as it came back before"),
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
        write_end(f, ended.as_ref())
    }
}

fn write_end(f: &mut fmt::Formatter<'_>, ended: Option<&Ended>) -> fmt::Result {
    match ended {
        None => Ok(()),
        Some(Ended::Stopped) => f.write_str(", stopped"),
        Some(Ended::Process(error)) => write!(f, ", ended early: {error}"),
    }
}

impl fmt::Display for Placed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { present, hot, up, down, ended } = self;
        write!(
            f,
            "scanned {} MiB, hot {} MiB, {} MiB moved to fast nodes, {} MiB to slow ones",
            mib(*present),
            mib(*hot),
            mib(up.bytes),
            mib(down.bytes)
        )?;
        write_failures(f, up, down)?;
        write_end(f, ended.as_ref())
    }
}

impl fmt::Display for PairReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { pair, memory, planned, up, down } = self;
        write!(
            f,
            "nodes {} (fast) and {} (slow), {memory}: {} of {} MiB moved up, {} of {} MiB down",
            pair.fast,
            pair.slow,
            mib(up.bytes),
            mib(planned.up()),
            mib(down.bytes),
            mib(planned.cold_down)
        )?;
        write_failures(f, up, down)
    }
}

/// The pages that did not move, by reason.
fn write_failures(f: &mut fmt::Formatter<'_>, up: &Carried, down: &Carried) -> fmt::Result {
    for (way, Migrated { moved: _, vanished, busy, shared, no_room, refused }) in
        [("up", up.pages), ("down", down.pages)]
    {
        for (pages, what) in [
            (vanished, "gone meanwhile"),
            (busy, "in use or pinned"),
            (shared, "shared with other processes"),
            (no_room, "without room on the node"),
            (refused, "refused"),
        ] {
            if pages > 0 {
                let noun = if pages == 1 { "page" } else { "pages" };
                write!(f, ", {way}: {pages} {noun} {what}")?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use etmem_core::kernel::nodes::NodeId;
    use etmem_core::policy::pairs::Reason;

    fn carried(bytes: u64, pages: Migrated) -> Carried {
        Carried { bytes, pages }
    }

    #[test]
    fn moves_between_nodes_and_what_stayed() {
        let up = carried(20 << 20, Migrated { moved: 10, busy: 1, no_room: 3, ..Migrated::default() });
        let down = carried(
            4 << 20,
            Migrated { moved: 2, vanished: 1, shared: 2, refused: 2, ..Migrated::default() },
        );
        let placed = Placed { present: 90 << 20, hot: 40 << 20, up, down, ended: Some(Ended::Stopped) };
        assert_eq!(
            ProcessResult::Placed(placed).to_string(),
            "scanned 90 MiB, hot 40 MiB, 20 MiB moved to fast nodes, 4 MiB to slow ones, up: 1 page in use or pinned, \
             up: 3 pages without room on the node, down: 1 page gone meanwhile, down: 2 pages shared with other \
             processes, down: 2 pages refused, stopped"
        );
        let pair = PairReport {
            pair: Pair { fast: NodeId(0), slow: NodeId(2), reason: Reason::Processors },
            memory: "huge pages",
            planned: Exchange { hot_up: 20 << 20, prefetch: 8 << 20, cold_down: 4 << 20 },
            up,
            down: carried(4 << 20, Migrated { moved: 2, ..Migrated::default() }),
        };
        assert_eq!(
            pair.to_string(),
            "nodes 0 (fast) and 2 (slow), huge pages: 20 of 28 MiB moved up, 4 of 4 MiB down, \
             up: 1 page in use or pinned, up: 3 pages without room on the node"
        );
    }

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
            ..Scanned::default()
        };
        assert_eq!(
            ProcessResult::Scanned(scanned).to_string(),
            "scanned 200 MiB, cold 100 MiB, paged out 80 MiB, came back 12 KiB, unmapped meanwhile 4 KiB, locked 8 KiB, \
             left for later 1024 KiB, over its cgroup's memory.swap.max 10240 KiB; far more came back than max_refault \
             allows: nothing moves for 2 min, ended early: the process exited"
        );
    }
}
