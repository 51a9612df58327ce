//! What a task has done so far, for whoever asks: the last cycle, the sums since its start, and why not more.
//!
//! A figure is named once, in [`Tally::figures`]: whoever shows a tally shows that list. A new figure is a field, its
//! sum in [`Tally::add`], and its row there.

mod reason;

pub use reason::{Reason, ReasonName};

use crate::report::{Placed, ProcessResult, Scanned, StepReport};
use std::time::Duration;

/// What was done to how much memory, by one cycle or by many.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Processes that were found, each counted anew in every cycle.
    pub processes: u64,
    /// Of them, those that were looked at.
    pub looked_at: u64,
    /// Bytes in memory of what was looked at.
    pub scanned: u64,
    /// Of these, bytes that were not cold.
    pub hot: u64,
    /// Bytes that were cold.
    pub cold: u64,
    /// Bytes that the kernel took out of memory.
    pub moved: u64,
    /// Bytes that had been moved and came back.
    pub came_back: u64,
    /// Bytes left alone, as they came back before.
    pub left_alone: u64,
    /// Bytes that moved to fast NUMA nodes.
    pub moved_up: u64,
    /// Bytes that moved to slow NUMA nodes.
    pub moved_down: u64,
    /// Pages that were to move to another NUMA node and did not.
    pub not_carried: u64,
    /// Bytes that would have been given to the kernel, had the task not been told to move nothing.
    pub would_move: u64,
    /// Cold bytes that were touched before they could be moved.
    pub touched: u64,
    /// Cold bytes left for a later cycle, as more may not leave in one.
    pub later: u64,
    /// Bytes that the kernel took and left in memory without a word: shared, locked or in use.
    pub stayed: u64,
    /// Bytes not looked at because they are locked in memory.
    pub locked: u64,
    /// Cold bytes that were unmapped before they could be moved.
    pub vanished: u64,
    /// Cold bytes that cannot be paged out: locked, or of a kind that has no place in swap.
    pub refused: u64,
    /// Cold bytes that stayed because more may not leave: swap has no room, or a limit stands in the way.
    pub no_room: u64,
    /// Processor time, of all threads.
    pub processor_time: Duration,
}

/// How much of something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Amount {
    /// Bytes.
    Bytes(u64),
    /// A number of things.
    Count(u64),
    /// A time.
    Time(Duration),
}

impl Amount {
    /// Whether it is nothing.
    #[must_use]
    pub const fn is_zero(&self) -> bool {
        match self {
            Self::Bytes(amount) | Self::Count(amount) => *amount == 0,
            Self::Time(time) => time.is_zero(),
        }
    }

    /// The unit, as a word that can follow the figure's name.
    #[must_use]
    pub const fn unit(&self) -> Option<&'static str> {
        match self {
            Self::Bytes(_) => Some("bytes"),
            Self::Count(_) => None,
            Self::Time(_) => Some("seconds"),
        }
    }
}

/// A figure with its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Figure {
    /// Its name for programs: words joined by `_`, without the unit.
    pub name: &'static str,
    /// Its name for people.
    pub label: &'static str,
    /// How much.
    pub amount: Amount,
}

impl Tally {
    /// What one cycle did.
    #[must_use]
    pub fn of(report: &StepReport) -> Self {
        let mut tally = Self { processor_time: report.processor_time, ..Self::default() };
        for process in &report.processes {
            tally.processes += 1;
            match &process.result {
                ProcessResult::Scanned(scanned) => tally.count(scanned),
                ProcessResult::Placed(placed) => tally.count_placed(placed),
                ProcessResult::Elsewhere(_)
                | ProcessResult::Skipped(_)
                | ProcessResult::Lost(_)
                | ProcessResult::Stopped => {}
            }
        }
        tally
    }

    fn count(&mut self, scanned: &Scanned) {
        let Scanned { present, window: _, outcome, rehearsal, bound: _, stayed, locked, feedback, effort: _ } =
            scanned;
        self.looked_at += 1;
        self.scanned += present;
        self.hot += present.saturating_sub(outcome.planned);
        self.cold += outcome.planned;
        self.moved += outcome.applied.saturating_sub(*stayed);
        self.came_back += feedback.came_back;
        self.left_alone += feedback.held;
        self.would_move += rehearsal.map_or(0, |rehearsal| rehearsal.bytes);
        self.vanished += outcome.vanished;
        self.touched += outcome.touched;
        self.later += outcome.later;
        self.stayed += stayed;
        self.locked += locked;
        self.refused += outcome.refused;
        self.no_room += outcome.over_budget;
    }

    fn count_placed(&mut self, placed: &Placed) {
        let Placed { present, hot, up, down, ended: _ } = placed;
        self.looked_at += 1;
        self.scanned += present;
        self.hot += hot;
        self.cold += present.saturating_sub(*hot);
        self.moved_up += up.bytes;
        self.moved_down += down.bytes;
        self.not_carried += up.pages.failed() + down.pages.failed();
    }

    /// Adds what another cycle did.
    pub fn add(&mut self, other: &Self) {
        let mine = [
            &mut self.processes,
            &mut self.looked_at,
            &mut self.scanned,
            &mut self.hot,
            &mut self.cold,
            &mut self.moved,
            &mut self.came_back,
            &mut self.left_alone,
            &mut self.touched,
            &mut self.later,
            &mut self.stayed,
            &mut self.locked,
            &mut self.moved_up,
            &mut self.moved_down,
            &mut self.not_carried,
            &mut self.would_move,
            &mut self.vanished,
            &mut self.refused,
            &mut self.no_room,
        ];
        let theirs = [
            other.processes,
            other.looked_at,
            other.scanned,
            other.hot,
            other.cold,
            other.moved,
            other.came_back,
            other.left_alone,
            other.touched,
            other.later,
            other.stayed,
            other.locked,
            other.moved_up,
            other.moved_down,
            other.not_carried,
            other.would_move,
            other.vanished,
            other.refused,
            other.no_room,
        ];
        for (mine, theirs) in mine.into_iter().zip(theirs) {
            *mine = mine.saturating_add(theirs);
        }
        self.processor_time = self.processor_time.saturating_add(other.processor_time);
    }

    /// Every figure, in the order to show them.
    #[must_use]
    pub fn figures(&self) -> Vec<Figure> {
        let bytes = |name, label, bytes| Figure { name, label, amount: Amount::Bytes(bytes) };
        let count = |name, label, count| Figure { name, label, amount: Amount::Count(count) };
        vec![
            count("found", "processes found", self.processes),
            count("looked_at", "of them looked at", self.looked_at),
            bytes("scanned", "scanned", self.scanned),
            bytes("hot", "hot", self.hot),
            bytes("cold", "cold", self.cold),
            bytes("moved", "moved out", self.moved),
            bytes("came_back", "came back", self.came_back),
            bytes("left_alone", "left alone, came back before", self.left_alone),
            bytes("moved_up", "moved to fast nodes", self.moved_up),
            bytes("moved_down", "moved to slow nodes", self.moved_down),
            count("skipped_pages", "pages not moved between nodes", self.not_carried),
            bytes("would_move", "would move (dry run)", self.would_move),
            bytes("skipped_touched", "touched meanwhile", self.touched),
            bytes("skipped_later", "left for later", self.later),
            bytes("skipped_stayed", "shared, locked or in use", self.stayed),
            bytes("skipped_locked", "locked, not looked at", self.locked),
            bytes("skipped_vanished", "unmapped meanwhile", self.vanished),
            bytes("skipped_refused", "cannot be paged out", self.refused),
            bytes("skipped_no_room", "no room, or held back", self.no_room),
            Figure { name: "cpu", label: "processor time", amount: Amount::Time(self.processor_time) },
        ]
    }
}

/// A cycle that is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cycle {
    /// How long it took.
    pub took: Duration,
    /// Its figures.
    pub tally: Tally,
    /// What became of each process.
    pub report: StepReport,
}

impl Cycle {
    /// The longest time over which touches of one process were seen.
    #[must_use]
    pub fn window(&self) -> Duration {
        let windows = self.report.processes.iter().filter_map(|process| match &process.result {
            ProcessResult::Scanned(scanned) => Some(scanned.window),
            ProcessResult::Placed(_)
            | ProcessResult::Elsewhere(_)
            | ProcessResult::Skipped(_)
            | ProcessResult::Lost(_)
            | ProcessResult::Stopped => None,
        });
        windows.max().unwrap_or_default()
    }

    /// Why nothing was done at all, where that is not due to one process: the table of processes cannot be read, or
    /// `target` names none now, or none any more.
    #[must_use]
    pub fn reason(&self, target: &str) -> Option<Reason> {
        let StepReport { fault, gone, processes, .. } = &self.report;
        match (fault, gone) {
            (Some(fault), _) => {
                Some(Reason::new(ReasonName::NoTable, format!("cannot look for processes: {fault}")))
            }
            (None, Some(gone)) => Some(gone.into()),
            (None, None) if processes.is_empty() => {
                Some(Reason::new(ReasonName::NoProcess, format!("there is no {target} now; waiting for it")))
            }
            (None, None) => None,
        }
    }
}

/// What a task has done since it was started.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TaskStatus {
    /// Cycles that are over.
    pub cycles: u64,
    /// The last of them.
    pub last: Option<Cycle>,
    /// All of them together.
    pub totals: Tally,
}

impl TaskStatus {
    /// Takes the report of the next cycle.
    pub fn record(&mut self, report: StepReport, took: Duration) {
        let tally = Tally::of(&report);
        self.cycles += 1;
        self.totals.add(&tally);
        self.last = Some(Cycle { took, tally, report });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::ProcessReport;
    use etmem_core::guard::SkipReason;
    use etmem_core::kernel::nodes::Migrated;
    use etmem_core::kernel::process::{Gone, Pid, ProcessError, ProcessId};
    use etmem_core::placement::Carried;
    use etmem_core::plan::Outcome;

    fn report(results: Vec<ProcessResult>) -> StepReport {
        let processes = (1..).zip(results).map(|(pid, result)| {
            let process = ProcessId { pid: Pid::new(pid).unwrap(), start_time: 1 };
            ProcessReport { process, result }
        });
        let processor_time = Duration::from_millis(5);
        StepReport { processes: processes.collect(), processor_time, ..StepReport::default() }
    }

    fn scanned() -> Scanned {
        let outcome = Outcome {
            planned: 60,
            tried: 50,
            applied: 30,
            vanished: 15,
            refused: 5,
            over_budget: 10,
            ended: None,
            ..Outcome::default()
        };
        Scanned { present: 100, window: Duration::from_secs(3), outcome, ..Scanned::default() }
    }

    #[test]
    fn sums_of_cycles() {
        let mut status = TaskStatus::default();
        let both = vec![ProcessResult::Scanned(scanned()), ProcessResult::Skipped(SkipReason::NoSwap)];
        status.record(report(both.clone()), Duration::from_secs(4));
        status.record(report(both), Duration::from_secs(5));
        let last = status.last.clone().unwrap();
        assert_eq!(
            (status.cycles, last.took, last.window()),
            (2, Duration::from_secs(5), Duration::from_secs(3))
        );
        let expected = Tally {
            processes: 2,
            looked_at: 1,
            scanned: 100,
            hot: 40,
            cold: 60,
            moved: 30,
            vanished: 15,
            refused: 5,
            no_room: 10,
            processor_time: Duration::from_millis(5),
            ..Tally::default()
        };
        assert_eq!(last.tally, expected);
        let amounts = |tally: &Tally| -> Vec<u128> {
            tally
                .figures()
                .iter()
                .map(|figure| match figure.amount {
                    Amount::Bytes(amount) | Amount::Count(amount) => amount.into(),
                    Amount::Time(time) => time.as_millis(),
                })
                .collect()
        };
        let doubled: Vec<u128> = amounts(&expected).iter().map(|amount| amount * 2).collect();
        assert_eq!(amounts(&status.totals), doubled, "every figure is summed and shown");
    }

    #[test]
    fn nobody_to_look_at() {
        let mut status = TaskStatus::default();
        status.record(report(Vec::new()), Duration::ZERO);
        let reason = status.last.take().unwrap().reason("process named db").unwrap();
        assert_eq!(
            (reason.name, reason.text.as_str()),
            (ReasonName::NoProcess, "there is no process named db now; waiting for it")
        );
        let gone = Some(Gone::Reused(Pid::new(7).unwrap()));
        status.record(StepReport { gone, ..report(Vec::new()) }, Duration::ZERO);
        let reason = status.last.unwrap().reason("process 7").unwrap();
        assert_eq!(reason.name, ReasonName::PidReused);
        assert!(
            reason.text.starts_with("process 7, which the task was added for, has ended;"),
            "{}",
            reason.text
        );
        let fault = Some(ProcessError::Refused { call: "/proc".into(), reason: "gone".into() });
        let cycle = Cycle {
            took: Duration::ZERO,
            tally: Tally::default(),
            report: StepReport { fault, ..report(vec![ProcessResult::Stopped]) },
        };
        assert_eq!(cycle.reason("x").unwrap().name, ReasonName::NoTable);
        let cycle = Cycle { report: report(vec![ProcessResult::Stopped]), ..cycle };
        assert_eq!(cycle.reason("x"), None);
    }

    #[test]
    fn what_moved_between_nodes_is_counted_by_direction() {
        let carried = |bytes, pages| Carried { bytes, pages };
        let up = carried(6, Migrated { moved: 3, busy: 1, no_room: 2, ..Migrated::default() });
        let down =
            carried(4, Migrated { moved: 2, vanished: 1, shared: 1, refused: 1, ..Migrated::default() });
        let placed = Placed { present: 100, hot: 40, up, down, ended: None };
        let results = vec![ProcessResult::Placed(placed), ProcessResult::Elsewhere("other".to_owned())];
        let expected = Tally {
            processes: 2,
            looked_at: 1,
            scanned: 100,
            hot: 40,
            cold: 60,
            moved_up: 6,
            moved_down: 4,
            not_carried: 6,
            ..Tally::default()
        };
        assert_eq!(Tally { processor_time: Duration::ZERO, ..Tally::of(&report(results)) }, expected);
    }
}
