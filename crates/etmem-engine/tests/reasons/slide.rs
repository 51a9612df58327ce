//! How slide comes to each of its reasons: a function for each.

use crate::case::{Case, PAGES};
use crate::quirk::Quirk;
use etmem_core::guard::Bound;
use etmem_core::kernel::memory::{MemoryState, SwapLimit};
use etmem_core::kernel::pressure::{Pressure, Share};
use etmem_core::kernel::probe::Access;
use etmem_core::kernel::process::{ProcessError, ProcessMemory};
use etmem_engine::StepReport;
use etmem_testkit::fake::{FakePacer, Script};

const PAGE: u64 = 4096;
const MIB: u64 = 1 << 20;

fn reports<const N: usize>(cases: [Case; N]) -> Vec<StepReport> {
    cases.into_iter().map(Case::report).collect()
}

fn hot(_: u64, _: u64) -> Access {
    Access::READ
}

fn idle(_: u64, _: u64) -> Access {
    Access::IDLE
}

/// Half of the pages are hot; in the third window it becomes the other half. The first cycle has two windows: its look, and the
/// last look before what follows the sample leaves.
fn jumps(page: u64, window: u64) -> Access {
    if (page < 1500) == (window < 2) { Access::READ } else { Access::IDLE }
}

/// The same after a minute.
fn jumps_later(page: u64, window: u64) -> Access {
    if (page < 1500) == (window < 8) { Access::READ } else { Access::IDLE }
}

/// Hot in the last window of three, then idle.
fn once(_: u64, window: u64) -> Access {
    if window == 2 { Access::READ } else { Access::IDLE }
}

fn touched_later(_: u64, window: u64) -> Access {
    if window > 0 { Access::READ } else { Access::IDLE }
}

pub(crate) fn no_process() -> Vec<StepReport> {
    reports([Case { target: "type=name\nvalue=nobody", ..Case::new() }])
}

/// The process that is there has another number.
pub(crate) fn process_ended() -> Vec<StepReport> {
    reports([Case::added_for(41, 1000)])
}

/// The process that is there has the number and began at another time.
pub(crate) fn pid_reused() -> Vec<StepReport> {
    reports([Case::added_for(42, 999)])
}

pub(crate) fn no_table() -> Vec<StepReport> {
    reports([Case::quirk(Quirk::NoTable)])
}

pub(crate) fn no_swap() -> Vec<StepReport> {
    reports([
        Case::memory(|memory| (memory.swap_total, memory.swap_free) = (0, 0)),
        Case::quirk(Quirk::SwapOff),
    ])
}

pub(crate) fn zram_limit() -> Vec<StepReport> {
    reports([
        Case::memory(|memory| memory.swap_limit = Some(SwapLimit { limit: MIB, room: 0 })),
        Case::memory(|memory| memory.swap_limit = Some(SwapLimit { limit: MIB, room: 8 * MIB })),
    ])
}

/// Before the cycle, and while pages leave.
pub(crate) fn swap_fails() -> Vec<StepReport> {
    reports([Case::memory(|memory| memory.swap_stuck = 8 * MIB), Case::quirk(Quirk::SwapFails)])
}

pub(crate) fn hardly_compresses() -> Vec<StepReport> {
    let noise = |task| {
        let mut case = Case { task, ..Case::memory(|memory| memory.swap_in_memory = true) };
        case.process.noise = true;
        case
    };
    reports([noise(""), noise("dry_run=yes")])
}

pub(crate) fn swap_full() -> Vec<StepReport> {
    reports([
        Case::memory(|memory| memory.swap_free = 0),
        Case::memory(|memory| (memory.swap_free, memory.available) = (0, 0)),
    ])
}

pub(crate) fn swap_use() -> Vec<StepReport> {
    reports([Case::memory(|memory| memory.swap_free = memory.swap_total / 10)])
}

pub(crate) fn pressure() -> Vec<StepReport> {
    let pressure = Pressure { some_avg10: Share::of_hundredths(2001), ..Pressure::default() };
    reports([Case { pressure: Some(pressure), ..Case::new() }])
}

pub(crate) fn cgroup_swap() -> Vec<StepReport> {
    reports([Case::swap_of_group(0, 0), Case::swap_of_group(700 * PAGE, 0)])
}

pub(crate) fn cgroup_protected() -> Vec<StepReport> {
    reports([Case::promise(900, 800), Case::promise(PAGE, 501 * PAGE)])
}

pub(crate) fn memory_free() -> Vec<StepReport> {
    reports([Case::project("sysmem_threshold=50")])
}

pub(crate) fn just_forked() -> Vec<StepReport> {
    reports([Case::quirk(Quirk::HasForked)])
}

pub(crate) fn small() -> Vec<StepReport> {
    reports([Case { task: "swap_threshold=1g", ..Case::project("sysmem_threshold=51") }])
}

pub(crate) fn swapped_enough() -> Vec<StepReport> {
    let mut case = Case::project("sysmem_threshold=51");
    case.process.swapped.iter_mut().take(2000).for_each(|page| *page = true);
    reports([case])
}

pub(crate) fn nothing_suitable() -> Vec<StepReport> {
    reports([
        Case::process(|process| process.mapping.shared = true),
        Case::process(|process| process.mapping.executable = true),
        Case::task("vm_flags=ht"),
    ])
}

pub(crate) fn locked() -> Vec<StepReport> {
    reports([Case::process(|process| process.locked.push(process.mapping.range))])
}

/// Beside little of its own, it has shared memory, files and huge pages; or most is shared with a forked process.
pub(crate) fn not_looked_at() -> Vec<StepReport> {
    let others =
        ProcessMemory { shared: 128 * MIB, file: MIB, huge_pool: 2 * MIB, ..ProcessMemory::default() };
    let mut cases = [Case::new(), Case::of(PAGES, hot), Case::of(10_000, idle)];
    cases[0].process.others = others;
    cases[1].process.others = others;
    cases[2].process.forked = (0..9000).collect();
    reports(cases)
}

pub(crate) fn all_out() -> Vec<StepReport> {
    reports([Case { cycles: 2, ..Case::new() }])
}

pub(crate) fn not_cold() -> Vec<StepReport> {
    reports([
        Case::of(PAGES, hot),
        Case::task("dram_percent=100"),
        Case { age: "1m", cycles: 3, ..Case::of(PAGES, idle) },
    ])
}

/// Nothing is known of an age before it has passed; and what is in use is watched for longer.
pub(crate) fn watched_first() -> Vec<StepReport> {
    reports([by_age(1, idle), by_age(2, |page, _| if page % 2 == 0 { Access::READ } else { Access::IDLE })])
}

/// All is touched each three cycles; or it was once, and what may follow is not known yet.
pub(crate) fn swept() -> Vec<StepReport> {
    reports([
        by_age(200, |_, window| if window % 3 == 0 { Access::READ } else { Access::IDLE }),
        by_age(110, |_, window| if window == 100 { Access::READ } else { Access::IDLE }),
    ])
}

pub(crate) fn little_first() -> Vec<StepReport> {
    reports([by_age(2, idle)])
}

fn by_age(cycles: usize, script: Script) -> Case {
    Case { cycles, age: "auto", ..Case::of(PAGES, script) }
}

pub(crate) fn left_alone() -> Vec<StepReport> {
    reports([Case { cycles: 4, ..Case::of(PAGES, once) }])
}

pub(crate) fn no_room() -> Vec<StepReport> {
    reports([Case::memory(|memory| {
        memory.swap_free = memory.swap_total - memory.swap_total / 100 * 80 + MIB;
    })])
}

pub(crate) fn too_many_refaults() -> Vec<StepReport> {
    let task = "max_refault=0.2";
    reports([
        Case { cycles: 2, task, ..Case::of(PAGES, jumps) },
        // What no look could foresee: a few MiB at a time follow.
        Case { until: Some(Bound::Probation), task, ..by_age(100, jumps_later) },
        // Hours later, what came back is paid for, and what leaves is paid for in advance.
        Case { cycles: 2000, task, until: Some(Bound::Probation), ..Case::of(PAGES, jumps) },
    ])
}

/// The probe sees nothing of what touches it.
pub(crate) fn probe_blind() -> Vec<StepReport> {
    let blind = |cycles| Case { cycles, ..Case::process(|process| process.truth = Some(hot)) };
    reports([blind(1), blind(10)])
}

pub(crate) fn later() -> Vec<StepReport> {
    reports([Case::task("max_rate=100k")])
}

pub(crate) fn touched() -> Vec<StepReport> {
    reports([Case { task: "max_rate=8m", ..Case::of(20_000, touched_later) }])
}

pub(crate) fn stayed() -> Vec<StepReport> {
    let kept = |cycles| Case { cycles, ..Case::quirk(Quirk::Keeps) };
    // From the third cycle on it is left alone.
    reports([kept(1), kept(2), kept(3)])
}

pub(crate) fn refused() -> Vec<StepReport> {
    reports([Case::quirk(Quirk::Refuses)])
}

pub(crate) fn vanished() -> Vec<StepReport> {
    reports([Case::quirk(Quirk::Unmapped)])
}

pub(crate) fn dry_run() -> Vec<StepReport> {
    reports([Case::task("dry_run=yes"), Case { task: "dry_run=yes", ..by_age(3, idle) }])
}

pub(crate) fn exited() -> Vec<StepReport> {
    reports([Case::process(|process| process.end = Some((0, ProcessError::Exited)))])
}

/// After the look, and before it.
pub(crate) fn replaced() -> Vec<StepReport> {
    reports([
        Case::quirk(Quirk::Replaces),
        Case::process(|process| process.end = Some((0, ProcessError::Replaced))),
    ])
}

pub(crate) fn kernel_refused() -> Vec<StepReport> {
    reports([Case::process(|process| {
        let refused = ProcessError::Refused { call: "clear_refs".into(), reason: "no".into() };
        process.end = Some((0, refused));
    })])
}

/// During the look, and after it between two batches.
/// A command scans it.
pub(crate) fn elsewhere() -> Vec<StepReport> {
    reports([Case { by_command: true, ..Case::new() }])
}

pub(crate) fn stopped() -> Vec<StepReport> {
    reports([
        Case { pacer: FakePacer::stopping_after(0), ..Case::new() },
        Case { pacer: FakePacer::stopping_after(1), task: "max_rate=8m", ..Case::of(20_000, idle) },
    ])
}

/// All that is cold leaves, or is freed.
pub(crate) fn no_reason() -> Vec<StepReport> {
    reports([Case::new(), Case::process(|process| process.lazily_freed.extend(0..1000))])
}

/// What is out is in memory as well: reading it takes nothing from swap.
pub(crate) fn second_copies() -> StepReport {
    let case = Case::of(2 * PAGES, |_, _| Access::IDLE);
    let memory = MemoryState { swap_cached: 32 << 20, ..case.memory };
    Case { memory, cycles: 2, ..case }.report()
}

pub(crate) fn given_back() -> StepReport {
    Case { gives_back: true, ..Case::task("ask=yes") }.report()
}

/// A cycle that uses processor time.
pub(crate) fn with_cost() -> StepReport {
    Case::new().report_with_cost()
}
