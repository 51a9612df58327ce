//! How much refaulted, where pages cannot be told apart.

use crate::address::PAGE_SIZE;
use crate::kernel::process::ProcessMemory;

/// Bytes that refaulted between two readings of a process's figures, between which nothing was moved out: the decrease of
/// what is in swap, or the pages of its major faults, whichever is less. Each alone is wrong: swap also empties when memory
/// is unmapped, and a fault may be for a page of a file.
#[must_use]
pub fn refaulted_by_faults(before: &ProcessMemory, now: &ProcessMemory) -> u64 {
    let emptied = before.swapped.saturating_sub(now.swapped);
    let faults = now.major_faults.saturating_sub(before.major_faults);
    emptied.min(faults.saturating_mul(PAGE_SIZE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lesser_of_both() {
        let figures = |swapped: u64, major_faults| ProcessMemory {
            swapped: swapped * PAGE_SIZE,
            major_faults,
            ..ProcessMemory::default()
        };
        for (before, now, want) in [
            (figures(100, 7), figures(100, 7), 0),
            (figures(100, 7), figures(90, 17), 10),
            // Unmapped, for the most part.
            (figures(100, 7), figures(0, 12), 5),
            // Faults for files.
            (figures(100, 7), figures(98, 1000), 2),
            (figures(100, 7), figures(200, 3), 0),
        ] {
            assert_eq!(refaulted_by_faults(&before, &now), want * PAGE_SIZE);
        }
    }
}
