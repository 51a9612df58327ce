//! Looks are read as they were written.

use super::*;
use etmem_core::heat::HeatUpdate;
use etmem_core::kernel::probe::{AccessSink, Block};
use proptest::prelude::*;

const FIRST: u64 = 0x7f00_0000_0000 / BLOCK_SIZE;

/// What a look saw: for each block how it is, from a number that a test draws.
fn heat(blocks: &[u64]) -> HeatMap {
    let mut update = HeatUpdate::new(HeatMap::default());
    for (block, kind) in (FIRST..).zip(blocks) {
        let start = block * BLOCK_SIZE;
        let kinds = [Access::IDLE, Access::READ, Access::WRITTEN];
        match kind % 16 {
            0 => {}
            number @ 1..=3 => update.equal_blocks(start, 1, kinds[usize::try_from(number - 1).unwrap()]),
            number @ 4..=6 => update.block(start, Block::Huge(kinds[usize::try_from(number - 4).unwrap()])),
            number => {
                // Thin or thick, with or without absent pages.
                let page = |page: u64| {
                    let hash = (page + kind * 31).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
                    match hash % (number * 9) {
                        0 => Access::WRITTEN,
                        1 => Access::READ,
                        2 if number > 10 => Access::ABSENT,
                        _ => Access::IDLE,
                    }
                };
                let pages: [Access; PAGES_PER_BLOCK] = std::array::from_fn(|number| page(number as u64));
                update.block(start, Block::Pages(&pages));
            }
        }
    }
    update.finish()
}

fn all(memory: &Memory) -> Vec<(u64, BlockPages)> {
    memory.blocks().map(|(block, pages)| (block, *pages)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn looks_are_read_as_they_were_written(
        looks in prop::collection::vec(prop::collection::vec(prop_oneof![Just(1u64), 0u64..400], 0..12), 1..8)
    ) {
        let (mut writer, mut reader) = (Memory::default(), Memory::default());
        for look in &looks {
            let heat = heat(look);
            let bytes = writer.write(&heat).unwrap();
            reader.read(&bytes).unwrap();
            prop_assert_eq!(all(&writer), all(&reader));
            prop_assert_eq!(reader.bytes().0, heat.histogram().total());
            let touched = heat.histogram().total() - heat.histogram().below(1);
            prop_assert_eq!(reader.bytes().1, touched);
        }
    }

    #[test]
    fn any_bytes_are_a_look_or_not(looks: Vec<Vec<u8>>) {
        let mut memory = Memory::of_at_most(1 << 10);
        for bytes in &looks {
            if memory.read(bytes).is_err() {
                break;
            }
            for (_, block) in memory.blocks() {
                prop_assert!(!block.present.is_empty());
                prop_assert_eq!(block.touched.and(block.present), block.touched);
                prop_assert_eq!(block.written.and(block.touched), block.written);
            }
        }
    }
}

#[test]
fn what_does_not_change_takes_nothing() {
    let mut memory = Memory::default();
    let look = heat(&[1, 1, 1, 2, 40, 100, 5, 0, 3]);
    assert!(memory.write(&look).unwrap().len() > 30);
    assert!(memory.write(&look).unwrap().is_empty());
    let gone = memory.write(&HeatMap::default()).unwrap();
    assert!(gone.len() < 20, "{gone:?}");
    assert_eq!(memory.blocks().count(), 0);
}

#[test]
fn a_page_that_is_touched_once_is_written_once() {
    let look = |touched: Option<usize>| {
        let mut update = HeatUpdate::new(HeatMap::default());
        let pages: [Access; PAGES_PER_BLOCK] =
            std::array::from_fn(
                |page| if page < 99 || Some(page) == touched { Access::READ } else { Access::IDLE },
            );
        update.block(FIRST * BLOCK_SIZE, Block::Pages(&pages));
        update.finish()
    };
    let mut memory = Memory::default();
    for _ in 0..3 {
        memory.write(&look(None)).unwrap();
    }
    for page in (200..300).step_by(7) {
        let bytes = memory.write(&look(Some(page))).unwrap();
        // A block's number takes six bytes, the tag one, the list of one page three, and nothing was written.
        assert!(bytes.len() <= 12, "{bytes:?}");
    }
}

#[test]
fn more_memory_than_a_record_may_have_is_refused() {
    let mut memory = Memory::of_at_most(4);
    assert_eq!(memory.write(&heat(&[1, 1, 1, 1, 1])), Err(Malformed::TooMuch(4)));
    let read = |blocks: u64| {
        let mut bytes = Vec::new();
        put(5, &mut bytes);
        bytes.push(ALIKE);
        put(blocks, &mut bytes);
        Memory::of_at_most(4).read(&bytes)
    };
    assert_eq!(read(BLOCKS_END - 5), Err(Malformed::TooMuch(4)));
    assert_eq!(read(BLOCKS_END - 4), Err(Malformed::Item), "past the last address");
}
