//! Heat is the same whether a run of blocks comes as one or block by block.

use etmem_core::address::{BLOCK_SIZE, PAGES_PER_BLOCK};
use etmem_core::heat::{Entry, HeatMap, HeatUpdate};
use etmem_core::kernel::probe::{Access, AccessSink, Block};
use proptest::prelude::*;

/// Takes every run block by block, as the trait does by default.
struct OneByOne<'a>(&'a mut HeatUpdate);

impl AccessSink for OneByOne<'_> {
    fn block(&mut self, start: u64, block: Block<'_>) {
        self.0.block(start, block);
    }
}

/// Gives a look's shapes to `sink`: gap, length and kind of each.
fn give(look: &[(u64, u64, u8)], sink: &mut dyn AccessSink) {
    let mut at = 100;
    for &(gap, length, kind) in look {
        let start = (at + gap) * BLOCK_SIZE;
        at += gap + length;
        let access = [Access::IDLE, Access::READ, Access::WRITTEN][usize::from(kind % 3)];
        match kind {
            0..3 => sink.equal_blocks(start, length, access),
            3..6 => sink.equal_huge_blocks(start, length, access),
            6 => sink.equal_blocks(start, length, Access::ABSENT),
            _ => {
                let mut pages = [access; PAGES_PER_BLOCK];
                pages[7] = Access::ABSENT;
                pages[9] = Access::WRITTEN;
                for block in 0..length {
                    sink.block(start + block * BLOCK_SIZE, Block::Pages(&pages));
                }
            }
        }
    }
}

/// Everything a map holds, block by block: its address, whether it is a huge page, its counts.
fn spread(map: &HeatMap) -> Vec<(u64, bool, Vec<u16>)> {
    let mut out = Vec::new();
    let mut cursor = map.cursor();
    while let Some((start, entry)) = cursor.next() {
        match entry {
            Entry::Pages { blocks, count } | Entry::Huge { blocks, count } => {
                let huge = matches!(entry, Entry::Huge { .. });
                let block = |number| (start + number * BLOCK_SIZE, huge, vec![count; PAGES_PER_BLOCK]);
                out.extend((0..blocks).map(block));
            }
            Entry::Mixed => out.push((start, false, cursor.counts().0.to_vec())),
        }
    }
    out
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]
    #[test]
    fn runs_count_as_their_blocks(looks in proptest::collection::vec(
        proptest::collection::vec((0u64..4, 1u64..6, 0u8..8), 0..16), 1..5)
    ) {
        let (mut by_run, mut by_block) = (HeatMap::default(), HeatMap::default());
        for look in looks {
            let mut update = HeatUpdate::new(by_run);
            give(&look, &mut update);
            by_run = update.finish();
            let mut update = HeatUpdate::new(by_block);
            give(&look, &mut OneByOne(&mut update));
            by_block = update.finish();
            prop_assert_eq!(spread(&by_run), spread(&by_block));
        }
    }
}

#[test]
fn a_run_of_a_tebibyte_takes_no_memory() {
    let mut heat = HeatMap::default();
    let blocks = (1 << 40) / BLOCK_SIZE;
    for _ in 0..3 {
        let mut update = HeatUpdate::new(heat);
        update.equal_blocks(BLOCK_SIZE, blocks, Access::WRITTEN);
        heat = update.finish();
    }
    let mut cursor = heat.cursor();
    assert_eq!(cursor.next(), Some((BLOCK_SIZE, Entry::Pages { blocks, count: 9 })));
    assert_eq!(cursor.next(), None);
    assert!(heat.heap_bytes() < 1024, "{} bytes", heat.heap_bytes());
}
