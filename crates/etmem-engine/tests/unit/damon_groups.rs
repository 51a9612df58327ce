//! Tasks of an engine damon that moves memory of control groups between nodes, over a scripted machine.

use super::super::report::FIGURES;
use super::*;
use crate::contract::Engine;
use crate::figures::{MOVED, MOVED_DOWN, MOVED_UP, Row, SCANNED};
use crate::reason::ReasonName;
use crate::report::GroupResult;
use crate::{FaultClass, ScanLocks};
use etmem_config::ConfigFile;
use etmem_core::kernel::monitoring::{Action, Way};
use etmem_core::kernel::nodes::{Node, NodeId, NodeMemory};
use etmem_core::kernel::pressure::{Pressure, Share};
use etmem_testkit::fake::{FakeGroup, FakeMachine, FakePacer};
use std::path::Path;

const MIB: u64 = 1 << 20;

fn file(action: &str, targets: [&str; 2]) -> ConfigFile {
    let tasks: String = (0..)
        .zip(targets)
        .map(|(name, target)| format!("[task]\nproject=p\nengine=damon\nname=t{name}\n{target}\n"))
        .collect();
    let text = format!(
        "[project]\nname=p\nscan_type=region\nsample_interval=5000\naggr_interval=100000\nupdate_interval=2000000\n\
         min_nr_regions=10\nmax_nr_regions=1000\n[engine]\nproject=p\nname=damon\nmin_size=4096\nmax_size=1073741824\n\
         min_acc=0\nmax_acc=1\nmin_age=20\nmax_age=100000\naction={action}\n{tasks}"
    );
    etmem_config::parse(Path::new("test.yaml"), &text, &crate::keys()).unwrap()
}

fn made(file: &ConfigFile) -> Box<dyn Engine> {
    crate::engine(&file.engines[0], &ScanLocks::default()).unwrap()
}

/// The work of two tasks, which name all groups below `a`, and the group `a/2`.
fn works(action: &str) -> [Box<dyn TaskRunner>; 2] {
    let file = file(action, ["type=cgroup\nvalue=a/*", "type=cgroup\nvalue=a/2/**"]);
    let engine = made(&file);
    [0, 1].map(|number| engine.work(&file.projects[0], &file.tasks[number]).unwrap())
}

fn node(id: u16, has_processors: bool) -> Node {
    let memory = NodeMemory { total: 1 << 30, free: 1 << 30 };
    let huge_pool = NodeMemory::default();
    Node { id: NodeId(id), has_processors, tier: None, memory, huge_pool, distances: Vec::new() }
}

/// Two groups below `a`, of which one has another below it, and one beside them.
fn machine() -> FakeMachine {
    let machine = FakeMachine::new(FakeMachine::roomy(), Vec::new());
    let machine = machine.with_nodes(vec![node(0, true), node(1, false)]);
    for (id, path) in [(1, "a"), (2, "a/1"), (3, "a/2"), (4, "a/2/x"), (5, "b")] {
        machine.make_group(FakeGroup::new(path, id, 0, id * MIB));
    }
    machine
}

fn watched(machine: &FakeMachine) -> Vec<String> {
    machine.monitoring().groups.iter().map(ToString::to_string).collect()
}

fn figure(report: &StepReport, row: &'static Row) -> u64 {
    report.figures().get(row).unwrap_or(0)
}

fn reasons(report: &StepReport) -> Vec<Option<ReasonName>> {
    let groups = report.groups.iter().flatten();
    groups.map(|group| group.reason.as_ref().map(|reason| reason.name)).collect()
}

#[test]
fn groups_and_those_below_them_are_watched_as_they_come_and_go() {
    let (machine, pacer) = (machine(), FakePacer::endless());
    let kernel = machine.kernel();
    let [mut all, mut one] = works("migrate_cold\nnode_pair=1,0");
    all.prepare(&kernel).unwrap();
    all.step(&kernel, &pacer);
    assert_eq!(watched(&machine), ["a/1", "a/2", "a/2/x"]);
    assert_eq!(machine.monitoring().ways, [Way { from: NodeId(0), to: NodeId(1) }]);
    machine.remove_group("a/1");
    machine.make_group(FakeGroup::new("a/3", 7, 0, MIB));
    all.step(&kernel, &pacer);
    assert_eq!((watched(&machine).join(" "), machine.monitoring().begun), ("a/2 a/2/x a/3".into(), 1));
    // A task that does not lead has to wait for the one that does.
    machine.make_group(FakeGroup::new("a/2/new", 8, 0, MIB));
    let file = file("migrate_cold\nnode_pair=1,0", ["type=cgroup\nvalue=a/*", "type=cgroup\nvalue=b"]);
    let engine = made(&file);
    let [mut first, mut second] =
        [0, 1].map(|number| engine.work(&file.projects[0], &file.tasks[number]).unwrap());
    first.step(&kernel, &pacer);
    let text = |report: StepReport| report.groups.unwrap()[0].text.to_string();
    assert_eq!(text(second.step(&kernel, &pacer)), "the kernel learns of it in the next cycle");
    first.step(&kernel, &pacer);
    assert!(text(second.step(&kernel, &pacer)).starts_with("the kernel watches it"));
    drop((first, second));
    machine.remove_group("a/2/new");
    all.step(&kernel, &pacer);
    // What another task of the engine has is its own.
    let report = one.step(&kernel, &pacer);
    assert_eq!(reasons(&report), [Some(ReasonName::Elsewhere)]);
    drop(all);
    one.step(&kernel, &pacer);
    assert_eq!(watched(&machine), ["a/2", "a/2/x"], "the lead passes on");
    drop(one);
    assert_eq!((machine.monitoring().set, watched(&machine).len()), (None, 0), "all is taken back");
}

#[test]
fn what_moved_is_what_the_kernel_counted_of_each_group() {
    let (machine, pacer) = (machine(), FakePacer::endless());
    let kernel = machine.kernel();
    for (action, row, other) in
        [("migrate_cold", &MOVED_DOWN, &MOVED_UP), ("migrate_hot", &MOVED_UP, &MOVED_DOWN)]
    {
        let [mut work, _] = works(&format!("{action}\nnode_pair=1,0"));
        let report = work.step(&kernel, &pacer);
        assert_eq!(figure(&report, row), 0, "nothing was watched before");
        let report = work.step(&kernel, &pacer);
        // Three groups, with 2 MiB each.
        let amounts =
            [row, other, &MOVED, FIGURES[1], FIGURES[2], &SCANNED].map(|row| figure(&report, row) / MIB);
        assert_eq!(amounts, [6, 0, 0, 9, 6, 5], "{action}");
        let groups: Vec<_> = report.groups.iter().flatten().collect();
        let texts: Vec<String> = groups.iter().map(|group| group.text.to_string()).collect();
        let want = |memory, moved| {
            format!("the kernel watches it, action {action}; {memory} MiB in memory, {moved} MiB moved")
        };
        assert_eq!(texts, [want(2, 2), want(3, 4)]);
        assert!(groups.iter().all(|group| group.result == GroupResult::Watched && group.reason.is_none()));
    }
}

#[test]
fn hot_memory_goes_to_fast_nodes_whatever_the_order() {
    let (machine, pacer) = (machine(), FakePacer::endless());
    let kernel = machine.kernel();
    for pair in ["1,0", "0,1"] {
        let [mut work, _] = works(&format!("migrate_hot\nnode_pair={pair}\nmax_rate=3m\nmax_cpu=5"));
        work.step(&kernel, &pacer);
        let monitoring = machine.monitoring();
        assert_eq!(monitoring.ways, [Way { from: NodeId(1), to: NodeId(0) }], "{pair}");
        let (attributes, scheme) = monitoring.set.unwrap();
        assert_eq!((scheme.action, scheme.age.min), (Action::MigrateHot, 20));
        assert_eq!((scheme.quota.bytes_per_second, attributes.regions.max), (Some(3 * MIB), 1000));
        let text = "engine damon: node 0 is fast and node 1 slow: node 1 has no processors";
        assert_eq!(work.decisions(&kernel), [text]);
        assert_eq!(work.period(), Duration::from_secs(2));
    }
}

#[test]
fn nothing_moves_while_programs_wait_and_swap_does_not_matter() {
    let (machine, pacer) = (machine(), FakePacer::endless());
    let kernel = machine.kernel();
    let [mut work, _] = works("migrate_cold\nnode_pair=1,0");
    machine.set_memory(etmem_core::kernel::memory::MemoryState {
        swap_total: 0,
        swap_free: 0,
        ..FakeMachine::roomy()
    });
    work.step(&kernel, &pacer);
    assert!(machine.monitoring().acts);
    machine.set_pressure(Some(Pressure { some_avg10: Share::of_hundredths(2500), ..Pressure::default() }));
    let report = work.step(&kernel, &pacer);
    assert!(!machine.monitoring().acts && watched(&machine).len() == 3, "it watches on");
    assert_eq!(reasons(&report), [Some(ReasonName::Pressure); 2]);
    assert!(report.events[0].text.to_string().starts_with("the action is paused: "), "{report:?}");
    machine.set_pressure(None);
    assert_eq!(reasons(&work.step(&kernel, &pacer)), [None; 2]);
    assert!(machine.monitoring().acts);
}

#[test]
fn groups_that_the_kernel_does_not_watch_are_said() {
    let (machine, pacer) = (machine(), FakePacer::endless());
    let kernel = machine.kernel();
    machine.change_monitoring(|kernel| kernel.most_groups = 2);
    let [mut work, _] = works("migrate_cold\nnode_pair=1,0");
    let report = work.step(&kernel, &pacer);
    assert_eq!(reasons(&report), [None, Some(ReasonName::KernelRefused)]);
    let text = report.groups.unwrap()[1].text.to_string();
    assert!(text.contains("the kernel watches 1 of its 2 groups: etmem has no more monitors"), "{text}");
}

#[test]
fn a_refusal_of_the_kernel_is_said_and_all_is_set_up_again() {
    let (machine, pacer) = (machine(), FakePacer::endless());
    let kernel = machine.kernel();
    let [mut work, _] = works("migrate_cold\nnode_pair=1,0");
    work.step(&kernel, &pacer);
    let refused = ProcessError::refused("DAMON is in use by another program", "1 kdamonds are set up");
    machine.change_monitoring(|kernel| kernel.fails = Some(refused.clone()));
    let report = work.step(&kernel, &pacer);
    assert_eq!((report.fault, report.groups.map(|groups| groups.len())), (Some(refused), Some(0)));
    machine.change_monitoring(|kernel| kernel.fails = None);
    work.step(&kernel, &pacer);
    assert_eq!((watched(&machine).len(), machine.monitoring().begun), (3, 2));
    // A node that is gone is no reason to act on others.
    machine.change_nodes(|nodes| nodes.truncate(1));
    let [mut work, _] = works("migrate_cold\nnode_pair=1,0");
    let fault = work.step(&kernel, &pacer).fault.unwrap().to_string();
    assert!(fault.contains("node_pair=1,0: there is no node 1 with memory; this machine has 0"), "{fault}");
}

#[test]
fn what_the_machine_lacks_is_refused_before_anything_runs() {
    let machine = machine();
    let [mut work, _] = works("migrate_cold\nnode_pair=1,0");
    let lacks = ProcessError::refused("DAMON", "this kernel does not move memory between nodes");
    machine.change_monitoring(|kernel| kernel.cannot_migrate = Some(lacks));
    let error = work.prepare(&machine.kernel()).unwrap_err();
    let want = "[engine] action=migrate_cold: DAMON: this kernel does not move memory between nodes";
    assert_eq!((error.to_string(), error.class()), (want.to_owned(), FaultClass::Internal));
    machine.change_nodes(|nodes| nodes.truncate(1));
    let want = "[engine] node_pair=1,0: there is no node 1 with memory; this machine has 0";
    assert_eq!(work.prepare(&machine.kernel()).unwrap_err().to_string(), want);
    let file = file("migrate_cold\nnode_pair=1,0", ["type=cgroup\nvalue=a"; 2]);
    assert_eq!(made(&file).check(&machine).unwrap_err().to_string(), want);
    assert_eq!(made(&self::file("pageout", ["type=cgroup\nvalue=a"; 2])).check(&machine), Ok(()));
}

#[test]
fn tasks_name_control_groups() {
    let targets = [
        ("type=name\nvalue=mysqld", "name"),
        ("type=pid\nvalue=1", "pid"),
        ("type=exe\nvalue=/bin/a", "exe"),
    ];
    for (target, word) in targets {
        let file = file("migrate_hot\nnode_pair=1,0", [target, "type=cgroup\nvalue=a"]);
        let engine = made(&file);
        let error = engine.work(&file.projects[0], &file.tasks[0]).unwrap_err();
        let want = format!(
            "[task] type={word}: must be cgroup with action=migrate_hot, which moves memory by its control group; write type=cgroup, and as \
             value the path in /proc/PID/cgroup of the program that is meant"
        );
        assert_eq!(
            (error.to_string(), error.key(), error.class()),
            (want, Some("type"), FaultClass::Internal)
        );
        assert!(engine.work(&file.projects[0], &file.tasks[1]).is_ok());
    }
}

#[test]
fn a_person_learns_which_groups_are_meant() {
    let machine = machine();
    let notes = |value: &str| {
        let file = file("migrate_cold\nnode_pair=1,0", [value, value]);
        made(&file).work(&file.projects[0], &file.tasks[0]).unwrap().notes(&machine.kernel())
    };
    assert_eq!(notes("type=cgroup\nvalue=a/*"), [""; 0]);
    assert_eq!(notes("type=cgroup\nvalue=c"), ["task t0: no control group c yet; waiting for one"]);
}

#[test]
fn nothing_is_done_after_a_stop() {
    let machine = machine();
    let [mut work, _] = works("migrate_cold\nnode_pair=1,0");
    let pacer = FakePacer::stopping_after(0);
    let _ = pacer.pause(Duration::ZERO);
    assert!(work.step(&machine.kernel(), &pacer).stopped);
    assert_eq!(machine.monitoring().begun, 0);
}
