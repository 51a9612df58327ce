//! Setting up a machine's NUMA nodes for a test: only where the machine is the test's own, such as the laboratory's.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};

/// Turns off that the kernel moves pages to where they are touched: then a test knows what moves them.
///
/// # Errors
/// The kernel has no such setting, or refuses.
pub fn without_balancing() -> Result<()> {
    fs::write("/proc/sys/kernel/numa_balancing", "0").context("cannot turn NUMA balancing off")
}

/// Empties the pools of huge pages of all nodes.
///
/// # Errors
/// The kernel refuses.
pub fn without_huge_pools() -> Result<()> {
    for node in (0..).take_while(|node| Path::new(&pool(*node)).exists()) {
        huge_pool(node, 0)?;
    }
    Ok(())
}

fn pool(node: u16) -> String {
    format!("/sys/devices/system/node/node{node}/hugepages/hugepages-2048kB/nr_hugepages")
}

/// Gives the pool of huge pages of `node` this size.
///
/// # Errors
/// There is not so much memory in one piece, or no such node.
pub fn huge_pool(node: u16, pages: usize) -> Result<()> {
    let file = pool(node);
    fs::write(&file, pages.to_string()).with_context(|| format!("cannot write {file}"))?;
    let made: usize = fs::read_to_string(&file)?.trim().parse()?;
    ensure!(made == pages, "node {node} has {made} huge pages, {pages} were asked for");
    Ok(())
}
