//! Records as damo writes them.

use super::*;
use crate::reader::{Event, Look, Reader};

/// Two snapshots, as `damo record` writes them with `--output_type json`: numbers of addresses have commas.
const TEXT: &str = r#"[
    {"kdamond_idx": "0", "context_idx": "0", "intervals": {"sample_us": "5000", "aggr_us": "100000", "ops_update_us": "1000000"},
     "scheme_idx": null, "target_id": 4711, "scheme_filters": [], "snapshots": [
        {"start_time": "82877215633000", "end_time": "82877315633000", "regions": [
            {"start": "139,637,976,727,552", "end": "139,637,980,921,856",
             "nr_accesses": {"samples": 3, "percent": null}, "age": {"usec": null, "aggr_intervals": "7"}, "sz_filter_passed": "0"},
            {"start": "139,637,980,921,856", "end": "139,637,980,942,336",
             "nr_accesses": {"samples": 0, "percent": null}, "age": {"usec": null, "aggr_intervals": "9"}, "sz_filter_passed": "0"}
        ], "total_bytes": "4214784"},
        {"start_time": "82877315633000", "end_time": "82877415633000", "regions": [
            {"start": "0", "end": "0", "nr_accesses": {"samples": -1, "percent": null}, "age": {"usec": null, "aggr_intervals": "-1"}}
        ], "total_bytes": null}
    ]}]"#;

#[test]
fn a_record_of_damo_is_read_as_one_of_ours() {
    let packed = miniz_oxide::deflate::compress_to_vec_zlib(TEXT.as_bytes(), 6);
    for bytes in [TEXT.as_bytes(), &packed] {
        assert!(is_meant(bytes));
        let ours = convert(bytes).unwrap();
        let mut reader = Reader::new(&ours[..]).unwrap();
        assert_eq!(reader.next().unwrap(), Some(Event::Process(0)));
        assert_eq!(reader.processes()[0].process.pid, 4711);
        let tenth = Duration::from_millis(100);
        let look = Look { process: 0, at: tenth, window: tenth };
        assert_eq!(reader.next().unwrap(), Some(Event::Look(look)));
        let (present, touched) = reader.processes()[0].memory.bytes();
        assert_eq!((present, touched), ((4 << 20) + 5 * PAGE_SIZE, 4 << 20));
        let look = Look { process: 0, at: 2 * tenth, window: tenth };
        assert_eq!(reader.next().unwrap(), Some(Event::Look(look)));
        assert_eq!(reader.processes()[0].memory.bytes(), (0, 0));
        assert_eq!(reader.next().unwrap(), None);
    }
}

#[test]
fn regions_past_the_last_address_are_none() {
    let top = TEXT.replace(
        r#""start": "139,637,980,921,856", "end": "139,637,980,942,336""#,
        r#""start": "144,115,188,075,851,776", "end": "18,446,744,073,709,551,615""#,
    );
    assert_ne!(top, TEXT);
    let ours = convert(top.as_bytes()).unwrap();
    let mut reader = Reader::new(&ours[..]).unwrap();
    while !matches!(reader.next().unwrap(), Some(Event::Look(_)) | None) {}
    // One page of it lies below 2^57.
    assert_eq!(reader.processes()[0].memory.bytes(), ((4 << 20) + PAGE_SIZE, 4 << 20));
}

#[test]
fn a_region_of_more_than_a_record_takes_is_refused_at_once() {
    let wide = TEXT.replace("\"139,637,976,727,552\"", "\"64,637,976,727,552\"");
    assert_ne!(wide, TEXT);
    let error = convert(wide.as_bytes()).unwrap_err().to_string();
    assert!(error.contains("it has more than 2048 GiB in memory"), "{error}");
    assert!(
        convert_of_at_most(TEXT.as_bytes(), 4).is_ok() && convert_of_at_most(TEXT.as_bytes(), 3).is_err()
    );
}

#[test]
fn what_is_not_as_expected_is_refused() {
    for (text, want) in [
        ("[1]", "invalid type"),
        ("[{}]", "missing field `target_id`"),
        (r#"[{"target_id":"x","snapshots":[]}]"#, "\"x\" is not a number"),
        ("[", "EOF"),
    ] {
        let error = convert(text.as_bytes()).unwrap_err().to_string();
        assert!(error.contains(want) && error.contains("damo"), "{error}");
    }
    let error = convert(&[0x78, 0x9c, 1, 2, 3]).unwrap_err().to_string();
    assert!(error.contains("cannot be decompressed"), "{error}");
    assert!(convert(b"[]").is_ok());
    assert!(!is_meant(b"{\"etmem_record\":1}") && !is_meant(b"") && !is_meant(b"x"));
}
