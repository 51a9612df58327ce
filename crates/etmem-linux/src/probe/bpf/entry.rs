//! What a page table entry of x86-64 says (`arch/x86/include/asm/pgtable_types.h`).

use crate::sys::page_walk::Table;
use etmem_core::address::PAGES_PER_BLOCK;
use etmem_core::kernel::probe::Access;

const PRESENT: u64 = 1 << 0;
const ACCESSED: u64 = 1 << 5;
const DIRTY: u64 = 1 << 6;
/// In the entry above a page table: a huge page, not a table.
const HUGE: u64 = 1 << 7;
/// Where `PRESENT` is clear: there is a page, but to touch it traps (NUMA hinting).
const TRAPPED: u64 = 1 << 8;
/// No page of the process's own: the zero page, or a device's.
const SPECIAL: u64 = 1 << 9;
/// The page's physical address.
const ADDRESS: u64 = 0x000f_ffff_ffff_f000;

/// Whether `entry` is of a huge page.
pub(super) fn is_huge(entry: u64) -> bool {
    entry & HUGE != 0
}

/// What `entry`, of a base page or a huge one, says of its page.
pub(super) fn access(entry: u64) -> Access {
    let present = entry & (PRESENT | TRAPPED) != 0 && entry & SPECIAL == 0;
    Access::from_bits(present, entry & ACCESSED != 0, entry & DIRTY != 0)
}

/// What all entries of `table` say of their pages, where they say the same, as they mostly do.
pub(super) fn uniform(table: &Table) -> Option<Access> {
    let (all, any) = table.iter().fold((u64::MAX, 0), |(all, any), entry| (all & entry, any | entry));
    // Entries of pages in swap are alike in nothing else.
    if any & (PRESENT | TRAPPED) == 0 {
        return Some(Access::ABSENT);
    }
    // Whether a page is dirty means nothing if it was not touched.
    let dirty = if any & ACCESSED == 0 { 0 } else { DIRTY };
    let asked = PRESENT | TRAPPED | SPECIAL | ACCESSED | dirty;
    ((all ^ any) & asked == 0).then(|| access(all))
}

/// What each entry of `table` says of its page: [`access`] of each, as arithmetic on the low 16 bits, which hold
/// every flag there is to ask for. So it becomes vector code of eight pages at once.
pub(super) fn decode(table: &Table, pages: &mut [Access; PAGES_PER_BLOCK]) {
    let mut flags = [0u16; PAGES_PER_BLOCK];
    for (flags, entry) in flags.iter_mut().zip(table) {
        let [low, high, ..] = entry.to_le_bytes();
        *flags = u16::from_le_bytes([low, high]);
    }
    for (page, flags) in pages.iter_mut().zip(flags) {
        let bit = |flag: u64| (flags >> flag.trailing_zeros()) & 1;
        let present = (bit(PRESENT) | bit(TRAPPED)) & !bit(SPECIAL);
        *page = Access::from_flags(present, bit(ACCESSED), bit(DIRTY));
    }
}

/// The number of the page at `address`, which `entry` maps; `None` if it maps none.
pub(super) fn frame(entry: u64, address: u64) -> Option<u64> {
    let within_huge_page = (address >> 12) % 512;
    match (entry & PRESENT != 0, is_huge(entry)) {
        (false, _) => None,
        (true, true) => Some(((entry & ADDRESS) >> 21 << 9) + within_huge_page),
        (true, false) => Some((entry & ADDRESS) >> 12),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The same by the kernel's words, one question after the other (`pte_present`, `pte_special`, `pte_young`).
    fn slow(entry: u64) -> Access {
        let bit = |number: u32| entry >> number & 1 == 1;
        if !bit(0) && !bit(8) {
            return Access::ABSENT;
        }
        if bit(9) {
            return Access::ABSENT;
        }
        match (bit(5), bit(6)) {
            (false, _) => Access::IDLE,
            (true, false) => Access::READ,
            (true, true) => Access::WRITTEN,
        }
    }

    #[test]
    fn entries() {
        for (entry, want) in [
            (0, Access::ABSENT),
            (0x8000_0001_2345_6825, Access::READ),
            (0x8000_0001_2345_6845, Access::IDLE),
            (0x8000_0001_2345_6867, Access::WRITTEN),
            (0x8000_0001_2345_6a67, Access::ABSENT),
            (0x8000_0001_2345_6966, Access::WRITTEN),
            // A swap entry.
            (0x7fff_ff80_0000_0000, Access::ABSENT),
        ] {
            assert_eq!(access(entry), want, "{entry:#x}");
        }
    }

    #[test]
    fn frames() {
        assert_eq!(frame(0x8000_0001_2345_6867, 0x7000), Some(0x12_3456));
        assert_eq!(frame(0x8000_0001_2340_00e7, 0x20_3000), Some(0x12_3403));
        assert_eq!(frame(0x8000_0001_2345_6866, 0x7000), None);
    }

    proptest! {
        #[test]
        fn decodes_as_the_slow_way(seed in prop::collection::vec(any::<u64>(), PAGES_PER_BLOCK)) {
            let table: Table = seed.try_into().unwrap();
            let mut pages = [Access::IDLE; PAGES_PER_BLOCK];
            decode(&table, &mut pages);
            for (entry, page) in table.iter().zip(pages) {
                prop_assert_eq!(page, slow(*entry), "{:#x}", entry);
            }
        }

        /// Tables of few kinds of entries, that differ in flags that mean nothing, or in one that does.
        #[test]
        fn tables_of_one_kind(kind: u64, other: u64, noise in 0u64..1 << 40, at in 0..PAGES_PER_BLOCK) {
            let mut table = [kind; PAGES_PER_BLOCK];
            for (index, entry) in (0u64..).zip(&mut table) {
                *entry ^= noise.wrapping_mul(index) << 12;
            }
            prop_assert_eq!(uniform(&table), Some(slow(kind)));
            table[at] = kind & !0x3ff | other & 0x3ff;
            let mut pages = [Access::IDLE; PAGES_PER_BLOCK];
            decode(&table, &mut pages);
            if let Some(access) = uniform(&table) {
                prop_assert_eq!(pages, [access; PAGES_PER_BLOCK]);
            }
            let idle = 0x8000_0001_2345_6005;
            let dirty: Table = std::array::from_fn(|page| if page == at { idle | DIRTY } else { idle });
            prop_assert_eq!(uniform(&dirty), Some(Access::IDLE));
            let mixed: Table = std::array::from_fn(|page| if page == at { idle | ACCESSED } else { idle });
            prop_assert_eq!(uniform(&mixed), None);
            let swapped: Table = std::array::from_fn(|page| 0x7fff_ff80_0000_0000 ^ (page as u64) << 9);
            prop_assert_eq!(uniform(&swapped), Some(Access::ABSENT));
        }
    }
}
