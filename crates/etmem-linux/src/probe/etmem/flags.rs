//! What a task wishes of the module's scan, as the module's flags.

use etmem_core::kernel::wishes::ScanWishes;

/// `SCAN_AS_HUGE` and `SCAN_IGN_HOST` (`fs/proc/etmem_scan.h`).
const AS_HUGE: u32 = 0o100_000_000;
const IGNORE_HOST: u32 = 0o200_000_000;

/// `VMA_SCAN_FLAG`: mappings that were marked.
const MARKED: u32 = 0x1000;

/// Scan flags of the module for `wishes`.
pub(super) fn scan_flags(wishes: ScanWishes) -> u32 {
    (if wishes.as_huge { AS_HUGE } else { 0 }) | (if wishes.ignore_host { IGNORE_HOST } else { 0 })
}

/// Flags of the mappings to look at for `wishes`.
pub(super) fn mapping_flags(wishes: ScanWishes) -> u32 {
    if wishes.only_marked { MARKED } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_as_the_module_has_them() {
        let none = ScanWishes::default();
        assert_eq!((scan_flags(none), mapping_flags(none)), (0, 0));
        let both = ScanWishes { as_huge: true, ignore_host: true, ..none };
        assert_eq!((scan_flags(both), mapping_flags(both)), (0x0300_0000, 0));
        let ignoring = ScanWishes { ignore_host: true, ..none };
        assert_eq!(scan_flags(ignoring), 0x0200_0000);
        assert_eq!(mapping_flags(ScanWishes { only_marked: true, ..none }), 0x1000);
    }
}
