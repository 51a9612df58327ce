//! The keys of engine cslide and of its tasks.

use crate::tracker::{self, tracker};
use etmem_config::error::Rule;
use etmem_config::keys;
use etmem_config::values::{mebibytes, vm_flags, within, yes_or_no};
use etmem_core::kernel::mapping::VmFlag;
use etmem_core::kernel::wishes::Tracker;

/// Two NUMA nodes between which pages move, in the order written. Which one is the slow one the hardware
/// decides; where it does not, the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NodePair {
    /// The node written first.
    pub first: u32,
    /// The node written second, never the same.
    pub second: u32,
}

keys! { pub(super) ENGINE;
    NODE_PAIR: Vec<NodePair> = needed("node_pair", node_pairs)
        .help("Pairs of a slow and a fast NUMA node. Where the hardware shows which node is slow, the order does not matter.")
        .example("2,0;3,1");
    HOT_THRESHOLD: u32 = needed("hot_threshold", |text| within(text, 0, i32::MAX.into())).unit("counts")
        .help("A page that counts less than this in a cycle is cold. Above what a cycle can count it acts as one more than that.")
        .example("1");
    NODE_MIG_QUOTA: u64 = needed("node_mig_quota", mebibytes).unit("MiB")
        .help("Most that moves one way in one cycle, per pair.").example("1024");
    NODE_HOT_RESERVE: u64 = needed("node_hot_reserve", mebibytes).unit("MiB")
        .help("How much of the fast node is kept for hot pages.").example("1024");
}

keys! { pub(super) TASK;
    VM_FLAGS: Vec<VmFlag> = optional("vm_flags", vm_flags)
        .help("Only mappings that have all of these flags of /proc/PID/smaps; `ht` is the pool of huge pages.").example("ht");
    ANON_ONLY: bool = or("anon_only", "no", yes_or_no).help("Only mappings without a file.").example("yes");
    IGN_HOST: bool = or("ign_host", "no", yes_or_no)
        .help("Ignore what the host itself accesses of a virtual machine's memory (openEuler's module).").example("yes");
    TRACKER: Tracker = or("tracker", "auto", tracker).ours("0.1.0").help(tracker::HELP).example("damon");
}

/// Reads `a,b;c,d` with every node once; a `;` may end the list.
fn node_pairs(text: &str) -> Result<Vec<NodePair>, Rule> {
    const FORM: Rule = Rule::Form("pairs of node numbers such as 2,0;3,1, each node once");
    let node = |text: &str| within::<u32>(text.trim(), 0, i32::MAX.into()).map_err(|_| FORM);
    let mut seen = std::collections::BTreeSet::new();
    let mut pairs = Vec::new();
    for pair in text.trim_end().strip_suffix(';').unwrap_or(text).split(';') {
        let (first, second) = pair.split_once(',').ok_or(FORM)?;
        let (first, second) = (node(first)?, node(second)?);
        if !seen.insert(first) || !seen.insert(second) {
            return Err(FORM);
        }
        pairs.push(NodePair { first, second });
    }
    Ok(pairs)
}
