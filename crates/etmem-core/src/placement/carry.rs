//! Carrying pages from one node to another.

use super::pages::{BATCH_PAGES, HeatPages};
use crate::address::{BLOCK_SIZE, PAGE_SIZE};
use crate::heat::HeatMap;
use crate::kernel::nodes::{Migrated, NodeId, NodePages, Place};
use crate::kernel::pacer::Pacer;
use crate::scan::ScanEnd;

/// Bytes per call of the mover. Between two calls the work looks whether it should stop.
const CALL_BYTES: u64 = 64 * 1024 * 1024;

/// A budget of which less than this part is left is spent, once a page failed: what does not move is not counted, and
/// to go on page by page through thousands that fail for the last few that may move is not worth it.
const SPENT: u64 = 64;

/// From one node to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Way {
    /// Where the pages lie.
    pub from: NodeId,
    /// Where they should lie.
    pub to: NodeId,
}

/// How much may move one way, for all processes together. Pages that do not move do not count, so that those that cannot
/// be moved never keep others back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    whole: u64,
    left: u64,
    failed: bool,
    full: bool,
}

impl Budget {
    /// A budget of `bytes`.
    #[must_use]
    pub const fn new(bytes: u64) -> Self {
        Self { whole: bytes, left: bytes, failed: false, full: false }
    }

    /// Bytes not moved yet.
    #[must_use]
    pub const fn left(&self) -> u64 {
        self.left
    }

    /// Whether nothing more is to be tried: it is spent, or the node to move to has no room.
    #[must_use]
    pub const fn is_over(&self) -> bool {
        self.left < PAGE_SIZE || self.full || (self.failed && self.left < self.whole / SPENT)
    }

    /// How many pages of `size` bytes may be tried at once.
    fn pages(&self, size: u64) -> usize {
        if self.is_over() { 0 } else { usize::try_from(self.left.min(CALL_BYTES) / size).unwrap_or(0) }
    }

    fn spend(&mut self, pages: Migrated, size: u64) {
        self.left = self.left.saturating_sub(pages.moved.saturating_mul(size));
        self.failed |= pages.failed() > 0;
        self.full |= pages.no_room > 0 && pages.moved == 0;
    }
}

/// What became of pages that were to move.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Carried {
    /// Bytes moved.
    pub bytes: u64,
    /// The same in pages, base or huge, and those that did not move, by reason.
    pub pages: Migrated,
}

impl Carried {
    /// Adds what became of others.
    pub fn add(&mut self, more: Self) {
        self.bytes += more.bytes;
        self.pages += more.pages;
    }
}

/// Moves pages of `heat` that have `count` along `way`, lowest address first, each tried once, within `budget`. What
/// became of them is added to `carried`, also where it ends early.
///
/// # Errors
/// When a stop was asked for, or the process is gone or the kernel refuses.
pub fn carry(
    heat: &HeatMap,
    count: u16,
    way: Way,
    budget: &mut Budget,
    mover: &mut dyn NodePages,
    carried: &mut Carried,
    pacer: &dyn Pacer,
) -> Result<(), ScanEnd> {
    let mut pages = HeatPages::new(heat, count..=count);
    let (mut batch, mut addresses, mut places) = (Vec::new(), Vec::new(), Vec::new());
    let (mut base, mut huge): (Vec<u64>, Vec<u64>) = (Vec::new(), Vec::new());
    while !budget.is_over() {
        batch.clear();
        batch.extend(pages.by_ref().take(BATCH_PAGES));
        if batch.is_empty() {
            break;
        }
        pacer.pace().or_stopped()?;
        addresses.clear();
        addresses.extend(batch.iter().map(|page| page.address));
        mover.where_are(&addresses, &mut places)?;
        let here = batch.iter().zip(&places).filter(|(_, place)| **place == Place::Node(way.from));
        base.clear();
        huge.clear();
        for (page, _) in here {
            if page.huge { &mut huge } else { &mut base }.push(page.address);
        }
        // Apart, as the kernel tells numbers of pages, not their sizes.
        for (pages, size) in [(&huge, BLOCK_SIZE), (&base, PAGE_SIZE)] {
            let mut rest = &pages[..];
            while !rest.is_empty() {
                let (now, later) = rest.split_at(budget.pages(size).min(rest.len()));
                if now.is_empty() {
                    break;
                }
                rest = later;
                pacer.pace().or_stopped()?;
                let became = mover.move_to(now, way.to)?;
                budget.spend(became, size);
                carried.add(Carried { bytes: became.moved * size, pages: became });
            }
        }
    }
    Ok(())
}
