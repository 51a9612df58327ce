//! What counting costs: a look at 1 GiB of base pages, merged into the heat of the looks before it, and the ranges
//! of a plan over it. `cargo bench -p etmem-core`.

use divan::{Bencher, black_box};
use etmem_core::address::{BLOCK_SIZE, PAGES_PER_BLOCK};
use etmem_core::heat::{HeatMap, HeatUpdate};
use etmem_core::kernel::probe::{Access, AccessSink, Block};
use etmem_core::plan::{Plan, Selection};

/// Blocks in a GiB.
const BLOCKS: u64 = 512;

/// What a pattern says of a page of a block.
type Pattern = fn(usize) -> Access;

/// Which pages of a block were touched.
const PATTERNS: [(&str, Pattern); 3] = [
    ("all idle", |_| Access::IDLE),
    ("every eighth hot", |page| if page % 8 == 0 { Access::WRITTEN } else { Access::IDLE }),
    ("every second absent", |page| if page % 2 == 0 { Access::ABSENT } else { Access::READ }),
];

fn main() {
    divan::main();
}

fn look(heat: HeatMap, seen: &[Access; PAGES_PER_BLOCK]) -> HeatMap {
    let mut update = HeatUpdate::new(heat);
    for block in 0..BLOCKS {
        update.block(block * BLOCK_SIZE, Block::Pages(black_box(seen)));
    }
    update.finish()
}

#[divan::bench(args = PATTERNS.map(|(name, _)| name))]
fn third_look_at_one_gib(bencher: Bencher<'_, '_>, name: &str) {
    let seen = pattern(name);
    let heat = look(look(HeatMap::default(), &seen), &seen);
    bencher.with_inputs(|| heat.clone()).bench_values(|heat| look(heat, &seen));
}

#[divan::bench(args = PATTERNS.map(|(name, _)| name))]
fn plan_over_one_gib(bencher: Bencher<'_, '_>, name: &str) {
    let heat = look(HeatMap::default(), &pattern(name));
    bencher.bench(|| {
        let plan = Plan::new(&heat, &heat.histogram(), Selection::below(1));
        plan.ranges().map(|range| range.bytes()).sum::<u64>()
    });
}

fn pattern(name: &str) -> [Access; PAGES_PER_BLOCK] {
    let page = PATTERNS.iter().find(|(known, _)| *known == name).map_or(PATTERNS[0].1, |(_, page)| *page);
    std::array::from_fn(page)
}
