//! Records of what programs touch, whatever is in them: the frames of `etmem record`, looks without their frames, and JSON of damo.

use etmem_record::report::{
    About, Ages, AgesReport, Extent, Format, Grid, HeatReport, room, write_ages, write_heat,
};
use etmem_record::{Event, Memory, PageBits, Reader, damo};

/// Blocks of a record here: with more, each look takes as long as a look at terabytes takes.
const BLOCKS: usize = 1 << 10;

/// Panics if a file of `bytes` could lead a report astray.
pub fn check(bytes: &[u8]) {
    look(bytes);
    read(bytes);
    if damo::is_meant(bytes)
        && let Ok(ours) = damo::convert_of_at_most(bytes, BLOCKS)
    {
        read(&ours);
    }
}

/// Bytes as looks, one after the other: a checksum keeps most input from them.
fn look(bytes: &[u8]) {
    let mut memory = Memory::of_at_most(BLOCKS);
    for bytes in bytes.chunks(64) {
        if memory.read(bytes).is_err() {
            break;
        }
        assert!(memory.blocks().count() <= BLOCKS);
        for (_, block) in memory.blocks() {
            assert!(!block.present.is_empty(), "a block without pages is known");
            assert_eq!(block.touched.without(block.present), PageBits::NONE);
            assert_eq!(block.written.without(block.touched), PageBits::NONE);
        }
    }
}

fn read(bytes: &[u8]) {
    let (mut extent, mut looks) = (Extent::default(), 0);
    let Ok(mut reader) = Reader::of_at_most(bytes, BLOCKS) else { return };
    while let Ok(Some(event)) = reader.next() {
        if let Event::Look(look) = event {
            looks += 1;
            extent.saw(&reader.processes()[look.process].memory);
        }
    }
    let format = Format::Text { columns: 80, colours: true };
    let (rows, columns) = room(format);
    let (mut grid, mut ages) =
        (Grid::new(extent.layout(rows), looks, columns), Ages::new(std::time::Duration::ZERO));
    let Ok(mut reader) = Reader::of_at_most(bytes, BLOCKS) else { return };
    while let Ok(Some(event)) = reader.next() {
        if let Event::Look(look) = event {
            let memory = &reader.processes()[look.process].memory;
            grid.saw(memory, look.at, look.window);
            ages.saw(memory, look.at);
        }
    }
    let about = About::default();
    for format in [format, Format::Svg, Format::Html, Format::Csv] {
        let _ = write_heat(&HeatReport { about: &about, grid: &grid, mappings: &[] }, format);
        let _ = write_ages(&AgesReport { about: &about, ages: &ages }, format);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_of_damo_and_nonsense() {
        for bytes in [
            &br#"[{"target_id":1,"snapshots":[{"end_time":9,"regions":[{"start":4096,"end":9999999,"nr_accesses":{"samples":1}}]}]}]"#[..],
            b"",
            b"\x00\x01\x05\x00\x10\x03",
            b"{\"etmem_record\":1,\"page_bytes\":4096,\"interval_seconds\":1,\"start\":0}\nP\x01",
            b"\x78\x9c\xff",
        ] {
            check(bytes);
        }
    }
}
