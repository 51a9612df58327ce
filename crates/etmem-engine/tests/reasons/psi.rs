//! How psi comes to each of its reasons: a function for each.

use etmem_core::kernel::groups::{GroupError, GroupPressure, Stall};
use etmem_core::kernel::pacer::Pacer;
use etmem_core::kernel::pressure::Share;
use etmem_engine::{ScanLocks, StepReport, engine};
use etmem_testkit::fake::{FakeGroup, FakeMachine, FakePacer, GroupFault};
use std::path::Path;
use std::time::Duration;

const MIB: u64 = 1 << 20;

fn group() -> FakeGroup {
    FakeGroup::new("system.slice/a.service", 7, 100 * MIB, 100 * MIB)
}

/// One of which every figure is counted, but for a stall and its events.
pub(crate) fn full_group() -> FakeGroup {
    let mut group = group();
    group.memory.swapped = MIB;
    group.memory.zswap = Some(MIB);
    group.pressure = GroupPressure::default();
    group
}

/// The reports of rounds over `group`, 30 s apart.
fn rounds(
    number: usize,
    group: Option<FakeGroup>,
    keys: &str,
    no_groups: Option<GroupError>,
) -> Vec<StepReport> {
    let text = format!(
        "[project]\nname=p\nscan_type=psi\ninterval=1\n[engine]\nproject=p\nname=psi\n\
         [task]\nproject=p\nengine=psi\nname=t\ncg_dir=system.slice/*\n{keys}\n"
    );
    let file = etmem_config::parse(Path::new("test.yaml"), &text, &etmem_engine::keys()).unwrap();
    let psi = engine(&file.engines[0], &ScanLocks::default()).unwrap();
    let mut work = psi.work(&file.projects[0], &file.tasks[0]).unwrap();
    let machine = FakeMachine::new(FakeMachine::roomy(), Vec::new());
    group.into_iter().for_each(|group| machine.make_group(group));
    no_groups.into_iter().for_each(|error| machine.refuse_groups(error));
    let pacer = FakePacer::endless();
    let mut step = || {
        let report = work.step(&machine.kernel(), &pacer);
        let _ = pacer.pause(Duration::from_secs(30));
        report
    };
    (0..number).map(|_| step()).collect()
}

fn round(group: Option<FakeGroup>, keys: &str, no_groups: Option<GroupError>) -> Vec<StepReport> {
    rounds(1, group, keys, no_groups)
}

fn of(fault: GroupFault) -> Vec<StepReport> {
    round(Some(FakeGroup { fault: Some(fault), ..group() }), "", None)
}

pub(crate) fn no_table() -> Vec<StepReport> {
    round(None, "", Some(GroupError::refused("/sys/fs/cgroup", "no control groups")))
}

pub(crate) fn no_group() -> Vec<StepReport> {
    round(None, "", None)
}

pub(crate) fn at_floor() -> Vec<StepReport> {
    let looked_at = FakeGroup { looks: Some(Vec::new()), ..group() };
    [group(), looked_at]
        .into_iter()
        .flat_map(|group| round(Some(group), "limit_min_bytes=1073741824", None))
        .collect()
}

pub(crate) fn looking() -> Vec<StepReport> {
    round(Some(FakeGroup { looks: Some(Vec::new()), ..group() }), "", None)
}

pub(crate) fn all_in_use() -> Vec<StepReport> {
    let hot = FakeGroup {
        looks: Some(Vec::new()),
        hot: 100 * MIB,
        ..FakeGroup::new("system.slice/a", 7, 0, 100 * MIB)
    };
    rounds(2, Some(hot), "", None).split_off(1)
}

pub(crate) fn io_pressure() -> Vec<StepReport> {
    let share = Share::of_percent(5);
    let stalled = Stall { avg10: share, avg60: share };
    let pressure = GroupPressure { memory: Some(Stall::default()), io: Some(stalled) };
    round(Some(FakeGroup { pressure, ..group() }), "", None)
}

pub(crate) fn no_more() -> Vec<StepReport> {
    of(GroupFault::NothingFound)
}

pub(crate) fn removed() -> Vec<StepReport> {
    of(GroupFault::Memory(GroupError::Removed))
}

pub(crate) fn no_memory() -> Vec<StepReport> {
    of(GroupFault::Memory(GroupError::NoMemory))
}

/// A round in which a group was at its limit since the one before; and one in which nothing was asked for.
pub(crate) fn with_events() -> Vec<StepReport> {
    let text = "[project]\nname=p\nscan_type=psi\ninterval=1\n[engine]\nproject=p\nname=psi\n\
                [task]\nproject=p\nengine=psi\nname=t\ncg_dir=system.slice/*\nlimit_min_bytes=1073741824\n";
    let file = etmem_config::parse(Path::new("test.yaml"), text, &etmem_engine::keys()).unwrap();
    let psi = engine(&file.engines[0], &ScanLocks::default()).unwrap();
    let mut work = psi.work(&file.projects[0], &file.tasks[0]).unwrap();
    let machine = FakeMachine::new(FakeMachine::roomy(), Vec::new());
    machine.make_group(group());
    let (kernel, pacer) = (machine.kernel(), FakePacer::endless());
    let first = work.step(&kernel, &pacer);
    machine.change_group("system.slice/a.service", |group| group.memory.counters.limit_events = 3);
    vec![first, work.step(&kernel, &pacer)]
}
