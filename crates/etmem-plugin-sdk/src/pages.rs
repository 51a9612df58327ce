//! Which pages of a process are in memory, and which it touched: looks through the scan library.

use crate::process::Process;
use crate::sys::scan::{self, PageList};
use std::io;
use std::ops::Range;

/// A mapping of a process.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Mapping {
    /// Its addresses.
    pub range: Range<u64>,
    /// May be read.
    pub readable: bool,
    /// May be written.
    pub writable: bool,
    /// May be executed.
    pub executable: bool,
    /// Shared with other processes, or may be.
    pub shared: bool,
    /// Of the file that is mapped; 0 where none is.
    pub inode: u64,
    /// The file's path or the kernel's name for the mapping, such as `[heap]`; often empty. At most 255 bytes.
    pub name: Vec<u8>,
}

impl Mapping {
    /// Its size.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.range.end.saturating_sub(self.range.start)
    }
}

/// The mappings of `process`, in ascending order of address.
///
/// # Errors
/// The process has ended, or there is no scan library.
pub fn mappings(process: &Process) -> io::Result<Vec<Mapping>> {
    scan::mappings(process.pid())
}

/// A page that was in memory at a look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page {
    /// Where it begins.
    pub address: u64,
    /// Its size.
    pub bytes: u64,
    /// Over all looks: 1 for each at which it had been read since the look before, 3 for each at which it had been written.
    pub count: u32,
}

impl Page {
    /// Its addresses.
    #[must_use]
    pub const fn range(&self) -> Range<u64> {
        self.address..self.address.saturating_add(self.bytes)
    }
}

/// The pages of one process that were in memory at any of some looks, and how much they were touched.
#[derive(Debug, Default)]
pub struct Pages {
    list: PageList,
}

impl Pages {
    /// Forgets what is known of `process`'s pages in `mappings`: what happened before this is of unknown age. To be called
    /// before the first look of a cycle.
    ///
    /// # Errors
    /// As [`Self::look`].
    pub fn begin(process: &Process, mappings: &[Mapping]) -> io::Result<Self> {
        Self::default().look(process, mappings)?;
        Ok(Self::default())
    }

    /// One look at the pages in `mappings`: which are in memory, and which were touched since the look before. Their counts
    /// are added to those of earlier looks. All that is of interest goes into one look, as it forgets what it tells of the
    /// whole process; for the same reason a process is for one task alone.
    ///
    /// # Errors
    /// The process has ended or runs another program now, this machine cannot look (the log says what it lacks), or there
    /// is no scan library. The counts are as they were then.
    pub fn look(&mut self, process: &Process, mappings: &[Mapping]) -> io::Result<()> {
        scan::look(process.pid(), mappings, &mut self.list)
    }

    /// The pages, in ascending order of address.
    pub fn iter(&self) -> impl Iterator<Item = Page> + '_ {
        self.list.iter()
    }

    /// The addresses of all pages for which `wanted` is true, neighbours as one range.
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
    fn neighbours_are_one_range() {
        let page = |address, bytes| Page { address, bytes, count: 0 };
        let pages =
            [page(0x1000, 0x1000), page(0x2000, 0x1000), page(0x4000, 0x1000), page(0x5000, 0x20_0000)];
        assert_eq!(joined(pages.into_iter()), [0x1000..0x3000, 0x4000..0x20_5000]);
    }
}
