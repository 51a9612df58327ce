//! Where the pages of a process are, page by page, from `/proc/PID/pagemap`.
//!
//! One 64-bit word per page of address space: bit 63 the page is in memory, bit 62 it is in swap, neither: there is
//! none (kernel, Documentation/admin-guide/mm/pagemap.rst). These bits need no privilege beyond reading the file.

use std::fs::{self, File};
use std::ops::Range;
use std::os::unix::fs::FileExt;

use anyhow::{Context, Result};

use crate::size::PAGE;

const PRESENT: u64 = 1 << 63;
const SWAPPED: u64 = 1 << 62;

/// Where one page is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// In memory.
    Memory,
    /// In swap.
    Swap,
    /// Never touched, or given back.
    Nowhere,
}

/// How many pages are where.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Residency {
    /// Pages in memory.
    pub present: usize,
    /// Pages in swap.
    pub swapped: usize,
    /// Pages that do not exist.
    pub absent: usize,
}

impl Residency {
    /// Counts one more page.
    pub fn count(&mut self, place: Place) {
        match place {
            Place::Memory => self.present += 1,
            Place::Swap => self.swapped += 1,
            Place::Nowhere => self.absent += 1,
        }
    }

    /// All pages counted.
    pub fn pages(&self) -> usize {
        self.present + self.swapped + self.absent
    }

    /// Share of the pages that are in swap, 0 to 1; 0 of no pages.
    pub fn share_swapped(&self) -> f64 {
        self.swapped as f64 / self.pages().max(1) as f64
    }

    /// Share of the pages that are in memory, 0 to 1; 0 of no pages.
    pub fn share_present(&self) -> f64 {
        self.present as f64 / self.pages().max(1) as f64
    }
}

/// Tells `each` the place of every page of `range` (addresses, whole pages), in order, with the page's address.
///
/// # Errors
/// The process is gone or its pagemap may not be read.
pub fn look(pid: u32, range: &Range<usize>, mut each: impl FnMut(usize, Place)) -> Result<()> {
    let path = format!("/proc/{pid}/pagemap");
    let file = File::open(&path).with_context(|| format!("cannot open {path}"))?;
    let mut bytes = vec![0; 8 * 16384];
    let mut page = range.start / PAGE;
    let end = range.end / PAGE;
    while page < end {
        let words = (end - page).min(bytes.len() / 8);
        let chunk = &mut bytes[..words * 8];
        file.read_exact_at(chunk, page as u64 * 8).with_context(|| format!("cannot read {path}"))?;
        for word in chunk.as_chunks().0 {
            each(page * PAGE, place(u64::from_ne_bytes(*word)));
            page += 1;
        }
    }
    Ok(())
}

/// Counts the pages of `range`.
///
/// # Errors
/// As [`look`].
pub fn residency(pid: u32, range: &Range<usize>) -> Result<Residency> {
    let mut sum = Residency::default();
    look(pid, range, |_, place| sum.count(place))?;
    Ok(sum)
}

fn place(word: u64) -> Place {
    if word & PRESENT != 0 {
        Place::Memory
    } else if word & SWAPPED != 0 {
        Place::Swap
    } else {
        Place::Nowhere
    }
}

/// A size from `/proc/PID/status`, in bytes: `VmRSS`, `VmSwap`, … ; 0 where the line is missing.
///
/// # Errors
/// The process is gone.
pub fn status_bytes(pid: u32, key: &str) -> Result<usize> {
    let path = format!("/proc/{pid}/status");
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    let kib = text
        .lines()
        .filter_map(|line| line.strip_prefix(key)?.strip_prefix(':'))
        .find_map(|rest| rest.split_whitespace().next()?.parse::<usize>().ok());
    Ok(kib.unwrap_or(0) << 10)
}

/// Processor time that a process has used, the kernel's part included, in clock ticks (a hundredth of a second).
///
/// # Errors
/// It has ended.
pub fn processor_ticks(pid: u32) -> Result<u64> {
    Ok(stat_field(pid, 14)? + stat_field(pid, 15)?)
}

/// A field of `/proc/PID/stat`, counted from 1 as the manual does (12 majflt, 14 utime, 15 stime).
///
/// # Errors
/// The process is gone, or the kernel has no such field.
pub fn stat_field(pid: u32, number: usize) -> Result<u64> {
    let path = format!("/proc/{pid}/stat");
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    // The second field is the name in brackets and may hold anything, brackets too.
    let rest = text.rsplit_once(')').map_or("", |(_, rest)| rest);
    let field = number.checked_sub(3).and_then(|at| rest.split_whitespace().nth(at));
    field
        .and_then(|field| field.parse().ok())
        .with_context(|| format!("{path} has no number in field {number}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_places() {
        assert_eq!(place(PRESENT | 7), Place::Memory);
        assert_eq!(place(SWAPPED | 7), Place::Swap);
        assert_eq!(place(1 << 55), Place::Nowhere);
    }

    #[test]
    fn own_memory_is_seen_page_by_page() {
        let mut memory = vec![0_u8; 66 * PAGE];
        let first = memory.as_ptr().align_offset(PAGE);
        for page in 0..32 {
            memory[first + page * 2 * PAGE] = 1;
        }
        let start = memory.as_ptr().addr() + first;
        let mut touched_seen = 0;
        look(std::process::id(), &(start..start + 64 * PAGE), |address, place| {
            if ((address - start) / PAGE).is_multiple_of(2) && place == Place::Memory {
                touched_seen += 1;
            }
        })
        .unwrap();
        let sum = residency(std::process::id(), &(start..start + 64 * PAGE)).unwrap();
        assert_eq!((touched_seen, sum.pages()), (32, 64));
    }

    #[test]
    fn a_process_that_is_not_there_is_named() {
        let error = residency(u32::MAX, &(0..PAGE)).unwrap_err();
        assert!(error.to_string().contains("/proc/4294967295/pagemap"));
    }

    #[test]
    fn own_status_and_stat_are_read() {
        assert!(status_bytes(std::process::id(), "VmRSS").unwrap() > 0);
        assert!(stat_field(std::process::id(), 20).unwrap() >= 1, "field 20 is the number of threads");
        assert!(stat_field(std::process::id(), 2).is_err());
    }
}
