//! A cycle of a noop task: each of its processes is visited.

use crate::contract::{TaskRunner, gone, notes_on_target};
use crate::figures::Figures;
use crate::report::{ProcessReport, ProcessResult, StepReport};
use etmem_core::kernel::Kernel;
use etmem_core::kernel::pacer::{Pace, Pacer};
use etmem_core::kernel::process::{ProcessId, Target};
use etmem_core::kernel::wishes::Wishes;
use std::time::Duration;

figures! { pub(super) FIGURES;
    VISITED: Counter Count, "visited", "processes visited", Always,
        "processes with which it stayed for as long as `visit` says";
}

/// The work of a noop task.
#[derive(Debug)]
pub(super) struct NoopRunner {
    pub(super) task: String,
    pub(super) target: Target,
    /// How long to stay with each process.
    pub(super) visit: Duration,
    /// Time between two cycles.
    pub(super) sleep: Duration,
}

impl NoopRunner {
    fn visit(&self, process: ProcessId, pacer: &dyn Pacer) -> ProcessReport {
        if pacer.pause(self.visit) == Pace::Stop {
            return ProcessReport::new(process, ProcessResult::Stopped);
        }
        let text = format!("visited for {} ms, nothing is moved", self.visit.as_millis());
        ProcessReport::worked_on(process, "visited", text, None, Figures::of([(&VISITED, 1)]))
    }
}

impl TaskRunner for NoopRunner {
    fn wishes(&self) -> Wishes {
        Wishes::default()
    }

    fn notes(&self, kernel: &Kernel) -> Vec<String> {
        notes_on_target(&self.task, &self.target, kernel)
    }

    fn step(&mut self, kernel: &Kernel, pacer: &dyn Pacer) -> StepReport {
        match kernel.processes.find(&self.target) {
            Ok(found) => StepReport {
                gone: gone(&found, &self.target, kernel),
                processes: found.iter().map(|process| self.visit(*process, pacer)).collect(),
                ..StepReport::default()
            },
            Err(error) => StepReport { fault: Some(error), ..StepReport::default() },
        }
    }

    fn period(&self) -> Duration {
        self.sleep
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ScanLocks;
    use etmem_core::kernel::probe::Access;
    use etmem_testkit::fake::{FakeMachine, FakePacer, FakeProcess};
    use std::path::Path;

    fn runner(key: &str) -> Box<dyn TaskRunner> {
        let text = format!(
            "[project]\nname=p\nscan_type=page\nloop=1\ninterval=1\nsleep=9\n[engine]\nproject=p\nname=noop\n\
             [task]\nproject=p\nengine=noop\nname=t\ntype=name\nvalue=db\n{key}\n"
        );
        let file = etmem_config::parse(Path::new("test.yaml"), &text, &crate::keys()).unwrap();
        let noop = crate::engine(&file.engines[0], &ScanLocks::default()).unwrap();
        noop.work(&file.projects[0], &file.tasks[0]).unwrap()
    }

    fn machine() -> FakeMachine {
        let process = |pid| FakeProcess::new(pid, "db", 0x1000_0000, 8, |_, _| Access::IDLE);
        FakeMachine::new(FakeMachine::roomy(), vec![process(42), process(43)])
    }

    #[test]
    fn it_stays_with_each_process_as_long_as_the_key_says() {
        let (machine, pacer) = (machine(), FakePacer::endless());
        let mut runner = runner("visit=200ms");
        let report = runner.step(&machine.kernel(), &pacer);
        assert_eq!((report.processes.len(), report.figures().get(&VISITED)), (2, Some(2)));
        assert_eq!(pacer.pauses(), [Duration::from_millis(200); 2]);
        assert_eq!(report.processes[0].text.to_string(), "visited for 200 ms, nothing is moved");
        assert!(machine.process(42).unwrap().swapped_pages().is_empty());
        assert_eq!(runner.period(), Duration::from_secs(9));
    }

    #[test]
    fn a_stop_ends_the_visit() {
        let report = runner("").step(&machine().kernel(), &FakePacer::stopping_after(1));
        let results: Vec<_> = report.processes.iter().map(|process| process.result.word()).collect();
        assert_eq!(results, ["visited", "stopped"]);
    }

    #[test]
    fn it_waits_for_processes_that_are_not_there_yet() {
        let none = FakeMachine::new(FakeMachine::roomy(), Vec::new());
        assert_eq!(runner("").notes(&none.kernel()), ["task t: no process named db yet; waiting for it"]);
    }
}
