//! A psi task over scripted groups, round after round.

use super::Psi;
use super::settings::Settings;
use crate::contract::{Engine, TaskRunner};
use crate::figures::{MOVED, REFAULTED, WOULD_MOVE};
use crate::reason::ReasonName;
use crate::report::{Event, GroupReport, GroupResult, Level, StepReport};
use etmem_config::ConfigFile;
use etmem_core::kernel::groups::{Group, GroupError, GroupMemory, GroupPressure, Stall, Swappiness};
use etmem_core::kernel::memory::MemoryState;
use etmem_core::kernel::pacer::Pacer;
use etmem_core::kernel::pressure::Share;
use etmem_testkit::fake::{FakeGroup, FakeMachine, FakePacer, GroupFault};
use std::path::Path;
use std::time::Duration;

const MIB: u64 = 1 << 20;

fn file(keys: &str) -> ConfigFile {
    let text = format!(
        "[project]\nname=p\nscan_type=psi\ninterval=10\n[engine]\nproject=p\nname=psi\n\
         [task]\nproject=p\nengine=psi\nname=t\ncg_dir=a/*\n{}\n",
        keys.replace(' ', "\n")
    );
    etmem_config::parse(Path::new("test.yaml"), &text, &crate::keys()).unwrap()
}

pub(super) fn settings(keys: &str) -> Settings {
    let file = file(keys);
    Settings::new(&file.projects[0], &file.tasks[0]).unwrap()
}

/// Rounds over a new group that take less than their share.
const TRIALS: usize = 6;

/// A task and its machine.
struct Stand {
    machine: FakeMachine,
    task: Box<dyn TaskRunner>,
    pacer: FakePacer,
}

impl Stand {
    fn new(keys: &str, groups: Vec<FakeGroup>) -> Self {
        let mut stand = Self::fresh(keys, Vec::new());
        // Each group has had its trials, while it had little.
        for one in &groups {
            let group = FakeGroup { group: one.group.clone(), ..FakeGroup::new("", 0, 64 * MIB, 0) };
            stand.machine.make_group(FakeGroup { takes_swappiness: one.takes_swappiness, ..group });
        }
        for _ in 0..TRIALS {
            stand.round();
        }
        groups.into_iter().for_each(|group| stand.machine.make_group(group));
        stand
    }

    /// The groups are new to the task.
    fn fresh(keys: &str, groups: Vec<FakeGroup>) -> Self {
        let machine = FakeMachine::new(FakeMachine::roomy(), Vec::new());
        groups.into_iter().for_each(|group| machine.make_group(group));
        let file = file(keys);
        let task = Psi.work(&file.projects[0], &file.tasks[0]).unwrap();
        Self { machine, task, pacer: FakePacer::endless() }
    }

    fn round(&mut self) -> StepReport {
        let report = self.task.step(&self.machine.kernel(), &self.pacer);
        let _ = self.pacer.pause(self.task.period());
        report
    }

    /// What became of the only group in a round.
    fn only(&mut self) -> GroupReport {
        let report = self.round();
        report.groups.unwrap().remove(0)
    }

    fn reasons(&mut self) -> Vec<Option<ReasonName>> {
        let groups = self.round().groups.unwrap();
        groups.iter().map(|group| group.reason.as_ref().map(|reason| reason.name)).collect()
    }

    fn group(&self, path: &str) -> FakeGroup {
        self.machine.group_at(path).unwrap()
    }
}

fn stall(hundredths: u32) -> Option<Stall> {
    Some(Stall { avg10: Share::of_hundredths(0), avg60: Share::of_hundredths(hundredths) })
}

fn group() -> FakeGroup {
    FakeGroup::new("a/b", 7, 200 * MIB, 200 * MIB)
}

/// What a round warns of, for all groups together, but that the kernel cannot be asked to look at them.
fn warnings(report: &StepReport) -> impl Iterator<Item = &Event> {
    report.events.iter().filter(|event| event.level == Level::Warn && event.key != "no_looks")
}

#[test]
fn a_round_takes_its_share_of_what_is_above_the_floor_piece_by_piece() {
    let mut stand = Stand::new("reclaim_rate=0.25 limit_min_bytes=41943040 max_rate=none", vec![group()]);
    let report = stand.only();
    assert_eq!((report.result, report.reason), (GroupResult::Reclaimed, None));
    // A quarter of 360 MiB.
    let after = stand.group("a/b");
    let sizes: Vec<u64> = after.requests.iter().map(|(bytes, _)| *bytes / MIB).collect();
    assert_eq!((sizes, after.memory.current), (vec![32, 32, 26], 310 * MIB));
    assert_eq!(report.figures.get(&MOVED), Some(90 * MIB));
    let text = report.text.to_string();
    let want = "uses 400 MiB, keeps 40 MiB, asked for 92160 KiB, 92160 KiB left (rate 0.25), memory some 0.00 %, io some 0.00 %";
    assert_eq!(text, want);
}

#[test]
fn a_little_leaves_first_and_more_only_if_it_stays_out() {
    let asked = |hot: u64| {
        let group = FakeGroup { hot, ..FakeGroup::new("a/b", 7, 0, 400 * MIB) };
        let mut stand = Stand::fresh("reclaim_rate=0.1 max_rate=none", vec![group]);
        let mut asked = Vec::new();
        for _ in 0..8 {
            let before = stand.group("a/b").requests.len();
            stand.round();
            asked.push(
                stand.group("a/b").requests[before..].iter().map(|(bytes, _)| bytes / MIB).sum::<u64>(),
            );
        }
        asked
    };
    assert_eq!(asked(0), [0, 1, 2, 4, 9, 19, 36, 32]);
    // All of it is read back at once.
    assert_eq!(asked(400 * MIB)[..4], [0; 4]);
    let mut stand = Stand::fresh("max_rate=none", vec![group()]);
    let reason = stand.only().reason.unwrap();
    assert_eq!(
        (reason.name, reason.text.as_str()),
        (ReasonName::Later, "a little of its share leaves first, to see whether it stays out")
    );
}

#[test]
fn what_the_kernel_has_seen_idle_twice_leaves_and_nothing_else() {
    let group =
        FakeGroup { looks: Some(Vec::new()), hot: 50 * MIB, ..FakeGroup::new("a/b", 7, 0, 200 * MIB) };
    let mut stand = Stand::fresh("reclaim_rate=0.2 max_rate=none", vec![group]);
    let mut reasons = Vec::new();
    // Of ten seconds each.
    for _ in 0..40 {
        reasons.push(stand.only().reason.map(|reason| reason.name));
    }
    assert_eq!(reasons[..3], [Some(ReasonName::Looking); 3]);
    let after = stand.group("a/b");
    assert_eq!(after.memory.counters.refaulted_anon, 0);
    assert!((50 * MIB..52 * MIB).contains(&after.memory.current), "{}", after.memory.current);
    assert_eq!(reasons[39], Some(ReasonName::AllInUse));
    assert_eq!(after.looks.as_deref().map(<[Duration]>::len), Some(14));
    let mut dry = Stand::fresh("dry_run=yes", vec![FakeGroup { looks: Some(Vec::new()), ..after }]);
    dry.round();
    assert_eq!(dry.group("a/b").looks, Some(Vec::new()), "a dry run asks the kernel for nothing");
    let mut unable = Stand::fresh("", vec![FakeGroup::new("a/b", 7, 0, 200 * MIB)]);
    let said = unable.round().events.iter().map(|event| event.text.to_string()).collect::<String>();
    assert!(said.starts_with("the kernel cannot be asked to look at what is in use"), "{said}");
}

/// Only what two looks in a row find is believed.
#[test]
fn what_a_look_that_passed_over_programs_has_as_idle_stays() {
    let group =
        FakeGroup { looks: Some(Vec::new()), hot: 100 * MIB, ..FakeGroup::new("a/b", 7, 0, 200 * MIB) };
    let mut stand = Stand::fresh("reclaim_rate=0.9 max_rate=none", vec![group]);
    let mut reasons = Vec::new();
    for round in 0..40 {
        stand.machine.change_group("a/b", |group| group.passed_over = round % 6 == 0);
        reasons.push(stand.only().reason.map(|reason| reason.name));
    }
    let after = stand.group("a/b");
    assert_eq!(after.memory.counters.refaulted_anon, 0, "{reasons:?}");
    assert!(after.memory.current < 104 * MIB, "{}", after.memory.current);
    assert!(reasons[10..].contains(&Some(ReasonName::Looking)), "idle by one look alone: {reasons:?}");
    assert!(reasons[10..].contains(&Some(ReasonName::AllInUse)));
}

/// While a gate holds, all of it comes into use, and the first look after it passes over its programs.
#[test]
fn what_was_idle_before_a_gate_held_is_not_believed_after_it() {
    let group =
        FakeGroup { looks: Some(Vec::new()), hot: 100 * MIB, ..FakeGroup::new("a/b", 7, 0, 200 * MIB) };
    let mut stand = Stand::fresh("reclaim_rate=0.1 max_rate=none", vec![group]);
    // A look each third round.
    for round in 0..21 {
        stand.machine.change_group("a/b", |group| {
            group.pressure.memory = stall(if (6..18).contains(&round) { 5000 } else { 0 });
            group.hot = if round < 6 { 100 * MIB } else { 200 * MIB };
            group.passed_over = round == 18;
        });
        let before = stand.group("a/b").requests.len();
        let reason = stand.only().reason.map(|reason| reason.name);
        let asked = stand.group("a/b").requests.len() > before;
        match round {
            4 | 5 => assert!(asked, "{round}: {reason:?}"),
            6.. => assert!(!asked, "{round}: {reason:?}"),
            _ => {}
        }
    }
}

/// A request for both would take anonymous pages as the kernel likes: those that are in use.
#[test]
fn files_leave_alone_where_more_of_them_is_idle() {
    let group = FakeGroup {
        looks: Some(Vec::new()),
        hot: 90 * MIB,
        ..FakeGroup::new("a/b", 7, 200 * MIB, 100 * MIB)
    };
    let mut stand = Stand::fresh("reclaim_rate=0.5 max_rate=none", vec![group]);
    for _ in 0..40 {
        stand.round();
    }
    let after = stand.group("a/b");
    let with: Vec<_> = after.requests.iter().map(|(_, with)| *with).collect();
    assert_eq!(with[0], Some(Swappiness::FILE_ONLY));
    assert!(with.iter().any(|with| *with != Some(Swappiness::FILE_ONLY)), "{with:?}");
    assert_eq!(after.memory.counters.refaulted_anon, 0);
    assert!(after.memory.file < 10 * MIB && after.memory.anon < 100 * MIB, "{:?}", after.memory);
}

#[test]
fn of_what_the_kernel_has_as_in_use_a_little_leaves() {
    for (active, want) in [(0, 40), (120, 40), (140, 30), (190, 5), (200, 0)] {
        let mut group = FakeGroup::new("a/b", 7, 0, 200 * MIB);
        group.memory.active_anon = active * MIB;
        let mut stand = Stand::new("reclaim_rate=0.2 max_rate=none", vec![group]);
        let report = stand.only();
        let asked: u64 = stand.group("a/b").requests.iter().map(|(bytes, _)| bytes / MIB).sum();
        let is_trial = report.reason.is_some_and(|reason| reason.name == ReasonName::Later);
        assert_eq!((asked, is_trial), (want, want < 40), "{active}");
    }
}

#[test]
fn the_rate_that_adapts_is_the_one_that_is_used() {
    let mut stand = Stand::new("reclaim_rate=0.1 max_rate=none max_refault=none", vec![group()]);
    let mut asked = Vec::new();
    for _ in 0..7 {
        let before = stand.group("a/b");
        stand.round();
        let after = stand.group("a/b");
        let bytes: u64 = after.requests[before.requests.len()..].iter().map(|(bytes, _)| bytes).sum();
        // In percent, rounded.
        asked.push((bytes * 100 + before.memory.current / 2) / before.memory.current);
    }
    assert_eq!(asked, [10, 10, 10, 10, 10, 11, 11]);
}

#[test]
fn a_group_whose_programs_wait_is_left_alone() {
    let pressed = |memory, io| FakeGroup { pressure: GroupPressure { memory, io }, ..group() };
    for (keys, memory, io, want) in [
        ("", stall(10), stall(0), Some(ReasonName::Pressure)),
        ("", stall(9), stall(9), None),
        ("pressure=5", stall(499), stall(0), None),
        ("pressure=5", stall(500), stall(0), Some(ReasonName::Pressure)),
        ("", stall(0), stall(10), Some(ReasonName::IoPressure)),
        ("io_pressure=none", stall(0), stall(9999), None),
        ("io_pressure=2", stall(0), stall(199), None),
    ] {
        let mut stand = Stand::new(&format!("{keys} max_rate=none"), vec![pressed(memory, io)]);
        assert_eq!(stand.reasons(), [want], "{keys}");
        assert_eq!(stand.group("a/b").requests.is_empty(), want.is_some(), "{keys}");
    }
}

#[test]
fn without_psi_the_other_gates_go_on_and_it_is_said() {
    let blind = FakeGroup { pressure: GroupPressure::default(), hot: 200 * MIB, ..group() };
    let mut stand = Stand::new("reclaim_rate=0.5 max_rate=none", vec![blind]);
    let report = stand.round();
    let [event] = warnings(&report).collect::<Vec<_>>()[..] else { panic!("{report:?}") };
    assert!(event.text.to_string().contains("how long programs of a/b wait"), "{}", event.text);
    assert_eq!((event.level, event.repeated), (Level::Warn, None));
    // File pages are gone, and of the rest all is hot.
    for _ in 0..6 {
        stand.round();
    }
    assert_eq!(stand.reasons(), [Some(ReasonName::TooManyRefaults)]);
}

/// No program waits at all: what is refaulted is enough to back off, within two rounds.
#[test]
fn a_hot_set_that_grows_stops_it_and_ends_in_memory() {
    let start = FakeGroup { hot: 20 * MIB, ..FakeGroup::new("a/b", 7, 0, 400 * MIB) };
    let mut stand = Stand::new("reclaim_rate=0.2 max_rate=none", vec![start]);
    for _ in 0..8 {
        stand.round();
    }
    assert!(stand.group("a/b").memory.anon < 100 * MIB);
    stand.machine.change_group("a/b", |group| group.hot = 160 * MIB);
    let within_two = [stand.only(), stand.only()];
    let held = within_two.iter().find(|report| report.result == GroupResult::Held).unwrap();
    let reason = held.reason.as_ref().unwrap();
    assert_eq!(reason.name, ReasonName::TooManyRefaults);
    assert!(reason.text.contains("far more was refaulted than max_refault allows"), "{}", reason.text);
    assert!(held.text.to_string().contains(&reason.text) && held.events[0].level == Level::Warn);
    assert!(within_two.iter().any(|report| report.figures.get(&REFAULTED) > Some(50 * MIB)));
    let _ = stand.group("a/b");
    for _ in 0..5 {
        assert_eq!(stand.only().result, GroupResult::Held);
        assert!(stand.group("a/b").memory.anon >= 160 * MIB, "all that is hot is in memory");
    }
}

#[test]
fn what_programs_read_back_for_other_reasons_holds_nothing_back() {
    let mut stand = Stand::fresh("max_rate=none", vec![group()]);
    stand.machine.change_group("a/b", |group| group.memory.counters.refaulted_file = 900 * MIB);
    let first = stand.only();
    assert_eq!(first.figures.get(&REFAULTED), Some(0), "before the first round: not of this task at all");
    stand.machine.change_group("a/b", |group| group.memory.counters.refaulted_file = 9000 * MIB);
    let left = first.figures.get(&MOVED);
    assert!(left > Some(0), "{left:?}");
    assert_eq!(stand.only().figures.get(&REFAULTED), left, "beyond what it took: not of it either");
}

#[test]
fn file_pages_only_where_swap_may_take_no_more() {
    let no_swap = MemoryState { swap_total: 0, swap_free: 0, ..FakeMachine::roomy() };
    let used = MemoryState { swap_total: 100 * MIB, swap_free: 10 * MIB, ..FakeMachine::roomy() };
    for (memory, takes, want) in [
        (no_swap, true, Some((20 * MIB / 2, None))),
        (used, true, Some((20 * MIB / 2, Some(Swappiness::FILE_ONLY)))),
        (used, false, None),
    ] {
        let small = FakeGroup { takes_swappiness: takes, ..FakeGroup::new("a/b", 7, 20 * MIB, 80 * MIB) };
        let mut stand = Stand::new("reclaim_rate=0.5 max_rate=none", vec![small]);
        stand.machine.set_memory(memory);
        let report = stand.round();
        assert_eq!(stand.group("a/b").requests, want.into_iter().collect::<Vec<_>>(), "{memory:?}");
        let reason = report.groups.unwrap()[0].reason.as_ref().map(|reason| reason.name);
        assert_eq!(reason, want.is_none().then_some(ReasonName::SwapUse));
        let said = report.events.iter().any(|event| event.text.to_string().contains("has no swap"));
        assert_eq!(said, memory.swap_total == 0);
    }
    let mut stand = Stand::new("", vec![FakeGroup::new("a/b", 7, 0, 80 * MIB)]);
    stand.machine.set_memory(no_swap);
    assert_eq!(stand.reasons(), [Some(ReasonName::NoSwap)]);
}

#[test]
fn a_kernel_that_takes_no_swappiness_is_asked_without_and_it_is_said_once() {
    let old = FakeGroup { takes_swappiness: false, ..group() };
    let mut stand = Stand::new("max_rate=none", vec![old]);
    for _ in 0..2 {
        let report = stand.round();
        assert_eq!(
            warnings(&report).map(|event| event.text.to_string()).collect::<Vec<_>>(),
            [
                "this kernel's memory.reclaim does not take swappiness=, which Linux 6.9 and later do; it is left out"
            ]
        );
    }
    assert_eq!(stand.group("a/b").requests.iter().map(|(_, with)| *with).collect::<Vec<_>>(), [None, None]);
    for (keys, want) in [("swappiness=150", Swappiness::new(150)), ("swappiness=none", None)] {
        let mut stand = Stand::new(keys, vec![group()]);
        stand.round();
        assert_eq!(stand.group("a/b").requests[0].1, want);
    }
}

/// Each ends as an outcome with a reason, and the group beside it has its round.
#[test]
fn what_fails_with_one_group_concerns_no_other() {
    let refused =
        || GroupError::refused("/sys/fs/cgroup/a/b/memory.reclaim", "Read-only file system (os error 30)");
    for (fault, want) in [
        (GroupFault::Memory(GroupError::Removed), ReasonName::GroupRemoved),
        (GroupFault::Memory(GroupError::NoMemory), ReasonName::GroupNoMemory),
        (GroupFault::Pressure(refused()), ReasonName::KernelRefused),
        (GroupFault::Reclaim(0, GroupError::Removed), ReasonName::GroupRemoved),
        (GroupFault::Reclaim(1, refused()), ReasonName::KernelRefused),
        (GroupFault::NothingFound, ReasonName::NoMore),
    ] {
        let faulty = FakeGroup { fault: Some(fault.clone()), ..group() };
        let other = FakeGroup::new("a/c", 8, 200 * MIB, 0);
        let mut stand = Stand::new("reclaim_rate=0.2 max_rate=none", vec![faulty, other]);
        for _ in 0..2 {
            assert_eq!(stand.reasons(), [Some(want), None], "{fault:?}");
        }
        assert_eq!(stand.group("a/c").memory.current, 128 * MIB);
    }
}

#[test]
fn a_group_that_comes_back_under_the_same_path_is_another_one() {
    let pressed = GroupPressure { memory: stall(9999), io: stall(0) };
    let mut stand = Stand::new("max_rate=none", vec![FakeGroup { pressure: pressed, ..group() }]);
    for _ in 0..4 {
        stand.round();
    }
    assert!(stand.only().text.to_string().contains("(rate 0.03)"));
    stand.machine.remove_group("a/b");
    assert!(stand.round().is_empty());
    stand.machine.make_group(FakeGroup { group: Group { path: "a/b".into(), id: 9 }, ..group() });
    assert!(stand.only().text.to_string().contains("(rate 0.05)"));
}

#[test]
fn floors_and_promises_are_kept() {
    let limited = |memory| FakeGroup { memory, ..group() };
    let memory = group().memory;
    for (keys, group, want) in [
        ("limit_min_bytes=500000000", limited(memory), ReasonName::AtFloor),
        ("limit_min_ratio=1", limited(GroupMemory { limit: Some(300 * MIB), ..memory }), ReasonName::AtFloor),
        ("", limited(GroupMemory { promise: 400 * MIB, ..memory }), ReasonName::CgroupProtected),
        ("", limited(GroupMemory { promise: u64::MAX, ..memory }), ReasonName::CgroupProtected),
    ] {
        let mut stand = Stand::new(keys, vec![group]);
        let reasons = stand.reasons();
        let want = if keys.ends_with("ratio=1") { None } else { Some(want) };
        assert_eq!(reasons, [want], "{keys}");
    }
    // A limit below what it has, as after memory.max was lowered: never below the floor, however long.
    let limited = limited(GroupMemory { limit: Some(300 * MIB), ..memory });
    let mut stand = Stand::new("limit_min_ratio=0.5 reclaim_rate=0.5 max_rate=none", vec![limited]);
    for _ in 0..30 {
        stand.round();
    }
    let left = stand.group("a/b").memory.current;
    assert!((150 * MIB..151 * MIB).contains(&left), "{left}");
}

#[test]
fn a_dry_run_asks_for_nothing() {
    let mut stand = Stand::new("dry_run=yes max_rate=none", vec![group()]);
    let report = stand.only();
    assert_eq!(report.reason.unwrap().name, ReasonName::DryRun);
    assert_eq!(report.figures.get(&WOULD_MOVE), Some(20 * MIB));
    assert!(report.text.to_string().contains("dry run: would ask for 20480 KiB"), "{}", report.text);
    assert!(stand.group("a/b").requests.is_empty());
}

#[test]
fn max_rate_leaves_the_rest_for_later() {
    let mut stand = Stand::new("reclaim_rate=0.5 max_rate=1m", vec![group()]);
    let report = stand.only();
    assert_eq!(report.reason.unwrap().name, ReasonName::Later);
    assert_eq!(report.figures.get(&MOVED), Some(10 * MIB), "1 MiB/s for 10 s");
}

#[test]
fn a_stop_comes_between_two_pieces() {
    let mut stand = Stand::new("reclaim_rate=0.5 reclaim_rate_max=1 max_rate=32m", vec![group()]);
    stand.pacer = FakePacer::stopping_after(2);
    let report = stand.only();
    assert_eq!((report.result, report.reason.unwrap().name), (GroupResult::Stopped, ReasonName::Stopped));
    assert_eq!(stand.group("a/b").requests.len(), 2);
    assert!(stand.round().stopped, "nothing is begun after a stop");
}

#[test]
fn groups_that_are_not_there_are_waited_for() {
    let mut stand = Stand::new("", Vec::new());
    assert_eq!(
        stand.task.notes(&stand.machine.kernel()),
        ["task t: no control group a/* yet; waiting for one"]
    );
    assert!(stand.round().groups.unwrap().is_empty());
    stand.machine.refuse_groups(GroupError::refused("/sys/fs/cgroup", "no control groups"));
    let report = stand.round();
    assert_eq!(report.fault.unwrap().to_string(), "/sys/fs/cgroup: no control groups");
    assert_eq!(stand.task.period(), Duration::from_secs(10));
}

#[test]
fn values_that_do_not_go_together_are_taken_and_said() {
    for (keys, want) in [
        ("reclaim_rate=5", "task t: reclaim_rate=5 is outside of its bounds 0.01 and 0.5; 0.5 is used"),
        (
            "reclaim_rate_max=0.005",
            "task t: reclaim_rate_min=0.01 is more than reclaim_rate_max=0.005; 0.005 is used",
        ),
        ("dry_run=yes", "task t: dry_run=yes: it looks and decides, and reclaims nothing"),
    ] {
        let stand = Stand::new(keys, vec![group()]);
        assert_eq!(stand.task.notes(&stand.machine.kernel()), [want]);
    }
}
