//! Which node of a pair is the fast one.
//!
//! What is written may be in either order (the manual has the slow node first, etmem 1.x read the fast one first), so
//! the hardware decides: the node in the faster memory tier is the fast one; where the tiers do not tell, the one that
//! has processors. Tiers come first because they are what the kernel knows of the memory itself: high-bandwidth memory
//! has no processors either. Where nothing tells the nodes apart, the manual's order holds: slow, fast.

use crate::kernel::nodes::{Node, NodeId};
use std::fmt;

/// Two nodes between which pages move.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pair {
    /// Where hot pages should lie.
    pub fast: NodeId,
    /// Where cold pages should lie.
    pub slow: NodeId,
    /// Why so.
    pub reason: Reason,
}

/// What told the nodes of a pair apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// Their memory tiers.
    Tiers {
        /// That of the fast node.
        fast: u32,
        /// That of the slow node, a greater number.
        slow: u32,
    },
    /// Only the fast one has processors.
    Processors,
    /// Nothing but the order in which they were written.
    Order,
}

impl fmt::Display for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { fast, slow, reason } = self;
        write!(f, "node {fast} is fast and node {slow} slow: ")?;
        match reason {
            Reason::Tiers { fast, slow } => write!(f, "their memory tiers are {fast} and {slow}"),
            Reason::Processors => write!(f, "node {slow} has no processors"),
            Reason::Order => f.write_str("the machine does not tell them apart, and slow,fast is the order"),
        }
    }
}

/// A node that is not there, or has no memory.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no node {node} with memory; this machine has {}", listed(.have))]
pub struct NoSuchNode {
    /// The node asked for.
    pub node: u32,
    /// Those that are there.
    pub have: Vec<NodeId>,
}

fn listed(nodes: &[NodeId]) -> String {
    let numbers: Vec<String> = nodes.iter().map(ToString::to_string).collect();
    if numbers.is_empty() { "none".to_owned() } else { numbers.join(", ") }
}

/// The pair of the nodes numbered `first` and `second`, as they were written.
///
/// # Errors
/// Which of them is not among `nodes`.
pub fn pair(first: u32, second: u32, nodes: &[Node]) -> Result<Pair, NoSuchNode> {
    let find = |node: u32| {
        nodes
            .iter()
            .find(|known| u32::from(known.id.0) == node)
            .ok_or_else(|| NoSuchNode { node, have: nodes.iter().map(|known| known.id).collect() })
    };
    let (first, second) = (find(first)?, find(second)?);
    let pair = |fast: &Node, slow: &Node, reason| Pair { fast: fast.id, slow: slow.id, reason };
    if let (Some(one), Some(other)) = (first.tier, second.tier)
        && one != other
    {
        let reason = Reason::Tiers { fast: one.min(other), slow: one.max(other) };
        return Ok(if one < other { pair(first, second, reason) } else { pair(second, first, reason) });
    }
    Ok(match (first.has_processors, second.has_processors) {
        (true, false) => pair(first, second, Reason::Processors),
        (false, true) => pair(second, first, Reason::Processors),
        (true, true) | (false, false) => pair(second, first, Reason::Order),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::nodes::NodeMemory;

    fn node(id: u16, has_processors: bool, tier: Option<u32>) -> Node {
        let none = NodeMemory::default();
        Node { id: NodeId(id), has_processors, tier, memory: none, huge_pool: none, distances: Vec::new() }
    }

    #[test]
    fn the_hardware_decides_whatever_the_order() {
        for (name, zero, two, fast, reason) in [
            ("no processors", (true, None), (false, None), 0, Reason::Processors),
            ("processors on the other", (false, None), (true, None), 2, Reason::Processors),
            ("equal tiers do not tell", (true, Some(4)), (false, Some(4)), 0, Reason::Processors),
            ("one tier does not tell", (true, Some(9)), (false, None), 0, Reason::Processors),
            ("tiers", (true, Some(4)), (true, Some(22)), 0, Reason::Tiers { fast: 4, slow: 22 }),
            (
                "tiers, the other way",
                (true, Some(22)),
                (true, Some(4)),
                2,
                Reason::Tiers { fast: 4, slow: 22 },
            ),
            (
                "fast memory without processors",
                (true, Some(4)),
                (false, Some(2)),
                2,
                Reason::Tiers { fast: 2, slow: 4 },
            ),
        ] {
            let nodes = [node(0, zero.0, zero.1), node(2, two.0, two.1)];
            let want = Pair { fast: NodeId(fast), slow: NodeId(2 - fast), reason };
            assert_eq!(pair(0, 2, &nodes), Ok(want), "{name}");
            assert_eq!(pair(2, 0, &nodes), Ok(want), "{name}, written the other way");
        }
    }

    #[test]
    fn equal_nodes_are_slow_and_fast_as_written() {
        for (processors, tier) in [(true, None), (false, None), (true, Some(4))] {
            let nodes = [node(0, processors, tier), node(2, processors, tier)];
            let want = |fast, slow| Pair { fast: NodeId(fast), slow: NodeId(slow), reason: Reason::Order };
            assert_eq!(pair(2, 0, &nodes), Ok(want(0, 2)));
            assert_eq!(pair(0, 2, &nodes), Ok(want(2, 0)));
        }
    }

    #[test]
    fn a_node_that_is_not_there() {
        let nodes = [node(0, true, None), node(1, false, None)];
        let missing = pair(7, 0, &nodes).unwrap_err();
        assert_eq!(missing.to_string(), "there is no node 7 with memory; this machine has 0, 1");
        assert_eq!(pair(0, 70_000, &nodes).unwrap_err().node, 70_000, "more than any node's number");
        assert_eq!(
            pair(0, 1, &[]).unwrap_err().to_string(),
            "there is no node 0 with memory; this machine has none"
        );
    }

    #[test]
    fn reasons_in_words() {
        let nodes = [node(0, true, None), node(2, false, None)];
        assert_eq!(
            pair(2, 0, &nodes).unwrap().to_string(),
            "node 0 is fast and node 2 slow: node 2 has no processors"
        );
    }
}
