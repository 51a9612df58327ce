//! What simulated programs share.

use etmem_core::address::{BLOCK_SIZE, PAGES_PER_BLOCK};
use etmem_core::heat::{HeatMap, HeatUpdate};
use etmem_core::kernel::probe::{Access, AccessSink, Block};

/// A number that looks random, of 32 bits, and is the same in every run.
pub(crate) fn hash(page: usize, time: u64) -> u64 {
    let mut number = (page as u64) << 32 ^ time ^ 0x9e37_79b9_7f4a_7c15;
    for _ in 0..3 {
        number = (number ^ number >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    }
    number >> 32
}

/// What a look at pages in a row gives.
pub(crate) fn heat(seen: &[Access]) -> HeatMap {
    let mut update = HeatUpdate::new(HeatMap::default());
    for (block, pages) in (1u64..).zip(seen.chunks(PAGES_PER_BLOCK)) {
        let mut all = [Access::ABSENT; PAGES_PER_BLOCK];
        all[..pages.len()].copy_from_slice(pages);
        update.block(block * BLOCK_SIZE, Block::Pages(&all));
    }
    update.finish()
}
