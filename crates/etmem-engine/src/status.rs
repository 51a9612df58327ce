//! What a task has done so far: the last cycle, the sums since its start, and why not more.

use crate::figures::{Figures, TOOK, WINDOW, nanoseconds};
use crate::reason::{Reason, ReasonName};
use crate::report::StepReport;
use std::time::Duration;

/// A cycle that is over.
#[derive(Debug, Clone)]
pub struct Cycle {
    /// Its figures.
    pub figures: Figures,
    /// What became of each process.
    pub report: StepReport,
}

impl Cycle {
    /// Why nothing was done at all, where that is not due to one process: the table of processes cannot be read, or
    /// `target` names none now, or none any more.
    #[must_use]
    pub fn reason(&self, target: &str) -> Option<Reason> {
        let StepReport { fault, gone, groups, devices, .. } = &self.report;
        match (fault, gone) {
            (Some(fault), _) => {
                let what = self.report.subjects();
                Some(Reason::new(ReasonName::NoTable, format!("cannot look for {what}: {fault}")))
            }
            (None, Some(gone)) => Some(gone.into()),
            (None, None) if devices.as_ref().is_some_and(Vec::is_empty) => {
                Some(Reason::new(ReasonName::NoZram, "no zram device is swap now; waiting for one"))
            }
            (None, None) if groups.as_ref().is_some_and(Vec::is_empty) => {
                Some(Reason::new(ReasonName::NoGroup, format!("there is no {target} now; waiting for one")))
            }
            (None, None) if self.report.is_empty() => {
                Some(Reason::new(ReasonName::NoProcess, format!("there is no {target} now; waiting for it")))
            }
            (None, None) => None,
        }
    }
}

/// What a task has done since it was started.
#[derive(Debug, Clone, Default)]
pub struct TaskStatus {
    /// Cycles that are over.
    pub cycles: u64,
    /// The last of them.
    pub last: Option<Cycle>,
    /// All of them together.
    pub totals: Figures,
}

impl TaskStatus {
    /// Takes the report of the next cycle.
    pub fn record(&mut self, report: StepReport, took: Duration) {
        let mut figures = report.figures();
        figures.add(&TOOK, nanoseconds(took));
        figures.add(&WINDOW, 0);
        self.cycles += 1;
        self.totals.add_all(&figures.clone().counters());
        self.last = Some(Cycle { figures, report });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figures::{FOUND, LOOKED_AT, MOVED, PROCESSOR_TIME};
    use crate::report::{ProcessReport, ProcessResult};
    use etmem_core::guard::SkipReason;
    use etmem_core::kernel::process::{Gone, Pid, ProcessError, ProcessId};

    fn report(results: Vec<ProcessResult>) -> StepReport {
        let processes = (1..).zip(results).map(|(pid, result)| {
            let process = ProcessId { pid: Pid::new(pid).unwrap(), start_time: 1 };
            ProcessReport::new(process, result)
        });
        let processor_time = Duration::from_millis(5);
        StepReport { processes: processes.collect(), processor_time, ..StepReport::default() }
    }

    #[test]
    fn cycles_are_counted_and_their_figures_summed() {
        let mut both =
            report(vec![ProcessResult::WorkedOn("scanned"), ProcessResult::Skipped(SkipReason::NoSwap)]);
        both.processes[0].figures = Figures::of([(&MOVED, 30), (&WINDOW, 3)]);
        let mut status = TaskStatus::default();
        status.record(both.clone(), Duration::from_secs(4));
        status.record(both, Duration::from_secs(5));
        let cycle = Figures::of([
            (&FOUND, 2),
            (&LOOKED_AT, 1),
            (&MOVED, 30),
            (&PROCESSOR_TIME, 5_000_000),
            (&WINDOW, 3),
            (&TOOK, 5_000_000_000),
        ]);
        assert_eq!((status.cycles, status.last.unwrap().figures), (2, cycle.clone()));
        let mut twice = cycle.clone();
        twice.add_all(&cycle);
        assert_eq!(status.totals, twice.counters());
        assert_eq!(status.totals.get(&MOVED), Some(60));
    }

    #[test]
    fn without_a_process_the_task_has_a_reason() {
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
            figures: Figures::default(),
            report: StepReport { fault, ..report(vec![ProcessResult::Stopped]) },
        };
        assert_eq!(cycle.reason("x").unwrap().name, ReasonName::NoTable);
        let cycle = Cycle { report: report(vec![ProcessResult::Stopped]), ..cycle };
        assert_eq!(cycle.reason("x"), None);
    }
}
