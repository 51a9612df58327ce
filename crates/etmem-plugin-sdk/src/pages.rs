//! Which pages of a process are in memory, and which it touched: scans by the scan library.

use crate::memory::{Mapping, Page};
use crate::process::Process;
use crate::sys::scan::{self, PageList};
use std::io;
use std::ops::Range;

/// The mappings of `process`, in ascending order of address.
///
/// # Errors
/// The process has ended, or there is no scan library.
pub fn mappings(process: &Process) -> io::Result<Vec<Mapping>> {
    scan::mappings(process.pid())
}

/// The pages of one process that were in memory at any of some scans, and how much they were touched.
#[derive(Debug, Default)]
pub struct Pages {
    list: PageList,
}

impl Pages {
    /// Clears what is known of the pages of `process` in `mappings`, as the age of earlier accesses is unknown. Call it before
    /// the first scan of a cycle.
    ///
    /// # Errors
    /// As [`Self::look`].
    pub fn begin(process: &Process, mappings: &[Mapping]) -> io::Result<Self> {
        Self::default().look(process, mappings)?;
        Ok(Self::default())
    }

    /// Scans the pages in `mappings` once: which are in memory, and which were touched since the scan before. The counts are
    /// added to those of earlier scans. A scan clears the accesses of the whole process. So one scan must take all mappings of
    /// interest, and only one task may scan a process.
    ///
    /// # Errors
    /// The process has ended or runs another program now, this machine cannot scan (the log says what it lacks), or there is
    /// no scan library. The counts stay as they were.
    pub fn look(&mut self, process: &Process, mappings: &[Mapping]) -> io::Result<()> {
        scan::look(process.pid(), mappings, &mut self.list)
    }

    /// The pages, in ascending order of address.
    pub fn iter(&self) -> impl Iterator<Item = Page> + '_ {
        self.list.iter()
    }

    /// The addresses of all pages for which `wanted` is true; adjacent pages are one range.
    pub fn ranges(&self, wanted: impl Fn(&Page) -> bool) -> Vec<Range<u64>> {
        joined(self.iter().filter(|page| wanted(page)))
    }
}

fn joined(pages: impl Iterator<Item = Page>) -> Vec<Range<u64>> {
    let mut ranges: Vec<Range<u64>> = Vec::new();
    for page in pages {
        match ranges.last_mut().filter(|last| last.end == page.address) {
            Some(last) => last.end = page.range().end,
            None => ranges.push(page.range()),
        }
    }
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adjacent_pages_are_one_range() {
        let page = |address, bytes| Page { address, bytes, count: 0 };
        let pages =
            [page(0x1000, 0x1000), page(0x2000, 0x1000), page(0x4000, 0x1000), page(0x5000, 0x20_0000)];
        assert_eq!(joined(pages.into_iter()), [0x1000..0x3000, 0x4000..0x20_5000]);
    }
}
