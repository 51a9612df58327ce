//! `/proc/zoneinfo`: how much memory the kernel wants free on each node (mm/vmstat.c).

use crate::root::ProcRoot;
use etmem_core::address::PAGE_SIZE;
use etmem_core::kernel::nodes::NodeId;
use etmem_core::kernel::process::ProcessError;

/// The `high` watermarks of the zones of `node`, together: kswapd rests while that much is free.
///
/// # Errors
/// When the file cannot be read, or has no such node.
pub(crate) fn watermark(proc: &ProcRoot, node: NodeId) -> Result<u64, ProcessError> {
    let path = proc.path().join("zoneinfo");
    let refused = |reason: String| ProcessError::refused(path.display(), reason);
    let text = std::fs::read_to_string(&path).map_err(|error| refused(error.to_string()))?;
    high(&text, node).ok_or_else(|| refused(format!("has no watermark of node {node}")))
}

fn high(text: &str, node: NodeId) -> Option<u64> {
    let (mut is_of_node, mut sum) = (false, None);
    for line in text.lines() {
        let mut words = line.split_ascii_whitespace();
        match (words.next(), words.next()) {
            (Some("Node"), Some(number)) => {
                is_of_node = number.trim_end_matches(',').parse() == Ok(node.0);
            }
            // Those of processors' lists have a colon.
            (Some("high"), Some(pages)) if is_of_node => {
                let bytes = pages.parse::<u64>().ok()?.checked_mul(PAGE_SIZE)?;
                sum = Some(u64::checked_add(sum.unwrap_or(0), bytes)?);
            }
            _ => {}
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO: &str = "Node 0, zone      DMA\n  per-node stats\n      nr_inactive_anon 295949\n  pages free     3840\n        boost    0\n        \
        min      10\n        low      13\n        high     16\n        promo    19\n  pagesets\n    cpu: 0\n              count:    0\n              \
        high:     14\nNode 0, zone   Normal\n        high     1000\nNode 1, zone  Movable\n  pages free     0\n        high     7\n";

    #[test]
    fn the_zones_of_a_node_are_summed() {
        for (text, node, want) in [
            (TWO, 0, Some(1016 * PAGE_SIZE)),
            (TWO, 1, Some(7 * PAGE_SIZE)),
            (TWO, 2, None),
            ("", 0, None),
            ("Node 0, zone DMA\n high x\n", 0, None),
            ("Node 0, zone DMA\n high 99999999999999999999\n", 0, None),
        ] {
            assert_eq!(high(text, NodeId(node)), want, "{node}");
        }
    }
}
