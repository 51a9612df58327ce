//! How large pages are: it follows from the base page.

/// Sizes of pages in bytes. A table is one base page of entries of 8 bytes, so it covers as many pages of the size
/// below as it has entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageSizes {
    shift: u32,
}

impl PageSizes {
    /// Those of x86-64, and of most arm64 kernels: 4 KiB, 2 MiB, 1 GiB.
    pub const FOUR_KIB: Self = Self { shift: 12 };

    /// Those of a kernel whose base pages have `bytes` bytes: 4, 16 or 64 KiB (arm64); none for others.
    #[must_use]
    pub const fn of_base(bytes: u64) -> Option<Self> {
        match bytes {
            0x1000 | 0x4000 | 0x1_0000 => Some(Self { shift: bytes.trailing_zeros() }),
            _ => None,
        }
    }

    /// A base page.
    #[must_use]
    pub const fn base(self) -> u64 {
        1 << self.shift
    }

    /// A huge page in the place of a page table (PMD).
    #[must_use]
    pub const fn huge(self) -> u64 {
        1 << ((self.shift - 3) * 2 + 3)
    }

    /// A huge page one level above (PUD).
    #[must_use]
    pub const fn giant(self) -> u64 {
        1 << ((self.shift - 3) * 3 + 3)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        const KIB: u64 = 1 << 10;
        const MIB: u64 = 1 << 20;
        const GIB: u64 = 1 << 30;
        for (base, huge, giant) in
            [(4 * KIB, 2 * MIB, GIB), (16 * KIB, 32 * MIB, 64 * GIB), (64 * KIB, 512 * MIB, 4096 * GIB)]
        {
            let sizes = PageSizes::of_base(base).unwrap();
            assert_eq!((sizes.base(), sizes.huge(), sizes.giant()), (base, huge, giant));
        }
        assert_eq!(PageSizes::of_base(4096), Some(PageSizes::FOUR_KIB));
        for wrong in [0, 1, 2048, 4097, 8192, 1 << 32] {
            assert_eq!(PageSizes::of_base(wrong), None, "{wrong}");
        }
    }
}
