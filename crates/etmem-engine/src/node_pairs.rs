//! `node_pair=`: pairs of NUMA nodes, of engines that move pages between nodes.

use crate::contract::EngineError;
use etmem_config::error::Rule;
use etmem_config::values::within;
use etmem_core::address::AddressRange;
use etmem_core::kernel::nodes::{Node, Numa, NumaNodes, OwnPlacement};
use etmem_core::kernel::process::{ProcessError, ProcessId};
use etmem_core::policy::pairs::{self, Pair};
use std::collections::BTreeSet;
use std::fmt::Display;

/// How the key is written.
pub(crate) const NAME: &str = "node_pair";

/// Two NUMA nodes between which pages move, in the order written. Which one is the slow one the hardware
/// decides; where it does not, the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NodePair {
    /// The node written first.
    pub first: u32,
    /// The node written second, never the same.
    pub second: u32,
}

/// Reads `a,b;c,d` with every node once; a `;` may end the list.
pub(crate) fn node_pairs(text: &str) -> Result<Vec<NodePair>, Rule> {
    const FORM: Rule = Rule::Form("pairs of node numbers such as 2,0;3,1, each node once");
    let node = |text: &str| within::<u32>(text.trim(), 0, i32::MAX.into()).map_err(|_| FORM);
    let mut seen = BTreeSet::new();
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

/// Which node of each of the `written` pairs is the fast one, on a machine with these nodes.
///
/// # Errors
/// Which node is not there.
pub(crate) fn decide(written: &[NodePair], nodes: &[Node]) -> Result<Vec<Pair>, EngineError> {
    let decide = |pair: &NodePair| {
        pairs::pair(pair.first, pair.second, nodes).map_err(|missing| refusal(written, &missing))
    };
    written.iter().map(decide).collect()
}

/// Whether the machine has the nodes that are `written`.
///
/// # Errors
/// Which is not there, or why the machine does not tell.
pub(crate) fn check(written: &[NodePair], nodes: &dyn NumaNodes) -> Result<(), EngineError> {
    let nodes = nodes.nodes().map_err(|error| refusal(written, &error))?;
    decide(written, &nodes).map(drop)
}

/// Whether the program's own placement lets pages move between the nodes of `pair`.
pub(crate) fn allows(placement: &OwnPlacement, pair: Pair) -> bool {
    placement.allows(pair.fast) && placement.allows(pair.slow)
}

/// Where the program that `process` runs wants its memory. All of it is bound if its cpuset allows both nodes of no pair.
///
/// # Errors
/// When the process is gone or the kernel refuses.
pub(crate) fn own_placement(
    numa: &Numa,
    process: ProcessId,
    pairs: &[Pair],
) -> Result<OwnPlacement, ProcessError> {
    let mut placement = numa.mover.own_placement(process)?;
    if !pairs.is_empty() && !pairs.iter().any(|pair| allows(&placement, *pair)) {
        placement.bound = vec![AddressRange::new(0, u64::MAX)];
        placement.bound_bytes = placement.present_bytes;
    }
    Ok(placement)
}

/// That the machine lacks what is `written`, by this `rule`.
pub(crate) fn refusal(written: &[NodePair], rule: &dyn Display) -> EngineError {
    let written: Vec<String> = written.iter().map(|pair| format!("{},{}", pair.first, pair.second)).collect();
    EngineError::EngineValue { key: NAME, value: written.join(";"), rule: rule.to_string() }
}
