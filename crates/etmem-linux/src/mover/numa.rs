//! The mover `numa`: move_pages(2), between NUMA nodes.
//!
//! The call names a process by its number, so it is bound as well as can be: before each call and after it, the process
//! must still have the memory that it had when this was made. What was asked of another one is not believed; a huge
//! page is named by its first address and moves whole.
//!
//! The copying runs on a processor near the node that the pages go to: its own, or, where that has none, as a memory
//! expander, the nearest. The thread may run where it did before once a call is over.

use super::numa_batch::{self, Pages};
use crate::mapping::numa_maps;
use crate::nodes::MachineNodes;
use crate::process::address_space::AddressSpace;
use crate::process::memory_files::thread_with_memory;
use crate::root::{ProcRoot, SysRoot};
use crate::sys::affinity::ProcessorSet;
use crate::sys::move_pages::{self, Whose};
use crate::unavailable::Unavailable;
use crate::zoneinfo;
use etmem_core::kernel::nodes::{
    Migrated, Node, NodeId, NodeMover, NodePages, NumaNodes, OwnPlacement, Place,
};
use etmem_core::kernel::process::{Pid, ProcessError, ProcessId};
use std::io;

const CALL: &str = "move_pages";

/// What moving another process's pages needs.
const CAPABILITIES: &str = "CAP_SYS_NICE and CAP_SYS_PTRACE";

/// Most addresses of a call.
const BATCH_PAGES: usize = 65_536;

/// Makes movers between nodes.
#[derive(Debug, Clone)]
pub struct Numa {
    proc: ProcRoot,
    nodes: MachineNodes,
}

impl Numa {
    /// Whether the kernel has the call; made on our own process, about nothing.
    ///
    /// # Errors
    /// Says why not.
    pub fn detect(proc: &ProcRoot, sys: &SysRoot) -> Result<Self, Unavailable> {
        let nodes = MachineNodes(sys.clone());
        nodes.nodes().map_err(|error| match error {
            ProcessError::Refused { call, reason } => Unavailable::Refused { call, reason },
            gone @ (ProcessError::Exited | ProcessError::Replaced) => {
                Unavailable::Refused { call: CALL.into(), reason: gone.to_string() }
            }
        })?;
        let own = Pid::new(std::process::id());
        match own.map_or(Ok(()), |own| move_pages::where_are(own, &[], &mut [])) {
            Ok(()) => Ok(Self { proc: proc.clone(), nodes }),
            Err(error) if error.raw_os_error() == Some(libc::ENOSYS) => Err(Unavailable::NoSystemCall {
                call: CALL,
                needed: "2.6.18 with CONFIG_NUMA and CONFIG_MIGRATION",
            }),
            Err(error) => Err(Unavailable::from_io(CALL, &error, CAPABILITIES)),
        }
    }
}

impl NodeMover for Numa {
    fn name(&self) -> &'static str {
        "numa"
    }

    fn attach(&self, process: ProcessId) -> Result<Box<dyn NodePages>, ProcessError> {
        let space = AddressSpace::open(&self.proc, process)?;
        let nodes = self.nodes.nodes()?;
        let pages =
            ProcessPages { space, process: thread_with_memory(&self.proc, process.pid), whose: Whose::All };
        Ok(Box::new(Between { pages, machine: self.nodes.clone(), nodes }))
    }

    fn own_placement(&self, process: ProcessId) -> Result<OwnPlacement, ProcessError> {
        numa_maps::own_placement(&self.proc, process)
    }

    fn watermark(&self, node: NodeId) -> Result<u64, ProcessError> {
        zoneinfo::watermark(&self.proc, node)
    }
}

/// Moves pages of one process.
#[derive(Debug)]
struct Between {
    pages: ProcessPages,
    machine: MachineNodes,
    nodes: Vec<Node>,
}

impl NodePages for Between {
    fn where_are(&mut self, pages: &[u64], places: &mut Vec<Place>) -> Result<(), ProcessError> {
        places.clear();
        let mut status = Vec::new();
        for batch in pages.chunks(BATCH_PAGES) {
            numa_batch::look(&mut self.pages, batch, &mut status)?;
            places.extend(status.iter().copied().map(numa_batch::place));
        }
        Ok(())
    }

    fn move_to(&mut self, pages: &[u64], node: NodeId) -> Result<Migrated, ProcessError> {
        let _near = self.nearest_processors(node).map(Nearby::go_there);
        let mut migrated = Migrated::default();
        for batch in pages.chunks(BATCH_PAGES) {
            numa_batch::move_batch(&mut self.pages, batch, node, &mut migrated)?;
        }
        Ok(migrated)
    }
}

impl Between {
    /// The processors of `node`, or of the node with processors that is nearest to it.
    fn nearest_processors(&self, node: NodeId) -> Option<ProcessorSet> {
        let numbers = self.machine.processors(nearest(&self.nodes, node)?).ok()?;
        Some(ProcessorSet::of(numbers))
    }
}

/// The node with processors that is nearest to `node`: itself, if it has any.
fn nearest(nodes: &[Node], node: NodeId) -> Option<NodeId> {
    let own = nodes.iter().find(|one| one.id == node)?;
    let distance = |other: NodeId| own.distances.iter().find(|(id, _)| *id == other).map(|(_, far)| *far);
    let with_processors = nodes.iter().filter(|one| one.has_processors).map(|one| one.id);
    with_processors.min_by_key(|&id| (id != node, distance(id).unwrap_or(u32::MAX), id))
}

/// A stay on some processors; the thread goes back where it was when this is dropped.
struct Nearby {
    before: Option<ProcessorSet>,
}

impl Nearby {
    /// Goes to `processors`, where the system lets it: to stay where it is costs time, and nothing else.
    fn go_there(processors: ProcessorSet) -> Self {
        let before = ProcessorSet::allowed().ok().filter(|before| *before != processors);
        let went = before.filter(|_| match processors.allow() {
            Ok(()) => true,
            Err(error) => {
                tracing::debug!("pages are moved from afar: {error}");
                false
            }
        });
        Self { before: went }
    }
}

impl Drop for Nearby {
    fn drop(&mut self) {
        if let Some(before) = &self.before
            && let Err(error) = before.allow()
        {
            tracing::warn!("a thread could not be put back to the processors it had: {error}");
        }
    }
}

/// The pages of one process, by the kernel.
#[derive(Debug)]
struct ProcessPages {
    space: AddressSpace,
    process: Pid,
    /// Pages that others have too, until the kernel says that we may not.
    whose: Whose,
}

impl ProcessPages {
    fn failed(error: &io::Error) -> ProcessError {
        let help = match error.raw_os_error() {
            Some(libc::ESRCH) => return ProcessError::Exited,
            Some(libc::EPERM) => format!("{error}; run as root, or with {CAPABILITIES}"),
            Some(libc::EACCES) => {
                format!("{error}; the node is not in the cpuset of etmemd or of the process")
            }
            Some(libc::ENODEV) => format!("{error}; the node is not online"),
            _ => error.to_string(),
        };
        ProcessError::Refused { call: CALL.into(), reason: help }
    }
}

impl Pages for ProcessPages {
    fn look(&mut self, pages: &[u64], status: &mut [i32]) -> Result<(), ProcessError> {
        self.space.check()?;
        let answer = move_pages::where_are(self.process, pages, status);
        self.space.check()?;
        answer.map_err(|error| Self::failed(&error))
    }

    fn ask(
        &mut self,
        pages: &[u64],
        node: NodeId,
        status: &mut [i32],
    ) -> Result<io::Result<u64>, ProcessError> {
        self.space.check()?;
        let mut answer = move_pages::move_to(self.process, pages, node, status, self.whose);
        if self.whose == Whose::All
            && matches!(&answer, Err(error) if error.raw_os_error() == Some(libc::EPERM))
        {
            self.whose = Whose::Own;
            answer = move_pages::move_to(self.process, pages, node, status, self.whose);
        }
        self.space.check()?;
        match answer {
            Err(error) if error.raw_os_error() != Some(libc::ENOMEM) => Err(Self::failed(&error)),
            answer => Ok(answer),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use etmem_core::kernel::nodes::NodeMemory;

    fn node(id: u16, has_processors: bool, distances: [u32; 4]) -> Node {
        Node {
            id: NodeId(id),
            has_processors,
            tier: None,
            memory: NodeMemory::default(),
            huge_pool: NodeMemory::default(),
            distances: (0..).map(NodeId).zip(distances).collect(),
        }
    }

    #[test]
    fn the_nearest_processor() {
        let nodes = [
            node(0, true, [10, 20, 17, 28]),
            node(1, true, [20, 10, 28, 17]),
            node(2, false, [17, 28, 10, 30]),
            node(3, false, [28, 17, 30, 10]),
        ];
        for (from, want) in [(0, Some(0)), (1, Some(1)), (2, Some(0)), (3, Some(1)), (9, None)] {
            assert_eq!(nearest(&nodes, NodeId(from)), want.map(NodeId), "{from}");
        }
        assert_eq!(nearest(&nodes[2..], NodeId(2)), None);
    }

    #[test]
    fn a_thread_comes_back() {
        let before = ProcessorSet::allowed().unwrap();
        for set in [before, ProcessorSet::of([]), ProcessorSet::of(0..64)] {
            drop(Nearby::go_there(set));
            assert_eq!(ProcessorSet::allowed().unwrap(), before);
        }
    }
}
