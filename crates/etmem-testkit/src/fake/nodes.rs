//! The NUMA nodes of a scripted machine: how full they are, and what moved between them.

use super::process::FakeProcess;
use etmem_core::kernel::nodes::{Node, NodeId, NodeMemory};
use std::collections::BTreeSet;

/// A node of `memory` bytes of ordinary memory and `pool` bytes of huge pages.
#[must_use]
pub fn fake_node(id: u16, has_processors: bool, memory: u64, pool: u64) -> Node {
    let all = |bytes| NodeMemory { total: bytes, free: bytes };
    Node {
        id: NodeId(id),
        has_processors,
        tier: None,
        memory: all(memory),
        huge_pool: all(pool),
        distances: Vec::new(),
    }
}

/// Pages that moved in one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FakeMove {
    /// From here.
    pub from: NodeId,
    /// To there.
    pub to: NodeId,
    /// As many bytes.
    pub bytes: u64,
}

/// The nodes of a machine, and what moved between them.
#[derive(Debug, Default)]
pub(super) struct FakeNodes {
    pub(super) nodes: Vec<Node>,
    pub(super) moves: Vec<FakeMove>,
    pub(super) promised: BTreeSet<NodeId>,
    pub(super) watermark: u64,
}

impl FakeNodes {
    pub(super) fn new<'a>(nodes: Vec<Node>, processes: impl Iterator<Item = &'a FakeProcess>) -> Self {
        let mut new = Self { nodes, ..Self::default() };
        for process in processes {
            for place in &process.places {
                let free = new.free(*place, process.huge);
                *free = free.saturating_sub(process.page_size());
            }
        }
        new
    }

    pub(super) fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// What is free on `node`; of a node that is not there, a number that no test reads.
    pub(super) fn free(&mut self, node: NodeId, huge: bool) -> &mut u64 {
        let at = self.nodes.iter().position(|known| known.id == node).unwrap_or(0);
        let node = &mut self.nodes[at];
        if huge { &mut node.huge_pool.free } else { &mut node.memory.free }
    }

    pub(super) fn moved(&mut self, from: NodeId, to: NodeId, bytes: u64) {
        match self.moves.last_mut() {
            Some(last) if (last.from, last.to) == (from, to) => last.bytes += bytes,
            _ => self.moves.push(FakeMove { from, to, bytes }),
        }
    }
}
