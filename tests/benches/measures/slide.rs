//! What a cycle of slide costs, all but what the kernel takes to clear and to page out.

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
}

impl ProbeSource for Timed<Arc<dyn ProbeSource>> {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    fn attach(&self, process: ProcessId) -> Result<Box<dyn AccessProbe>, ProcessError> {
        Ok(Box::new(Timed { inner: self.inner.attach(process)?, apart: self.apart.clone() }))
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
        Ok(Box::new(Timed { inner: self.inner.attach(process)?, apart: self.apart.clone() }))
    }
}

impl SwapOut for Timed<Box<dyn SwapOut>> {
    fn swap_out(&mut self, ranges: &[AddressRange]) -> Result<Moved, ProcessError> {
        self.apart.run(|| self.inner.swap_out(ranges))
    }

    fn residence(&mut self, ranges: &[AddressRange], out: &mut Vec<Residence>) -> Result<bool, ProcessError> {
        self.inner.residence(ranges, out)
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

/// First cycles, in which all that is cold leaves.
pub(crate) fn measure() -> Result<Vec<Measure>> {
    let _swap = SwapGuard::acquire(GIB + GIB / 4)?;
    let mut kernel = kernel()?;
    let apart = Apart::default();
    kernel.probe = Arc::new(Timed { inner: kernel.probe, apart: apart.clone() });
    if let Moving::Out(mover) = &mut kernel.moving {
        *mover = Arc::new(Timed { inner: Arc::clone(mover), apart: apart.clone() });
    }
    let in_blocks = Workload::start(&Binaries::build()?.hotcold, &Options::new(GIB, GIB / 8))?;
    let (own, kernels) = cycles(&kernel, &apart, in_blocks)?;
    let (own_scattered, _) = cycles(&kernel, &apart, scattered(GIB)?)?;
    Ok(vec![
        Measure::at_most(
            "slide: its own CPU per cycle (loop=3) and GiB, the demo's workload",
            own,
            5.0,
            "ms",
        ),
        Measure::told("  the same with every eighth page hot: 32,768 ranges", own_scattered, "ms"),
        Measure::told("  clear_refs (4 times) and process_madvise of such a cycle", kernels, "ms"),
    ])
}

/// First cycles over `workload`: the processor time of slide itself, and of the kernel's calls, in ms.
fn cycles(kernel: &Kernel, apart: &Apart, mut workload: Workload) -> Result<(f64, f64)> {
    let text = format!(
        "[project]\nname=p\nloop=3\ninterval=1\nsleep=1\n[engine]\nproject=p\nname=slide\n\
         [task]\nproject=p\nengine=slide\nname=t\ntype=pid\nvalue={}\nT=1\nage=none\nmax_rate=none\n",
        workload.pid()
    );
    let file = etmem_config::parse(Path::new("bench"), &text, &etmem_engine::keys())?;
    let engine = etmem_engine::engine(&file.engines[0], &ScanLocks::default())?;
    let pacer = Hurried(SystemPacer::new());
    let (mut own, mut clearing_and_moving) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let mut work = engine.work(&file.projects[0], &file.tasks[0])?;
        apart.take();
        let start = processor_time();
        let report = work.step(kernel, &pacer);
        let whole = processor_time() - start;
        let kernels = apart.take();
        let process = report.processes.first().context("the workload is gone")?;
        ensure!(
            process.figures.get(&etmem_engine::figures::MOVED) >= Some(GIB as u64 / 2),
            "{}",
            process.text
        );
        own.push((whole - kernels).as_secs_f64() * 1e3);
        clearing_and_moving.push(kernels.as_secs_f64() * 1e3);
        workload.verify()?;
    }
    Ok((median(own), median(clearing_and_moving)))
}
