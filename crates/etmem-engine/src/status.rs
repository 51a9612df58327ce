//! What a task has done so far, for whoever asks: the last cycle, the sums since its start, and why not more.
//!
//! A figure is named once, in [`Tally::figures`]: whoever shows a tally shows that list. A new figure is a field, its
//! sum in [`Tally::add`], and its row there.

use crate::report::{Placed, ProcessResult, Scanned, StepReport};
use etmem_core::feedback::BackOff;
use etmem_core::guard::Bound;
use etmem_core::kernel::nodes::Migrated;
use etmem_core::kernel::process::ProcessError;
use etmem_core::plan::Ended;
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
                | ProcessResult::Held(_)
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
        self.moved += outcome.applied;
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
        for Migrated { moved: _, vanished, busy, shared, no_room, refused } in [up.pages, down.pages] {
            self.not_carried += vanished + busy + shared + no_room + refused;
        }
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

/// Why not more was done, or nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    /// In a word, for programs.
    pub name: &'static str,
    /// In a line, for people.
    pub text: String,
}

impl Reason {
    fn new(name: &'static str, text: impl Into<String>) -> Self {
        Self { name, text: text.into() }
    }
}

impl ProcessResult {
    /// Why not more of the process was moved; none where all that was cold was.
    #[must_use]
    pub fn reason(&self) -> Option<Reason> {
        match self {
            Self::Scanned(scanned) => scanned.reason(),
            Self::Placed(placed) => placed.reason(),
            Self::Elsewhere(task) => Some(Reason::new("elsewhere", format!("task {task} looks at it"))),
            Self::Held(hold) => Some(Reason::new(hold.name(), hold.to_string())),
            Self::Lost(error) => Some(lost(error)),
            Self::Stopped => Some(Reason::new("stopped", "the task was stopped in mid-scan")),
        }
    }
}

impl Placed {
    fn reason(&self) -> Option<Reason> {
        match &self.ended {
            Some(Ended::Stopped) => {
                Some(Reason::new("stopped", "the task was stopped before it had moved all"))
            }
            Some(Ended::Process(error)) => Some(lost(error)),
            None if self.present == 0 => {
                let text = "none of its memory is of the kind that was asked for by vm_flags= and anon_only=";
                Some(Reason::new("nothing_suitable", text))
            }
            None => None,
        }
    }
}

impl Scanned {
    fn reason(&self) -> Option<Reason> {
        let outcome = &self.outcome;
        match &outcome.ended {
            Some(Ended::Stopped) => {
                return Some(Reason::new("stopped", "the task was stopped before it had moved all"));
            }
            Some(Ended::Process(error)) => return Some(lost(error)),
            None => {}
        }
        if self.present == 0 {
            let text = "none of its memory is of the kind that slide moves: private, not executable, in memory, and \
                        with the task's vm_flags= and swap_flag= where it has any";
            Some(Reason::new("nothing_suitable", text))
        } else if outcome.planned == 0 {
            let text =
                "nothing is cold: no page that was looked at counts less than T, or dram_percent is reached";
            Some(Reason::new("not_cold", text))
        } else if outcome.over_budget > 0 {
            let kib = outcome.over_budget >> 10;
            let bound = self.bound.unwrap_or(Bound::Swap);
            let held = match &self.feedback.back_off {
                BackOff::None => String::new(),
                back_off @ (BackOff::Slower { .. } | BackOff::Paused { .. }) => format!(": {back_off}"),
            };
            Some(Reason::new(bound.name(), format!("{kib} KiB of what is cold stay, {bound}{held}")))
        } else if self.rehearsal.is_some() {
            Some(Reason::new("dry_run", "dry_run=yes: what is cold is left where it is"))
        } else if outcome.later > 0 {
            let kib = outcome.later >> 10;
            Some(Reason::new(
                "later",
                format!("{kib} KiB of what is cold are left for later cycles by max_rate"),
            ))
        } else if outcome.refused > 0 {
            let kib = outcome.refused >> 10;
            Some(Reason::new(
                "refused",
                format!("{kib} KiB of what is cold cannot be paged out, such as locked memory"),
            ))
        } else {
            None
        }
    }
}

fn lost(error: &ProcessError) -> Reason {
    let name = match error {
        ProcessError::Exited => "exited",
        ProcessError::Replaced => "replaced",
        ProcessError::Refused { .. } => "kernel_refused",
    };
    Reason::new(name, error.to_string())
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
            | ProcessResult::Held(_)
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
            (Some(fault), _) => Some(Reason::new("no_table", format!("cannot look for processes: {fault}"))),
            (None, Some(gone)) => Some(Reason::new(gone.name(), gone.to_string())),
            (None, None) if processes.is_empty() => {
                Some(Reason::new("no_process", format!("there is no {target} now; waiting for it")))
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
    use etmem_core::act::Rehearsal;
    use etmem_core::kernel::process::{Gone, Pid, ProcessId};
    use etmem_core::placement::Carried;
    use etmem_core::plan::Outcome;
    use etmem_core::policy::Hold;

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
        let both = vec![ProcessResult::Scanned(scanned()), ProcessResult::Held(Hold::NoSwap)];
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
    fn every_reason_has_a_name_of_its_own() {
        let with = |change: fn(&mut Scanned)| {
            let mut scanned = scanned();
            change(&mut scanned);
            ProcessResult::Scanned(scanned)
        };
        let refused = ProcessError::Refused { call: "x".into(), reason: "no".into() };
        let mut named = Vec::new();
        for (result, name) in [
            (ProcessResult::Held(Hold::NoSwap), "no_swap"),
            (ProcessResult::Held(Hold::SwapFull), "swap_full"),
            (ProcessResult::Held(Hold::MemoryFree { free_percent: 1, below: 1 }), "memory_free"),
            (ProcessResult::Held(Hold::Small { resident: 1, above: 1 }), "small"),
            (ProcessResult::Held(Hold::SwappedEnough { swapped: 1, share: 1 }), "swapped_enough"),
            (ProcessResult::Lost(ProcessError::Exited), "exited"),
            (ProcessResult::Lost(ProcessError::Replaced), "replaced"),
            (ProcessResult::Lost(refused), "kernel_refused"),
            (ProcessResult::Stopped, "stopped"),
            (with(|scanned| scanned.outcome.ended = Some(Ended::Stopped)), "stopped"),
            (with(|scanned| scanned.outcome.ended = Some(Ended::Process(ProcessError::Exited))), "exited"),
            (with(|scanned| scanned.present = 0), "nothing_suitable"),
            (with(|scanned| scanned.outcome.planned = 0), "not_cold"),
            (with(|_| {}), "no_room"),
            (
                with(|scanned| {
                    scanned.outcome.over_budget = 0;
                    scanned.rehearsal = Some(Rehearsal { bytes: 1, ranges: 1 });
                }),
                "dry_run",
            ),
            (with(|scanned| scanned.bound = Some(Bound::Paused)), "came_back"),
            (with(|scanned| scanned.bound = Some(Bound::GroupSwap)), "cgroup_swap"),
            (with(|scanned| scanned.bound = Some(Bound::GroupProtected)), "cgroup_protected"),
            (
                with(|scanned| {
                    scanned.outcome.over_budget = 0;
                    scanned.outcome.later = 4096;
                }),
                "later",
            ),
            (with(|scanned| scanned.outcome.over_budget = 0), "refused"),
            (ProcessResult::Elsewhere("other".to_owned()), "elsewhere"),
        ] {
            let reason = result.reason().unwrap();
            assert_eq!(reason.name, name);
            named.push(name);
            assert!(!reason.text.is_empty() && !reason.text.contains('\n'), "{}", reason.text);
        }
        let guide = include_str!("../../../docs/why-nothing-happens.md");
        let pid = Pid::new(1).unwrap();
        let gone = [Gone::Ended(pid), Gone::Reused(pid)].map(|gone| gone.name());
        for name in named.into_iter().chain(["no_process", "no_table"]).chain(gone) {
            assert!(guide.contains(&format!("| `{name}` |")), "the guide does not tell of {name}");
        }
        let all = with(|scanned| scanned.outcome = Outcome { planned: 1, applied: 1, ..Outcome::default() });
        assert_eq!(all.reason(), None);
    }

    #[test]
    fn nobody_to_look_at() {
        let mut status = TaskStatus::default();
        status.record(report(Vec::new()), Duration::ZERO);
        let reason = status.last.take().unwrap().reason("process named db").unwrap();
        assert_eq!(
            (reason.name, reason.text.as_str()),
            ("no_process", "there is no process named db now; waiting for it")
        );
        let gone = Some(Gone::Reused(Pid::new(7).unwrap()));
        status.record(StepReport { gone, ..report(Vec::new()) }, Duration::ZERO);
        let reason = status.last.unwrap().reason("process 7").unwrap();
        assert_eq!(reason.name, "pid_reused");
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
        assert_eq!(cycle.reason("x").unwrap().name, "no_table");
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
