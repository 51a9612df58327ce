//! An engine and its tasks on a scripted machine, and what to look at.

use etmem_config::ConfigFile;
use etmem_core::address::{BLOCK_SIZE, PAGE_SIZE};
use etmem_core::kernel::nodes::{Node, NodeId};
use etmem_engine::cslide::{PairReport, Placed};
use etmem_engine::{Engine, EngineError, ScanLocks, StepReport, TaskRunner, engine};
use etmem_testkit::fake::{FakeMachine, FakePacer, FakeProcess, Script, fake_node};
use std::path::Path;

pub(crate) const MIB: u64 = 1 << 20;
pub(crate) const START: u64 = 0x7f00_0000_0000;

/// A file with an engine of these keys and these tasks, each a few keys.
pub(crate) fn file(engine: &str, tasks: &[&str]) -> ConfigFile {
    let mut text = format!(
        "[project]\nname=p\nscan_type=page\nloop=3\ninterval=1\nsleep=5\n\
         [engine]\nproject=p\nname=cslide\n{engine}\n"
    );
    for task in tasks {
        text += &format!("[task]\nproject=p\nengine=cslide\n{task}\n");
    }
    etmem_config::parse(Path::new("test.yaml"), &text, &etmem_engine::keys()).unwrap()
}

/// The keys of an engine: pairs, quota and reserve in MiB.
pub(crate) fn keys(pairs: &str, quota: u64, reserve: u64) -> String {
    format!("node_pair={pairs}\nhot_threshold=2\nnode_mig_quota={quota}\nnode_hot_reserve={reserve}")
}

pub(crate) fn made(file: &ConfigFile) -> Box<dyn Engine> {
    assert_eq!(file.engines[0].kind, "cslide");
    engine(&file.engines[0], &ScanLocks::default()).unwrap()
}

pub(crate) fn works(file: &ConfigFile, engine: &dyn Engine) -> Vec<Box<dyn TaskRunner>> {
    file.tasks.iter().map(|task| engine.work(&file.projects[0], task).unwrap()).collect()
}

pub(crate) fn refusal(file: &ConfigFile) -> EngineError {
    made(file).work(&file.projects[0], &file.tasks[0]).unwrap_err()
}

/// What the pages of a task come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Memory {
    Huge,
    Base,
}

impl Memory {
    pub(crate) const fn page(self) -> u64 {
        match self {
            Self::Huge => BLOCK_SIZE,
            Self::Base => PAGE_SIZE,
        }
    }

    pub(crate) const fn task(self) -> &'static str {
        match self {
            Self::Huge => "name=t\ntype=name\nvalue=qemu\nvm_flags=ht",
            Self::Base => "name=t\ntype=name\nvalue=qemu",
        }
    }

    /// A node with `bytes` of it.
    pub(crate) fn node(self, id: u16, has_processors: bool, bytes: u64) -> Node {
        match self {
            Self::Huge => fake_node(id, has_processors, 0, bytes),
            Self::Base => fake_node(id, has_processors, bytes, 0),
        }
    }

    /// A process `qemu` of `bytes` of it.
    pub(crate) fn process(self, pid: u32, bytes: u64, script: Script) -> FakeProcess {
        let pages = usize::try_from(bytes / self.page()).unwrap();
        match self {
            Self::Huge => FakeProcess::huge(pid, "qemu", START, pages, script),
            Self::Base => FakeProcess::new(pid, "qemu", START, pages, script),
        }
    }

    pub(crate) fn free(self, machine: &FakeMachine, node: u16) -> u64 {
        let kernel = machine.kernel();
        let numa = kernel.moving.nodes().unwrap();
        let nodes = numa.nodes.nodes().unwrap();
        let node = nodes.iter().find(|known| known.id == NodeId(node)).unwrap();
        match self {
            Self::Huge => node.huge_pool.free,
            Self::Base => node.memory.free,
        }
    }
}

/// Bytes of the pages of processes `pids` that `pick` says, on `node`.
pub(crate) fn lying(machine: &FakeMachine, pids: &[u32], node: u16, pick: impl Fn(usize) -> bool) -> u64 {
    let of = |pid: &u32| {
        let process = machine.process(*pid).unwrap();
        let here = process.places.iter().enumerate().filter(|(page, on)| on.0 == node && pick(*page));
        here.count() as u64 * process.page_size()
    };
    pids.iter().map(of).sum()
}

/// Bytes that moved one way since the last look, for every way.
pub(crate) fn moved(machine: &FakeMachine) -> Vec<((u16, u16), u64)> {
    let mut sums: Vec<((u16, u16), u64)> = Vec::new();
    for one in machine.take_moves() {
        let way = (one.from.0, one.to.0);
        match sums.iter_mut().find(|(known, _)| *known == way) {
            Some((_, sum)) => *sum += one.bytes,
            None => sums.push((way, one.bytes)),
        }
    }
    sums
}

/// What the report says of each pair of nodes.
pub(crate) fn pairs(report: &StepReport) -> Vec<&PairReport> {
    report.events.iter().map(|event| event.text.value().unwrap()).collect()
}

/// What it says of a process, which was worked on.
pub(crate) fn placed(report: &StepReport, which: usize) -> &Placed {
    report.processes[which].text.value().unwrap_or_else(|| panic!("{report:?}"))
}

/// One cycle of the only task.
pub(crate) fn step(work: &mut dyn TaskRunner, machine: &FakeMachine) -> StepReport {
    work.step(&machine.kernel(), &FakePacer::endless())
}
