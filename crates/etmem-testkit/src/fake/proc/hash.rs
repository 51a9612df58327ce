//! Chance without memory: the same page always gets the same number.

/// A number for `page` under `seed`, of splitmix64's finish (Steele, Lea and Flood 2014).
#[must_use]
pub(super) fn scatter(seed: u64, page: u64) -> u64 {
    let mut state = seed.wrapping_add(page.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    state = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    state = (state ^ (state >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    state ^ (state >> 31)
}
