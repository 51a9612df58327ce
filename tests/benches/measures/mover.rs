//! How fast cold pages leave, compared with one bare system call over the same memory.

use crate::report::{Measure, median};
use crate::target::{GIB, kernel, process, ranges};
use anyhow::{Result, ensure};
use etmem_core::act::{self, Tools};
use etmem_core::address::AddressRange;
use etmem_core::feedback::PageSetBuilder;
use etmem_core::heat::{HeatMap, HeatUpdate};
use etmem_core::kernel::pacer::Pacer;
use etmem_core::plan::{Budget, Plan, Selection};
use etmem_core::throttle::{Rate, Throttle};
use etmem_linux::mover::bare::page_out_in_one_call;
use etmem_linux::pacer::SystemPacer;
use etmem_testkit::daemon::Binaries;
use etmem_testkit::swap::SwapGuard;
use etmem_testkit::workload::{Options, Workload};
use std::sync::Mutex;
use std::time::Duration;

const ROUNDS: usize = 3;

/// Both ways in turn, all pages back in between.
pub(crate) fn measure() -> Result<Vec<Measure>> {
    let _swap = SwapGuard::acquire(GIB + GIB / 4)?;
    let kernel = kernel()?;
    let mut workload = Workload::start(&Binaries::build()?.hotcold, &Options::new(GIB, 0))?;
    let process = process(&kernel, &workload)?;
    let clock = SystemPacer::new();
    let memory = workload.footprint().memory.clone();
    let pieces: Vec<AddressRange> =
        memory.iter().map(|piece| AddressRange::new(piece.start as u64, piece.end as u64)).collect();
    let (mut bare, mut ours, mut reads) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        workload.verify()?;
        let start = clock.now();
        page_out_in_one_call(process.pid, &pieces)?;
        bare.push((clock.now() - start).as_secs_f64());
        let places = workload.footprint().places()?;
        ensure!(places.cold.share_swapped() > 0.99, "the bare call left pages in memory: {places:?}");

        let before = kernel.memory.reads();
        workload.verify()?;
        let after = kernel.memory.reads();
        for (before, after) in before.iter().zip(&after) {
            reads.push((after.took - before.took).as_secs_f64() * 1e6 / (after.reads - before.reads) as f64);
        }
        let ranges = ranges(&kernel, process)?;
        let mut probe = kernel.probe.attach(process)?;
        probe.prepare(&ranges)?;
        let mut update = HeatUpdate::new(HeatMap::default());
        probe.check(&ranges, &mut update)?;
        let heat = update.finish();
        let plan = Plan::new(&heat, &heat.histogram(), Selection::below(1));
        let mut mover = kernel.moving.out()?.attach(process)?;
        let start = clock.now();
        // As a task with max_rate=none, looking once more before each stretch leaves, however fresh the plan is.
        let throttle = Mutex::new(Throttle::new(Rate::Unlimited, None));
        let mut tools = Tools {
            mover: &mut *mover,
            probe: Some(&mut *probe),
            fresh_until: Duration::ZERO,
            throttle: &throttle,

            given: &mut PageSetBuilder::default(),
            kept: &mut PageSetBuilder::default(),
            pacer: &clock,
        };
        let outcome = act::swap_out(&plan, Budget { bytes: u64::MAX, until: None }, &mut tools);
        ours.push((clock.now() - start).as_secs_f64());
        ensure!(outcome.applied >= GIB as u64, "{outcome:?}");
    }
    let (bare, ours) = (median(bare), median(ours));
    Ok(vec![
        Measure::at_least(
            "mover: its rate over that of one bare process_madvise, 1 GiB",
            bare / ours * 100.0,
            90.0,
            "%",
        ),
        Measure::told("  its rate", 1024.0 / ours, "MiB/s"),
        Measure::told("  a read of what it moved, by the kernel's count", median(reads), "µs"),
    ])
}
