//! The NUMA nodes of a scripted machine: how full they are, and moving pages between them.

use super::machine::{Attached, FakeMachine, FakeProcess};
use etmem_core::kernel::nodes::{Migrated, Node, NodeId, NodeMemory, NodeMover, NodePages, NumaNodes, Place};
use etmem_core::kernel::process::{ProcessError, ProcessId};
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
    nodes: Vec<Node>,
    moves: Vec<FakeMove>,
    promised: BTreeSet<NodeId>,
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

    /// What is free on `node`; of a node that is not there, nothing that anybody sees.
    fn free(&mut self, node: NodeId, huge: bool) -> &mut u64 {
        let at = self.nodes.iter().position(|known| known.id == node).unwrap_or(0);
        let node = &mut self.nodes[at];
        if huge { &mut node.huge_pool.free } else { &mut node.memory.free }
    }

    fn moved(&mut self, from: NodeId, to: NodeId, bytes: u64) {
        match self.moves.last_mut() {
            Some(last) if (last.from, last.to) == (from, to) => last.bytes += bytes,
            _ => self.moves.push(FakeMove { from, to, bytes }),
        }
    }
}

impl FakeMachine {
    /// What moved between nodes since this was last asked, in order; neighbours the same way are one.
    #[must_use]
    pub fn take_moves(&self) -> Vec<FakeMove> {
        std::mem::take(&mut self.lock().nodes.moves)
    }

    /// Changes the nodes: somebody else takes memory, or a node goes.
    pub fn change_nodes(&self, change: impl FnOnce(&mut Vec<Node>)) {
        change(&mut self.lock().nodes.nodes);
    }

    /// What `nodes` tell as free is promised to others from now on: nothing can move there.
    pub fn promise(&self, nodes: &[u16]) {
        self.lock().nodes.promised = nodes.iter().copied().map(NodeId).collect();
    }

    /// Looks at a process for a mover between nodes, one question more.
    fn place<T>(
        &self,
        id: ProcessId,
        look: impl FnOnce(&mut FakeProcess, &mut FakeNodes) -> T,
    ) -> Result<T, ProcessError> {
        self.with(id, |process| match &mut process.exits_after {
            Some(0) => Err(ProcessError::Exited),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        })?;
        let state = &mut *self.lock();
        let process = state.processes.get_mut(&id.pid).ok_or(ProcessError::Exited)?;
        Ok(look(process, &mut state.nodes))
    }
}

impl NumaNodes for FakeMachine {
    fn nodes(&self) -> Result<Vec<Node>, ProcessError> {
        Ok(self.lock().nodes.nodes.clone())
    }
}

impl NodeMover for FakeMachine {
    fn name(&self) -> &'static str {
        "fake"
    }

    fn attach(&self, process: ProcessId) -> Result<Box<dyn NodePages>, ProcessError> {
        self.with(process, |_| Ok(()))?;
        Ok(Box::new(Attached { machine: self.clone(), process }))
    }
}

/// The number of the page at `address`, where there is one.
fn page_at(process: &FakeProcess, address: u64) -> Option<usize> {
    let offset = address.checked_sub(process.mapping.range.start)?;
    let number = usize::try_from(offset / process.page_size()).ok()?;
    let swapped = *process.swapped.get(number)?;
    (offset % process.page_size() == 0 && !swapped).then_some(number)
}

impl NodePages for Attached {
    fn where_are(&mut self, pages: &[u64], places: &mut Vec<Place>) -> Result<(), ProcessError> {
        places.clear();
        self.machine.place(self.process, |process, _| {
            places.extend(pages.iter().map(|page| {
                let number = page_at(process, *page);
                match number.map(|number| process.places.get(number)) {
                    Some(Some(node)) => Place::Node(*node),
                    Some(None) => Place::Unknown,
                    None => Place::Absent,
                }
            }));
        })
    }

    fn move_to(&mut self, pages: &[u64], node: NodeId) -> Result<Migrated, ProcessError> {
        self.machine.place(self.process, |process, nodes| {
            let mut migrated = Migrated::default();
            let size = process.page_size();
            for page in pages {
                let number = page_at(process, *page);
                let Some(number) = number.filter(|number| *number < process.places.len()) else {
                    migrated.vanished += 1;
                    continue;
                };
                let from = process.places[number];
                if from == node {
                    continue;
                }
                if process.pinned.contains(&number) {
                    migrated.busy += 1;
                    continue;
                }
                let promised = nodes.promised.contains(&node);
                let free = nodes.free(node, process.huge);
                if *free < size || promised {
                    migrated.no_room += 1;
                    continue;
                }
                *free -= size;
                *nodes.free(from, process.huge) += size;
                nodes.moved(from, node, size);
                process.places[number] = node;
                migrated.moved += 1;
            }
            migrated
        })
    }
}
