//! What decoding the module's stream and counting costs, for 1 GiB of base pages. `cargo bench -p etmem-core`.
//!
//! The items are pages: at least 400 million a second for long runs, 60 million where every page differs from its
//! neighbour.

use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use etmem_core::address::AddressRange;
use etmem_core::heat::{HeatMap, HeatUpdate};
use etmem_core::idle_pages::{Blocks, Decoder, PageSizes};

/// Pages in a GiB.
const PAGES: u64 = 1 << 18;
const START: u64 = 0x7000_0000_0000;
const RANGES: [AddressRange; 1] = [AddressRange::new(START, START + (1 << 30))];

/// Which entries make up the stream, over and over, and how many pages they cover.
const PATTERNS: [(&str, &[u8], u64); 5] = [
    ("all idle", &[0x5f], 15),
    ("runs of 1500 pages", &[0x5f; 100], 1500),
    ("every eighth written", &[0x31, 0x57], 8),
    ("each unlike its neighbour", &[0x51, 0x31], 2),
    ("each unlike its neighbour, holes", &[0x51, 0x81, 0x01, 0x31], 4),
];

fn main() {
    divan::main();
}

/// 1 GiB of `pattern`; of two patterns in turn where runs of one alone would be one run.
fn stream(name: &str) -> Vec<u8> {
    let (_, entries, pages) =
        PATTERNS.iter().find(|(known, ..)| *known == name).copied().unwrap_or(PATTERNS[0]);
    let mut stream = vec![0xA0];
    stream.extend(START.to_be_bytes());
    for turn in 0..PAGES / pages {
        // Every second run was written to.
        let hot = entries.len() == 100 && turn % 2 == 1;
        stream.extend(entries.iter().map(|entry| if hot { 0x3f } else { *entry }));
    }
    stream
}

fn look(heat: HeatMap, stream: &[u8]) -> HeatMap {
    let mut update = HeatUpdate::new(heat);
    let mut blocks = Blocks::new(&RANGES, &mut update);
    let end = blocks.take(&mut Decoder::new(black_box(stream), PageSizes::FOUR_KIB));
    assert!(end.is_ok(), "{end:?}");
    blocks.finish();
    update.finish()
}

#[divan::bench(args = PATTERNS.map(|(name, ..)| name))]
fn decode(bencher: Bencher<'_, '_>, name: &str) {
    let stream = stream(name);
    bencher.counter(ItemsCount::new(PAGES)).bench(|| {
        let runs = Decoder::new(black_box(&stream), PageSizes::FOUR_KIB).flatten();
        runs.map(|run| run.range.bytes()).sum::<u64>()
    });
}

#[divan::bench(args = PATTERNS.map(|(name, ..)| name))]
fn first_look(bencher: Bencher<'_, '_>, name: &str) {
    let stream = stream(name);
    bencher.counter(ItemsCount::new(PAGES)).bench(|| look(HeatMap::default(), &stream));
}

#[divan::bench(args = PATTERNS.map(|(name, ..)| name))]
fn third_look(bencher: Bencher<'_, '_>, name: &str) {
    let stream = stream(name);
    let heat = look(look(HeatMap::default(), &stream), &stream);
    bencher
        .counter(ItemsCount::new(PAGES))
        .with_inputs(|| heat.clone())
        .bench_values(|heat| look(heat, &stream));
}
