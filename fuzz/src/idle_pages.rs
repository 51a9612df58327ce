//! The stream of `/proc/PID/idle_pages`, whatever is in it.

use crate::choice::Choice;
use etmem_core::address::AddressRange;
use etmem_core::heat::{HeatMap, HeatUpdate};
use etmem_core::idle_pages::{Blocks, Decoder, PageSizes};
use etmem_core::kernel::probe::AccessSink;

#[path = "../../crates/etmem-core/tests/idle_pages/slow.rs"]
mod slow;

use slow::{Decoded, Pieces, decode_slowly};

/// Sizes of base pages, as powers of two.
const SHIFTS: [u32; 3] = [12, 14, 16];

/// Above it the slow decoder's sums could overflow; the fast one is to cope all the same.
const HIGH: u64 = 1 << 60;

/// Panics if a kernel that writes `bytes` could lead the daemon astray.
pub fn check(bytes: &[u8]) {
    let mut choice = Choice::from_input(bytes);
    for shift in SHIFTS {
        let Some(sizes) = PageSizes::of_base(1 << shift) else {
            panic!("pages of 1 << {shift} bytes are known")
        };
        for ranges in [vec![AddressRange::new(0, 1 << 63)], drawn(bytes, sizes, &mut choice)] {
            let mut pieces = Pieces::default();
            let (reached, skipped, end) = decode(bytes, sizes, &ranges, &mut pieces);
            if reached.is_none_or(|reached| reached < HIGH) {
                let fast = Decoded { pieces, reached, skipped, end };
                assert_eq!(fast, decode_slowly(bytes, shift, &ranges), "1 << {shift}");
            }
            let mut update = HeatUpdate::new(HeatMap::default());
            let _ = decode(bytes, sizes, &ranges, &mut update);
            let _ = update.finish();
        }
    }
}

type Ended = (Option<u64>, u64, Result<(), etmem_core::idle_pages::StreamError>);

fn decode(bytes: &[u8], sizes: PageSizes, ranges: &[AddressRange], sink: &mut dyn AccessSink) -> Ended {
    let mut blocks = Blocks::new(ranges, sink);
    let mut decoder = Decoder::new(bytes, sizes);
    let end = blocks.take(&mut decoder);
    blocks.finish();
    (decoder.reached(), decoder.skipped(), end)
}

/// Ranges around the first address of the stream.
fn drawn(bytes: &[u8], sizes: PageSizes, choice: &mut Choice) -> Vec<AddressRange> {
    let first = bytes.get(1..9).and_then(|digits| digits.try_into().ok()).map_or(0, u64::from_be_bytes);
    let mut at = first.min(HIGH) / sizes.base() * sizes.base();
    let mut ranges = Vec::new();
    for _ in 0..choice.below(8) {
        let start = at + u64::from(choice.below(600)) * sizes.base();
        at = start + (1 + u64::from(choice.below(1200))) * sizes.base();
        ranges.push(AddressRange::new(start, at));
    }
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_real_read_and_nonsense() {
        for bytes in [
            &b"\xa0\0\0\x70\0\0\0\0\0\x52\x03\x5f\x84"[..],
            b"",
            b"\xff",
            b"\xa0\xff\xff\xff\xff\xff\xff\xff\xff\x2f\x2f",
        ] {
            check(bytes);
        }
    }
}
