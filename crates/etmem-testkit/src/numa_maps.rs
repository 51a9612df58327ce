//! On which nodes the memory of a process lies, as `/proc/PID/numa_maps` tells it.

use std::collections::BTreeMap;
use std::fs;

use anyhow::{Context, Result};

/// Bytes on each node of the mapping that `address` lies in or behind, which must be the nearest before it.
///
/// # Errors
/// The process is gone, or has no such mapping.
pub fn of_mapping(pid: u32, address: usize) -> Result<BTreeMap<u16, u64>> {
    let path = format!("/proc/{pid}/numa_maps");
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    let line = text.lines().rfind(|line| start(line).is_some_and(|start| start <= address));
    Ok(on_nodes(line.with_context(|| format!("{path} has no mapping at {address:x}"))?))
}

fn start(line: &str) -> Option<usize> {
    usize::from_str_radix(line.split(' ').next()?, 16).ok()
}

fn on_nodes(line: &str) -> BTreeMap<u16, u64> {
    let pairs = || line.split(' ').filter_map(|word| word.split_once('='));
    let kib =
        pairs().find(|(name, _)| *name == "kernelpagesize_kB").and_then(|(_, size)| size.parse::<u64>().ok());
    let node = |(name, pages): (&str, &str)| -> Option<(u16, u64)> {
        Some((name.strip_prefix('N')?.parse().ok()?, pages.parse::<u64>().ok()? * (kib.unwrap_or(4) << 10)))
    };
    pairs().filter_map(node).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines() {
        let line = "7f0000000000 default file=/anon_hugepage\\040(deleted) huge anon=5 dirty=5 N0=3 N1=2 kernelpagesize_kB=2048";
        assert_eq!(start(line), Some(0x7f00_0000_0000));
        assert_eq!(on_nodes(line), BTreeMap::from([(0, 6 << 20), (1, 4 << 20)]));
        assert_eq!(on_nodes("7f00 default anon=1 N2=7 kernelpagesize_kB=4"), BTreeMap::from([(2, 7 << 12)]));
        assert!(on_nodes("7f00 default").is_empty());
    }
}
