use super::*;
use crate::once::stage::Progress;
use etmem_core::address::PAGE_SIZE;
use etmem_core::kernel::groups::{GroupLimits, GroupUse};
use etmem_core::kernel::memory::MemoryState;
use etmem_core::kernel::pressure::Share;
use etmem_core::kernel::probe::Access;
use etmem_testkit::fake::{FakeMachine, FakePacer, FakeProcess, Script};

const START: u64 = 0x7f00_0000_0000;
const PAGES: usize = 3000;

/// Every tenth page is hot.
fn tenth(page: u64, _: u64) -> Access {
    if page.is_multiple_of(10) { Access::READ } else { Access::IDLE }
}

fn machine(script: Script) -> FakeMachine {
    FakeMachine::new(FakeMachine::roomy(), vec![FakeProcess::new(42, "redis", START, PAGES, script)])
}

fn page_out(machine: &FakeMachine, keep: Duration, pacer: &FakePacer) -> Result<Done, Reason> {
    let folder = tempfile::tempdir().unwrap();
    let claims = CommandClaims::open(folder.path()).unwrap();
    let (kernel, progress) = (machine.kernel(), Progress::new());
    let guards = Guards { swap_use_percent: 80, pressure: Some(Share::of_percent(20)) };
    let idle = Idle { kernel: &kernel, claims: &claims, pacer, progress: &progress, keep, guards };
    let watched = idle.watch(machine.process(42).unwrap().id)?;
    let _ = pacer.pause(keep);
    Ok(idle.page_out(watched))
}

const KEEP: Duration = Duration::from_secs(30);

#[test]
fn all_but_what_was_touched_leaves() {
    let machine = machine(tenth);
    let done = page_out(&machine, KEEP, &FakePacer::endless()).unwrap();
    assert_eq!((done.moved, done.kept), (2700 * PAGE_SIZE, 300 * PAGE_SIZE));
    assert_eq!(done.reasons, []);
    let swapped = machine.process(42).unwrap().swapped_pages();
    assert!(swapped.len() == 2700 && swapped.iter().all(|page| page % 10 != 0));
    // A sample first, then the rest in order.
    let mut recorded: Vec<u64> =
        done.ranges.iter().flat_map(|range| (range.start..range.end).step_by(4096)).collect();
    assert!(!recorded.is_sorted());
    recorded.sort_unstable();
    let want = swapped.iter().map(|page| START + *page as u64 * PAGE_SIZE);
    assert!(recorded.into_iter().eq(want), "each page is recorded once");
}

#[test]
fn guards_of_a_daemon_hold() {
    let refused = |machine: &FakeMachine| page_out(machine, KEEP, &FakePacer::endless()).unwrap_err().name;
    let no_swap = MemoryState { swap_total: 0, swap_free: 0, ..FakeMachine::roomy() };
    let full = MemoryState { swap_free: 1 << 30, ..FakeMachine::roomy() };
    for (memory, want) in [(no_swap, ReasonName::NoSwap), (full, ReasonName::SwapUse)] {
        let machine = machine(tenth);
        machine.set_memory(memory);
        assert_eq!(refused(&machine), want);
    }
    let machine = machine(tenth);
    let group = |bound, used| Some(GroupUse { bound, used });
    machine.set_groups(GroupLimits { protection: group(900, 800), swap: None });
    assert_eq!(refused(&machine), ReasonName::CgroupProtected);
    machine.set_groups(GroupLimits { protection: None, swap: group(100 * PAGE_SIZE, 0) });
    let done = page_out(&machine, KEEP, &FakePacer::endless()).unwrap();
    assert_eq!(done.moved, 100 * PAGE_SIZE);
    assert_eq!(done.reasons[0].name, ReasonName::NoRoom);
    assert_eq!(machine.process(42).unwrap().swapped_pages().len(), 100, "and no more than that");
}

/// Nothing is seen of a program that touches all it has.
#[test]
fn what_the_probe_does_not_see_stays() {
    let mut process = FakeProcess::new(42, "redis", START, PAGES, |_, _| Access::IDLE);
    process.truth = Some(|_, _| Access::READ);
    let machine = FakeMachine::new(FakeMachine::roomy(), vec![process]);
    let done = page_out(&machine, KEEP, &FakePacer::endless()).unwrap();
    assert_eq!(done.reasons[0].name, ReasonName::ProbeBlind);
    assert!(done.moved <= 100 * PAGE_SIZE, "{}", done.moved);
}

#[test]
fn a_stop_ends_it_with_what_was_done() {
    let machine = machine(tenth);
    let done = page_out(&machine, KEEP, &FakePacer::stopping_after(1)).unwrap();
    assert_eq!(done.reasons.last().map(|reason| reason.name), Some(ReasonName::Stopped));
    let swapped = machine.process(42).unwrap().swapped_pages().len() as u64;
    assert_eq!(done.moved, swapped * PAGE_SIZE);
}

#[test]
fn what_is_gone_is_no_panic() {
    let mut process = FakeProcess::new(42, "redis", START, PAGES, tenth);
    for window in 0..4 {
        for error in [ProcessError::Exited, ProcessError::Replaced] {
            process.end = Some((window, error.clone()));
            let machine = FakeMachine::new(FakeMachine::roomy(), vec![process.clone()]);
            let reason = match page_out(&machine, KEEP, &FakePacer::endless()) {
                Ok(done) => done.reasons.last().map(|reason| reason.name),
                Err(reason) => Some(reason.name),
            };
            let want = Reason::from(&error).name;
            assert!(reason.is_none_or(|name| name == want), "{window}: {reason:?}");
        }
    }
}
