//! Which mappings of a process are looked at.

use crate::address::{AddressRange, append};
use crate::kernel::mapping::{Mapping, MappingSource, VmFlag};
use crate::kernel::process::{ProcessError, ProcessId};

/// Whether swap may hold this mapping, by slide's rule: anonymous private memory, which is neither shared nor
/// executable nor of the pool of huge pages, and has no inode or is writable.
///
/// A writable private mapping of a file is in: the pages that were written to are anonymous.
#[must_use]
pub const fn is_swappable(mapping: &Mapping) -> bool {
    !mapping.shared
        && !mapping.executable
        && !mapping.special
        && !mapping.huge_pool
        && (mapping.inode == 0 || mapping.writable)
}

/// Whether this is code that the program has made itself, as interpreters do: executable, private, without a file.
pub(super) const fn is_own_code(mapping: &Mapping) -> bool {
    mapping.executable && !mapping.shared && !mapping.special && mapping.inode == 0
}

/// Whether the pages of this mapping may lie on one NUMA node or another: all that is not the kernel's own.
#[must_use]
pub const fn is_placeable(mapping: &Mapping) -> bool {
    !mapping.special
}

/// The same, of anonymous mappings alone: those without a file.
#[must_use]
pub const fn is_anonymous(mapping: &Mapping) -> bool {
    !mapping.special && mapping.inode == 0
}

/// Which mappings of a process are looked at.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// Picks them.
    pub is_wanted: fn(&Mapping) -> bool,
    /// All of these flags have to be set on them.
    pub flags: &'a [VmFlag],
    /// Left out where they meet one of these.
    pub without: &'a [AddressRange],
}

impl Wanted<'_> {
    /// The ranges of `process` that are wanted now, in ascending order, neighbours as one; `listed` is room to work in.
    pub(super) fn list(
        &self,
        process: ProcessId,
        mappings: &dyn MappingSource,
        listed: &mut Vec<Mapping>,
        ranges: &mut Vec<AddressRange>,
    ) -> Result<(), ProcessError> {
        mappings.mappings(process, self.flags, listed)?;
        ranges.clear();
        for mapping in listed.iter().filter(|mapping| (self.is_wanted)(mapping)) {
            let apart = |range: &AddressRange| range.intersection(mapping.range).is_empty();
            if !self.without.iter().all(apart) {
                continue;
            }
            append(ranges, mapping.range);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn which_mappings_swap_may_hold() {
        let anonymous = Mapping {
            range: AddressRange::new(0x1000, 0x2000),
            writable: true,
            executable: false,
            shared: false,
            inode: 0,
            special: false,
            huge_pool: false,
            guest: false,
        };
        for (name, mapping, want) in [
            ("heap", anonymous, true),
            ("read-only anonymous", Mapping { writable: false, ..anonymous }, true),
            ("shared", Mapping { shared: true, ..anonymous }, false),
            ("executable", Mapping { executable: true, ..anonymous }, false),
            ("private file, writable", Mapping { inode: 7, ..anonymous }, true),
            ("private file, read-only", Mapping { inode: 7, writable: false, ..anonymous }, false),
            ("pool of huge pages", Mapping { inode: 7, huge_pool: true, ..anonymous }, false),
            ("vvar", Mapping { special: true, writable: false, ..anonymous }, false),
        ] {
            assert_eq!(is_swappable(&mapping), want, "{name}");
            assert_eq!(is_placeable(&mapping), name != "vvar", "{name}");
            assert_eq!(is_anonymous(&mapping), name != "vvar" && mapping.inode == 0, "{name}");
            assert_eq!(is_own_code(&mapping), name == "executable", "{name}");
        }
    }
}
