//! NUMA nodes and memory tiers.

use super::finding::{Finding, Severity};
use super::text::{line_of, number, size};
use crate::nodes::MachineNodes;
use crate::root::SysRoot;
use etmem_core::kernel::nodes::{Node, NumaNodes};
use std::collections::BTreeSet;

/// The nodes that have memory, with their processors, tiers and pools of huge pages.
pub(super) fn nodes(sys: &SysRoot) -> Finding {
    const NAME: &str = "nodes";
    if !sys.nodes().is_dir() {
        return Finding::ok(NAME, "1: the kernel knows of no others");
    }
    let nodes = match MachineNodes(sys.clone()).nodes() {
        Ok(nodes) => nodes,
        Err(error) => {
            return Finding::ok(NAME, "unknown")
                .but(Severity::Note, error.to_string())
                .helped_by("a sysfs of the running kernel at --sys-root");
        }
    };
    let expanders = nodes.iter().filter(|node| !node.has_processors).count();
    let without = if expanders > 0 { format!(", {expanders} without processors") } else { String::new() };
    let tiers: BTreeSet<u32> = nodes.iter().filter_map(|node| node.tier).collect();
    let tiers = if tiers.is_empty() { "no memory tiers".to_owned() } else { number(tiers.len(), "tier") };
    let details = nodes.iter().map(|node| show(node, sys)).collect();
    Finding::ok(NAME, format!("{}{without}; {tiers}", nodes.len())).with(details)
}

fn show(node: &Node, sys: &SysRoot) -> String {
    let Node { id, memory, huge_pool, .. } = node;
    let list = line_of(&sys.nodes().join(format!("node{id}/cpulist"))).unwrap_or_default();
    let processors =
        if node.has_processors { format!("processors {list}") } else { "no processors".to_owned() };
    let tier = node.tier.map_or_else(String::new, |tier| format!(", tier {tier}"));
    let pool = match huge_pool.total {
        0 => String::new(),
        total => format!(", pool of huge pages {}, {} free", size(total), size(huge_pool.free)),
    };
    format!("node {id}: {}, {} free, {processors}{tier}{pool}", size(memory.total), size(memory.free))
}
