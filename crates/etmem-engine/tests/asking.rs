//! Programs are asked before memory is taken from them, over a scripted machine.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use etmem_core::kernel::Kernel;
use etmem_core::kernel::probe::Access;
use etmem_engine::slide::Scanned;
use etmem_engine::{ScanLocks, StepReport, TaskRunner, engine, figures};
use etmem_testkit::fake::{FakeCooperation, FakeMachine, FakePacer, FakeProcess, Script};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

const PAGES: usize = 3000;
const BYTES: u64 = PAGES as u64 * 4096;
const ASK_WAIT: Duration = Duration::from_secs(7);

struct Stand {
    machine: FakeMachine,
    programs: Arc<FakeCooperation>,
    work: Box<dyn TaskRunner>,
    pacer: FakePacer,
}

impl Stand {
    fn new(script: Script, listening: usize, gives: fn(u64) -> u64, task: &str) -> Self {
        let text = format!(
            "[project]\nname=p\nloop=3\ninterval=1\nsleep=5\n[engine]\nproject=p\nname=slide\n\
             [task]\nproject=p\nengine=slide\nname=t\ntype=pid\nvalue=42\nT=1\nage=none\nask_wait=7\n{task}\n"
        );
        let file = etmem_config::parse(Path::new("test.yaml"), &text, &etmem_engine::keys()).unwrap();
        let slide = engine(&file.engines[0], &ScanLocks::default()).unwrap();
        let work = slide.work(&file.projects[0], &file.tasks[0]).unwrap();
        let process = FakeProcess::new(42, "cache", 0x7f00_0000_0000, PAGES, script);
        let machine = FakeMachine::new(FakeMachine::roomy(), vec![process]);
        let programs = Arc::new(FakeCooperation::new(machine.clone(), listening, gives));
        Self { machine, programs, work, pacer: FakePacer::endless() }
    }

    fn cycle(&mut self) -> StepReport {
        let cooperation = self.work.asks().then(|| self.programs.clone() as _);
        self.work.step(&Kernel { cooperation, ..self.machine.kernel() }, &self.pacer)
    }

    /// How often it has waited for programs.
    fn waits(&self) -> usize {
        self.pacer.pauses().iter().filter(|pause| **pause == ASK_WAIT).count()
    }

    fn swapped(&self) -> usize {
        self.machine.process(42).unwrap().swapped_pages().len()
    }
}

fn idle(_: u64, _: u64) -> Access {
    Access::IDLE
}

fn figure(report: &StepReport, row: &'static figures::Row) -> u64 {
    report.figures().get(row).unwrap()
}

fn scanned(report: &StepReport) -> &Scanned {
    report.processes[0].text.value().unwrap_or_else(|| panic!("{report:?}"))
}

#[test]
fn what_gives_all_back_loses_nothing() {
    let mut stand = Stand::new(idle, 1, |bytes| bytes, "ask=yes");
    let report = stand.cycle();
    let asked = stand.programs.asked();
    assert_eq!(
        asked.iter().flatten().map(|(process, bytes)| (process.pid.get(), *bytes)).collect::<Vec<_>>(),
        [(42, BYTES)]
    );
    assert_eq!((figure(&report, &figures::GIVEN_BACK), figure(&report, &figures::MOVED)), (BYTES, 0));
    assert_eq!((stand.waits(), stand.swapped()), (1, 0));
    assert_eq!((report.processes[0].reason.as_ref(), figure(&report, &figures::NO_ROOM)), (None, 0));
    assert_eq!(figure(&report, &figures::COLD), BYTES, "it was cold");
    stand.cycle();
    assert_eq!((stand.programs.asked().len(), stand.waits()), (1, 1), "nothing is cold any more");
}

#[test]
fn only_the_rest_is_taken() {
    let mut stand = Stand::new(idle, 1, |bytes| bytes / 3, "ask=yes\nmax_refault=none");
    let mut taken = 0;
    for cycle in 0..4 {
        let report = stand.cycle();
        taken += figure(&report, &figures::MOVED);
        let process = stand.machine.process(42).unwrap();
        let (freed, swapped) =
            (process.freed.len() as u64 * 4096, process.swapped_pages().len() as u64 * 4096);
        assert_eq!(taken, swapped, "cycle {cycle}: {report:?}");
        let asked: u64 = stand.programs.asked().iter().flatten().map(|(_, bytes)| bytes).sum();
        assert!(taken + freed <= asked, "cycle {cycle}: no more than was wanted");
        if cycle == 0 {
            assert_eq!((figure(&report, &figures::GIVEN_BACK), freed), (BYTES / 3, BYTES / 3));
            assert!(taken > 0, "{report:?}");
        }
    }
    assert!(
        stand.swapped() as u64 * 4096 + 4096 * 8 >= BYTES - BYTES / 3,
        "all that is cold left in the end"
    );
}

#[test]
fn what_ignores_requests_loses_its_cold_pages_after_the_wait() {
    let mut stand = Stand::new(idle, 1, |_| 0, "ask=yes");
    let report = stand.cycle();
    assert_eq!((stand.waits(), stand.swapped()), (1, PAGES), "{report:?}");
    assert_eq!((figure(&report, &figures::GIVEN_BACK), figure(&report, &figures::MOVED)), (0, BYTES));
    assert!(scanned(&report).outcome.planned == BYTES);
}

#[test]
fn without_a_listener_nothing_waits() {
    let mut stand = Stand::new(idle, 0, |_| 0, "ask=yes");
    stand.cycle();
    assert_eq!((stand.programs.asked().len(), stand.waits(), stand.swapped()), (1, 0, PAGES));
}

#[test]
fn no_program_is_asked_for_nothing() {
    for (script, task) in [
        ((|_, _| Access::READ) as Script, "ask=yes"),
        (idle, "ask=no"),
        (idle, "ask=yes\ndry_run=yes"),
        (idle, ""),
    ] {
        let mut stand = Stand::new(script, 1, |bytes| bytes, task);
        stand.cycle();
        assert_eq!((stand.programs.asked().len(), stand.waits()), (0, 0), "{task}");
    }
}

#[test]
fn a_stop_ends_the_wait() {
    // Armed, three looks, then the wait.
    let mut stand = Stand::new(idle, 1, |_| 0, "ask=yes");
    stand.pacer = FakePacer::stopping_after(3);
    let report = stand.cycle();
    assert_eq!((stand.waits(), stand.swapped()), (1, 0), "{report:?}");
}
