//! What it costs to see which pages of 1 GiB were touched, and to count them.

use crate::report::{Measure, median};
use crate::target::{GIB, kernel, process, ranges, scattered};
use anyhow::{Result, ensure};
use etmem_core::heat::{HeatMap, HeatUpdate};
use etmem_core::kernel::pacer::Pacer;
use etmem_linux::pacer::SystemPacer;
use std::time::Duration;

const ROUNDS: usize = 31;

/// Walk, decode and count apart from `clear_refs`.
pub(crate) fn measure() -> Result<Vec<Measure>> {
    let kernel = kernel()?;
    let mut workload = scattered(GIB)?;
    let process = process(&kernel, &workload)?;
    let ranges = ranges(&kernel, process)?;
    let mut probe = kernel.probe.attach(process)?;
    let clock = SystemPacer::new();
    let (mut clears, mut looks, mut heap) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let start = clock.now();
        probe.prepare(&ranges)?;
        let armed = clock.now();
        let _ = clock.pause(Duration::from_millis(50));
        let before = clock.now();
        let mut update = HeatUpdate::new(HeatMap::default());
        probe.check(&ranges, &mut update)?;
        let heat = update.finish();
        looks.push((clock.now() - before).as_secs_f64() * 1e3);
        clears.push((armed - start).as_secs_f64() * 1e3);
        let present = heat.histogram().total();
        ensure!(present >= GIB as u64, "only {present} bytes are present");
        heap.push(heat.heap_bytes() as f64 / (present / 4096) as f64);
    }
    workload.idle()?;
    Ok(vec![
        Measure::at_most("bpf probe: walk, decode and count 1 GiB of base pages", median(looks), 1.5, "ms"),
        Measure::told("  clear_refs of the same process", median(clears), "ms"),
        Measure::at_most("heat: bytes per present page, every eighth hot", median(heap), 1.2, "bytes"),
    ])
}
