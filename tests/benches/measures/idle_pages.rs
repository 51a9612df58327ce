//! What it costs to decode, count and classify what openEuler's module tells of a dense process of 1 TiB.
//!
//! The stream is made here, read by read as the kernel would fill a buffer of 64 KiB: how the kernel walks its page
//! tables is not measured.

use crate::report::Measure;
use anyhow::{Context, Result, ensure};
use etmem_core::address::{AddressRange, PAGE_SIZE};
use etmem_core::heat::{HeatMap, HeatUpdate};
use etmem_core::idle_pages::{Blocks, Decoder, PageSizes};
use etmem_core::plan::{Plan, Selection};
use etmem_testkit::pagemap::status_bytes;
use nix::time::{ClockId, clock_gettime};
use std::time::Duration;

const START: u64 = 0x7000_0000_0000;
const TEBIBYTE: u64 = 1 << 40;
const PAGES: u64 = TEBIBYTE / PAGE_SIZE;
const MIB: f64 = (1 << 20) as f64;

/// As many as the probe's.
const BUFFER_BYTES: usize = 64 * 1024;

/// Looks of a cycle.
const LOOKS: u64 = 3;

/// The processor time of this thread.
fn processor_time() -> Result<Duration> {
    Ok(clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map(Duration::from)?)
}

/// One read, over and over: entries that cover a number of pages.
struct Read {
    bytes: Vec<u8>,
    pages: u64,
}

impl Read {
    /// `entries`, which cover `pages` pages, as often as they fit.
    fn of(entries: &[u8], pages: u64) -> Self {
        let mut bytes = vec![0xA0; 9];
        let times = (BUFFER_BYTES - bytes.len()) / entries.len();
        bytes.extend(entries.repeat(times));
        Self { bytes, pages: pages * times as u64 }
    }

    /// Long runs: of four reads of memory one is hot.
    fn in_runs(&mut self, number: u64) {
        self.bytes[9..].fill(if number.is_multiple_of(4) { 0x0F } else { 0x5F });
    }
}

/// One look at all of it; `each` may change the read before it is decoded.
fn look(heat: HeatMap, read: &mut Read, each: impl Fn(&mut Read, u64)) -> Result<HeatMap> {
    let ranges = [AddressRange::new(START, START + TEBIBYTE)];
    let mut update = HeatUpdate::new(heat);
    let mut blocks = Blocks::new(&ranges, &mut update);
    let mut at = START;
    for number in 0.. {
        if at >= ranges[0].end {
            break;
        }
        each(read, number);
        read.bytes[1..9].copy_from_slice(&at.to_be_bytes());
        let mut decoder = Decoder::new(&read.bytes, PageSizes::FOUR_KIB);
        blocks.take(&mut decoder)?;
        at += read.pages * PAGE_SIZE;
        ensure!(decoder.reached() == Some(at), "the stream does not cover what it should");
    }
    blocks.finish();
    Ok(update.finish())
}

/// What a process costs.
struct Cost {
    /// Pages decoded and counted in a second, over all looks.
    rate: f64,
    /// A whole cycle: looks, what is cold, and all its ranges.
    cycle: Duration,
    bytes_per_page: f64,
    peak: f64,
}

fn cost(read: &mut Read, each: impl Fn(&mut Read, u64)) -> Result<Cost> {
    // The peak of resident memory is reset (proc_pid_clear_refs(5)).
    std::fs::write("/proc/self/clear_refs", "5").context("beginning a new peak of resident memory")?;
    let start = processor_time()?;
    let mut heat = HeatMap::default();
    let mut bytes_per_page: f64 = 0.0;
    for _ in 0..LOOKS {
        heat = look(heat, read, &each)?;
        bytes_per_page = bytes_per_page.max(heat.heap_bytes() as f64 / PAGES as f64);
    }
    let counted = processor_time()?;
    let histogram = heat.histogram();
    ensure!(histogram.total() == TEBIBYTE, "{} bytes were seen", histogram.total());
    let plan = Plan::new(&heat, &histogram, Selection::below(1));
    let cold: u64 = plan.ranges().map(|range| range.bytes()).sum();
    ensure!(cold == plan.bytes() && cold > TEBIBYTE / 4, "{cold} bytes are cold");
    let end = processor_time()?;
    let peak = status_bytes(std::process::id(), "VmHWM")? as f64 / MIB;
    let rate = (LOOKS * PAGES) as f64 / (counted - start).as_secs_f64() / 1e6;
    Ok(Cost { rate, cycle: end - start, bytes_per_page, peak })
}

/// Long runs, hot pages strewn about, and pages each of which differs from its neighbour.
pub(crate) fn measure() -> Result<Vec<Measure>> {
    let runs = cost(&mut Read::of(&[0x5F], 15), Read::in_runs)?;
    let strewn = cost(&mut Read::of(&[0x31, 0x57], 8), |_, _| {})?;
    let differing = cost(&mut Read::of(&[0x51, 0x31], 2), |_, _| {})?;
    let heap = strewn.bytes_per_page.max(differing.bytes_per_page);
    let peak = strewn.peak.max(differing.peak).max(runs.peak);
    let seconds = |cost: &Cost| cost.cycle.as_secs_f64();
    Ok(vec![
        Measure::at_least("idle_pages: decode and count, long runs", runs.rate, 400.0, "million pages/s"),
        Measure::at_least("  every page unlike its neighbour", differing.rate, 60.0, "million pages/s"),
        Measure::at_most("  dense 1 TiB, loop=3: CPU of a cycle, long runs", seconds(&runs), 3.0, "s"),
        Measure::at_most("  the same, every eighth page hot", seconds(&strewn), 3.0, "s"),
        Measure::told("  the same, every page unlike its neighbour", seconds(&differing), "s"),
        Measure::at_most("  peak of resident memory, of all three", peak, 400.0, "MiB"),
        Measure::at_most("  heat: bytes per present page", heap, 1.2, "bytes"),
    ])
}
