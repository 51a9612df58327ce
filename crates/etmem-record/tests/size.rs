//! How large records are: a simulated process of 16 GiB, looked at each 10 s for a day.
//!
//! `cargo test --release -p etmem-record --test size -- --ignored --nocapture` measures the whole day, and days with more chance.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use etmem_core::address::{BLOCK_SIZE, PAGES_PER_BLOCK};
use etmem_core::heat::{HeatMap, HeatUpdate};
use etmem_core::kernel::probe::{Access, AccessSink, Block};
use etmem_record::header::{Header, NamedMapping, Process, VERSION};
use etmem_record::report::{About, Extent, Format, Grid, HeatReport, room, write_heat};
use etmem_record::{Event, Reader, Writer};
use std::collections::BTreeMap;
use std::io::Write;
use std::time::Duration;

/// 16 GiB.
const BLOCKS: u64 = 8192;
const FIRST: u64 = 0x7f00_0000_0000;
const INTERVAL: u64 = 10;
const DAY: u64 = 86_400 / INTERVAL;

fn hash(one: u64, other: u64) -> u64 {
    let mixed = (one ^ other.rotate_left(32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 20
}

/// A fifth is hot, a tenth has hot pages among idle ones, a fifth is used for ten minutes in each hour, and the rest is idle; in all
/// of it, `chance` pages are touched by chance between two looks.
fn look(number: u64, chance: u64) -> HeatMap {
    let mut by_chance: BTreeMap<u64, Vec<usize>> = BTreeMap::new();
    for touch in 0..chance {
        let page = hash(number, touch) % (BLOCKS * PAGES_PER_BLOCK as u64);
        let in_block = usize::try_from(page % PAGES_PER_BLOCK as u64).unwrap();
        by_chance.entry(page / PAGES_PER_BLOCK as u64).or_default().push(in_block);
    }
    let mut update = HeatUpdate::new(HeatMap::default());
    for block in 0..BLOCKS {
        let start = FIRST + block * BLOCK_SIZE;
        let phase = (number * INTERVAL + block * 7) % 3600;
        let uniform = match block % 10 {
            0 | 1 => Some(Access::WRITTEN),
            2 => None,
            3 | 4 if phase < 600 => Some(Access::READ),
            _ => Some(Access::IDLE),
        };
        let touched = by_chance.get(&block);
        match (uniform, touched) {
            (Some(access), None) => update.equal_blocks(start, 1, access),
            _ => {
                let scattered = |page: usize| {
                    let hot = hash(block, page as u64).is_multiple_of(8);
                    if hot { Access::READ } else { Access::IDLE }
                };
                let mut pages: [Access; PAGES_PER_BLOCK] =
                    std::array::from_fn(|page| uniform.unwrap_or_else(|| scattered(page)));
                for page in touched.into_iter().flatten() {
                    pages[*page] = Access::WRITTEN;
                }
                update.block(start, Block::Pages(&pages));
            }
        }
    }
    update.finish()
}

fn header() -> Header {
    Header {
        etmem_record: VERSION,
        version: String::new(),
        machine: String::new(),
        kernel: String::new(),
        target: "process 7".to_owned(),
        probe: "bpf".to_owned(),
        page_bytes: 4096,
        interval_seconds: 10.0,
        start: 0,
    }
}

/// The bytes of a record of `looks` looks.
fn record(looks: u64, chance: u64) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new(), &header()).unwrap();
    writer.process(&Process { pid: 7, start_time: 1, name: "x".to_owned(), since_ms: 0 }).unwrap();
    let heap = NamedMapping(FIRST, FIRST + BLOCKS * BLOCK_SIZE, "w".to_owned(), 0, "[heap]".to_owned());
    writer.mappings(0, vec![heap]).unwrap();
    for number in 1..=looks {
        writer.look(0, Duration::from_secs(number * INTERVAL), &look(number, chance)).unwrap();
    }
    writer.into_inner()
}

#[test]
fn a_day_of_16_gib_is_less_than_100_mb() {
    let (some, looks) = (record(30, 2000).len(), 20);
    let more = record(30 + looks, 2000).len();
    let each = (more - some) as u64 / looks;
    assert!(each * DAY < 100_000_000, "{each} bytes a look");
}

#[test]
#[ignore = "a day of simulated looks takes minutes: cargo test --release -p etmem-record --test size -- --ignored --nocapture"]
fn a_whole_day_of_16_gib_and_its_pictures() {
    let mut out = std::io::stderr();
    for chance in [0, 500, 8000, 32_000] {
        let looks = 20;
        let (some, more) = (record(30, chance).len(), record(30 + looks, chance).len());
        let day = (more - some) as u64 / looks * DAY;
        writeln!(out, "{chance} pages by chance: {:.1} MB a day", day as f64 / 1e6).unwrap();
    }
    let bytes = record(DAY, 2000);
    writeln!(out, "2000 pages by chance, the whole day: {:.1} MB", bytes.len() as f64 / 1e6).unwrap();
    assert!(bytes.len() < 100_000_000);
    let mut extent = Extent::default();
    let mut reader = Reader::new(&bytes[..]).unwrap();
    while reader.next().unwrap().is_some() {
        reader.processes().iter().for_each(|known| extent.saw(&known.memory));
    }
    assert_eq!((reader.looks(), reader.cut()), (DAY, None));
    let about = About { program: "x (7)".to_owned(), ..About::default() };
    for (format, name) in [(Format::Html, "day.html"), (Format::Svg, "day.svg")] {
        let (rows, columns) = room(format);
        let mut grid = Grid::new(extent.layout(rows), DAY, columns);
        let mut reader = Reader::new(&bytes[..]).unwrap();
        while let Some(event) = reader.next().unwrap() {
            if let Event::Look(look) = event {
                grid.saw(&reader.processes()[0].memory, look.at, look.window);
            }
        }
        let mappings = reader.processes()[0].mappings.clone();
        let picture = write_heat(&HeatReport { about: &about, grid: &grid, mappings: &mappings }, format);
        writeln!(out, "{name}: {:.2} MB", picture.len() as f64 / 1e6).unwrap();
        assert!(picture.len() < 2_000_000, "{name}");
        if let Some(folder) = std::env::var_os("ETMEM_TEST_KEEP") {
            std::fs::write(std::path::Path::new(&folder).join(name), picture).unwrap();
            std::fs::write(std::path::Path::new(&folder).join("day.rec"), &bytes).unwrap();
        }
    }
}
