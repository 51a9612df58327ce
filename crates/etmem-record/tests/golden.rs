//! Reports of a small record, as they are to be. `ETMEM_TEST_KEEP=1 cargo test -p etmem-record --test golden` writes them again.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use etmem_core::address::{BLOCK_SIZE, PAGES_PER_BLOCK};
use etmem_core::heat::{HeatMap, HeatUpdate};
use etmem_core::kernel::probe::{Access, AccessSink, Block};
use etmem_record::header::{Header, NamedMapping, Process, VERSION};
use etmem_record::report::{
    About, Ages, AgesReport, Extent, Format, Grid, HeatReport, WorkingSetReport, write_ages, write_heat,
    write_working_set,
};
use etmem_record::{Event, Reader, Writer};
use std::path::Path;
use std::time::Duration;

const HEAP: u64 = 0x5580_0000_0000;
const LIBRARY: u64 = 0x7f00_0000_0000;

/// A hot block, one with a single hot page, one that is used every fourth time, an idle one; far away a block that comes later.
fn look(number: u64) -> HeatMap {
    let mut update = HeatUpdate::new(HeatMap::default());
    update.equal_blocks(HEAP, 1, Access::WRITTEN);
    let single: [Access; PAGES_PER_BLOCK] =
        std::array::from_fn(|page| if page == 77 { Access::READ } else { Access::IDLE });
    update.block(HEAP + BLOCK_SIZE, Block::Pages(&single));
    let fourth = if number.is_multiple_of(4) { Access::READ } else { Access::IDLE };
    update.equal_blocks(HEAP + 2 * BLOCK_SIZE, 1, fourth);
    update.equal_blocks(HEAP + 3 * BLOCK_SIZE, 1, Access::IDLE);
    if number > 6 {
        update.equal_huge_blocks(LIBRARY, 1, Access::IDLE);
    }
    update.finish()
}

fn record() -> Vec<u8> {
    let header = Header {
        etmem_record: VERSION,
        version: "0.1.0".to_owned(),
        machine: "example".to_owned(),
        kernel: "6.12".to_owned(),
        target: "process 7".to_owned(),
        probe: "bpf".to_owned(),
        page_bytes: 4096,
        interval_seconds: 10.0,
        start: 1_700_000_000,
    };
    let mut writer = Writer::new(Vec::new(), &header).unwrap();
    writer.process(&Process { pid: 7, start_time: 1, name: "a<b".to_owned(), since_ms: 0 }).unwrap();
    let mapping = |start: u64, blocks: u64, name: &str| {
        NamedMapping(start, start + blocks * BLOCK_SIZE, "w".to_owned(), 0, name.to_owned())
    };
    let mappings = vec![mapping(HEAP, 4, "[heap]"), mapping(LIBRARY, 1, "/opt/\"x\" & y,z")];
    writer.mappings(0, mappings).unwrap();
    for number in 1..=12 {
        writer.look(0, Duration::from_secs(number * 10), &look(number)).unwrap();
    }
    writer.into_inner()
}

fn is_golden(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    if std::env::var_os("ETMEM_TEST_KEEP").is_some() {
        std::fs::write(&path, text).unwrap();
    }
    let want = std::fs::read_to_string(&path).unwrap();
    assert_eq!(text, want, "{name}");
}

/// A record that the first version wrote: each version reads it.
const FIRST: &[u8] = include_bytes!("golden/first.rec");

#[test]
fn the_first_record_is_read_as_one_of_today() {
    let events = |bytes: &[u8]| {
        let mut reader = Reader::new(bytes).unwrap();
        let mut seen = Vec::new();
        while let Some(event) = reader.next().unwrap() {
            let looked = if let Event::Look(look) = event { Some(look.at) } else { None };
            seen.push((looked, format!("{:?}", reader.processes())));
        }
        assert_eq!(reader.cut(), None);
        seen
    };
    assert_eq!(events(FIRST), events(&record()));
}

#[test]
fn reports_are_as_they_were() {
    let bytes = record();
    let mut reader = Reader::new(&bytes[..]).unwrap();
    let (mut extent, mut ages) = (Extent::default(), Ages::new(Duration::ZERO));
    while let Some(event) = reader.next().unwrap() {
        if let Event::Look(look) = event {
            extent.saw(&reader.processes()[0].memory);
            ages.saw(&reader.processes()[0].memory, look.at);
        }
    }
    let mappings = reader.processes()[0].mappings.clone();
    let mut grid = Grid::new(extent.layout(5), reader.looks(), 12);
    let mut reader = Reader::new(&bytes[..]).unwrap();
    while let Some(event) = reader.next().unwrap() {
        if let Event::Look(look) = event {
            grid.saw(&reader.processes()[0].memory, look.at, look.window);
        }
    }
    let about = About {
        program: "a<b (7)".to_owned(),
        machine: "example 6.12".to_owned(),
        start: 1_700_000_000,
        notes: vec!["12 looks, 10.0 s apart".to_owned()],
    };
    let text = Format::Text { columns: 80, colours: false };
    let heat = HeatReport { about: &about, grid: &grid, mappings: &mappings };
    is_golden("heat.txt", &write_heat(&heat, text));
    is_golden("heat_in_colour.txt", &write_heat(&heat, Format::Text { columns: 80, colours: true }));
    is_golden("heat.svg", &write_heat(&heat, Format::Svg));
    is_golden("heat.html", &write_heat(&heat, Format::Html));
    is_golden("heat.csv", &write_heat(&heat, Format::Csv));
    let by_age = AgesReport { about: &about, ages: &ages };
    is_golden("ages.txt", &write_ages(&by_age, text));
    is_golden("ages.svg", &write_ages(&by_age, Format::Svg));
    is_golden("ages.csv", &write_ages(&by_age, Format::Csv));
    let sets = WorkingSetReport { about: &about, ages: &ages };
    is_golden("wss.txt", &write_working_set(&sets, text));
    is_golden("wss.svg", &write_working_set(&sets, Format::Svg));
    is_golden("wss.csv", &write_working_set(&sets, Format::Csv));
}
