//! A task of engine tiers that moves pages between NUMA nodes before they leave memory, over a scripted machine.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use etmem_core::address::{AddressRange, PAGE_SIZE};
use etmem_core::kernel::memory::MemoryState;
use etmem_core::kernel::nodes::{NodeId, OwnPlacement};
use etmem_core::kernel::pacer::Pacer;
use etmem_core::kernel::pressure::{Pressure, Share};
use etmem_core::kernel::probe::Access;
use etmem_engine::{EngineError, ProcessResult, ReasonName, ScanLocks, StepReport, TaskRunner, engine};
use etmem_testkit::fake::{FakeMachine, FakePacer, FakeProcess, Script, fake_node};
use std::path::Path;

const PAGES: usize = 16 * 1024;
const START: u64 = 0x7f00_0000_0000;
const MIB: u64 = 1 << 20;
const SIZE: u64 = PAGES as u64 * PAGE_SIZE;

/// With loop=3 a page that is read in each look counts 3.
const KEYS: &str = "node_pair=0,1\nT_cool=3\nage=none\nmax_refault=none";

fn work(lines: &str) -> Result<Box<dyn TaskRunner>, EngineError> {
    let text = format!(
        "[project]\nname=p\nscan_type=page\nloop=3\ninterval=1\nsleep=1\n[engine]\nproject=p\nname=tiers\n\
         [task]\nproject=p\nengine=tiers\nname=t\ntype=name\nvalue=db\nT=1\n{lines}\n"
    );
    let file = etmem_config::parse(Path::new("tiers.yaml"), &text, &etmem_engine::keys()).unwrap();
    engine(&file.engines[0], &ScanLocks::default()).unwrap().work(&file.projects[0], &file.tasks[0])
}

/// A machine with a fast node of `fast` bytes and a slow one of `slow`.
fn machine((fast, slow): (u64, u64), process: FakeProcess) -> FakeMachine {
    let nodes = vec![fake_node(0, true, fast, 0), fake_node(1, false, slow, 0)];
    FakeMachine::new(FakeMachine::roomy(), vec![process]).with_nodes(nodes)
}

fn process(script: Script) -> FakeProcess {
    FakeProcess::new(42, "db", START, PAGES, script).placed(|_| 0)
}

struct Stand {
    machine: FakeMachine,
    task: Box<dyn TaskRunner>,
    pacer: FakePacer,
}

impl Stand {
    fn new(nodes: (u64, u64), process: FakeProcess, lines: &str) -> Self {
        let machine = machine(nodes, process);
        Self { machine, task: work(lines).unwrap(), pacer: FakePacer::endless() }
    }

    fn cycle(&mut self) -> StepReport {
        let report = self.task.step(&self.machine.kernel_of_tiers(), &self.pacer);
        let _ = self.pacer.pause(self.task.period());
        report
    }

    /// Pages of those that `pick` says: on the fast node, on the slow one, and out.
    fn lie(&self, pick: impl Fn(usize) -> bool) -> [usize; 3] {
        let process = self.machine.process(42).unwrap();
        let mut count = [0; 3];
        for page in (0..PAGES).filter(|page| pick(*page)) {
            let place = if process.swapped[page] { 2 } else { usize::from(process.places[page].0) };
            count[place] += 1;
        }
        count
    }
}

/// A quarter is hot, half is cool, a quarter is not touched.
fn quarters(page: u64, window: u64) -> Access {
    match page % 4 {
        0 => Access::READ,
        1 | 2 if window.is_multiple_of(3) => Access::READ,
        _ => Access::IDLE,
    }
}

#[test]
fn each_page_goes_to_its_level_in_steps_that_grow() {
    let mut stand = Stand::new((4 * SIZE, 4 * SIZE), process(quarters), KEYS);
    let mut down = Vec::new();
    for _ in 0..6 {
        let report = stand.cycle();
        let amounts = |name: &str| {
            report.processes[0]
                .figures
                .amounts()
                .find(|(row, _)| row.name == name)
                .and_then(|(_, amount)| amount)
        };
        down.push(amounts("moved_down_bytes").unwrap_or(0));
        assert_eq!(amounts("moved_up_bytes"), Some(0), "{report:?}");
    }
    assert_eq!(&down[..2], [8 * MIB, 16 * MIB], "{down:?}");
    let quarter = PAGES / 4;
    assert_eq!(stand.lie(|page| page % 4 == 0), [quarter, 0, 0]);
    assert_eq!(stand.lie(|page| page % 4 == 1 || page % 4 == 2), [0, 2 * quarter, 0]);
    assert_eq!(stand.lie(|page| page % 4 == 3), [0, 0, quarter]);
}

#[test]
fn what_is_hot_comes_up_at_once_and_less_goes_down_then() {
    let mut stand = Stand::new((4 * SIZE, 4 * SIZE), process(quarters), KEYS);
    for _ in 0..6 {
        let _ = stand.cycle();
    }
    let _ = stand.machine.take_moves();
    // Pages that were cool are hot from now on, and the other way round.
    stand.machine.change(42, |process| {
        process.script = |page, window| match page % 4 {
            1 => Access::READ,
            0 | 2 if window.is_multiple_of(3) => Access::READ,
            _ => Access::IDLE,
        };
    });
    let _ = stand.cycle();
    let quarter = PAGES / 4;
    assert_eq!(stand.lie(|page| page % 4 == 1), [quarter, 0, 0]);
    let down: u64 =
        stand.machine.take_moves().iter().filter(|one| one.to == NodeId(1)).map(|one| one.bytes).sum();
    assert!(down <= 16 * MIB, "{down} bytes went down");
}

/// Pages that are hot in every second cycle: what goes down comes back.
#[test]
fn what_comes_and_goes_is_left_where_it_is_ever_longer() {
    let script: Script = |_, window| if window / 3 % 2 == 0 { Access::READ } else { quarters(1, window) };
    let mut stand = Stand::new((4 * SIZE, 4 * SIZE), process(script), KEYS);
    for _ in 0..200 {
        let _ = stand.cycle();
    }
    let moved: u64 = stand.machine.take_moves().iter().map(|one| one.bytes).sum();
    assert!((16 * MIB..160 * MIB).contains(&moved), "{moved} bytes moved");
}

#[test]
fn the_kernels_watermark_stays_free() {
    let slow = SIZE / 4;
    let mut stand = Stand::new((4 * SIZE, slow), process(|_, window| quarters(1, window)), KEYS);
    stand.machine.set_watermark(4 * MIB);
    let mut last = None;
    for _ in 0..6 {
        last = Some(stand.cycle());
    }
    assert_eq!(stand.lie(|_| true)[1] as u64 * PAGE_SIZE, slow - 4 * MIB);
    let report = last.unwrap();
    let reason = report.processes[0].reason.as_ref().unwrap();
    assert_eq!(reason.name, ReasonName::NodeFull, "{reason:?}");
}

#[test]
fn two_full_nodes_still_change_pages() {
    // The first half is cool and fast, the second hot and slow; no node has room for more than 1 MiB.
    let script: Script =
        |page, window| if page < PAGES as u64 / 2 { quarters(1, window) } else { Access::READ };
    let placed = process(script).placed(|page| u16::from(page >= PAGES / 2));
    let mut stand = Stand::new((SIZE / 2 + MIB, SIZE / 2 + MIB), placed, KEYS);
    for _ in 0..40 {
        let _ = stand.cycle();
    }
    let [fast, slow, _] = stand.lie(|page| page >= PAGES / 2);
    assert!(fast > slow, "{fast} of the hot pages are on the fast node, {slow} on the slow one");
}

#[test]
fn what_the_program_bound_stays_where_it_is() {
    let mut bound = process(|_, window| quarters(1, window));
    let half = START + SIZE / 2;
    bound.own_placement = OwnPlacement {
        bound: vec![AddressRange::new(START, half)],
        bound_bytes: SIZE / 2,
        present_bytes: SIZE,
        allowed: None,
    };
    let mut stand = Stand::new((4 * SIZE, 4 * SIZE), bound, KEYS);
    for _ in 0..6 {
        let _ = stand.cycle();
    }
    assert_eq!(stand.lie(|page| page < PAGES / 2), [PAGES / 2, 0, 0]);
    assert_eq!(stand.lie(|page| page >= PAGES / 2), [0, PAGES / 2, 0]);
}

#[test]
fn a_dry_run_moves_nothing_and_says_what_it_would() {
    let mut stand = Stand::new((4 * SIZE, 4 * SIZE), process(quarters), &format!("{KEYS}\ndry_run=yes"));
    let report = stand.cycle();
    assert!(stand.machine.take_moves().is_empty());
    let text = report.processes[0].text.to_string();
    assert!(text.contains("would move to slow nodes"), "{text}");
}

#[test]
fn a_probe_that_is_blind_sends_nothing_down_after_its_sample_came_back() {
    let mut blind = process(|_, _| Access::IDLE);
    blind.truth = Some(|_, _| Access::WRITTEN);
    let mut stand = Stand::new((4 * SIZE, 4 * SIZE), blind, KEYS);
    for _ in 0..6 {
        let _ = stand.cycle();
    }
    let [_, slow, _] = stand.lie(|_| true);
    assert!(slow as u64 * PAGE_SIZE <= 8 * MIB, "{slow} pages are on the slow node");
}

/// Without swap no sample can leave: what the probe does not see touched at all goes down as far as one.
#[test]
fn without_swap_what_is_seen_touched_goes_down_and_a_sample_of_the_rest() {
    let mut stand = Stand::new((4 * SIZE, 4 * SIZE), process(quarters), KEYS);
    stand.machine.set_memory(MemoryState { swap_total: 0, swap_free: 0, ..FakeMachine::roomy() });
    let mut last = None;
    for _ in 0..12 {
        last = Some(stand.cycle());
    }
    let quarter = PAGES / 4;
    assert_eq!(stand.lie(|page| page % 4 == 0), [quarter, 0, 0]);
    assert_eq!(stand.lie(|page| page % 4 == 1 || page % 4 == 2), [0, 2 * quarter, 0]);
    assert_eq!(stand.lie(|page| page % 4 == 3)[1] as u64 * PAGE_SIZE, 8 * MIB);
    let report = last.unwrap();
    let process = &report.processes[0];
    assert!(matches!(process.result, ProcessResult::WorkedOn(_)), "{report:?}");
    assert_eq!(process.reason.as_ref().unwrap().name, ReasonName::NoSwap, "{report:?}");
    assert!(process.text.to_string().contains("moved to slow nodes"), "{}", process.text);
}

/// The same while nothing is old enough to leave.
#[test]
fn before_the_first_sample_what_is_not_touched_goes_down_as_far_as_one() {
    let keys = "node_pair=0,1\nT_cool=3\nage=1h";
    let mut stand = Stand::new((4 * SIZE, 4 * SIZE), process(|_, _| Access::IDLE), keys);
    for _ in 0..12 {
        let _ = stand.cycle();
    }
    assert_eq!(stand.lie(|_| true)[1] as u64 * PAGE_SIZE, 8 * MIB);
}

#[test]
fn nothing_moves_while_programs_wait_for_memory() {
    let mut stand = Stand::new((4 * SIZE, 4 * SIZE), process(quarters), KEYS);
    let waits = Share::nearest_to_percent(50.0).unwrap();
    stand.machine.set_pressure(Some(Pressure { some_avg10: waits, ..Pressure::default() }));
    let report = stand.cycle();
    assert!(stand.machine.take_moves().is_empty());
    assert_eq!(report.processes[0].reason.as_ref().unwrap().name, ReasonName::Pressure);
}

/// Two processes side by side: the slow node has room for a step of one of them.
#[test]
fn processes_side_by_side_share_the_room() {
    let one = process(|_, window| quarters(1, window));
    let two = FakeProcess { id: FakeProcess::new(43, "db", START, 1, quarters).id, ..one.clone() };
    let nodes = vec![fake_node(0, true, 4 * SIZE, 0), fake_node(1, false, 10 * MIB, 0)];
    let machine = FakeMachine::new(FakeMachine::roomy(), vec![one, two]).with_nodes(nodes);
    machine.set_watermark(2 * MIB);
    let mut stand = Stand {
        machine,
        task: work(&format!("{KEYS}\nmax_threads=2")).unwrap(),
        pacer: FakePacer::endless(),
    };
    for _ in 0..4 {
        let _ = stand.cycle();
    }
    let down: u64 = stand.machine.take_moves().iter().map(|one| one.bytes).sum();
    assert_eq!(down, 8 * MIB);
}

#[test]
fn a_count_out_of_range_is_refused() {
    for (lines, said) in [("node_pair=0,1\nT_cool=10", "T_cool=10"), ("node_pair=0,1\nT_cool=0", "T_cool=0")]
    {
        let error = work(lines).unwrap_err().to_string();
        assert!(error.contains(said) && error.contains("1..=9"), "{error}");
    }
}

#[test]
fn a_node_that_is_not_there_is_refused_when_it_starts() {
    let machine = machine((SIZE, SIZE), process(quarters));
    let error = work("node_pair=0,7\nT_cool=3").unwrap().prepare(&machine.kernel_of_tiers()).unwrap_err();
    assert!(error.to_string().contains("[task] node_pair=0,7"), "{error}");
}
