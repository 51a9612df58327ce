//! This process's own code.

use rustix::mm::{Advice, madvise};
use std::ffi::c_void;
use std::ops::Range;

/// Takes the code that is mapped here out of this process's page tables: what it still runs comes back from the page cache, what
/// only its start needed stays away. Nothing is done where `maps` (`/proc/self/maps`) shows none.
pub(crate) fn unmap_for_now(maps: &str) {
    for range in maps.lines().filter_map(file_of_code) {
        let start = std::ptr::without_provenance_mut::<c_void>(range.start);
        // SAFETY: the mapping is private, of a file, executable and never written to (`r-xp`): its pages are those of the file, and
        // the next access maps the same content again. Should the range be gone by now, the kernel refuses.
        let _ = unsafe { madvise(start, range.len(), Advice::LinuxDontNeed) };
    }
}

/// Where the code of a file is mapped, if this line of `/proc/PID/maps` is about that. What is made by the kernel (`[vdso]`) is of no
/// file, inode 0.
fn file_of_code(line: &str) -> Option<Range<usize>> {
    let mut fields = line.split_ascii_whitespace();
    let (range, rights) = (fields.next()?, fields.next()?);
    let inode = fields.nth(2)?;
    let (start, end) = range.split_once('-')?;
    let address = |digits| usize::from_str_radix(digits, 16).ok();
    (rights == "r-xp" && inode != "0").then_some(address(start)?..address(end)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_code_of_files_is_meant() {
        let code =
            "55d0c0a00000-55d0c0f00000 r-xp 00200000 fe:00 1234                       /usr/sbin/etmemd";
        assert_eq!(file_of_code(code), Some(0x55d0_c0a0_0000..0x55d0_c0f0_0000));
        for other in [
            "55d0c0800000-55d0c0a00000 r--p 00000000 fe:00 1234                       /usr/sbin/etmemd",
            "55d0c0f00000-55d0c0f01000 rw-p 00700000 fe:00 1234                       /usr/sbin/etmemd",
            "55d0c0f00000-55d0c0f01000 rwxp 00700000 fe:00 1234                       /usr/sbin/etmemd",
            "7ffc0c1f6000-7ffc0c1f8000 r-xp 00000000 00:00 0                          [vdso]",
            "7f0000000000",
            "",
        ] {
            assert_eq!(file_of_code(other), None, "{other}");
        }
    }
}
