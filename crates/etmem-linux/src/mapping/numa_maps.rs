//! `/proc/PID/numa_maps` and the nodes of `/proc/PID/status`: where a program itself wants its memory (numa(7), cpuset(7)).
//!
//! A policy that the program set for a mapping (mbind) or for itself (set_mempolicy) stands after the address: `bind:0`,
//! `prefer:1`, `interleave:0-1`, `local`. That of a thread other than the first is not shown there.

use crate::mapping::Mappings;
use crate::process::memory_files::memory_file;
use crate::process::stat::{check_alive, process_error};
use crate::root::ProcRoot;
use crate::small_file;
use etmem_core::kernel::mapping::MappingSource;
use etmem_core::kernel::nodes::{NodeId, OwnPlacement};
use etmem_core::kernel::process::{ProcessError, ProcessId};
use std::collections::{BTreeMap, HashSet};

/// What stands there for a mapping without a policy of the program's own.
const NO_POLICY: &str = "default";

/// A mapping's line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Line {
    start: u64,
    is_bound: bool,
    /// Bytes in memory.
    present: u64,
}

impl Line {
    fn parse(text: &str) -> Option<Self> {
        let mut words = text.split_ascii_whitespace();
        let start = u64::from_str_radix(words.next()?, 16).ok()?;
        // "prefer (many):0-1" has a space; its first word is enough.
        let is_bound = words.next()? != NO_POLICY;
        let pairs = || text.split_ascii_whitespace().filter_map(|word| word.split_once('='));
        let size = pairs().find(|(name, _)| *name == "kernelpagesize_kB");
        let kib: u64 = size.and_then(|(_, kib)| kib.parse().ok()).unwrap_or(4);
        let on_node = |(name, pages): (&str, &str)| {
            let number = name.strip_prefix('N')?;
            let is_node = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
            is_node.then(|| pages.parse::<u64>().ok()).flatten()
        };
        let pages = pairs().filter_map(on_node).fold(0, u64::saturating_add);
        Some(Self { start, is_bound, present: pages.saturating_mul(kib << 10) })
    }
}

/// Bytes of `process` in memory by the number of the node, those of files as well. Nothing where the kernel has no such file.
///
/// # Errors
/// When the process is gone or the kernel refuses.
pub(crate) fn bytes_by_node(proc: &ProcRoot, process: ProcessId) -> Result<BTreeMap<u16, u64>, ProcessError> {
    let path = memory_file(proc, process.pid, "numa_maps");
    let text = match small_file::read(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        text => text.map_err(|error| process_error(path.display().to_string(), &error))?,
    };
    check_alive(proc, process)?;
    Ok(of_nodes(&String::from_utf8_lossy(&text)))
}

fn of_nodes(text: &str) -> BTreeMap<u16, u64> {
    let mut nodes = BTreeMap::new();
    for line in text.lines() {
        let pairs = || line.split_ascii_whitespace().filter_map(|word| word.split_once('='));
        let size = pairs().find(|(name, _)| *name == "kernelpagesize_kB");
        let kib: u64 = size.and_then(|(_, kib)| kib.parse().ok()).unwrap_or(4);
        for (name, pages) in pairs() {
            let node = name.strip_prefix('N').and_then(|number| number.parse::<u16>().ok());
            if let (Some(node), Ok(pages)) = (node, pages.parse::<u64>()) {
                let bytes = nodes.entry(node).or_insert(0u64);
                *bytes = bytes.saturating_add(pages.saturating_mul(kib << 10));
            }
        }
    }
    nodes
}

/// The nodes in a list such as `0-1,3`.
fn node_list(text: &str) -> Option<Vec<NodeId>> {
    let mut nodes = Vec::new();
    for part in text.trim().split(',').filter(|part| !part.is_empty()) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last): (u16, u16) = (first.parse().ok()?, last.parse().ok()?);
        nodes.extend((first..=last).map(NodeId));
    }
    Some(nodes)
}

/// Where the program that `process` runs wants its memory. Everything is allowed by a kernel without NUMA.
pub(crate) fn own_placement(proc: &ProcRoot, process: ProcessId) -> Result<OwnPlacement, ProcessError> {
    let read = |name| {
        let path = memory_file(proc, process.pid, name);
        let text = small_file::read(&path);
        text.map_err(|error| process_error(path.display().to_string(), &error))
    };
    let status = String::from_utf8_lossy(&read("status")?).into_owned();
    let allowed = status.lines().find_map(|line| line.strip_prefix("Mems_allowed_list:"));
    let allowed = allowed.and_then(node_list);
    let text = match read("numa_maps") {
        // The process is there: the kernel has no such file.
        Err(ProcessError::Exited) => {
            check_alive(proc, process)?;
            return Ok(OwnPlacement { allowed, ..OwnPlacement::default() });
        }
        text => String::from_utf8_lossy(&text?).into_owned(),
    };
    let lines: Vec<Line> = text.lines().filter_map(Line::parse).collect();
    let bound: HashSet<u64> = lines.iter().filter(|line| line.is_bound).map(|line| line.start).collect();
    let mut mappings = Vec::new();
    if !bound.is_empty() {
        Mappings::new(proc.clone()).mappings(process, &[], &mut mappings)?;
    }
    let sum = |lines: &mut dyn Iterator<Item = &Line>| lines.map(|line| line.present).sum();
    Ok(OwnPlacement {
        bound: mappings.iter().map(|it| it.range).filter(|range| bound.contains(&range.start)).collect(),
        bound_bytes: sum(&mut lines.iter().filter(|line| line.is_bound)),
        present_bytes: sum(&mut lines.iter()),
        allowed,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use etmem_core::address::AddressRange;
    use etmem_core::kernel::process::Pid;
    use proptest::prelude::*;

    #[test]
    fn lines() {
        let line = |start, is_bound, present| Some(Line { start, is_bound, present });
        for (text, want) in [
            ("7f00 default anon=3 dirty=3 N0=2 N1=1 kernelpagesize_kB=4", line(0x7f00, false, 3 << 12)),
            ("7f00 bind:0 huge anon=2 N0=2 kernelpagesize_kB=2048", line(0x7f00, true, 4 << 20)),
            ("7f00 prefer:1 anon=1 N1=1 kernelpagesize_kB=4", line(0x7f00, true, 1 << 12)),
            ("7f00 prefer (many):0-1 anon=1 N1=1", line(0x7f00, true, 1 << 12)),
            ("7f00 interleave=static:0-1", line(0x7f00, true, 0)),
            ("7f00 local", line(0x7f00, true, 0)),
            ("7f00 default file=/N0=9\\040x N=3 Nx=4 mapped=1", line(0x7f00, false, 0)),
            ("7f00", None),
            ("", None),
            ("xyz default", None),
        ] {
            assert_eq!(Line::parse(text), want, "{text}");
        }
    }

    #[test]
    fn bytes_of_each_node_add_up_over_mappings() {
        let text = "7f00 default anon=3 N0=2 N1=1 kernelpagesize_kB=4\n7f10 default huge N1=2 kernelpagesize_kB=2048\nx\n";
        assert_eq!(of_nodes(text), BTreeMap::from([(0, 2 << 12), (1, (1 << 12) + (4 << 20))]));
    }

    #[test]
    fn lists_of_nodes() {
        let nodes = |text| node_list(text).map(|nodes| nodes.iter().map(|node| node.0).collect::<Vec<_>>());
        assert_eq!(nodes("\t0-1,3\n"), Some(vec![0, 1, 3]));
        assert_eq!(nodes(""), Some(vec![]));
        for text in ["x", "1-", "0,-1", "70000"] {
            assert_eq!(nodes(text), None, "{text}");
        }
    }

    #[test]
    fn bound_ranges_have_the_ends_of_their_mappings() {
        let tree = tempfile::tempdir().unwrap();
        let folder = tree.path().join("7");
        std::fs::create_dir(&folder).unwrap();
        let write = |file: &str, text: &str| std::fs::write(folder.join(file), text).unwrap();
        write("stat", "7 (x) S 1 1 1 0 -1 0 1 2 3 4 5 6 7 8 20 0 1 0 5 1 2\n");
        write("status", "VmRSS:\t 9 kB\nMems_allowed_list:\t1\n");
        let proc = ProcRoot::new(tree.path());
        let process = ProcessId { pid: Pid::new(7).unwrap(), start_time: 5 };
        let without = own_placement(&proc, process).unwrap();
        assert_eq!(without, OwnPlacement { allowed: Some(vec![NodeId(1)]), ..OwnPlacement::default() });
        assert!(without.allows(NodeId(1)) && !without.allows(NodeId(0)));
        write(
            "numa_maps",
            "1000 default N0=1\n3000 bind:1 anon=2 N1=2 kernelpagesize_kB=4\n9000 default N0=4\n",
        );
        write("maps", "1000-2000 rw-p 0 0:0 0\n3000-6000 rw-p 0 0:0 0\n9000-d000 rw-p 0 0:0 0\n");
        let found = own_placement(&proc, process).unwrap();
        assert_eq!(found.bound, [AddressRange::new(0x3000, 0x6000)]);
        assert_eq!((found.bound_bytes, found.present_bytes), (2 << 12, 7 << 12));
        let later = ProcessId { start_time: 6, ..process };
        assert_eq!(own_placement(&proc, later), Err(ProcessError::Exited));
    }

    proptest! {
        #[test]
        fn never_panics(text: String) {
            let _ = Line::parse(&text);
            let _ = node_list(&text);
        }
    }
}
