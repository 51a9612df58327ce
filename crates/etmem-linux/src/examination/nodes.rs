//! NUMA nodes and memory tiers.

use super::finding::Finding;
use super::text::{line_of, number, numbered, size};
use crate::root::SysRoot;
use std::fs;

/// The nodes with their memory, processors and tiers.
pub(super) fn nodes(sys: &SysRoot) -> Finding {
    const NAME: &str = "nodes";
    let found = numbered(&sys.file("devices/system/node"), "node");
    if found.is_empty() {
        return Finding::ok(NAME, "1: the kernel knows of no others");
    }
    let tiers = tiers(sys);
    let mut expanders = 0;
    let details = found.iter().map(|(id, folder)| {
        let figures = fs::read_to_string(folder.join("meminfo")).unwrap_or_default();
        let figure = |name| figure(&figures, name).map_or_else(|| "?".to_owned(), size);
        let processors = match line_of(&folder.join("cpulist")) {
            Some(list) if !list.is_empty() => format!("processors {list}"),
            Some(_) | None => {
                expanders += 1;
                "no processors".to_owned()
            }
        };
        let tier = tiers.iter().find(|(_, nodes)| nodes.contains(id));
        let tier = tier.map_or_else(String::new, |(tier, _)| format!(", tier {tier}"));
        format!("node {id}: {}, {} free, {processors}{tier}", figure("MemTotal"), figure("MemFree"))
    });
    let details: Vec<String> = details.collect();
    let without = if expanders > 0 { format!(", {expanders} without processors") } else { String::new() };
    let tiers = if tiers.is_empty() { "no tiers told".to_owned() } else { number(tiers.len(), "tier") };
    Finding::ok(NAME, format!("{}{without}; {tiers}", found.len())).with(details)
}

/// Lines like `Node 0 MemTotal:       24684092 kB`.
fn figure(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| {
        let mut words = line.split_whitespace().skip(2);
        (words.next()?.strip_suffix(':')? == name).then_some(())?;
        words.next()?.parse::<u64>().ok()?.checked_mul(1024)
    })
}

/// The tiers that have nodes, and which.
fn tiers(sys: &SysRoot) -> Vec<(u32, Vec<u32>)> {
    let folders = numbered(&sys.file("devices/virtual/memory_tiering"), "memory_tier");
    let tiers = folders.into_iter().filter_map(|(tier, folder)| {
        let nodes = list(&line_of(&folder.join("nodelist"))?);
        (!nodes.is_empty()).then_some((tier, nodes))
    });
    tiers.collect()
}

/// The numbers of a list like `0-1,3`; what is no number is left out.
fn list(text: &str) -> Vec<u32> {
    /// More nodes than any kernel takes (`CONFIG_NODES_SHIFT` is at most 10).
    const MOST: u32 = 1024;
    let ranges = text.split(',').filter_map(|range| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        Some(first.trim().parse::<u32>().ok()?..=last.trim().parse::<u32>().ok()?.min(MOST))
    });
    ranges.flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_numbers() {
        for (text, numbers) in [
            ("0", vec![0]),
            ("0-2,5", vec![0, 1, 2, 5]),
            ("", vec![]),
            ("x,3", vec![3]),
            ("4294967295-0", vec![]),
        ] {
            assert_eq!(list(text), numbers, "{text}");
        }
        assert_eq!(list("0-4294967295").len(), 1025);
    }

    #[test]
    fn figures_of_a_node() {
        let text = "Node 0 MemTotal:  2 kB\nNode 0 MemFree: 99999999999999999999 kB\n\nNode 0\n";
        assert_eq!(
            (figure(text, "MemTotal"), figure(text, "MemFree"), figure(text, "Mem")),
            (Some(2048), None, None)
        );
    }
}
