//! What the stories share: the machine's nodes and pools, programs with memory, and where that lies.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use etmem_core::kernel::nodes::{Node, NodeId, NodeMover, NodePages, NumaNodes, Place};
use etmem_core::kernel::pacer::Pacer;
use etmem_core::kernel::process::{Pid, ProcessId};
use etmem_linux::mover::numa::Numa;
use etmem_linux::nodes::MachineNodes;
use etmem_linux::process::table::Processes;
use etmem_linux::root::{ProcRoot, SysRoot};
use etmem_testkit::clock::WallClock;
use etmem_testkit::daemon::Binaries;
use etmem_testkit::hotset::{HotSet, Options};
use etmem_testkit::{nodes, numa_maps};

/// Bytes of a huge page.
pub(crate) const HUGE: usize = 2 << 20;

/// The machine that a story happens in.
#[derive(Debug)]
pub(crate) struct Inside {
    pub(crate) binaries: Binaries,
    pub(crate) clock: WallClock,
}

/// The program whose touched part moves, beside the others.
pub(crate) fn hotset(binaries: &Binaries) -> PathBuf {
    binaries.hotcold.with_file_name("hotset")
}

impl Inside {
    /// The kernel does not move pages to where they are touched, and no node has huge pages of an earlier story.
    pub(crate) fn new(binaries: Binaries) -> Result<Self> {
        nodes::without_balancing()?;
        nodes::without_huge_pools()?;
        Ok(Self { binaries, clock: WallClock::new() })
    }

    /// Tells the reader of a failed test how far it came.
    pub(crate) fn say(&self, what: &str) {
        println!("{:?}: {what}", self.clock.now());
    }

    /// The nodes as the product sees them.
    pub(crate) fn nodes() -> Result<Vec<Node>> {
        Ok(MachineNodes(SysRoot::default()).nodes()?)
    }

    /// Makes the pool of huge pages of `node` as large.
    pub(crate) fn pool(node: u16, pages: usize) -> Result<()> {
        nodes::huge_pool(node, pages)
    }

    pub(crate) fn start(&self, options: Options) -> Result<HotSet> {
        HotSet::start(&hotset(&self.binaries), options)
    }
}

/// A process as the ports name it.
pub(crate) fn identity(pid: u32) -> Result<ProcessId> {
    let pid = Pid::new(pid).context("pid 0")?;
    Ok(Processes::new(ProcRoot::default()).identify(pid)?)
}

/// A mover between nodes for `pid`.
pub(crate) fn mover(pid: u32) -> Result<Box<dyn NodePages>> {
    let numa = Numa::detect(&ProcRoot::default(), &SysRoot::default())?;
    Ok(numa.attach(identity(pid)?)?)
}

/// The addresses of all its pages, each of `bytes`.
pub(crate) fn pages(program: &HotSet, bytes: usize) -> Vec<u64> {
    program.range().step_by(bytes).map(|address| address as u64).collect()
}

/// Bytes on each node, page by page.
pub(crate) fn on_nodes(places: &[Place], page: usize) -> BTreeMap<u16, u64> {
    let mut sum = BTreeMap::new();
    for place in places {
        if let Place::Node(NodeId(node)) = place {
            *sum.entry(*node).or_default() += page as u64;
        }
    }
    sum
}

/// Where the pages of `program` are, in their order; `numa_maps` must say the same.
pub(crate) fn places(program: &HotSet, page: usize) -> Result<Vec<Place>> {
    let mut found = Vec::new();
    mover(program.pid())?.where_are(&pages(program, page), &mut found)?;
    ensure!(found.iter().all(|place| matches!(place, Place::Node(_))), "not all is in memory: {found:?}");
    let (asked, told) =
        (on_nodes(&found, page), numa_maps::of_mapping(program.pid(), program.range().start)?);
    ensure!(asked == told, "move_pages says {asked:?}, numa_maps {told:?}");
    Ok(found)
}
