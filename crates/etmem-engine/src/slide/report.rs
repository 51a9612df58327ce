//! What slide says of a process that it looked at: in figures, in a line, for which reason not more, and in the log.

use super::cooling::Cooled;
use super::not_looked_at::NotLookedAt;
use crate::figures::{self, Figures, nanoseconds};
use crate::forecast::{InWords, NoAge, SweptInWords, Time};
use crate::reason::{Reason, ReasonName};
use crate::report::{Event, Feedback, Level, Line, ProcessReport, mib, write_end};
use etmem_core::act::{Rehearsal, Trial};
use etmem_core::address::AddressRange;
use etmem_core::feedback::BackOff;
use etmem_core::forecast::Told;
use etmem_core::guard::Bound;
use etmem_core::kernel::process::ProcessId;
use etmem_core::plan::Outcome;
use etmem_core::scan::Observed;
use std::fmt;
use std::time::Duration;

/// A process that was looked at.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Scanned {
    /// Bytes present in the mappings looked at.
    pub present: u64,
    /// Over what time touches were seen: from when the accessed bits were cleared first to the last look.
    pub window: Duration,
    /// Bytes that its programs gave back when they were asked.
    pub given_back: u64,
    /// What became of the cold ones.
    pub outcome: Outcome,
    /// What would have been moved, where the task moves nothing (`dry_run=yes`).
    pub rehearsal: Option<Rehearsal>,
    /// What bounded it, where more was cold than may leave.
    pub bound: Option<Bound>,
    /// Why the rest stays, where the probe is not trusted with the process.
    pub blind: Option<Blind>,
    /// How many percent of its size a compressed copy takes, where that is too much.
    pub compresses_to: Option<u64>,
    /// Bytes of mappings not looked at because they are locked in memory.
    pub locked: u64,
    /// What moved between NUMA nodes, if the task wishes that.
    pub cooled: Option<Cooled>,
    /// What else was not looked at, by kind.
    pub not_looked_at: NotLookedAt,
    /// What the pages that left before do now.
    pub history: History,
    /// How the task is held back.
    pub feedback: Feedback,
    /// Bytes of memory that what is out leaves free for others.
    pub saved: u64,
    /// What it cost.
    pub effort: Effort,
}

/// What the pages of a process that left before do now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct History {
    /// Bytes that were moved out and were refaulted since the last cycle.
    pub refaulted: u64,
    /// Bytes that left in this cycle.
    pub left: u64,
    /// Bytes left alone, as they were refaulted before.
    pub held: u64,
    /// Bytes left alone, as the kernel kept them in memory again and again.
    pub kept: u64,
    /// Bytes touched in this cycle.
    pub touched: u64,
    /// Bytes that were in memory beside their copy in swap, and are not any more.
    pub second_copies: u64,
}

/// Why a probe is not trusted with a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Blind {
    /// Its name.
    pub probe: &'static str,
    /// The sample that came back.
    pub sample: Trial,
    /// For how many cycles nothing leaves.
    pub cycles: u64,
}

impl fmt::Display for Blind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { probe, sample: Trial { left, back }, cycles } = self;
        write!(
            f,
            "probe {probe} does not see what touches it: of a sample of {} KiB that looked cold, {} KiB came back at once. \
             Nothing leaves for {cycles} cycles; another tracker= may see it, and whatever else clears its accessed bits \
             (/proc/PID/clear_refs, another scanner) has to stop",
            left >> 10,
            back >> 10
        )
    }
}

/// What a cycle over a process cost.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Effort {
    /// Bytes of mappings that were looked at.
    pub looked_at: u64,
    /// Whether that is all of the process; else it is a slice, and the next cycle continues after it.
    pub whole: bool,
    /// Processor time that looking took.
    pub looking: Duration,
    /// Processor time that moving took.
    pub moving: Duration,
}

impl Effort {
    /// What a cycle's looks took, and its moves.
    pub(super) fn of(seen: &Observed, moving: Duration) -> Self {
        Self {
            looked_at: seen.ranges.iter().map(AddressRange::bytes).sum(),
            whole: seen.is_whole(),
            looking: seen.processor_time,
            moving,
        }
    }
}

impl Scanned {
    /// The report on `process`.
    #[must_use]
    pub fn report(self, process: ProcessId) -> ProcessReport {
        let (figures, reason) = (self.figures(), self.first_reason());
        let (bound, feedback) = (self.bound, self.feedback.clone());
        let mut report = ProcessReport::worked_on(process, "scanned", self, reason, figures);
        if let Some(bound) = bound {
            let text = Line::new(format!("not all that is cold may leave: {bound}"));
            report.events.push(Event::once(Level::Warn, format!("{bound:?}"), text));
        }
        ProcessReport { feedback: Some(feedback), ..report }
    }

    fn figures(&self) -> Figures {
        let Self { present, window, given_back, outcome, rehearsal, locked, history, .. } = self;
        let mut figures = Figures::of([
            (&figures::GIVEN_BACK, *given_back),
            (&figures::SCANNED, *present),
            (&figures::HOT, present.saturating_sub(outcome.planned)),
            (&figures::COLD, outcome.planned),
            (&figures::MOVED, outcome.applied),
            (&figures::FREED, outcome.freed),
            (&figures::KEPT, history.kept),
            (&figures::REFAULTED, history.refaulted),
            (&figures::OUT, self.feedback.out),
            (&figures::SAVED, self.saved),
            (&figures::SECOND_COPIES, history.second_copies),
            (&figures::LEFT_ALONE, history.held),
            (&figures::WOULD_MOVE, rehearsal.map_or(0, |rehearsal| rehearsal.bytes)),
            (&figures::VANISHED, outcome.vanished),
            (&figures::TOUCHED, outcome.touched),
            (&figures::LATER, outcome.later),
            (&figures::STAYED, outcome.stayed),
            (&figures::LOCKED, *locked),
            (&figures::REFUSED, outcome.refused),
            (&figures::NO_ROOM, outcome.over_budget),
            (&figures::WINDOW, nanoseconds(*window)),
        ]);
        self.not_looked_at.add_to(&mut figures);
        if let Some(cooled) = &self.cooled {
            cooled.add_to(&mut figures);
        }
        figures
    }

    /// Why pages stay in memory, or on their nodes, where that is all there is to say of memory.
    fn first_reason(&self) -> Option<Reason> {
        let (reason, cooled) = (self.reason(), self.cooled.as_ref().and_then(Cooled::reason));
        let is_calm = reason.as_ref().is_none_or(|reason| {
            matches!(
                reason.name,
                ReasonName::NotCold
                    | ReasonName::AllOut
                    | ReasonName::WatchedFirst
                    | ReasonName::LittleFirst
                    | ReasonName::Later
                    | ReasonName::NotLookedAt
            )
        });
        if is_calm { cooled.or(reason) } else { reason }
    }

    fn reason(&self) -> Option<Reason> {
        let outcome = &self.outcome;
        if let Some(ended) = &outcome.ended {
            return Some(ended.into());
        }
        if self.present == 0 {
            return Some(self.nothing_present());
        }
        if outcome.planned == 0 {
            return Some(self.nothing_cold());
        }
        if let Some(blind) = self.blind.filter(|_| self.bound == Some(Bound::Blind)) {
            return Some(Reason::new(ReasonName::ProbeBlind, blind.to_string()));
        }
        if let Some(percent) = self.compresses_to.filter(|_| self.bound == Some(Bound::Incompressible)) {
            let text = format!(
                "{} KiB of what is cold stay: compressed they would take {percent} % of their size, more than max_ratio allows, and \
                 all swap is compressed memory",
                outcome.over_budget >> 10
            );
            return Some(Reason::new(ReasonName::HardlyCompresses, text));
        }
        let stay = |bytes: u64, what: &str| format!("{} KiB of what is cold {what}", bytes >> 10);
        if outcome.over_budget > 0 {
            let bound = self.bound.unwrap_or(Bound::Swap);
            let held = match &self.feedback.back_off {
                BackOff::None => String::new(),
                back_off @ (BackOff::Trial | BackOff::Slower { .. } | BackOff::Paused { .. }) => {
                    format!(": {back_off}")
                }
            };
            let text = stay(outcome.over_budget, &format!("stay, {bound}{held}"));
            return Some(Reason::new(bound_name(bound), text));
        }
        if self.rehearsal.is_some() {
            return Some(Reason::new(ReasonName::DryRun, "dry_run=yes: what is cold is left where it is"));
        }
        [
            (outcome.later, ReasonName::Later, "are left for later cycles by max_rate"),
            (outcome.refused, ReasonName::Refused, "cannot be paged out, such as locked memory"),
            (
                outcome.stayed,
                ReasonName::Stayed,
                "stayed in memory: the kernel keeps what is shared with a forked process, pinned or in use",
            ),
            (outcome.touched, ReasonName::Touched, "were touched again before they could leave"),
            (outcome.vanished, ReasonName::Vanished, "were unmapped before they could leave"),
        ]
        .into_iter()
        .find(|(bytes, ..)| *bytes > 0)
        .map(|(bytes, name, what)| self.or_most(bytes, name, stay(bytes, what)))
        .or_else(|| self.mostly_not_looked_at("all that is cold has left"))
    }

    /// The reason for which `bytes` stay in memory, or what outweighs it by far: that most is not looked at. A few pages
    /// nearly always stay, such as those on their way to the kernel's lists.
    fn or_most(&self, bytes: u64, name: ReasonName, text: String) -> Reason {
        let by_far = bytes < self.not_looked_at.total() / 16;
        by_far.then(|| self.mostly_not_looked_at(&text)).flatten().unwrap_or_else(|| Reason::new(name, text))
    }

    /// Why little is done, where most of the memory is of other kinds; `also` says what became of the rest.
    fn mostly_not_looked_at(&self, also: &str) -> Option<Reason> {
        let known = self.present + self.feedback.out;
        let text = || {
            let (others, looked_at) = (self.not_looked_at.total() >> 20, mib(known));
            format!(
                "{others} MiB are not looked at ({}), beside {looked_at} MiB that are: {also}",
                self.not_looked_at
            )
        };
        self.not_looked_at.is_most(known).then(|| Reason::new(ReasonName::NotLookedAt, text()))
    }

    fn nothing_present(&self) -> Reason {
        if self.locked > 0 {
            let text = format!(
                "all of its memory that slide could move is locked ({} KiB), and not looked at",
                self.locked >> 10
            );
            return Reason::new(ReasonName::Locked, text);
        }
        if self.feedback.out > 0 {
            if let Some(reason) = self.mostly_not_looked_at("all of these are out already") {
                return reason;
            }
            let text = format!("all that slide could move is out already ({} KiB)", self.feedback.out >> 10);
            return Reason::new(ReasonName::AllOut, text);
        }
        let others = self.not_looked_at.to_string();
        let others = if others.is_empty() { others } else { format!("; not looked at: {others}") };
        let text = format!(
            "none of its memory is of the kind that slide moves: private, not executable, in memory, and with the task's \
             vm_flags= and swap_flag= where it has any{others}"
        );
        Reason::new(ReasonName::NothingSuitable, text)
    }

    fn nothing_cold(&self) -> Reason {
        if self.history.kept > 0 && self.history.held == 0 {
            let text = format!(
                "nothing else is cold: {} KiB are left alone for some cycles, as the kernel kept them in memory again and again: \
                 shared with a forked process, pinned or in use",
                self.history.kept >> 10
            );
            return self.or_most(self.history.kept, ReasonName::Stayed, text);
        }
        if self.history.held > 0 {
            let text = format!(
                "nothing else is cold: {} KiB are left alone for some cycles, as they came back before",
                self.history.held >> 10
            );
            return self.or_most(self.history.held, ReasonName::LeftAlone, text);
        }
        if let Some(reason) = self.mostly_not_looked_at("of these, nothing is cold") {
            return reason;
        }
        if let Some(told) = &self.feedback.forecast {
            return not_old_enough(told);
        }
        let text =
            "nothing is cold: no page that was looked at counts less than T, or dram_percent is reached";
        Reason::new(ReasonName::NotCold, text)
    }
}

/// Why nothing is cold by its age.
fn not_old_enough(told: &Told) -> Reason {
    match (told.swept, told.age) {
        (Some(swept), age) if age.is_none() || !swept.rare => {
            Reason::new(ReasonName::Swept, SweptInWords(&swept).to_string())
        }
        (_, None) => Reason::new(ReasonName::WatchedFirst, NoAge(told.watched).to_string()),
        (_, Some(age)) => {
            let text = format!(
                "nothing is cold: no page that was looked at has been idle for {}, or dram_percent is reached",
                Time(age)
            );
            Reason::new(ReasonName::NotCold, text)
        }
    }
}

/// What bounded an act of which more was cold than may leave.
const fn bound_name(bound: Bound) -> ReasonName {
    match bound {
        Bound::Swap => ReasonName::NoRoom,
        Bound::ZramLimit => ReasonName::ZramLimit,
        Bound::Incompressible => ReasonName::HardlyCompresses,
        Bound::SwapFails => ReasonName::SwapFails,
        Bound::GroupSwap => ReasonName::CgroupSwap,
        Bound::GroupProtected => ReasonName::CgroupProtected,
        Bound::Probation | Bound::Paused => ReasonName::TooManyRefaults,
        Bound::First => ReasonName::LittleFirst,
        Bound::Swept => ReasonName::Swept,
        Bound::Blind => ReasonName::ProbeBlind,
        Bound::SwapOff => ReasonName::NoSwap,
    }
}

impl fmt::Display for Scanned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Outcome {
            planned, applied, stayed, freed, vanished, refused, touched, later, over_budget, ..
        } = &self.outcome;
        write!(f, "scanned {} MiB, cold {} MiB, ", mib(self.present), mib(*planned))?;
        match &self.rehearsal {
            None => write!(f, "paged out {} MiB", mib(*applied))?,
            Some(Rehearsal { bytes, ranges }) => {
                let noun = if *ranges == 1 { "range" } else { "ranges" };
                write!(f, "dry run: would page out {} MiB in {ranges} {noun}", mib(*bytes))?;
            }
        }
        let over = self.bound.map_or_else(|| "no room in swap".to_owned(), |bound| bound.to_string());
        for (bytes, what) in [
            (self.history.refaulted, "came back"),
            (self.history.held, "left alone as it came back before"),
            (self.history.kept, "left alone as it stayed before"),
            (*freed, "freed"),
            (*vanished, "unmapped meanwhile"),
            (*touched, "touched meanwhile"),
            (*refused, "cannot be paged out"),
            (*stayed, "shared, pinned or in use"),
            (self.locked, "locked"),
            (*later, "left for later"),
            (*over_budget, &over),
        ] {
            if bytes > 0 {
                write!(f, ", {what} {} KiB", bytes >> 10)?;
            }
        }
        if let Some(cooled) = &self.cooled {
            write!(f, "{cooled}")?;
        }
        let others = self.not_looked_at.to_string();
        if !others.is_empty() {
            write!(f, "; not looked at: {others}")?;
        }
        if self.feedback.back_off != BackOff::None {
            write!(f, "; {}", self.feedback.back_off)?;
        }
        write_end(f, self.outcome.ended.as_ref())
    }
}

/// What the log says where a task is held back, or `before` was and no longer is.
pub(super) fn back_off_event(before: BackOff, now: BackOff) -> Option<Event> {
    let (level, key, text) = match now {
        BackOff::None if before == BackOff::None => return None,
        BackOff::None => (Level::Info, "none".to_owned(), format!("{now} any more")),
        BackOff::Trial => (Level::Warn, "trial".to_owned(), now.to_string()),
        BackOff::Slower { step, .. } => (Level::Warn, format!("slower {step}"), now.to_string()),
        BackOff::Paused { .. } => (Level::Warn, "paused".to_owned(), now.to_string()),
    };
    Some(Event::once(level, key, Line::new(text)))
}

/// What the log says where pages leave at another age than `before`.
pub(super) fn age_event(before: Option<Duration>, now: &Told) -> Option<Event> {
    (before != now.age).then(|| Event::always(Level::Info, Line::new(InWords(now).to_string())))
}

#[cfg(test)]
mod tests {
    use super::super::not_looked_at;
    use super::*;
    use etmem_core::kernel::process::ProcessError;
    use etmem_core::plan::Ended;

    fn scanned() -> Scanned {
        Scanned { present: 200 << 20, ..Scanned::default() }
    }

    #[test]
    fn figures_of_what_was_scanned() {
        let outcome = Outcome {
            planned: 60,
            tried: 50,
            applied: 22,
            stayed: 8,
            vanished: 15,
            refused: 5,
            over_budget: 10,
            ..Outcome::default()
        };
        let window = Duration::from_secs(3);
        let not_looked_at =
            NotLookedAt { shared: 1, forked: 2, file: 3, huge_pool: 4, executable: 5, flags: 6 };
        let scanned =
            Scanned { present: 100, window, outcome, locked: 2, not_looked_at, ..Scanned::default() };
        let expected = Figures::of([
            (&figures::SCANNED, 100),
            (&figures::HOT, 40),
            (&figures::COLD, 60),
            (&figures::MOVED, 22),
            (&figures::VANISHED, 15),
            (&figures::REFUSED, 5),
            (&figures::NO_ROOM, 10),
            (&figures::OUT, 0),
            (&figures::SAVED, 0),
            (&figures::STAYED, 8),
            (&figures::LOCKED, 2),
            (&figures::WINDOW, nanoseconds(window)),
            (&not_looked_at::SHARED, 1),
            (&not_looked_at::FORKED, 2),
            (&not_looked_at::FILES, 3),
            (&not_looked_at::HUGE_POOL, 4),
            (&not_looked_at::EXECUTABLE, 5),
            (&not_looked_at::FLAGS, 6),
        ]);
        assert_eq!(scanned.figures(), expected);
    }

    #[test]
    fn what_is_not_looked_at_is_said_by_kind() {
        const MIB: u64 = 1 << 20;
        let kinds = |not_looked_at, present| Scanned { present, not_looked_at, ..Scanned::default() };
        let database =
            NotLookedAt { shared: 1024 * MIB, file: 40 * MIB, forked: 4096, ..NotLookedAt::default() };
        let scanned = kinds(database, 2 * MIB);
        let said = "1024 MiB of shared memory, 40 MiB of files";
        assert!(scanned.to_string().ends_with(&format!("; not looked at: {said}")), "{scanned}");
        let reason = scanned.reason().unwrap();
        assert_eq!(reason.name, ReasonName::NotLookedAt);
        assert_eq!(
            reason.text,
            format!("1064 MiB are not looked at ({said}), beside 2 MiB that are: of these, nothing is cold")
        );
        // All that is cold has left, and that was most of it.
        let outcome = Outcome { planned: MIB, tried: MIB, applied: MIB, ..Outcome::default() };
        let moved = Scanned { outcome, ..kinds(database, 2 * MIB) };
        assert!(moved.reason().unwrap().text.ends_with("all that is cold has left"));
        // A few pages that stay are said beside, and many are the reason.
        let stays = |stayed| {
            let outcome = Outcome { planned: stayed, tried: stayed, stayed, ..Outcome::default() };
            Scanned { outcome, ..kinds(database, 2 * MIB) }.reason().unwrap()
        };
        assert_eq!(stays(12 << 10).name, ReasonName::NotLookedAt);
        assert!(
            stays(12 << 10).text.contains("beside 2 MiB that are: 12 KiB of what is cold stayed in memory")
        );
        assert_eq!(stays(100 * MIB).name, ReasonName::Stayed);
        let small = NotLookedAt { file: 3 * MIB, ..NotLookedAt::default() };
        assert_eq!(kinds(small, MIB).reason().unwrap().name, ReasonName::NotCold);
        assert_eq!(kinds(database, 1065 * MIB).reason().unwrap().name, ReasonName::NotCold);
        let nothing = kinds(database, 0).reason().unwrap();
        assert_eq!(nothing.name, ReasonName::NothingSuitable);
        assert!(nothing.text.ends_with(&format!("not looked at: {said}")), "{}", nothing.text);
    }

    #[test]
    fn the_log_says_once_how_a_task_is_held_back_and_that_it_no_longer_is() {
        let slower = |step| BackOff::Slower { step, idle_cycles: 2, divisor: 2, probation: false };
        let paused = |secs| BackOff::Paused { left: Duration::from_secs(secs), owed: 0 };
        let event = |before, now| {
            back_off_event(before, now).map(|event| (event.level, event.key, event.text.to_string()))
        };
        assert_eq!(event(BackOff::None, BackOff::None), None);
        let said = "not held back any more".to_owned();
        assert_eq!(event(slower(1), BackOff::None), Some((Level::Info, "none".to_owned(), said)));
        for (now, key) in [(slower(1), "slower 1"), (slower(2), "slower 2"), (paused(5), "paused")] {
            let expected = Some((Level::Warn, key.to_owned(), now.to_string()));
            assert_eq!((event(BackOff::None, now), event(now, now)), (expected.clone(), expected));
        }
    }

    #[test]
    fn a_dry_run_says_what_it_would_do() {
        let outcome = Outcome { planned: 100 << 20, over_budget: 10 << 20, ..Outcome::default() };
        let rehearsal = Some(Rehearsal { bytes: 90 << 20, ranges: 7 });
        assert_eq!(
            Scanned { outcome, rehearsal, ..scanned() }.to_string(),
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
            locked: 8192,
            history: History { refaulted: 12 << 10, ..History::default() },
            feedback: Feedback {
                back_off: BackOff::Paused { left: Duration::from_secs(61), owed: 0 },
                ..Feedback::default()
            },
            ..Scanned::default()
        };
        assert_eq!(
            scanned.to_string(),
            "scanned 200 MiB, cold 100 MiB, paged out 80 MiB, came back 12 KiB, unmapped meanwhile 4 KiB, locked 8 KiB, \
             left for later 1024 KiB, over its cgroup's memory.swap.max 10240 KiB; far more came back than max_refault \
             or max_stall allows: nothing moves for 2 min, ended early: the process exited"
        );
    }
}
