//! Setting up a machine's NUMA nodes for a test: only where the machine is the test's own, such as the laboratory's.

use std::fs;

use anyhow::{Context, Result, ensure};

/// ScanLocks off that the kernel by itself moves pages to where they are touched: here it is known who moves what.
///
/// # Errors
/// The kernel has no such setting, or refuses.
pub fn without_balancing() -> Result<()> {
    fs::write("/proc/sys/kernel/numa_balancing", "0").context("cannot turn NUMA balancing off")
}

/// Makes the pool of huge pages of `node` as large.
///
/// # Errors
/// There is not so much memory in one piece, or no such node.
pub fn huge_pool(node: u16, pages: usize) -> Result<()> {
    let file = format!("/sys/devices/system/node/node{node}/hugepages/hugepages-2048kB/nr_hugepages");
    fs::write(&file, pages.to_string()).with_context(|| format!("cannot write {file}"))?;
    let made: usize = fs::read_to_string(&file)?.trim().parse()?;
    ensure!(made == pages, "node {node} has {made} huge pages, {pages} were asked for");
    Ok(())
}
