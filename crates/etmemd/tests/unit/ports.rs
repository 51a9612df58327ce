//! Modules that are unloaded and loaded again under a task.

use super::Ports;
use crate::machine::Machine;
use etmem_config::{EngineSection, ProjectSection};
use etmem_core::kernel::Kernel;
use etmem_core::kernel::nodes::NumaNodes;
use etmem_core::kernel::pacer::Pacer;
use etmem_core::kernel::process::ProcessTable;
use etmem_core::kernel::trigger::{Trigger, TriggerWait};
use etmem_core::kernel::wishes::{Choice, Chosen, Modules, Tracker, Wishes};
use etmem_engine::{Hosted, Refusal, StepReport, TaskRunner};
use etmem_plugin::SharedProject;
use etmem_testkit::fake::{FakeMachine, FakeTriggers};
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A machine whose modules come and go, and which has `bpf` and `madvise` besides.
#[derive(Debug)]
struct Changing {
    machine: FakeMachine,
    modules: Mutex<Modules>,
}

impl Machine for Changing {
    fn processes(&self) -> &dyn ProcessTable {
        &self.machine
    }

    fn nodes(&self) -> &dyn NumaNodes {
        &self.machine
    }

    fn modules(&self) -> Modules {
        *self.modules.lock().unwrap()
    }

    fn kernel(&self, wishes: &Wishes) -> Result<Chosen, String> {
        let Modules { scan, swap } = self.modules();
        if wishes.tracker == Tracker::Etmem && !scan {
            return Err("etmem_scan is not loaded".to_owned());
        }
        let choice = |name| Choice { name, reason: "it is there".to_owned() };
        let probe = choice(if scan { "etmem" } else { "bpf" });
        Ok(Chosen {
            kernel: self.machine.kernel(),
            probe,
            mover: choice(if swap { "etmem" } else { "madvise" }),
        })
    }

    fn triggers(&self, triggers: &[Trigger]) -> io::Result<Box<dyn TriggerWait>> {
        Ok(Box::new(FakeTriggers::default().wait(triggers.len())))
    }

    fn plugin(
        &self,
        _: &ProjectSection,
        _: &EngineSection,
        _: &Arc<SharedProject>,
        _: Duration,
    ) -> Result<Arc<dyn Hosted>, Refusal> {
        unreachable!("no engine of these tests is a plugin")
    }
}

/// Counts how often it gets other ports.
#[derive(Debug, Default)]
struct Counting {
    wishes: Wishes,
    renewed: usize,
}

impl TaskRunner for Counting {
    fn wishes(&self) -> Wishes {
        self.wishes
    }

    fn renew(&mut self, _: &Kernel) {
        self.renewed += 1;
    }

    fn notes(&self, _: &Kernel) -> Vec<String> {
        Vec::new()
    }

    fn step(&mut self, _: &Kernel, _: &dyn Pacer) -> StepReport {
        StepReport::default()
    }

    fn period(&self) -> Duration {
        Duration::ZERO
    }
}

const LOADED: Modules = Modules { scan: true, swap: true };
const NONE: Modules = Modules { scan: false, swap: false };

fn machine() -> Arc<Changing> {
    let machine = FakeMachine::new(FakeMachine::roomy(), Vec::new());
    Arc::new(Changing { machine, modules: Mutex::new(LOADED) })
}

fn names((probe, mover): (Choice, Choice)) -> (&'static str, &'static str) {
    (probe.name, mover.name)
}

#[test]
fn a_task_goes_on_without_modules_and_takes_them_again() {
    let changing = machine();
    let machine: Arc<dyn Machine> = Arc::clone(&changing) as _;
    let mut work = Counting::default();
    let mut ports = Ports::choose(&machine, &mut work).unwrap();
    assert!(ports.renew(&mut work).is_none(), "nothing has changed");
    for (modules, want) in [
        (NONE, ("bpf", "madvise")),
        (Modules { scan: true, swap: false }, ("etmem", "madvise")),
        (LOADED, ("etmem", "etmem")),
    ] {
        *changing.modules.lock().unwrap() = modules;
        assert_eq!(ports.renew(&mut work).map(names), Some(want), "{modules:?}");
        assert!(ports.renew(&mut work).is_none(), "it is said once");
    }
    assert_eq!(work.renewed, 3);
}

#[test]
fn what_a_task_names_is_not_replaced() {
    let changing = machine();
    let machine: Arc<dyn Machine> = Arc::clone(&changing) as _;
    let wishes = Wishes { tracker: Tracker::Etmem, ..Wishes::default() };
    let mut work = Counting { wishes, renewed: 0 };
    let mut ports = Ports::choose(&machine, &mut work).unwrap();
    *changing.modules.lock().unwrap() = NONE;
    assert!(ports.renew(&mut work).is_none());
    assert_eq!((ports.chosen.probe.name, work.renewed), ("etmem", 0), "it waits for its module");
    *changing.modules.lock().unwrap() = LOADED;
    assert!(ports.renew(&mut work).is_none(), "and goes on as before");
    assert_eq!(work.renewed, 1);
}
