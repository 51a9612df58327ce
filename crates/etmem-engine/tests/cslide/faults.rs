//! Faults are reported with counts, and stop no other process or task.

use super::stand::{MIB, Memory, file, keys, lying, made, pairs, placed, refusal, step, works};
use etmem_core::kernel::nodes::Migrated;
use etmem_core::kernel::probe::Access;
use etmem_core::kernel::process::ProcessError;
use etmem_core::plan::Ended;
use etmem_engine::{ProcessResult, TaskRunner};
use etmem_testkit::fake::{FakeMachine, FakePacer};

fn fifth(page: u64, _: u64) -> Access {
    if page.is_multiple_of(5) { Access::WRITTEN } else { Access::IDLE }
}

const KINDS: [Memory; 2] = [Memory::Huge, Memory::Base];

/// Two processes of 100 MiB, on a node that `place` says, of 100 and 400 MiB.
fn machine(memory: Memory, place: fn(usize) -> u16) -> FakeMachine {
    let processes = [42, 43].map(|pid| memory.process(pid, 100 * MIB, fifth).placed(place));
    let nodes = vec![memory.node(0, true, 100 * MIB), memory.node(1, false, 400 * MIB)];
    FakeMachine::new(FakeMachine::roomy(), processes.into()).with_nodes(nodes)
}

fn work(memory: Memory, quota: u64, reserve: u64) -> Box<dyn TaskRunner> {
    let file = file(&keys("1,0", quota, reserve), &[memory.task()]);
    works(&file, &*made(&file)).remove(0)
}

/// The hot pages of both processes that lie on the fast node.
fn hot_and_fast(machine: &FakeMachine) -> u64 {
    lying(machine, &[42, 43], 0, |page| page.is_multiple_of(5))
}

#[test]
fn a_pinned_page_stays_and_the_others_move() {
    for memory in KINDS {
        let machine = machine(memory, |_| 1);
        machine.change(42, |process| process.pinned = [0, 5, 7].into());
        let mut work = work(memory, 1000, 100);
        let report = step(&mut *work, &machine);
        assert_eq!(placed(&report, 0).up.pages.busy, 2, "hot ones, of those that are pinned");
        assert_eq!(placed(&report, 1).up.pages.failed(), 0);
        assert_eq!(pairs(&report)[0].up.pages.busy, 2);
        assert_eq!(hot_and_fast(&machine), 40 * MIB - 2 * memory.page());
        // And again in the next cycle, in case it was let go.
        machine.change(42, |process| process.pinned.clear());
        step(&mut *work, &machine);
        assert_eq!(hot_and_fast(&machine), 40 * MIB);
    }
}

#[test]
fn pages_that_cannot_move_do_not_use_up_the_quota() {
    for memory in KINDS {
        let machine = machine(memory, |_| 1);
        // All hot pages of the first process.
        let pages = usize::try_from(100 * MIB / memory.page()).unwrap();
        machine.change(42, |process| process.pinned = (0..pages).step_by(5).collect());
        let report = step(&mut *work(memory, 10, 100), &machine);
        assert_eq!(placed(&report, 0).up.pages.moved, 0);
        assert_eq!(placed(&report, 1).up.bytes, 10 * MIB);
    }
}

#[test]
fn a_slow_node_without_room_keeps_cold_pages_up() {
    for memory in KINDS {
        // Full, and told so: nothing is planned.
        let told = machine(memory, |page| u16::from(page >= 12));
        told.change_nodes(|nodes| {
            nodes[1].memory.free = 0;
            nodes[1].huge_pool.free = 0;
        });
        let report = step(&mut *work(memory, 1000, 100), &told);
        assert_eq!(pairs(&report)[0].down.pages.failed(), 0, "{}", pairs(&report)[0]);

        // Full, though it says otherwise: tried, told of, and no more comes up than is free.
        let promised = machine(memory, |page| u16::from(page >= 12));
        promised.promise(&[1]);
        let free = memory.free(&promised, 0);
        let report = step(&mut *work(memory, 1000, 100), &promised);
        let pair = pairs(&report)[0];
        assert!(pair.planned.cold_down > 0 && pair.down.pages.no_room > 0, "{pair}");
        assert_eq!(pair.down.bytes, 0);
        assert!(pair.up.bytes > 0 && pair.up.bytes <= free, "{pair}");
        assert_eq!(pair.up.pages.failed(), 0, "less comes up, so that all of it finds room: {pair}");
        assert_eq!(report.fault, None);
    }
}

#[test]
fn what_finds_no_room_below_makes_none_above() {
    for (memory, place) in [
        (Memory::Huge, (|page| u16::from(page >= 25)) as fn(usize) -> u16),
        (Memory::Base, |page| u16::from(page >= 12_800)),
    ] {
        // The fast node is full, so that each hot page needs a cold one to go; which the slow node has no room for.
        let machine = machine(memory, place);
        assert_eq!(memory.free(&machine, 0), 0);
        machine.promise(&[1]);
        let report = step(&mut *work(memory, 1000, 0), &machine);
        let pair = pairs(&report)[0];
        assert_eq!((pair.planned.hot_up, pair.planned.cold_down), (20 * MIB, 20 * MIB));
        assert!(pair.down.pages.no_room > 0, "{pair}");
        assert_eq!((pair.up.bytes, pair.up.pages.failed()), (0, 0), "not even tried: {pair}");
        // Half of it: as many come up as went down.
        machine.promise(&[]);
        machine.change_nodes(|nodes| {
            nodes[1].memory.free = 10 * MIB;
            nodes[1].huge_pool.free = 10 * MIB;
        });
        let report = step(&mut *work(memory, 1000, 0), &machine);
        assert_eq!((pairs(&report)[0].up.bytes, pairs(&report)[0].down.bytes), (10 * MIB, 10 * MIB));
    }
}

#[test]
fn a_fast_node_without_room_is_tried_once() {
    for memory in KINDS {
        let machine = machine(memory, |_| 1);
        machine.promise(&[0]);
        let report = step(&mut *work(memory, 1000, 0), &machine);
        let pair = pairs(&report)[0];
        assert!(pair.up.pages.no_room > 0 && pair.up.bytes == 0, "{pair}");
        assert!(pair.up.pages.no_room * memory.page() <= 2 * 64 * MIB, "not page by page: {pair}");
        assert!(report.processes.iter().all(|one| matches!(one.result, ProcessResult::WorkedOn(_))));
    }
}

#[test]
fn an_empty_pool_of_huge_pages() {
    let machine = machine(Memory::Huge, |_| 1);
    machine.change_nodes(|nodes| nodes[0].huge_pool = Default::default());
    let mut work = work(Memory::Huge, 1000, 0);
    assert!(work.notes(&machine.kernel()).is_empty(), "one node has some");
    let report = step(&mut *work, &machine);
    assert!(pairs(&report)[0].planned.is_none(), "{}", pairs(&report)[0]);
    assert_eq!(placed(&report, 0).hot, 20 * MIB);
    machine.change_nodes(|nodes| nodes[1].huge_pool = Default::default());
    let notes = work.notes(&machine.kernel());
    assert!(notes[0].contains("no node has a pool of huge pages"), "{notes:?}");
}

#[test]
fn a_process_that_dies_on_the_way_is_an_outcome() {
    for memory in KINDS {
        for (window, error) in [(0, ProcessError::Exited), (2, ProcessError::Replaced)] {
            let machine = machine(memory, |_| 1);
            machine.change(42, |process| process.end = Some((window, error.clone())));
            let report = step(&mut *work(memory, 1000, 100), &machine);
            assert_eq!(report.processes[0].result, ProcessResult::Lost(error));
            assert_eq!(placed(&report, 1).up.bytes, 20 * MIB);
        }
        // After its places were asked for; and after its pages were asked for again.
        for questions in [0, 1, 2] {
            let machine = machine(memory, |_| 1);
            machine.change(42, |process| process.exits_after = Some(questions));
            let report = step(&mut *work(memory, 1000, 100), &machine);
            match &report.processes[0].result {
                ProcessResult::Lost(error) => assert_eq!((questions, error), (0, &ProcessError::Exited)),
                ProcessResult::WorkedOn(_) => {
                    let placed = placed(&report, 0);
                    assert_eq!(placed.ended, Some(Ended::Process(ProcessError::Exited)));
                    assert_eq!(placed.up.bytes, 0);
                }
                other => panic!("{other:?}"),
            }
            assert_eq!(placed(&report, 1).up.bytes, 20 * MIB, "the other is served");
        }
    }
}

#[test]
fn pages_that_leave_meanwhile_are_not_missed() {
    let machine = machine(Memory::Base, |_| 1);
    machine.change(42, |process| process.swapped[..1000].fill(true));
    let report = step(&mut *work(Memory::Base, 1000, 100), &machine);
    assert_eq!(placed(&report, 0).up.pages.failed(), 0);
    assert_eq!(report.fault, None);
}

#[test]
fn a_missing_node_is_reported_until_it_is_back() {
    let machine = machine(Memory::Base, |_| 1);
    let mut work = work(Memory::Base, 1000, 100);
    let mut away = Vec::new();
    machine.change_nodes(|nodes| away.extend(nodes.pop()));
    let fault = step(&mut *work, &machine).fault.unwrap().to_string();
    assert!(fault.contains("node_pair=1,0: there is no node 1 with memory; this machine has 0"), "{fault}");
    machine.change_nodes(|nodes| nodes.append(&mut away));
    assert_eq!(step(&mut *work, &machine).fault, None);
    assert_eq!(hot_and_fast(&machine), 40 * MIB);
}

#[test]
fn a_machine_without_nodes() {
    let machine = FakeMachine::new(FakeMachine::roomy(), Vec::new());
    let fault = step(&mut *work(Memory::Base, 1, 1), &machine).fault.unwrap();
    assert_eq!(fault.to_string(), "node_pair: this machine does not tell of its NUMA nodes");
}

#[test]
fn nodes_that_are_not_there_are_refused() {
    let file = file(&keys("1,7", 1, 1), &[Memory::Base.task()]);
    let engine = made(&file);
    let machine = machine(Memory::Base, |_| 1);
    let kernel = machine.kernel();
    let want = "[engine] node_pair=1,7: there is no node 7 with memory; this machine has 0, 1";
    assert_eq!(engine.check(&*kernel.moving.nodes().unwrap().nodes).unwrap_err().to_string(), want);
    assert_eq!(works(&file, &*engine)[0].prepare(&kernel).unwrap_err().to_string(), want);
    let none = FakeMachine::default();
    let want = "[engine] node_pair=1,7: there is no node 1 with memory; this machine has none";
    assert_eq!(engine.check(&none).unwrap_err().to_string(), want);
}

#[test]
fn a_project_of_another_kind_is_refused() {
    let mut file = file(&keys("1,0", 1, 1), &[Memory::Base.task()]);
    let psi = "[project]\nname=p\nscan_type=psi\ninterval=1\n";
    file.projects =
        etmem_config::parse(std::path::Path::new("t"), psi, &etmem_engine::keys()).unwrap().projects;
    assert_eq!(refusal(&file).to_string(), "engine cslide needs a project with scan_type=page");
}

#[test]
fn what_a_person_should_know_at_the_start() {
    let machine = machine(Memory::Base, |_| 1);
    let file = file(
        &keys("1,0", 1, 1),
        &["name=t\ntype=name\nvalue=nobody", "name=u\ntype=pid\nvalue=42\nvm_flags=ht\nanon_only=yes"],
    );
    let works = works(&file, &*made(&file));
    assert_eq!(works[0].notes(&machine.kernel()), ["task t: no process named nobody yet; waiting for it"]);
    assert_eq!(
        works[0].decisions(&machine.kernel()),
        ["engine cslide: node 0 is fast and node 1 slow: node 1 has no processors"]
    );
    let notes = works[1].notes(&machine.kernel());
    assert!(notes[0].starts_with("task u: anon_only=yes leaves nothing of vm_flags=ht"), "{notes:?}");
    assert!(notes[1].starts_with("task u: no node has a pool of huge pages"), "{notes:?}");
}

#[test]
fn a_stop_ends_the_cycle_at_the_next_wait() {
    let machine = machine(Memory::Base, |_| 1);
    for pauses in 0..3 {
        let mut work = work(Memory::Base, 1000, 100);
        let pacer = FakePacer::stopping_after(pauses);
        let report = work.step(&machine.kernel(), &pacer);
        assert!(report.stopped && report.processes.is_empty(), "{report:?}");
        assert_eq!(pacer.pauses().len(), pauses + 1);
        assert_eq!(machine.take_moves(), []);
    }
}

#[test]
fn failures_add_up() {
    let one = Migrated { moved: 1, vanished: 2, busy: 3, shared: 4, no_room: 5, refused: 6 };
    let mut sum = one;
    sum += one;
    assert_eq!((sum.failed(), sum.moved), (40, 2));
}
