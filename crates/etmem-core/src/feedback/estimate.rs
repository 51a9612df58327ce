//! How much came back, where pages cannot be told apart.

use crate::address::PAGE_SIZE;
use crate::kernel::process::ProcessMemory;

/// Bytes that came back from swap between two looks at a process's figures, between which nothing was moved out:
/// as much less as is in swap, and as many major faults as there were, whichever is less. Both are wrong by themselves:
/// swap also empties when memory is unmapped, and a fault may be for a page of a file.
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
