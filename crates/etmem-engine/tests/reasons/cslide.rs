//! How cslide comes to each of its reasons: a function for each.

use crate::case::{PAGES, START};
use crate::quirk::{Quirk, Quirky};
use etmem_core::kernel::nodes::OwnPlacement;
use etmem_core::kernel::probe::Access;
use etmem_engine::{ScanLocks, StepReport, TaskRunner, engine};
use etmem_testkit::fake::{FakeMachine, FakePacer, FakeProcess, Script, fake_node};
use std::collections::BTreeSet;
use std::path::Path;

const MIB: u64 = 1 << 20;

fn hot(_: u64, _: u64) -> Access {
    Access::READ
}

/// The tasks called `names`, all of process 42: node 0 is fast, and a page that is touched is hot.
fn tasks(names: &[&str]) -> Vec<Box<dyn TaskRunner>> {
    let task = |name: &&str| format!("[task]\nproject=p\nengine=cslide\nname={name}\ntype=pid\nvalue=42\n");
    let text = format!(
        "[project]\nname=p\nscan_type=page\nloop=1\ninterval=1\nsleep=9\n[engine]\nproject=p\nname=cslide\n\
         node_pair=0,1\nhot_threshold=1\nnode_mig_quota=64\nnode_hot_reserve=0\n{}",
        names.iter().map(task).collect::<String>()
    );
    let file = etmem_config::parse(Path::new("test.yaml"), &text, &etmem_engine::keys()).unwrap();
    let cslide = engine(&file.engines[0], &ScanLocks::default()).unwrap();
    file.tasks.iter().map(|task| cslide.work(&file.projects[0], task).unwrap()).collect()
}

/// A machine with this process; of its fast node `free` bytes are free.
fn machine(process: FakeProcess, free: u64) -> FakeMachine {
    let nodes = vec![fake_node(0, true, free, 0), fake_node(1, false, 64 * MIB, 0)];
    FakeMachine::new(FakeMachine::roomy(), vec![process]).with_nodes(nodes)
}

fn cycle(machine: FakeMachine, quirk: Quirk) -> Vec<StepReport> {
    let [mut task] = <[_; 1]>::try_from(tasks(&["t"])).unwrap();
    vec![task.step(&Quirky { machine, quirk }.kernel(), &FakePacer::endless())]
}

fn process(script: Script) -> FakeProcess {
    FakeProcess::new(42, "mysqld", START, PAGES, script)
}

/// All of a process is hot and lies on the slow node.
fn on_the_slow_node() -> FakeProcess {
    process(hot).placed(|_| 1)
}

fn quirky(quirk: Quirk) -> Vec<StepReport> {
    cycle(machine(on_the_slow_node(), 64 * MIB), quirk)
}

pub(crate) fn nothing_suitable() -> Vec<StepReport> {
    cycle(machine(FakeProcess::new(42, "empty", START, 0, hot), 64 * MIB), Quirk::None)
}

pub(crate) fn refused() -> Vec<StepReport> {
    quirky(Quirk::Refuses)
}

pub(crate) fn vanished() -> Vec<StepReport> {
    quirky(Quirk::Unmapped)
}

pub(crate) fn shared() -> Vec<StepReport> {
    quirky(Quirk::Keeps)
}

/// The fast node has less room than it reports.
pub(crate) fn node_full() -> Vec<StepReport> {
    let machine = machine(on_the_slow_node(), 64 * MIB);
    machine.promise(&[0]);
    cycle(machine, Quirk::None)
}

pub(crate) fn in_use() -> Vec<StepReport> {
    let mut process = on_the_slow_node();
    process.pinned = BTreeSet::from([1, 2, 3]);
    cycle(machine(process, 64 * MIB), Quirk::None)
}

/// The program says itself where its memory is to lie.
pub(crate) fn bound() -> Vec<StepReport> {
    let mut process = on_the_slow_node();
    let bytes = process.mapping.range.bytes();
    let bound = vec![process.mapping.range];
    process.own_placement = OwnPlacement { bound, bound_bytes: bytes, present_bytes: bytes, allowed: None };
    cycle(machine(process, 64 * MIB), Quirk::None)
}

/// Two tasks name one process: the report of the second.
pub(crate) fn elsewhere() -> Vec<StepReport> {
    let machine = machine(on_the_slow_node(), 64 * MIB);
    let mut tasks = tasks(&["first", "second"]);
    tasks.iter_mut().for_each(|task| task.prepare(&machine.kernel()).unwrap());
    let reports = tasks.iter_mut().map(|task| task.step(&machine.kernel(), &FakePacer::endless()));
    reports.skip(1).collect()
}

pub(crate) fn exited() -> Vec<StepReport> {
    let mut process = on_the_slow_node();
    process.exits_after = Some(1);
    cycle(machine(process, 64 * MIB), Quirk::None)
}

/// All that is hot moves to the fast node.
pub(crate) fn no_reason() -> Vec<StepReport> {
    quirky(Quirk::None)
}

/// Hot pages on the slow node and cold ones on the fast node change places.
pub(crate) fn both_ways() -> StepReport {
    let process = process(|page, _| if page < 1000 { Access::READ } else { Access::IDLE });
    let process = process.placed(|page| u16::from(page < 1000));
    cycle(machine(process, 0), Quirk::None).remove(0)
}
