//! `/sys/devices/system/node`: the NUMA nodes, how full they are, how far apart and how fast.

use crate::figures::bytes_of;
use crate::root::SysRoot;
use etmem_core::address::{AddressRange, BLOCK_SIZE, append};
use etmem_core::kernel::nodes::{Node, NodeId, NodeMemory, NumaNodes};
use etmem_core::kernel::process::ProcessError;
use std::collections::BTreeMap;
use std::io;
use std::path::Path;

/// Most numbers of a list: far beyond the processors and nodes of any machine (`NR_CPUS`, `MAX_NUMNODES`).
const MOST_NUMBERS: usize = 1 << 16;

/// The nodes of the machine.
#[derive(Debug, Clone)]
pub struct MachineNodes(pub SysRoot);

impl MachineNodes {
    /// Which processors belong to `node`; none of them where it has none.
    ///
    /// # Errors
    /// When the kernel does not say.
    pub(crate) fn processors(&self, node: NodeId) -> Result<Vec<usize>, ProcessError> {
        let path = self.0.nodes().join(format!("node{node}/cpulist"));
        let numbers = list(&text(&path)?).ok_or_else(|| refused(&path, "is not a list of processors"))?;
        Ok(numbers.into_iter().map(usize::from).collect())
    }

    /// Where the memory of `node` lies, in physical addresses and ascending: the blocks that the kernel can take online and offline
    /// (`CONFIG_MEMORY_HOTPLUG`), joined.
    ///
    /// # Errors
    /// When the kernel does not say.
    pub(crate) fn physical_memory(&self, node: NodeId) -> Result<Vec<AddressRange>, ProcessError> {
        let path = self.0.file("devices/system/memory/block_size_bytes");
        let size = u64::from_str_radix(text(&path)?.trim(), 16);
        let size = size.map_err(|_| refused(&path, "is not a hexadecimal number"))?;
        let folder = self.0.nodes().join(format!("node{node}"));
        let entries = std::fs::read_dir(&folder).map_err(|error| refused(&folder, error))?;
        let mut blocks: Vec<u64> = entries
            .flatten()
            .filter_map(|entry| entry.file_name().to_str()?.strip_prefix("memory")?.parse().ok())
            .collect();
        blocks.sort_unstable();
        let mut ranges: Vec<AddressRange> = Vec::new();
        for block in blocks {
            let range = block.checked_mul(size).and_then(|start| Some((start, start.checked_add(size)?)));
            let (start, end) = range.ok_or_else(|| refused(&folder, format!("has no block {block}")))?;
            append(&mut ranges, AddressRange::new(start, end));
        }
        if ranges.is_empty() {
            return Err(refused(&folder, "has no blocks of memory; needs CONFIG_MEMORY_HOTPLUG=y"));
        }
        Ok(ranges)
    }

    /// The numbers of the nodes that are there, with or without memory.
    fn numbers(&self) -> Result<Vec<u16>, ProcessError> {
        let folder = self.0.nodes();
        let entries = std::fs::read_dir(&folder).map_err(|error| {
            if error.kind() == io::ErrorKind::NotFound {
                return refused(&folder, "missing; needs a kernel built with CONFIG_NUMA=y");
            }
            refused(&folder, error)
        })?;
        let mut numbers: Vec<u16> = entries
            .flatten()
            .filter_map(|entry| entry.file_name().to_str()?.strip_prefix("node")?.parse().ok())
            .collect();
        numbers.sort_unstable();
        Ok(numbers)
    }

    /// The tier of each node that is in one.
    fn tiers(&self) -> BTreeMap<u16, u32> {
        let entries = std::fs::read_dir(self.0.memory_tiers()).into_iter().flatten().flatten();
        let tiers = entries.filter_map(|entry| {
            let tier: u32 = entry.file_name().to_str()?.strip_prefix("memory_tier")?.parse().ok()?;
            let nodes = list(&std::fs::read_to_string(entry.path().join("nodelist")).ok()?)?;
            Some(nodes.into_iter().map(move |node| (node, tier)))
        });
        tiers.flatten().collect()
    }
}

impl NumaNodes for MachineNodes {
    fn nodes(&self) -> Result<Vec<Node>, ProcessError> {
        let numbers = self.numbers()?;
        let tiers = self.tiers();
        let mut nodes = Vec::new();
        for &number in &numbers {
            let folder = self.0.nodes().join(format!("node{number}"));
            let memory = memory(&folder, number)?;
            if memory.total == 0 {
                continue;
            }
            nodes.push(Node {
                id: NodeId(number),
                has_processors: !self.processors(NodeId(number))?.is_empty(),
                tier: tiers.get(&number).copied(),
                memory,
                huge_pool: huge_pool(&folder)?,
                distances: distances(&folder, &numbers)?,
            });
        }
        Ok(nodes)
    }
}

/// `MemTotal` and `MemFree` of a node's `meminfo`, whose lines begin with its name.
fn memory(folder: &Path, number: u16) -> Result<NodeMemory, ProcessError> {
    let path = folder.join("meminfo");
    let text = text(&path)?.replace(&format!("Node {number} "), "");
    let figure =
        |name| bytes_of(text.as_bytes(), name).ok_or_else(|| refused(&path, format!("has no {name} in kB")));
    Ok(NodeMemory { total: figure("MemTotal")?, free: figure("MemFree")? })
}

/// A node's pool of huge pages; an empty one where the kernel has none (`CONFIG_HUGETLBFS`).
fn huge_pool(folder: &Path) -> Result<NodeMemory, ProcessError> {
    let pool = folder.join("hugepages/hugepages-2048kB");
    if !pool.exists() {
        return Ok(NodeMemory::default());
    }
    let pages = |file| -> Result<u64, ProcessError> {
        let path = pool.join(file);
        let pages = text(&path)?.trim().parse::<u64>().ok();
        pages
            .and_then(|pages| pages.checked_mul(BLOCK_SIZE))
            .ok_or_else(|| refused(&path, "is not a number of pages"))
    };
    Ok(NodeMemory { total: pages("nr_hugepages")?, free: pages("free_hugepages")? })
}

/// Distances to `numbers`, in their order.
fn distances(folder: &Path, numbers: &[u16]) -> Result<Vec<(NodeId, u32)>, ProcessError> {
    let path = folder.join("distance");
    let text = text(&path)?;
    let distances: Option<Vec<u32>> = text.split_whitespace().map(|word| word.parse().ok()).collect();
    match distances {
        Some(distances) if distances.len() == numbers.len() => {
            Ok(numbers.iter().copied().map(NodeId).zip(distances).collect())
        }
        _ => Err(refused(&path, format!("does not hold a distance to each of {} nodes", numbers.len()))),
    }
}

/// The numbers of a list such as `0-2,5`, ascending; `None` if it is not a list.
fn list(text: &str) -> Option<Vec<u16>> {
    let mut numbers = Vec::new();
    for part in text.trim().split(',').filter(|part| !part.is_empty()) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last): (u16, u16) = (first.parse().ok()?, last.parse().ok()?);
        numbers.extend(first..=last);
        if first > last || numbers.len() > MOST_NUMBERS {
            return None;
        }
    }
    Some(numbers)
}

fn text(path: &Path) -> Result<String, ProcessError> {
    std::fs::read_to_string(path).map_err(|error| refused(path, error))
}

fn refused(path: &Path, reason: impl ToString) -> ProcessError {
    ProcessError::refused(path.display(), reason)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::fs;

    /// A machine with a processor node, a memory expander, a node of processors without memory, and a gap.
    fn machine() -> tempfile::TempDir {
        let tree = tempfile::tempdir().unwrap();
        for (node, cpus, total, free, distance) in [
            (0, "0-1,4\n", 2048, 1000, "10 17 20\n"),
            (2, "\n", 4096, 3000, "17 10 28\n"),
            (3, "2-3\n", 0, 0, "20 28 10\n"),
        ] {
            let folder = tree.path().join(format!("devices/system/node/node{node}"));
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join("cpulist"), cpus).unwrap();
            fs::write(folder.join("distance"), distance).unwrap();
            let meminfo = format!(
                "Node {node} MemTotal:        {total} kB\nNode {node} MemFree:         {free} kB\n\
                 Node {node} MemUsed:  7 kB\n"
            );
            fs::write(folder.join("meminfo"), meminfo).unwrap();
        }
        let node = |node: u16| tree.path().join(format!("devices/system/node/node{node}"));
        let pool = node(2).join("hugepages/hugepages-2048kB");
        fs::create_dir_all(&pool).unwrap();
        fs::write(pool.join("nr_hugepages"), "512\n").unwrap();
        fs::write(pool.join("free_hugepages"), "500\n").unwrap();
        for (tier, nodes) in [(4, "0,3\n"), (22, "2\n")] {
            let folder = tree.path().join(format!("devices/virtual/memory_tiering/memory_tier{tier}"));
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join("nodelist"), nodes).unwrap();
        }
        fs::create_dir_all(tree.path().join("devices/system/node/power")).unwrap();
        tree
    }

    fn nodes(tree: &tempfile::TempDir) -> Result<Vec<Node>, ProcessError> {
        MachineNodes(SysRoot::new(tree.path())).nodes()
    }

    #[test]
    fn nodes_with_memory() {
        let tree = machine();
        let found = nodes(&tree).unwrap();
        let far = |distances: [u32; 3]| [0, 2, 3].map(NodeId).into_iter().zip(distances).collect::<Vec<_>>();
        assert_eq!(
            found,
            [
                Node {
                    id: NodeId(0),
                    has_processors: true,
                    tier: Some(4),
                    memory: NodeMemory { total: 2048 << 10, free: 1000 << 10 },
                    huge_pool: NodeMemory::default(),
                    distances: far([10, 17, 20]),
                },
                Node {
                    id: NodeId(2),
                    has_processors: false,
                    tier: Some(22),
                    memory: NodeMemory { total: 4096 << 10, free: 3000 << 10 },
                    huge_pool: NodeMemory { total: 512 * BLOCK_SIZE, free: 500 * BLOCK_SIZE },
                    distances: far([17, 10, 28]),
                },
            ]
        );
        let machine = MachineNodes(SysRoot::new(tree.path()));
        assert_eq!(machine.processors(NodeId(0)), Ok(vec![0, 1, 4]));
        assert_eq!(machine.processors(NodeId(2)), Ok(vec![]));
    }

    #[test]
    fn what_is_wrong_is_named() {
        let empty = tempfile::tempdir().unwrap();
        assert!(nodes(&empty).unwrap_err().to_string().contains("CONFIG_NUMA"));
        for (file, text, want) in [
            ("node2/distance", "17 10\n", "node2/distance: does not hold a distance to each of 3 nodes"),
            ("node0/cpulist", "0-x\n", "node0/cpulist: is not a list of processors"),
            ("node0/meminfo", "Node 0 MemTotal: 5 kB\n", "node0/meminfo: has no MemFree in kB"),
            ("node2/hugepages/hugepages-2048kB/nr_hugepages", "many\n", "is not a number of pages"),
        ] {
            let tree = machine();
            fs::write(tree.path().join("devices/system/node").join(file), text).unwrap();
            let error = nodes(&tree).unwrap_err().to_string();
            assert!(error.contains(want) && !error.contains('\n'), "{error}");
        }
    }

    #[test]
    fn where_the_memory_of_a_node_lies() {
        let tree = machine();
        let machine = MachineNodes(SysRoot::new(tree.path()));
        let of = |node| machine.physical_memory(NodeId(node));
        assert!(of(0).unwrap_err().to_string().contains("block_size_bytes"));
        let size = tree.path().join("devices/system/memory/block_size_bytes");
        fs::create_dir_all(size.parent().unwrap()).unwrap();
        fs::write(&size, "8000000\n").unwrap();
        assert!(of(0).unwrap_err().to_string().contains("node0: has no blocks of memory"));
        for block in ["0", "1", "10", "9", "64", "_failure"] {
            fs::create_dir(tree.path().join(format!("devices/system/node/node0/memory{block}"))).unwrap();
        }
        let mib = |start: u64, end: u64| AddressRange::new(start << 20, end << 20);
        assert_eq!(of(0).unwrap(), [mib(0, 256), mib(9 * 128, 11 * 128), mib(64 * 128, 65 * 128)]);
        fs::write(&size, "many\n").unwrap();
        assert!(of(0).unwrap_err().to_string().contains("is not a hexadecimal number"));
        fs::write(&size, "8000000000000000\n").unwrap();
        assert!(of(0).unwrap_err().to_string().contains("has no block"), "beyond what addresses can be");
    }

    #[test]
    fn a_kernel_that_knows_no_tiers() {
        let tree = machine();
        fs::remove_dir_all(tree.path().join("devices/virtual")).unwrap();
        assert!(nodes(&tree).unwrap().iter().all(|node| node.tier.is_none()));
    }

    #[test]
    fn lists() {
        for (text, want) in [
            ("", Some(vec![])),
            ("\n", Some(vec![])),
            ("3\n", Some(vec![3])),
            ("0-2,5", Some(vec![0, 1, 2, 5])),
            ("2-0", None),
            ("a", None),
            ("0-65535,0-65535", None),
            ("1,,2", Some(vec![1, 2])),
        ] {
            assert_eq!(list(text), want, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(text: String) {
            let _ = list(&text);
        }
    }
}
