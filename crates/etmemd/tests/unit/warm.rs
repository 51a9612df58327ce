use super::*;
use etmem_core::kernel::memory::MemoryState;
use etmem_core::kernel::probe::Access;
use etmem_testkit::fake::{FakeMachine, FakePacer, FakeProcess};

const START: u64 = 0x7f00_0000_0000;
const PAGES: usize = 3000;

/// The first half of a process is in swap.
fn machine() -> FakeMachine {
    let mut process = FakeProcess::new(42, "redis", START, PAGES, |_, _| Access::IDLE);
    process.swapped[..PAGES / 2].fill(true);
    FakeMachine::new(FakeMachine::roomy(), vec![process])
}

fn range(first: u64, end: u64) -> AddressRange {
    AddressRange::new(START + first * PAGE_SIZE, START + end * PAGE_SIZE)
}

fn bring_back(machine: &FakeMachine, record: Result<Record, Without>, pacer: &dyn Pacer) -> Done {
    let (kernel, progress) = (machine.kernel(), Progress::new());
    let warm = Warm { kernel: &kernel, readers: machine, pacer, progress: &progress, threads: 1 };
    warm.bring_back(machine.process(42).unwrap().id, record)
}

fn record(ranges: Vec<AddressRange>) -> Result<Record, Without> {
    Ok(Record { ranges, at: None })
}

#[test]
fn it_comes_back_in_the_recorded_order() {
    let machine = machine();
    let ranges = vec![range(1000, 1200), range(3, 4), range(1490, 1600), range(100, 105)];
    let done = bring_back(&machine, record(ranges), &FakePacer::endless());
    assert_eq!((done.wanted, done.back), (216 * PAGE_SIZE, 216 * PAGE_SIZE));
    assert!(done.by_record && done.reasons.is_empty());
    assert_eq!(machine.touched(), [range(1000, 1200), range(3, 4), range(1490, 1500), range(100, 105)]);
    assert_eq!(machine.process(42).unwrap().swapped_pages().len(), PAGES / 2 - 216, "the rest stays out");
}

#[test]
fn without_a_record_all_that_is_in_swap_comes_back() {
    for without in [Without::None, Without::OfAnother, Without::Unreadable("x".to_owned())] {
        let machine = machine();
        let done = bring_back(&machine, Err(without), &FakePacer::endless());
        assert_eq!(done.back, PAGES as u64 / 2 * PAGE_SIZE);
        assert!(!done.by_record);
        assert!(machine.process(42).unwrap().swapped_pages().is_empty());
    }
}

/// A clock that is stopped when it was asked some times.
#[derive(Debug)]
struct Impatient(AtomicUsize);

impl Pacer for Impatient {
    fn pause(&self, _: Duration) -> Pace {
        self.pace()
    }

    fn pace(&self) -> Pace {
        let asked = self.0.fetch_add(1, Ordering::Relaxed);
        if asked < 2 { Pace::Continue } else { Pace::Stop }
    }

    fn now(&self) -> Duration {
        Duration::ZERO
    }
}

#[test]
fn a_stop_ends_it_with_what_is_back() {
    let machine = machine();
    let done = bring_back(&machine, record(vec![range(0, 3000)]), &Impatient(AtomicUsize::new(0)));
    assert_eq!(done.reasons[0].name, ReasonName::Stopped);
    let out = machine.process(42).unwrap().swapped_pages().len() as u64;
    assert_eq!(done.back, (PAGES as u64 / 2 - out) * PAGE_SIZE);
    assert!(out > 0);
}

#[test]
fn other_programs_are_not_pushed_out() {
    let machine = machine();
    machine.set_memory(MemoryState { available: 100 << 20, ..FakeMachine::roomy() });
    let done = bring_back(&machine, record(vec![range(0, 3000)]), &FakePacer::endless());
    assert_eq!((done.back, done.reasons[0].name), (0, ReasonName::NoRoom));
}

#[test]
fn what_is_gone_is_said() {
    let machine = machine();
    let mut process = machine.process(42).unwrap();
    process.end = Some((0, ProcessError::Exited));
    machine.start(process);
    let done = bring_back(&machine, Err(Without::None), &FakePacer::endless());
    assert_eq!((done.back, done.reasons[0].name), (0, ReasonName::Exited));
}
