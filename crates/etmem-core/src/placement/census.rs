//! Bytes of a process by the node they lie on and by count.

use super::pages::{BATCH_PAGES, HeatPages, Page};
use crate::address::{BLOCK_SIZE, PAGE_SIZE};
use crate::heat::{COUNT_MAX, HeatMap};
use crate::kernel::nodes::{NodeId, NodePages, Place};
use crate::kernel::pacer::Pacer;
use crate::scan::ScanEnd;
use std::collections::BTreeMap;

/// How many bytes lie on which node with which count.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Census {
    /// Per node the bytes of each count, up to the highest there is.
    nodes: BTreeMap<NodeId, Vec<u64>>,
    /// Bytes of which the kernel did not tell the node.
    unknown: u64,
}

impl Census {
    /// Bytes on `node` that have `count`.
    #[must_use]
    pub fn at(&self, node: NodeId, count: u16) -> u64 {
        let counts = self.nodes.get(&node);
        counts.and_then(|counts| counts.get(usize::from(count))).copied().unwrap_or(0)
    }

    /// Bytes on `node` whose count is below `threshold`.
    #[must_use]
    pub fn cold(&self, node: NodeId, threshold: u16) -> u64 {
        self.nodes.get(&node).map_or(0, |counts| counts.iter().take(usize::from(threshold)).sum())
    }

    /// Bytes on `node` that count `threshold` or more.
    #[must_use]
    pub fn hot(&self, node: NodeId, threshold: u16) -> u64 {
        self.nodes.get(&node).map_or(0, |counts| counts.iter().skip(usize::from(threshold)).sum())
    }

    /// Bytes on all nodes that count `threshold` or more.
    #[must_use]
    pub fn hot_everywhere(&self, threshold: u16) -> u64 {
        self.nodes.keys().map(|node| self.hot(*node, threshold)).sum()
    }

    /// Bytes on all nodes, and those of which the node is not known.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.nodes.values().flatten().sum::<u64>() + self.unknown
    }

    fn add(&mut self, node: NodeId, count: u16, bytes: u64) {
        let counts = self.nodes.entry(node).or_default();
        let count = usize::from(count.min(COUNT_MAX));
        if counts.len() <= count {
            counts.resize(count + 1, 0);
        }
        counts[count] += bytes;
    }

    /// Enters that `bytes` with `count` moved from one node to the other.
    pub fn moved(&mut self, from: NodeId, to: NodeId, count: u16, bytes: u64) {
        let counts = self.nodes.get_mut(&from);
        let Some(there) = counts.and_then(|counts| counts.get_mut(usize::from(count))) else { return };
        let bytes = bytes.min(*there);
        *there -= bytes;
        self.add(to, count, bytes);
    }
}

/// Asks where each page of `heat` lies.
///
/// # Errors
/// When a stop was asked for, or the process is gone or the kernel refuses.
pub fn take_census(
    heat: &HeatMap,
    where_to_ask: &mut dyn NodePages,
    pacer: &dyn Pacer,
) -> Result<Census, ScanEnd> {
    let mut census = Census::default();
    let mut pages = HeatPages::new(heat, 0..=COUNT_MAX);
    let mut batch: Vec<Page> = Vec::new();
    let (mut addresses, mut places) = (Vec::new(), Vec::new());
    loop {
        batch.clear();
        batch.extend(pages.by_ref().take(BATCH_PAGES));
        if batch.is_empty() {
            return Ok(census);
        }
        pacer.pace().or_stopped()?;
        addresses.clear();
        addresses.extend(batch.iter().map(|page| page.address));
        where_to_ask.where_are(&addresses, &mut places)?;
        for (page, place) in batch.iter().zip(&places) {
            let bytes = if page.huge { BLOCK_SIZE } else { PAGE_SIZE };
            match place {
                Place::Node(node) => census.add(*node, page.count, bytes),
                // It left since the look at it.
                Place::Absent => {}
                Place::Unknown => census.unknown += bytes,
            }
        }
    }
}
