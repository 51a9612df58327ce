//! The decoder of the module's stream: real reads, and any stream against a slow decoder that knows one page at a time.

#![expect(clippy::unwrap_used, reason = "a test that cannot build its input ends")]

mod slow;

use etmem_core::address::{AddressRange, BLOCK_SIZE, PAGE_SIZE};
use etmem_core::heat::{HeatMap, HeatUpdate};
use etmem_core::idle_pages::{Blocks, Decoder, PageSizes, StreamError};
use etmem_core::kernel::probe::Access;
use proptest::prelude::*;
use slow::{Decoded, Piece, Pieces, decode_slowly};

const BASE: u64 = 0x7000_0000_0000;
const EVERYTHING: [AddressRange; 1] = [AddressRange::new(0, 1 << 63)];
const SHIFTS: [u32; 3] = [12, 14, 16];

fn sizes_of(shift: u32) -> PageSizes {
    PageSizes::of_base(1 << shift).unwrap()
}

fn decode(bytes: &[u8], sizes: PageSizes, ranges: &[AddressRange]) -> Decoded {
    let mut pieces = Pieces::default();
    let mut blocks = Blocks::new(ranges, &mut pieces);
    let mut decoder = Decoder::new(bytes, sizes);
    let end = blocks.take(&mut decoder);
    blocks.finish();
    Decoded { pieces, reached: decoder.reached(), skipped: decoder.skipped(), end }
}

fn bytes_of(hex: &str) -> Vec<u8> {
    hex.split(' ').map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect()
}

/// Pages of the fixture's mapping, `from` up to, not including, `to`.
fn pages(from: u64, to: u64, access: Access) -> Piece {
    Piece { start: BASE + from * PAGE_SIZE, end: BASE + to * PAGE_SIZE, access, huge: false }
}

#[test]
fn real_reads() {
    use Access as A;
    let mapping = [AddressRange::new(BASE, BASE + 64 * PAGE_SIZE)];
    let block = |access, huge, blocks| Piece { start: BASE, end: BASE + blocks * BLOCK_SIZE, access, huge };
    let wide = [AddressRange::new(BASE, BASE + 4 * BLOCK_SIZE)];
    let address = "a0 00 00 70 00 00 00 00 00";
    for (name, hex, ranges, want, reached) in [
        (
            "just faulted",
            "0f 05 84 02 8e 0f 09",
            mapping,
            vec![pages(0, 20, A::READ), pages(24, 26, A::READ), pages(40, 64, A::READ)],
            64,
        ),
        (
            "untouched",
            "5f 55 84 52 8e 5f 59",
            mapping,
            vec![pages(0, 20, A::IDLE), pages(24, 26, A::IDLE), pages(40, 64, A::IDLE)],
            64,
        ),
        (
            "some touched",
            "52 03 5f 84 52 8e 5f 55 01 53",
            mapping,
            vec![
                pages(0, 2, A::IDLE),
                pages(2, 5, A::READ),
                pages(5, 20, A::IDLE),
                pages(24, 26, A::IDLE),
                pages(40, 60, A::IDLE),
                pages(60, 61, A::READ),
                pages(61, 64, A::IDLE),
            ],
            64,
        ),
        ("a buffer of 20 bytes", "52 03", mapping, vec![pages(0, 2, A::IDLE), pages(2, 5, A::READ)], 5),
        ("two huge pages, accessed", "12", wide, vec![block(A::READ, true, 2)], 1024),
        ("two huge pages, idle", "62", wide, vec![block(A::IDLE, true, 2)], 1024),
        ("one hugetlb page", "11", wide, vec![block(A::READ, true, 1)], 512),
        ("base pages under the huge flag", "71", wide, vec![block(A::IDLE, false, 1)], 512),
    ] {
        let stream = bytes_of(&format!("{address} {hex}"));
        let decoded = decode(&stream, PageSizes::FOUR_KIB, &ranges);
        let reached = Some(BASE + reached * PAGE_SIZE);
        assert_eq!(decoded, Decoded { pieces: Pieces(want), reached, skipped: 0, end: Ok(()) }, "{name}");
    }
    let nothing = decode(&[], PageSizes::FOUR_KIB, &mapping);
    assert_eq!(nothing, Decoded { pieces: Pieces::default(), reached: None, skipped: 0, end: Ok(()) });
}

#[test]
fn a_page_of_every_type_and_size() {
    for sizes in SHIFTS.map(sizes_of) {
        for (kind, size, access, huge) in [
            (0, sizes.base(), Access::READ, false),
            (1, sizes.huge(), Access::READ, true),
            (2, sizes.giant(), Access::READ, true),
            (3, sizes.base(), Access::WRITTEN, false),
            (4, sizes.huge(), Access::WRITTEN, true),
            (5, sizes.base(), Access::IDLE, false),
            (6, sizes.huge(), Access::IDLE, true),
            (7, sizes.huge(), Access::IDLE, false),
            (8, sizes.base(), Access::ABSENT, false),
            (9, sizes.huge(), Access::ABSENT, false),
        ] {
            for count in [1u8, 2, 15] {
                let mut stream = vec![0xA0];
                stream.extend(sizes.giant().to_be_bytes());
                stream.push(kind << 4 | count);
                let decoded = decode(&stream, sizes, &EVERYTHING);
                let end = sizes.giant() + size * u64::from(count);
                let piece = Piece { start: sizes.giant(), end, access, huge };
                let pieces = Pieces(if access.is_present() { vec![piece] } else { Vec::new() });
                let want = Decoded { pieces, reached: Some(end), skipped: 0, end: Ok(()) };
                assert_eq!(decoded, want, "type {kind}, count {count}, base pages of {} bytes", sizes.base());
            }
        }
    }
}

#[test]
fn nonsense_ends_the_stream_and_says_where() {
    let address = "a0 00 00 70 00 00 00 00 00";
    for (hex, want) in [
        ("51".to_owned(), StreamError::NoAddress { offset: 0, byte: 0x51 }),
        ("a0 00 00 70".to_owned(), StreamError::Truncated { offset: 0 }),
        (format!("{address} 51 a0"), StreamError::Truncated { offset: 10 }),
        (format!("{address} 51 a0 00 00 70 00 00 00 00"), StreamError::Truncated { offset: 10 }),
        (format!("{address} a1 51"), StreamError::UnknownType { offset: 9, byte: 0xa1 }),
        (format!("{address} 51 b1"), StreamError::UnknownType { offset: 10, byte: 0xb1 }),
        (format!("{address} ff"), StreamError::UnknownType { offset: 9, byte: 0xff }),
        (format!("{address} 50"), StreamError::NoPages { offset: 9, byte: 0x50 }),
        (format!("{address} 5f 51 50"), StreamError::NoPages { offset: 11, byte: 0x50 }),
        (
            format!("{address} 51 {address}"),
            StreamError::Backwards { offset: 10, from: BASE + PAGE_SIZE, to: BASE },
        ),
        ("a0 ff ff ff ff ff ff f0 00 51".to_owned(), StreamError::BeyondMemory { offset: 9 }),
        (format!("{address} 51 a0 ff ff ff ff c0 00 00 00 2f"), StreamError::BeyondMemory { offset: 19 }),
    ] {
        let stream = bytes_of(&hex);
        let mut decoder = Decoder::new(&stream, PageSizes::FOUR_KIB);
        let errors: Vec<_> = decoder.by_ref().filter_map(Result::err).collect();
        assert_eq!(errors, [want], "{hex}");
        assert!(decoder.next().is_none(), "{hex}: nothing comes behind an error");
        assert!(!want.to_string().contains('\n') && want.to_string().contains("stream"), "{want}");
    }
}

#[test]
fn what_is_not_aligned_to_its_size_is_left_out() {
    // Two idle base pages, three huge pages that begin where none can, a page that was read.
    let stream = bytes_of("a0 00 00 70 00 00 00 00 00 52 63 01");
    let decoded = decode(&stream, PageSizes::FOUR_KIB, &EVERYTHING);
    assert_eq!((decoded.skipped, decoded.end), (3, Ok(())));
    let behind = 2 + 3 * 512;
    assert_eq!(decoded.pieces.0, [pages(0, 2, Access::IDLE), pages(behind, behind + 1, Access::READ)]);
}

#[test]
fn reads_that_overlap_give_each_page_once() {
    let again = "a0 00 00 70 00 00 00 30 00";
    for (second, written) in [("37", 10), ("31 51 53 33", 11), ("31 51 33", 8)] {
        let mut pieces = Pieces::default();
        let mut blocks = Blocks::new(&EVERYTHING, &mut pieces);
        for hex in ["a0 00 00 70 00 00 00 00 00 54 02", &format!("{again} {second}")] {
            blocks.take(&mut Decoder::new(&bytes_of(hex), PageSizes::FOUR_KIB)).unwrap();
        }
        blocks.finish();
        let mut want = vec![pages(0, 4, Access::IDLE), pages(4, 6, Access::READ)];
        if second == "31 51 53 33" {
            want.push(pages(6, 8, Access::IDLE));
        }
        want.push(pages(if want.len() == 3 { 8 } else { 6 }, written, Access::WRITTEN));
        assert_eq!(pieces.0, want, "{second}");
    }
}

/// A part of a stream.
#[derive(Debug, Clone)]
enum Part {
    Address { forward: u64, aligned: bool },
    Same(u8, usize),
    Any(Vec<u8>),
}

fn part() -> impl Strategy<Value = Part> {
    let base = prop_oneof![Just(0u8), Just(3), Just(5), Just(8)];
    prop_oneof![
        2 => (0u64..3000, any::<bool>()).prop_map(|(forward, aligned)| Part::Address { forward, aligned }),
        8 => (0u8..10, 1u8..16).prop_map(|(kind, count)| Part::Same(kind << 4 | count, 1)),
        2 => (base.clone(), 1usize..200).prop_map(|(kind, bytes)| Part::Same(kind << 4 | 15, bytes)),
        4 => (base, 1usize..200).prop_map(|(kind, bytes)| Part::Same(kind << 4 | 1, bytes)),
        1 => proptest::collection::vec(any::<u8>(), 0..3).prop_map(Part::Any),
    ]
}

fn stream(parts: &[Part], sizes: PageSizes) -> Vec<u8> {
    let mut bytes = vec![0xA0];
    bytes.extend(BASE.to_be_bytes());
    for part in parts {
        match part {
            Part::Address { forward, aligned } => {
                let mut so_far = Decoder::new(&bytes, sizes);
                so_far.by_ref().for_each(drop);
                let at = so_far.reached().unwrap_or(BASE) + forward * sizes.base();
                let at = if *aligned { at.next_multiple_of(sizes.huge()) } else { at };
                bytes.push(0xA0);
                bytes.extend(at.to_be_bytes());
            }
            Part::Same(byte, times) => bytes.extend(std::iter::repeat_n(*byte, *times)),
            Part::Any(any) => bytes.extend(any),
        }
    }
    bytes
}

fn ranges(sizes: PageSizes) -> impl Strategy<Value = Vec<AddressRange>> {
    let step = (0u64..4, 0u64..600, 0u64..4, 1u64..600);
    proptest::collection::vec(step, 0..12).prop_map(move |steps| {
        let mut at = BASE;
        let mut ranges = Vec::new();
        for (gap_huge, gap, huge, base) in steps {
            let start = at + gap_huge * sizes.huge() + gap * sizes.base();
            at = start + huge * sizes.huge() + base * sizes.base();
            ranges.push(AddressRange::new(start, at));
        }
        ranges
    })
}

fn case() -> impl Strategy<Value = (u32, Vec<u8>, Vec<AddressRange>)> {
    prop_oneof![Just(12u32), Just(14), Just(16)].prop_flat_map(|shift| {
        let sizes = sizes_of(shift);
        let ranges = prop_oneof![1 => Just(EVERYTHING.to_vec()), 3 => ranges(sizes)];
        let stream = proptest::collection::vec(part(), 0..40).prop_map(move |parts| stream(&parts, sizes));
        (Just(shift), stream, ranges)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn agrees_with_the_slow_decoder((shift, stream, ranges) in case()) {
        prop_assert_eq!(decode(&stream, sizes_of(shift), &ranges), decode_slowly(&stream, shift, &ranges));
    }

    #[test]
    fn survives_any_bytes(stream in proptest::collection::vec(any::<u8>(), 0..600), with_address: bool) {
        let mut bytes = if with_address { bytes_of("a0 00 00 70 00 00 00 00 00") } else { Vec::new() };
        bytes.extend(stream);
        for sizes in SHIFTS.map(sizes_of) {
            let mut last = 0;
            let mut update = HeatUpdate::new(HeatMap::default());
            let mut blocks = Blocks::new(&EVERYTHING, &mut update);
            let whole = blocks.take(&mut Decoder::new(&bytes, sizes));
            blocks.finish();
            let mut end = Ok(());
            for run in Decoder::new(&bytes, sizes) {
                match run {
                    Ok(run) => {
                        prop_assert!(run.range.start >= last && run.range.start < run.range.end);
                        last = run.range.end;
                    }
                    Err(error) => end = Err(error),
                }
            }
            prop_assert_eq!(whole, end);
            prop_assert!(update.finish().histogram().total() <= last);
        }
    }
}
