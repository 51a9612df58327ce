//! Where pages lie after some cycles, and that every cycle keeps within its quota.

use super::stand::{MIB, Memory, START, file, keys, lying, made, moved, pairs, placed, step, works};
use etmem_core::address::AddressRange;
use etmem_core::kernel::nodes::{NodeId, OwnPlacement};
use etmem_core::kernel::probe::Access;
use etmem_engine::ReasonName;
use etmem_testkit::fake::{FakeMachine, Script};

/// Looks in a cycle.
const LOOPS: u64 = 3;

/// The cycle in which the hot set of `moving` changes.
const CHANGE: u64 = 5;

fn fifth(page: u64, _: u64) -> Access {
    if page.is_multiple_of(5) { Access::WRITTEN } else { Access::IDLE }
}

fn is_fifth(page: usize) -> bool {
    page.is_multiple_of(5)
}

fn moving(page: u64, window: u64) -> Access {
    fifth(page + u64::from(window >= CHANGE * LOOPS), window)
}

#[derive(Debug, Clone, Copy)]
struct Case {
    memory: Memory,
    /// Fast and slow node of each pair, and how a file may write them.
    pairs: &'static [(u16, u16)],
    written: &'static str,
    fast: u64,
    slow: u64,
    size: u64,
    quota: u64,
    reserve: u64,
}

const BASE_2: Case = Case {
    memory: Memory::Base,
    pairs: &[(0, 1)],
    written: "1,0",
    fast: 64 * MIB,
    slow: 256 * MIB,
    size: 200 * MIB,
    quota: 48,
    reserve: 64,
};

const HUGE_2: Case = Case {
    memory: Memory::Huge,
    fast: 640 * MIB,
    slow: 2560 * MIB,
    size: 2000 * MIB,
    quota: 480,
    reserve: 640,
    ..BASE_2
};

const BASE_4: Case = Case { pairs: &[(0, 2), (1, 3)], written: "0,2;3,1", ..BASE_2 };
const HUGE_4: Case = Case { pairs: &[(0, 2), (1, 3)], written: "0,2;3,1", ..HUGE_2 };

impl Case {
    fn pids(&self) -> Vec<u32> {
        (42..).take(self.pairs.len()).collect()
    }

    /// A process for each pair, all of whose pages begin on the slow node.
    fn machine(&self, script: Script) -> FakeMachine {
        let nodes = self.pairs.iter().flat_map(|(fast, slow)| {
            [self.memory.node(*fast, true, self.fast), self.memory.node(*slow, false, self.slow)]
        });
        let mut nodes: Vec<_> = nodes.collect();
        nodes.sort_by_key(|node| node.id);
        let processes = self
            .pids()
            .into_iter()
            .zip(self.pairs)
            .map(|(pid, (_, slow))| self.memory.process(pid, self.size, script).placed(|_| *slow));
        FakeMachine::new(FakeMachine::roomy(), processes.collect()).with_nodes(nodes)
    }

    /// After `cycles`: each within its quota.
    fn run(&self, script: Script, cycles: u64) -> FakeMachine {
        let machine = self.machine(script);
        let file = file(&keys(self.written, self.quota, self.reserve), &[self.memory.task()]);
        let engine = made(&file);
        let mut works = works(&file, &*engine);
        for cycle in 0..cycles {
            let report = step(&mut *works[0], &machine);
            assert_eq!((report.fault.as_ref(), pairs(&report).len()), (None, self.pairs.len()), "{self:?}");
            let moved = moved(&machine);
            for (way, bytes) in &moved {
                assert!(*bytes <= self.quota * MIB, "{self:?}: {bytes} bytes move {way:?} in cycle {cycle}");
                let pair = |(fast, slow): &(u16, u16)| [(*fast, *slow), (*slow, *fast)].contains(way);
                assert!(self.pairs.iter().any(pair), "{self:?}: nodes {way:?} are no pair");
            }
            // What is reported is what moved.
            for (report, (fast, slow)) in pairs(&report).into_iter().zip(self.pairs) {
                assert_eq!((report.pair.fast, report.pair.slow), (NodeId(*fast), NodeId(*slow)));
                let sum = |way| moved.iter().find(|(known, _)| *known == way).map_or(0, |(_, sum)| *sum);
                assert_eq!((report.up.bytes, report.down.bytes), (sum((*slow, *fast)), sum((*fast, *slow))));
                assert_eq!(report.up.pages.failed() + report.down.pages.failed(), 0, "{report}");
            }
        }
        machine
    }

    /// At least 95 % of the pages that `hot` picks lie on fast nodes, and of the others on slow ones.
    fn check(&self, machine: &FakeMachine, hot: impl Fn(usize) -> bool) {
        let pids = self.pids();
        let on = |nodes: [u16; 2], pick: &dyn Fn(usize) -> bool| -> u64 {
            nodes.iter().map(|node| lying(machine, &pids, *node, pick)).sum()
        };
        for (fast, slow) in self.pairs {
            let own =
                |pick: &dyn Fn(usize) -> bool| [on([*fast, u16::MAX], pick), on([*slow, u16::MAX], pick)];
            let [hot_fast, hot_slow] = own(&hot);
            let [cold_fast, cold_slow] = own(&|page| !hot(page));
            assert!(hot_fast * 100 >= (hot_fast + hot_slow) * 95, "{self:?}: hot {hot_fast} {hot_slow}");
            // Room beyond the reserve belongs to the warmest of the cold.
            let room = self.fast.saturating_sub(self.reserve * MIB).saturating_sub(hot_fast);
            let displaced = cold_fast.saturating_sub(room);
            assert!(displaced * 100 <= (cold_fast + cold_slow) * 5, "{self:?}: cold {cold_fast} {cold_slow}");
        }
    }
}

#[test]
fn after_five_cycles_hot_is_fast_and_cold_is_slow() {
    for case in [BASE_2, HUGE_2, BASE_4, HUGE_4] {
        for reserve in [0, 1, case.fast / MIB / 2, case.fast / MIB, 1 << 30] {
            for quota in [case.fast / MIB / 4, case.fast / MIB, 1 << 20] {
                let case = Case { reserve, quota, ..case };
                case.check(&case.run(fifth, 5), is_fifth);
            }
        }
    }
}

#[test]
fn a_full_fast_node_is_turned_over() {
    // All of it is cold, and there is nothing free: every hot page needs a cold one to go.
    for case in [BASE_2, HUGE_2] {
        let case = Case { reserve: 0, ..case };
        let machine = case.machine(fifth);
        let process = machine.process(42).unwrap();
        let cold_on_fast = (0..process.places.len()).filter(|page| !is_fifth(*page));
        let fill: Vec<usize> =
            cold_on_fast.take(usize::try_from(case.fast / process.page_size()).unwrap()).collect();
        let process = process.placed(|page| u16::from(fill.binary_search(&page).is_err()));
        let nodes = vec![case.memory.node(0, true, case.fast), case.memory.node(1, false, case.slow)];
        let machine = FakeMachine::new(FakeMachine::roomy(), vec![process]).with_nodes(nodes);
        assert_eq!(case.memory.free(&machine, 0), 0);
        let file = file(&keys(case.written, case.quota, case.reserve), &[case.memory.task()]);
        let mut works = works(&file, &*made(&file));
        for _ in 0..5 {
            step(&mut *works[0], &machine);
            let down = machine.take_moves();
            assert!(down.iter().all(|one| one.bytes <= case.quota * MIB));
            assert!(down.is_empty() || down[0].from == NodeId(0), "cold pages go first");
        }
        case.check(&machine, is_fifth);
    }
}

#[test]
fn a_hot_set_that_moves_is_followed_within_three_cycles() {
    for case in [BASE_2, HUGE_2, BASE_4, HUGE_4] {
        case.check(&case.run(moving, CHANGE), is_fifth);
        case.check(&case.run(moving, CHANGE + 3), |page| is_fifth(page + 1));
    }
}

#[test]
fn of_more_hot_pages_than_the_quota_the_hottest_go_first() {
    // Pages that are read and pages that are written, one after the other.
    fn script(page: u64, _: u64) -> Access {
        if page.is_multiple_of(2) { Access::READ } else { Access::WRITTEN }
    }
    let case = Case { quota: 24, reserve: 0, ..BASE_2 };
    let machine = case.run(script, 1);
    assert_eq!(lying(&machine, &[42], 0, |page| page % 2 == 1), 24 * MIB);
    assert_eq!(lying(&machine, &[42], 0, |page| page % 2 == 0), 0);
}

#[test]
fn the_same_memory_placed_well_stays() {
    for case in [BASE_2, HUGE_2] {
        let case = Case { quota: 1 << 20, ..case };
        let machine = case.run(fifth, 3);
        let file = file(&keys(case.written, case.quota, case.reserve), &[case.memory.task()]);
        let report = step(&mut *works(&file, &*made(&file))[0], &machine);
        assert!(pairs(&report)[0].planned.is_none(), "{}", pairs(&report)[0]);
        assert_eq!(moved(&machine), []);
    }
}

#[test]
fn nothing_moves_without_a_quota() {
    let case = Case { quota: 0, ..HUGE_2 };
    let machine = case.run(fifth, 2);
    assert_eq!(lying(&machine, &[42], 0, |_| true), 0);
}

/// A process of two nodes' memory: the first half of its pages on node 1 is hot, the second on node 0 is cold.
fn crossed(own_placement: OwnPlacement) -> FakeMachine {
    fn halves(page: u64, _: u64) -> Access {
        if page < 512 { Access::WRITTEN } else { Access::IDLE }
    }
    let mut process = Memory::Base.process(7, 4 * MIB, halves).placed(|page| u16::from(page < 512));
    process.own_placement = own_placement;
    let nodes = vec![Memory::Base.node(0, true, 64 * MIB), Memory::Base.node(1, false, 64 * MIB)];
    FakeMachine::new(FakeMachine::roomy(), vec![process]).with_nodes(nodes)
}

#[test]
fn memory_that_the_program_bound_stays_where_it_is() {
    let file = file(&keys("1,0", 64, 0), &[Memory::Base.task()]);
    let range = AddressRange::new(START, START + 4 * MIB);
    let allowed = |nodes: &[u16]| Some(nodes.iter().copied().map(NodeId).collect());
    let own = OwnPlacement { present_bytes: 4 * MIB, ..OwnPlacement::default() };
    let bound = OwnPlacement { bound: vec![range], bound_bytes: 4 * MIB, ..own.clone() };
    for (what, own, stays) in [
        ("nothing of its own", own.clone(), false),
        ("a cpuset of both nodes", OwnPlacement { allowed: allowed(&[0, 1]), ..own.clone() }, false),
        ("a policy", bound, true),
        ("a cpuset of one node", OwnPlacement { allowed: allowed(&[1]), ..own }, true),
    ] {
        let machine = crossed(own);
        let engine = made(&file);
        let report = step(&mut *works(&file, &*engine)[0], &machine);
        let placed = placed(&report, 0);
        assert_eq!(moved(&machine).is_empty(), stays, "{what}: {placed:?}");
        assert_eq!(placed.bound, if stays { 4 * MIB } else { 0 }, "{what}");
        let reason = report.processes[0].reason.as_ref().map(|reason| reason.name);
        assert_eq!(reason == Some(ReasonName::Bound), stays, "{what}: {reason:?}");
    }
}
