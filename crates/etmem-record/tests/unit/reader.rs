//! Records are read as they were written, and up to where they are whole.

use super::*;
use crate::writer::Writer;
use etmem_core::address::AddressRange;
use etmem_core::heat::{HeatMap, HeatUpdate};
use etmem_core::kernel::probe::Access;
use proptest::prelude::*;

fn header() -> Header {
    Header {
        etmem_record: VERSION,
        version: "0.1.0".to_owned(),
        machine: "here".to_owned(),
        kernel: "6.12".to_owned(),
        target: "process 7".to_owned(),
        probe: "bpf".to_owned(),
        page_bytes: PAGE_SIZE,
        interval_seconds: 10.0,
        start: 1_700_000_000,
    }
}

fn heat(ranges: &[(u64, u64, Access)]) -> HeatMap {
    let mut update = HeatUpdate::new(HeatMap::default());
    for (first, end, access) in ranges {
        crate::damo::fill(&mut update, AddressRange::new(first * PAGE_SIZE, end * PAGE_SIZE), *access);
    }
    update.finish()
}

/// A record of `looks` looks at two processes.
fn whole(looks: u32) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new(), &header()).unwrap();
    for pid in [7, 8] {
        let number =
            writer.process(&Process { pid, start_time: 1, name: "x".to_owned(), since_ms: 0 }).unwrap();
        writer
            .mappings(number, vec![NamedMapping(0, 1 << 30, "w".to_owned(), 0, "[heap]".to_owned())])
            .unwrap();
        writer
            .mappings(number, vec![NamedMapping(0, 1 << 30, "w".to_owned(), 0, "[heap]".to_owned())])
            .unwrap();
    }
    for look in 1..=looks {
        let hot = 10 + u64::from(look);
        let ranges = [(0, hot, Access::WRITTEN), (hot, 700, Access::IDLE), (700, 703, Access::READ)];
        writer.look(0, Duration::from_secs(10) * look, &heat(&ranges)).unwrap();
        writer.look(1, Duration::from_secs(10) * look, &heat(&ranges[1..])).unwrap();
    }
    writer.ended(&Ended { process: Some(1), why: "it exited".to_owned() }).unwrap();
    writer.ended(&Ended { process: None, why: "all was looked at".to_owned() }).unwrap();
    let bytes = writer.bytes();
    let record = writer.into_inner();
    assert_eq!(bytes, record.len() as u64);
    record
}

/// How many looks `bytes` have, and whether they are whole; none if they are no record.
fn looks(bytes: &[u8]) -> Option<(u64, bool)> {
    let mut reader = Reader::of_at_most(bytes, 1 << 12).ok()?;
    while reader.next().unwrap().is_some() {}
    Some((reader.looks(), reader.cut().is_none()))
}

#[test]
fn a_record_is_read_as_it_was_written() {
    let bytes = whole(5);
    let mut reader = Reader::new(&bytes[..]).unwrap();
    assert_eq!(*reader.header(), header());
    let mut events = Vec::new();
    while let Some(event) = reader.next().unwrap() {
        events.push(event);
        if let Event::Look(look) = event {
            let (present, touched) = reader.processes()[look.process].memory.bytes();
            let number = look.at.as_secs() / 10;
            let hot = if look.process == 0 { 10 + number } else { 0 };
            assert_eq!(touched, (hot + 3) * PAGE_SIZE);
            assert_eq!(present, if look.process == 0 { 703 } else { 693 - number } * PAGE_SIZE);
            assert_eq!(look.window, Duration::from_secs(10));
        }
    }
    assert_eq!(events.len(), 2 + 2 + 10 + 2, "mappings that did not change are written once: {events:?}");
    assert_eq!(reader.processes()[1].mappings[0].name(), "[heap]");
    assert_eq!((reader.ended(), reader.cut()), (Some("all was looked at"), None));
    assert_eq!(reader.processes()[1].ended.as_deref(), Some("it exited"));
    assert_eq!(reader.last(), Duration::from_secs(50));
}

#[test]
fn a_record_that_was_cut_off_is_whole_up_to_there() {
    let bytes = whole(4);
    let mut before = 0;
    for length in 0..bytes.len() {
        let Some((looks, _)) = looks(&bytes[..length]) else {
            assert_eq!(before, 0);
            continue;
        };
        assert!(looks >= before);
        before = looks;
    }
    assert_eq!(looks(&bytes), Some((8, true)));
}

#[test]
fn what_is_no_record_is_refused() {
    for (text, want) in [
        ("", "is no record"),
        ("hello\n", "is no record"),
        ("{\"etmem_idle\":1}\n", "is no record"),
        ("{\"etmem_record\":1}\n", "is no record"),
        ("{\"etmem_record\":2}\n", "is a record of version 2"),
        (
            "{\"etmem_record\":1,\"page_bytes\":65536,\"interval_seconds\":1,\"start\":1}\n",
            "pages of 65536 bytes",
        ),
    ] {
        let error = Reader::new(text.as_bytes()).unwrap_err().to_string();
        assert!(error.contains(want), "{error}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]
    #[test]
    fn a_damaged_record_is_shorter_or_none(changes in prop::collection::vec((0usize..2000, 1u8..), 1..4), cut in 0usize..3000) {
        let mut bytes = whole(4);
        let length = bytes.len();
        for (at, change) in changes {
            bytes[at % length] ^= change;
        }
        bytes.truncate(cut);
        if let Some((looks, whole)) = looks(&bytes) {
            prop_assert!(looks <= 8 && (looks == 8 || !whole || cut < length));
        }
    }
}
