//! Moving pages between the NUMA nodes of a scripted machine.

use super::machine::{Attached, FakeMachine};
use super::nodes::{FakeMove, FakeNodes};
use super::process::FakeProcess;
use etmem_core::kernel::nodes::{
    Migrated, Node, NodeId, NodeMover, NodePages, NumaNodes, OwnPlacement, Place,
};
use etmem_core::kernel::process::{ProcessError, ProcessId};

impl FakeMachine {
    /// What moved between nodes since this was last asked, in order; neighbours the same way are one.
    #[must_use]
    pub fn take_moves(&self) -> Vec<FakeMove> {
        std::mem::take(&mut self.lock().nodes.moves)
    }

    /// Changes the nodes: another program takes memory, or a node goes.
    pub fn change_nodes(&self, change: impl FnOnce(&mut Vec<Node>)) {
        change(&mut self.lock().nodes.nodes);
    }

    /// From now on the kernel wants these `bytes` free on each node.
    pub fn set_watermark(&self, bytes: u64) {
        self.lock().nodes.watermark = bytes;
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

    fn own_placement(&self, process: ProcessId) -> Result<OwnPlacement, ProcessError> {
        self.with(process, |process| Ok(process.own_placement.clone()))
    }

    fn watermark(&self, _: NodeId) -> Result<u64, ProcessError> {
        Ok(self.lock().nodes.watermark)
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
