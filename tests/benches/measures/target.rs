//! A process to measure on, and this machine's ports.

use anyhow::{Context, Result, ensure};
use etmem_core::address::AddressRange;
use etmem_core::kernel::Kernel;
use etmem_core::kernel::process::{Pid, ProcessId, Target};
use etmem_core::kernel::wishes::Wishes;
use etmem_core::scan::is_swappable;
use etmem_linux::choice::Interfaces;
use etmem_linux::root::Roots;
use etmem_testkit::daemon::Binaries;
use etmem_testkit::workload::{Layout, Options, Workload};

/// A GiB in bytes.
pub(crate) const GIB: usize = 1 << 30;

/// This machine's ports.
pub(crate) fn kernel() -> Result<Kernel> {
    Ok(Interfaces::new(Roots::default()).kernel(&Wishes::default())?.kernel)
}

/// A workload of `memory` bytes whose every eighth page is hot: of all patterns, the one with the most ranges.
pub(crate) fn scattered(memory: usize) -> Result<Workload> {
    let options = Options { layout: Layout::Scattered, ..Options::new(memory, memory / 8) };
    Workload::start(&Binaries::build()?.hotcold, &options)
}

/// The workload as the data path names it.
pub(crate) fn process(kernel: &Kernel, workload: &Workload) -> Result<ProcessId> {
    let pid = Pid::new(workload.pid()).context("pid 0")?;
    let found = kernel.processes.find(&Target::Pid(pid))?;
    ensure!(found.len() == 1, "found {} processes instead of one", found.len());
    Ok(found[0])
}

/// What slide would look at.
pub(crate) fn ranges(kernel: &Kernel, process: ProcessId) -> Result<Vec<AddressRange>> {
    let mut mappings = Vec::new();
    kernel.mappings.mappings(process, &[], &mut mappings)?;
    Ok(mappings.iter().filter(|mapping| is_swappable(mapping)).map(|mapping| mapping.range).collect())
}
