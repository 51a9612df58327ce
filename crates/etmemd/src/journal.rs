//! Writes to the log what the cycles of a task did. What an event's level is, and whether it is the same as that of the
//! cycle before, is said by the event.

use etmem_core::kernel::groups::Group;
use etmem_core::kernel::process::ProcessId;
use etmem_core::kernel::trigger::Trigger;
use etmem_core::kernel::wishes::Choice;
use etmem_engine::{Event, Level, Line, StepReport};
use std::collections::HashSet;
use std::fmt;
use std::time::Duration;
use tracing::{debug, error, info, warn};

/// The log of one task.
#[derive(Debug)]
pub(crate) struct Journal {
    label: String,
    /// What came in the last cycle: of a process, or of the task.
    last: HashSet<(Option<Subject>, String)>,
}

/// What of the task a line is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Subject {
    Process(ProcessId),
    Group(Group),
    Device(Box<str>),
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Process(process) => write!(f, "process {process}: "),
            Self::Group(group) => write!(f, "group {group}: "),
            Self::Device(device) => write!(f, "{device}: "),
        }
    }
}

impl Journal {
    /// Of the task that the log calls `label`, which starts.
    pub(crate) fn new(label: String) -> Self {
        info!("{label}: started");
        Self { label, last: HashSet::new() }
    }

    /// The task has stopped.
    pub(crate) fn stopped(&self) {
        info!("{}: stopped", self.label);
    }

    /// The task goes on by another probe or mover.
    pub(crate) fn goes_on_by(&self, probe: &Choice, mover: &Choice) {
        warn!("{}: goes on by probe {probe}, mover {mover}", self.label);
    }

    /// The task goes on with what it knew `gap` ago, or begins with nothing.
    pub(crate) fn recalled(&self, gap: Duration, outcome: Result<(), String>) {
        let label = &self.label;
        match outcome {
            Ok(()) => info!("{label}: goes on with what it knew {} s ago", gap.as_secs()),
            Err(reason) => info!("{label}: begins with nothing: what it knew is of no use, as {reason}"),
        }
    }

    /// What the task knows cannot be kept.
    pub(crate) fn not_kept(&self, error: &dyn std::error::Error) {
        warn!("{}: what it knows is lost if etmemd restarts: it cannot be written: {error}", self.label);
    }

    /// What the task set in the kernel stays there.
    pub(crate) fn not_taken_back(&self, error: &dyn std::error::Error) {
        error!("{}: cannot take back what was set: {error}", self.label);
    }

    /// `trigger` began a cycle, by what the kernel said then.
    pub(crate) fn woken(&self, trigger: &str, evidence: &str) {
        info!("{}: woken by trigger {trigger}: {evidence}", self.label);
    }

    /// `trigger` cannot be watched.
    pub(crate) fn not_watched(&self, trigger: &Trigger, reason: &str) {
        warn!(
            "{}: trigger {trigger} cannot be watched: {reason}; the timer goes on, and it is tried again",
            self.label
        );
    }

    /// `trigger` can be watched again.
    pub(crate) fn watched_again(&self, trigger: &Trigger) {
        info!("{}: trigger {trigger} is watched again", self.label);
    }

    /// The next cycle is over.
    pub(crate) fn record(&mut self, report: &StepReport) {
        for (level, subject, text) in self.due(report) {
            let subject = subject.map(|subject| subject.to_string()).unwrap_or_default();
            let line = format_args!("{}: {subject}{text}", self.label);
            match level {
                Level::Error => error!("{line}"),
                Level::Warn => warn!("{line}"),
                Level::Info => info!("{line}"),
                Level::Debug => debug!("{line}"),
            }
        }
    }

    /// What is to be written, and at which level.
    fn due(&mut self, report: &StepReport) -> Vec<(Level, Option<Subject>, Line)> {
        let mut events: Vec<(Option<Subject>, Event)> = Vec::new();
        events.extend(state(report).map(|event| (None, event)));
        for one in &report.processes {
            let subject = Some(Subject::Process(one.process));
            events.extend(one.events.iter().map(|event| (subject.clone(), event.clone())));
        }
        for one in report.groups.iter().flatten() {
            let subject = Some(Subject::Group(one.group.clone()));
            events.extend(one.events.iter().map(|event| (subject.clone(), event.clone())));
        }
        for one in report.devices.iter().flatten() {
            let subject = Some(Subject::Device(one.device.clone()));
            events.extend(one.events.iter().map(|event| (subject.clone(), event.clone())));
        }
        events.extend(report.events.iter().map(|event| (None, event.clone())));
        let mut keys = HashSet::new();
        let mut due = Vec::new();
        for (subject, Event { level, repeated, key, of_task, text }) in events {
            let subject = subject.filter(|_| !of_task);
            let key = (subject.clone(), key);
            if of_task && keys.contains(&key) {
                continue;
            }
            let level = if self.last.contains(&key) { repeated } else { Some(level) };
            due.extend(level.map(|level| (level, subject, text)));
            keys.insert(key);
        }
        self.last = keys;
        due
    }
}

/// What there is to say of the task as a whole, whatever its engine.
fn state(report: &StepReport) -> Option<Event> {
    let StepReport { groups, devices, fault, gone, stopped, .. } = report;
    let (level, text) = match (fault, gone) {
        (Some(fault), _) => (Level::Error, format!("nothing can be done: {fault}")),
        (None, Some(gone)) => (Level::Warn, gone.to_string()),
        (None, None) if report.is_empty() && !stopped => {
            let what = match (devices, groups) {
                (Some(_), _) => "zram device that is swap",
                (None, Some(_)) => "control group",
                (None, None) => "process",
            };
            (Level::Info, format!("no {what} now; waiting for one"))
        }
        (None, None) => return None,
    };
    Some(Event::once(level, text.clone(), Line::new(text)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use etmem_core::guard::SkipReason;
    use etmem_core::kernel::process::{Gone, Pid, ProcessError};
    use etmem_engine::{ProcessReport, ProcessResult};

    fn process(pid: u32) -> ProcessId {
        ProcessId { pid: Pid::new(pid).unwrap(), start_time: 1 }
    }

    fn report(results: &[(u32, ProcessResult)]) -> StepReport {
        let processes = results.iter().map(|(pid, result)| ProcessReport::new(process(*pid), result.clone()));
        StepReport { processes: processes.collect(), ..StepReport::default() }
    }

    fn due(journal: &mut Journal, report: &StepReport) -> Vec<(Level, Option<u32>, String)> {
        let due = journal.due(report).into_iter();
        let pid = |subject| match subject {
            Some(Subject::Process(process)) => Some(process.pid.get()),
            Some(Subject::Group(_) | Subject::Device(_)) | None => None,
        };
        due.map(|(level, subject, text)| (level, pid(subject), text.to_string())).collect()
    }

    fn levels(journal: &mut Journal, results: &[(u32, ProcessResult)]) -> Vec<Level> {
        due(journal, &report(results)).into_iter().map(|(level, ..)| level).collect()
    }

    #[test]
    fn a_skip_reason_is_repeated_at_debug_level_until_another_comes() {
        let mut journal = Journal::new("t".to_owned());
        let small = |resident| (1, ProcessResult::Skipped(SkipReason::Small { resident, above: 9 }));
        let full = (1, ProcessResult::Skipped(SkipReason::SwapFull));
        let fine = (1, ProcessResult::Skipped(SkipReason::SwapFullMemoryFine { available: 5 }));
        let other = (2, ProcessResult::Skipped(SkipReason::NoSwap));
        assert_eq!(levels(&mut journal, &[small(1)]), [Level::Info]);
        assert_eq!(levels(&mut journal, &[small(2)]), [Level::Debug], "only the size is another");
        assert_eq!(levels(&mut journal, &[full.clone(), other.clone()]), [Level::Warn, Level::Error]);
        assert_eq!(levels(&mut journal, &[full, other.clone()]), [Level::Debug, Level::Debug]);
        assert_eq!(levels(&mut journal, &[fine.clone(), other]), [Level::Warn, Level::Debug]);
        // A cycle without it: what comes next is new.
        assert_eq!(levels(&mut journal, &[(1, ProcessResult::WorkedOn("scanned"))]), [Level::Info]);
        assert_eq!(levels(&mut journal, &[fine]), [Level::Warn]);
    }

    #[test]
    fn what_is_done_is_written_in_each_cycle() {
        let mut journal = Journal::new("t".to_owned());
        let results = [
            (1, ProcessResult::WorkedOn("scanned")),
            (2, ProcessResult::Elsewhere("other".to_owned())),
            (3, ProcessResult::Lost(ProcessError::Exited)),
            (5, ProcessResult::Stopped),
        ];
        for _ in 0..2 {
            let expected = [Level::Info, Level::Debug, Level::Info, Level::Info];
            assert_eq!(levels(&mut journal, &results), expected);
        }
    }

    #[test]
    fn one_fact_of_all_processes_is_one_line_until_it_changes() {
        let of_all = |result: &dyn Fn(u32) -> ProcessResult| -> Vec<(u32, ProcessResult)> {
            (1..=3001).map(|pid| (pid, result(pid))).collect()
        };
        let no_swap = of_all(&|_| ProcessResult::Skipped(SkipReason::NoSwap));
        let refused = |reason: &'static str| {
            of_all(&|pid| {
                let call = format!("/proc/{pid}/idle_pages");
                ProcessResult::Lost(ProcessError::Refused { call, reason: reason.into() })
            })
        };
        let mut journal = Journal::new("t".to_owned());
        for results in [no_swap, refused("not loaded"), refused("not permitted")] {
            let first = due(&mut journal, &report(&results));
            let text = results[0].1.to_string();
            let process = if text.contains("/proc") { "process 1: " } else { "" };
            assert_eq!(first, [(Level::Error, None, format!("{process}{text}"))]);
            for _ in 0..3 {
                assert_eq!(levels(&mut journal, &results), [Level::Debug], "{text}");
            }
        }
        // A process of its own kind is one fact more.
        let mixed = [
            (1, ProcessResult::Skipped(SkipReason::NoSwap)),
            (2, ProcessResult::Skipped(SkipReason::Small { resident: 1, above: 2 })),
            (3, ProcessResult::Skipped(SkipReason::Small { resident: 1, above: 2 })),
        ];
        assert_eq!(levels(&mut journal, &mixed), [Level::Error, Level::Info, Level::Info]);
    }

    #[test]
    fn the_state_of_a_task_is_written_when_it_changes() {
        let mut journal = Journal::new("t".to_owned());
        let waiting = (Level::Info, None, "no process now; waiting for one".to_owned());
        assert_eq!(due(&mut journal, &report(&[])), std::slice::from_ref(&waiting));
        assert_eq!(due(&mut journal, &report(&[])), []);
        let gone = Gone::Ended(Pid::new(7).unwrap());
        let ended = StepReport { gone: Some(gone), ..report(&[]) };
        assert_eq!(due(&mut journal, &ended), [(Level::Warn, None, gone.to_string())]);
        assert_eq!(due(&mut journal, &ended), []);
        let fault = |reason: &str| ProcessError::Refused { call: "/proc".into(), reason: reason.into() };
        let faulty = |reason| StepReport { fault: Some(fault(reason)), ..report(&[]) };
        for reason in ["no", "still no"] {
            let text = format!("nothing can be done: {}", fault(reason));
            assert_eq!(due(&mut journal, &faulty(reason)), [(Level::Error, None, text)]);
            assert_eq!(due(&mut journal, &faulty(reason)), []);
        }
        assert_eq!(due(&mut journal, &report(&[])), [waiting]);
        assert_eq!(due(&mut journal, &StepReport { stopped: true, ..report(&[]) }), []);
    }

    #[test]
    fn an_engines_event_is_written_once_while_it_comes() {
        let mut journal = Journal::new("t".to_owned());
        let event = |key: &str| Event::once(Level::Warn, key, Line::new(key.to_owned()));
        let mut with = report(&[(1, ProcessResult::WorkedOn("scanned"))]);
        with.events.push(event("slower 1"));
        with.processes[0].events.push(event("bound"));
        assert_eq!(due(&mut journal, &with).len(), 3);
        assert_eq!(due(&mut journal, &with).len(), 1);
        with.events = vec![event("slower 2")];
        let slower = (Level::Warn, None, "slower 2".to_owned());
        assert_eq!(due(&mut journal, &with)[1..], [slower]);
    }
}
