//! What a page takes of memory where swap keeps a compressed copy of it: in zram or zswap.

use crate::address::PAGE_SIZE;

/// Bytes of a page.
#[expect(clippy::cast_possible_truncation, reason = "a page is 4 KiB")]
pub const PAGE_BYTES: usize = PAGE_SIZE as usize;

/// How zsmalloc, from which zram and zswap have their memory, keeps copies (mm/zsmalloc.c, pages of 4 KiB): sizes rise by `SIZE_STEP`
/// from the least on, a word is kept with each copy, and up to `CHAIN` pages (`CONFIG_ZSMALLOC_CHAIN_SIZE`) are filled with copies of a
/// size, as many pages as waste least. Where that is one page for one copy, zram keeps the page as it is.
const HANDLE: usize = 8;
const LEAST_SIZE: usize = 32;
const SIZE_STEP: usize = 16;
const CHAIN: usize = 8;

/// Memory that a copy of `page` takes, as it is compressed to the bytes that `compress` gives.
#[must_use]
pub fn copy(page: &[u8; PAGE_BYTES], compress: impl FnOnce(&[u8]) -> Vec<u8>) -> u64 {
    let (words, _) = page.as_chunks::<8>();
    // Of a page that is one word throughout, zram keeps the word only.
    if words.iter().all(|word| *word == words[0]) { 0 } else { of_length(compress(page).len()) }
}

/// The same by LZ4.
#[must_use]
pub fn lz4(page: &[u8; PAGE_BYTES]) -> u64 {
    copy(page, lz4_flex::block::compress)
}

/// Memory that a copy of `length` bytes takes.
fn of_length(length: usize) -> u64 {
    let size = (length + HANDLE).max(LEAST_SIZE).next_multiple_of(SIZE_STEP).min(PAGE_BYTES);
    // Of chains that waste as much, the kernel takes the shortest.
    let chain = (1..=CHAIN).min_by_key(|pages| pages * PAGE_BYTES % size).unwrap_or(1) * PAGE_BYTES;
    chain.div_ceil(chain / size) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_takes_what_it_compresses_to() {
        assert_eq!(lz4(&[7; PAGE_BYTES]), 0);
        let mut page = [0; PAGE_BYTES];
        page[..8].copy_from_slice(b"a record");
        assert!(lz4(&page) < 100, "{}", lz4(&page));
        let mut number = 1u64;
        for byte in &mut page {
            number = number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            *byte = (number >> 56) as u8;
        }
        assert_eq!(lz4(&page), PAGE_SIZE, "noise");
    }

    /// As `/sys/kernel/debug/zsmalloc/zram0/classes` has it: pages in a chain, and copies in these.
    #[test]
    fn copies_take_what_zsmalloc_takes_for_them() {
        for (length, pages, copies) in [
            (1, 1, 128),
            (24, 1, 128),
            (25, 3, 256),
            (2076, 8, 15),
            (2035, 1, 2),
            (1500, 3, 8),
            (3264, 5, 6),
            (3624, 8, 9),
            (3625, 1, 1),
            (4096, 1, 1),
            (4200, 1, 1),
        ] {
            assert_eq!(of_length(length), (pages * PAGE_BYTES as u64).div_ceil(copies), "{length}");
        }
    }
}
