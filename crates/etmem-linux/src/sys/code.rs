//! This process's own code.

use rustix::mm::{Advice, madvise};
use std::ffi::c_void;
use std::ops::Range;

/// Takes the code that is mapped here out of this process's page tables: what it still runs comes back from the page cache, what
/// only its start needed stays away. What of it is a copy of this process's own is left alone: a breakpoint, a hook, or relocated.
///
/// To be called before the first thread starts, so that nothing else is mapped in its place meanwhile.
pub(crate) fn unmap_for_now() {
    let Ok(list) = std::fs::read_to_string("/proc/self/smaps") else { return };
    for range in code_of_files(&list) {
        let start = std::ptr::without_provenance_mut::<c_void>(range.start);
        // SAFETY: the kernel has just said that the mapping is private, of a file, executable, not writable, and that none of its pages
        // is a copy: all are those of the file, and the next access maps the same content again.
        let _ = unsafe { madvise(start, range.len(), Advice::LinuxDontNeed) };
    }
}

/// Where the code of files is mapped of which no page is a copy, by `/proc/PID/smaps`. What is made by the kernel (`[vdso]`) is of no file,
/// inode 0.
fn code_of_files(smaps: &str) -> impl Iterator<Item = Range<usize>> + '_ {
    let mut code = None;
    smaps.lines().filter_map(move |line| match line.split_once(' ') {
        Some(("Anonymous:", size)) if size.trim() == "0 kB" => code.take(),
        // Figures and flags of the mapping.
        Some((word, _)) if word.ends_with(':') => None,
        _ => {
            code = file_of_code(line);
            None
        }
    })
}

/// The range of a mapping that begins by this line, if it is code of a file.
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
        let mapping = |start: u64, rights: &str, inode: u64, anonymous: u64| {
            format!(
                "{start:x}-{:x} {rights} 00000000 fe:00 {inode}    /usr/sbin/etmemd\nSize:     4 kB\nRss:      4 kB\n\
                 Anonymous:            {anonymous} kB\nVmFlags: rd ex mr mw me\n",
                start + 4096
            )
        };
        let list = [
            mapping(0x1000, "r--p", 7, 0),
            mapping(0x2000, "r-xp", 7, 0),
            mapping(0x3000, "r-xp", 7, 4),
            mapping(0x4000, "rwxp", 7, 0),
            mapping(0x5000, "r-xs", 7, 0),
            mapping(0x6000, "r-xp", 0, 0),
            mapping(0x7000, "r-xp", 8, 0),
            "8000".to_owned(),
        ]
        .concat();
        assert_eq!(code_of_files(&list).collect::<Vec<_>>(), [0x2000..0x3000, 0x7000..0x8000]);
        assert_eq!(code_of_files("").next(), None);
    }
}
