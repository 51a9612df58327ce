//! What a cycle of slide costs, all but what the kernel takes to clear, to page out, and to tell where pages are.

use crate::report::{Measure, median};
use crate::target::{GIB, kernel, scattered};
use anyhow::{Context, Result, ensure};
use etmem_core::address::AddressRange;
use etmem_core::kernel::mover::{Moved, PageMover, Residence, SwapOut};
use etmem_core::kernel::pacer::{Pace, Pacer};
use etmem_core::kernel::probe::{AccessProbe, AccessSink, ProbeSource};
use etmem_core::kernel::process::{ProcessError, ProcessId};
use etmem_core::kernel::{Kernel, Moving};
use etmem_engine::ScanLocks;
use etmem_linux::pacer::SystemPacer;
use etmem_testkit::daemon::Binaries;
use etmem_testkit::swap::SwapGuard;
use etmem_testkit::workload::{Options, Workload};
use nix::time::{ClockId, clock_gettime};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

const ROUNDS: usize = 5;
/// Cycles after the first, in which nothing is left to move.
const STEADY: usize = 3;

/// The processor time of this thread.
fn processor_time() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map_or(Duration::ZERO, Duration::from)
}

/// Processor time spent in calls that do not count.
#[derive(Debug, Clone, Default)]
struct Apart(Arc<AtomicU64>);

impl Apart {
    fn run<T>(&self, call: impl FnOnce() -> T) -> T {
        let start = processor_time();
        let result = call();
        let spent = u64::try_from((processor_time() - start).as_nanos()).unwrap_or(u64::MAX);
        self.0.fetch_add(spent, Ordering::Relaxed);
        result
    }

    fn take(&self) -> Duration {
        Duration::from_nanos(self.0.swap(0, Ordering::Relaxed))
    }
}

/// A port whose expensive kernel call is measured apart.
#[derive(Debug)]
struct Timed<T> {
    inner: T,
    apart: Apart,
    /// The time that the kernel takes to tell where pages are.
    asking: Apart,
}

impl ProbeSource for Timed<Arc<dyn ProbeSource>> {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    fn attach(&self, process: ProcessId) -> Result<Box<dyn AccessProbe>, ProcessError> {
        Ok(Box::new(Timed {
            inner: self.inner.attach(process)?,
            apart: self.apart.clone(),
            asking: self.asking.clone(),
        }))
    }

    fn is_page_exact(&self) -> bool {
        self.inner.is_page_exact()
    }
}

impl AccessProbe for Timed<Box<dyn AccessProbe>> {
    fn prepare(&mut self, ranges: &[AddressRange]) -> Result<(), ProcessError> {
        self.apart.run(|| self.inner.prepare(ranges))
    }

    fn check(&mut self, ranges: &[AddressRange], sink: &mut dyn AccessSink) -> Result<(), ProcessError> {
        self.inner.check(ranges, sink)
    }

    fn looks_without_clearing(&self) -> bool {
        self.inner.looks_without_clearing()
    }

    fn arms_by_range(&self) -> bool {
        self.inner.arms_by_range()
    }
}

impl PageMover for Timed<Arc<dyn PageMover>> {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    fn attach(&self, process: ProcessId) -> Result<Box<dyn SwapOut>, ProcessError> {
        Ok(Box::new(Timed {
            inner: self.inner.attach(process)?,
            apart: self.apart.clone(),
            asking: self.asking.clone(),
        }))
    }
}

impl SwapOut for Timed<Box<dyn SwapOut>> {
    fn swap_out(&mut self, ranges: &[AddressRange]) -> Result<Moved, ProcessError> {
        self.apart.run(|| self.inner.swap_out(ranges))
    }

    fn residence(&mut self, ranges: &[AddressRange], out: &mut Vec<Residence>) -> Result<bool, ProcessError> {
        self.asking.run(|| self.inner.residence(ranges, out))
    }
}

/// A clock whose pauses are short: what a cycle costs does not depend on how long it waits.
#[derive(Debug)]
struct Hurried(SystemPacer);

impl Pacer for Hurried {
    fn pause(&self, _: Duration) -> Pace {
        self.0.pause(Duration::from_millis(200))
    }

    fn pace(&self) -> Pace {
        self.0.pace()
    }

    fn now(&self) -> Duration {
        self.0.now()
    }

    fn processor_time(&self) -> Duration {
        self.0.processor_time()
    }
}

/// First cycles, in which all that is cold leaves, and those after them.
pub(crate) fn measure() -> Result<Vec<Measure>> {
    let _swap = SwapGuard::acquire(GIB + GIB / 4)?;
    let mut kernel = kernel()?;
    let (apart, asking) = (Apart::default(), Apart::default());
    kernel.probe = Arc::new(Timed { inner: kernel.probe, apart: apart.clone(), asking: asking.clone() });
    if let Moving::Out(mover) = &mut kernel.moving {
        *mover = Arc::new(Timed { inner: Arc::clone(mover), apart: apart.clone(), asking: asking.clone() });
    }
    let kernels = [apart, asking];
    let in_blocks = Workload::start(&Binaries::build()?.hotcold, &Options::new(GIB, GIB / 8))?;
    let in_blocks = cycles(&kernel, &kernels, in_blocks)?;
    let of_scattered = cycles(&kernel, &kernels, scattered(GIB)?)?;
    Ok(vec![
        Measure::at_most(
            "slide: its own CPU per cycle (loop=3) and GiB, the demo's workload",
            in_blocks.own,
            5.0,
            "ms",
        ),
        Measure::told("  the same with every eighth page hot: 32,768 ranges", of_scattered.own, "ms"),
        Measure::told("  clear_refs (4 times) and process_madvise of such a cycle", in_blocks.kernels, "ms"),
        Measure::told(
            "  where the pages are, as the kernel tells it before and after they leave",
            in_blocks.asking,
            "ms",
        ),
        Measure::told("  a later cycle, in which nothing leaves", in_blocks.steady, "ms"),
        Measure::told("  the same with every eighth page hot", of_scattered.steady, "ms"),
    ])
}

/// Medians of processor time in ms.
struct Cycles {
    /// Of slide itself, in first cycles.
    own: f64,
    /// The same, in later cycles.
    steady: f64,
    /// Of the kernel's calls that clear and page out, in first cycles.
    kernels: f64,
    /// Of those that tell where pages are.
    asking: f64,
}

/// Cycles over `workload`.
fn cycles(kernel: &Kernel, [apart, asking]: &[Apart; 2], mut workload: Workload) -> Result<Cycles> {
    let text = format!(
        "[project]\nname=p\nloop=3\ninterval=1\nsleep=1\n[engine]\nproject=p\nname=slide\n\
         [task]\nproject=p\nengine=slide\nname=t\ntype=pid\nvalue={}\nT=1\nage=none\nmax_rate=none\n",
        workload.pid()
    );
    let file = etmem_config::parse(Path::new("bench"), &text, &etmem_engine::keys())?;
    let engine = etmem_engine::engine(&file.engines[0], &ScanLocks::default())?;
    let pacer = Hurried(SystemPacer::new());
    let (mut own, mut steady, mut kernels, mut asked) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let mut work = engine.work(&file.projects[0], &file.tasks[0])?;
        for cycle in 0..=STEADY {
            let _ = (apart.take(), asking.take());
            let start = processor_time();
            let report = work.step(kernel, &pacer);
            let whole = processor_time() - start;
            let (apart, asking) = (apart.take(), asking.take());
            let process = report.processes.first().context("the workload is gone")?;
            let moved = process.figures.get(&etmem_engine::figures::MOVED);
            let ms = |time: Duration| time.as_secs_f64() * 1e3;
            if cycle == 0 {
                ensure!(moved >= Some(GIB as u64 / 2), "{}", process.text);
                own.push(ms(whole - apart - asking));
                kernels.push(ms(apart));
                asked.push(ms(asking));
            } else {
                ensure!(moved < Some(GIB as u64 / 64), "{}", process.text);
                steady.push(ms(whole - apart));
            }
        }
        workload.verify()?;
    }
    Ok(Cycles { own: median(own), steady: median(steady), kernels: median(kernels), asking: median(asked) })
}
