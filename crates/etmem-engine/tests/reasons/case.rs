//! A task of slide over a machine with one process, and the reports of its cycles.

use crate::psi;
use crate::quirk::{Quirk, Quirky};
use etmem_config::key::Need;
use etmem_config::{Keys, KindKeys};
use etmem_core::guard::Bound;
use etmem_core::kernel::Kernel;
use etmem_core::kernel::claims::{Claim, ScanClaims};
use etmem_core::kernel::groups::{GroupLimits, GroupUse};
use etmem_core::kernel::mapping::VmFlag;
use etmem_core::kernel::memory::MemoryState;
use etmem_core::kernel::pacer::{Pace, Pacer};
use etmem_core::kernel::pressure::Pressure;
use etmem_core::kernel::probe::Access;
use etmem_core::kernel::process::{Pid, ProcessId, ProcessTable, Target};
use etmem_engine::slide::Scanned;
use etmem_engine::{Kind, ScanLocks, StepReport, TaskRunner, engine};
use etmem_testkit::fake::{FakeCooperation, FakeMachine, FakePacer, FakeProcess, Script};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

pub(crate) const PAGES: usize = 3000;
pub(crate) const START: u64 = 0x7f00_0000_0000;

/// A task of slide and its machine.
pub(crate) struct Case {
    pub(crate) project: &'static str,
    pub(crate) task: &'static str,
    /// From which age on pages leave.
    pub(crate) age: &'static str,
    pub(crate) target: &'static str,
    /// The process that had the number when the task was added.
    pub(crate) added_for: Option<ProcessId>,
    pub(crate) process: FakeProcess,
    pub(crate) memory: MemoryState,
    pub(crate) groups: GroupLimits,
    pub(crate) pressure: Option<Pressure>,
    pub(crate) quirk: Quirk,
    pub(crate) pacer: FakePacer,
    /// A command scans the process.
    pub(crate) by_command: bool,
    /// Its program listens for requests, and gives back a half of what is wanted.
    pub(crate) gives_back: bool,
    /// Cycles until the reason is there.
    pub(crate) cycles: usize,
    /// It ends before, where this bounds an act.
    pub(crate) until: Option<Bound>,
}

impl Case {
    /// All of a process is idle, and may leave at once.
    pub(crate) fn new() -> Self {
        Self::of(PAGES, |_, _| Access::IDLE)
    }

    pub(crate) fn of(pages: usize, script: Script) -> Self {
        Self {
            project: "",
            task: "",
            age: "none",
            target: "type=pid\nvalue=42",
            added_for: None,
            process: FakeProcess::new(42, "mysqld", START, pages, script),
            memory: FakeMachine::roomy(),
            groups: GroupLimits::default(),
            pressure: None,
            quirk: Quirk::None,
            pacer: FakePacer::endless(),
            by_command: false,
            gives_back: false,
            cycles: 1,
            until: None,
        }
    }

    /// Its task was added for the process that had this number then.
    pub(crate) fn added_for(pid: u32, start_time: u64) -> Self {
        Self { added_for: Some(ProcessId { pid: Pid::new(pid).unwrap(), start_time }), ..Self::new() }
    }

    pub(crate) fn task(task: &'static str) -> Self {
        Self { task, ..Self::new() }
    }

    pub(crate) fn project(project: &'static str) -> Self {
        Self { project, ..Self::new() }
    }

    pub(crate) fn quirk(quirk: Quirk) -> Self {
        Self { quirk, ..Self::new() }
    }

    pub(crate) fn memory(change: fn(&mut MemoryState)) -> Self {
        let mut case = Self::new();
        change(&mut case.memory);
        case
    }

    pub(crate) fn swap_of_group(bound: u64, used: u64) -> Self {
        let groups = GroupLimits { swap: Some(GroupUse { bound, used }), ..GroupLimits::default() };
        Self { groups, ..Self::new() }
    }

    pub(crate) fn promise(bound: u64, used: u64) -> Self {
        let groups = GroupLimits { protection: Some(GroupUse { bound, used }), ..GroupLimits::default() };
        Self { groups, ..Self::new() }
    }

    pub(crate) fn process(change: fn(&mut FakeProcess)) -> Self {
        let mut case = Self::new();
        change(&mut case.process);
        case
    }

    /// The report of its last cycle, by the task itself.
    pub(crate) fn report(self) -> StepReport {
        let (mut work, kernel) = self.ready();
        let mut report = self.cycle(&mut *work, &kernel);
        for _ in 1..self.cycles {
            if self.until.is_some() && bound(&report) == self.until {
                break;
            }
            report = self.cycle(&mut *work, &kernel);
        }
        report
    }

    /// The report of its first cycle, with a clock that counts processor time.
    pub(crate) fn report_with_cost(self) -> StepReport {
        let (mut work, kernel) = self.ready();
        work.step(&kernel, &Costly { pacer: self.pacer, asked: AtomicU32::new(0) })
    }

    fn cycle(&self, work: &mut dyn TaskRunner, kernel: &Kernel) -> StepReport {
        let report = work.step(kernel, &self.pacer);
        let _ = self.pacer.pause(work.period());
        report
    }

    fn ready(&self) -> (Box<dyn TaskRunner>, Kernel) {
        let Self { project, task, age, target, .. } = self;
        let text = format!(
            "[project]\nname=p\nscan_type=page\nloop=1\ninterval=1\nsleep=9\n{project}\n[engine]\nproject=p\nname=slide\n\
             [task]\nproject=p\nengine=slide\nname=t\n{target}\nT=1\nage={age}\n{task}\n"
        );
        let mut file = etmem_config::parse(Path::new("test.yaml"), &text, &etmem_engine::keys()).unwrap();
        if let Some(process) = self.added_for {
            file.tasks[0].target = Target::Process(process);
        }
        let claims = self.by_command.then(|| Arc::new(ByCommand) as Arc<dyn ScanClaims>);
        let slide = engine(&file.engines[0], &ScanLocks::beside(claims)).unwrap();
        let work = slide.work(&file.projects[0], &file.tasks[0]).unwrap();
        let machine = FakeMachine::new(self.memory, vec![self.process.clone()]);
        machine.set_groups(self.groups);
        machine.set_pressure(self.pressure);
        let programs = FakeCooperation::new(machine.clone(), 1, |bytes| bytes / 2);
        let cooperation = self.gives_back.then(|| Arc::new(programs) as _);
        (work, Kernel { cooperation, ..Quirky { machine, quirk: self.quirk }.kernel() })
    }
}

/// A command scans all there is.
#[derive(Debug)]
struct ByCommand;

impl ScanClaims for ByCommand {
    fn claim(&self, _: ProcessId, _: &dyn ProcessTable) -> Option<Claim> {
        None
    }
}

/// The first cycle of a task of `kind`, with the example of each key that it needs, on the same machine.
pub(crate) fn first_cycle_of(kind: &Kind) -> StepReport {
    runner_of(kind).step(&machine_of().kernel(), &FakePacer::endless())
}

/// That machine; its process has memory of userswap, and it has a control group.
pub(crate) fn machine_of() -> FakeMachine {
    let Case { memory, mut process, .. } = Case::new();
    process.flags = VmFlag::new("us").into_iter().collect();
    let machine = FakeMachine::new(memory, vec![process]);
    machine.make_group(psi::full_group());
    machine
}

/// A task of `kind`, with the example of each key that it needs.
pub(crate) fn runner_of(kind: &Kind) -> Box<dyn TaskRunner> {
    let KindKeys { name, engine: of_engine, task, scan, .. } = &kind.keys;
    let needed = |keys: &Keys| -> String {
        let needed = keys.rows.iter().map(|row| row.about()).filter(|about| about.need == Need::Needed);
        needed.map(|about| format!("{}={}\n", about.name, about.example)).collect()
    };
    let text = format!(
        "[project]\nname=p\nscan_type={}\n{}[engine]\nproject=p\nname={name}\n{}[task]\nproject=p\nengine={name}\nname=t\n\
         {}{}",
        scan.name,
        needed(&scan.keys),
        needed(of_engine),
        // An engine of the machine as a whole takes no process.
        if *name == "tiers" { "type=machine\n" } else { "type=pid\nvalue=42\n" },
        needed(task)
    );
    let file = etmem_config::parse(Path::new("test.yaml"), &text, &etmem_engine::keys()).unwrap();
    let engine = engine(&file.engines[0], &ScanLocks::default()).unwrap();
    engine.work(&file.projects[0], &file.tasks[0]).unwrap()
}

/// A clock by which a millisecond of processor time is used between two questions.
#[derive(Debug)]
struct Costly {
    pacer: FakePacer,
    asked: AtomicU32,
}

impl Pacer for Costly {
    fn pause(&self, duration: Duration) -> Pace {
        self.pacer.pause(duration)
    }

    fn pace(&self) -> Pace {
        self.pacer.pace()
    }

    fn now(&self) -> Duration {
        self.pacer.now()
    }

    fn processor_time(&self) -> Duration {
        Duration::from_millis(self.asked.fetch_add(1, Ordering::Relaxed).into())
    }
}

/// What bounded the act on the only process.
pub(crate) fn bound(report: &StepReport) -> Option<Bound> {
    report.processes.first()?.text.value::<Scanned>()?.bound
}
