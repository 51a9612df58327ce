//! What of a group is believed to be idle: of what a look found idle, no more than the look before it did, and is still in memory.
//!
//! A look passes over a process whose mappings are being changed at that moment (`walk_mm`, mm/vmscan.c in the kernel). All that such a
//! process uses counts as inactive then, until the next look.

use std::time::Duration;

/// Ages are read from the kernel a moment after the clock is: looks that are no further apart are the same. What counts was idle for 25 s.
const SAME: Duration = Duration::from_secs(10);

/// Bytes of anonymous pages and of files.
pub(super) type Inactive = [u64; 2];

/// What is known of a group from look to look.
#[derive(Debug)]
pub(super) struct Believed {
    /// When the last look was.
    look: Duration,
    /// What the one before it found, less what has left since.
    most: Inactive,
    /// What is inactive after the last round.
    inactive: Inactive,
}

impl Believed {
    /// Of a group of which nothing is known but the look at `look`, and the one before it: their word is all that there is.
    pub(super) const fn first(look: Duration) -> Self {
        Self { look, most: [u64::MAX; 2], inactive: [u64::MAX; 2] }
    }

    /// What is believed of `inactive`, where the last look was at `look`.
    pub(super) fn of(&mut self, inactive: Inactive, look: Duration) -> Inactive {
        if look > self.look + SAME {
            (self.look, self.most) = (look, self.inactive);
        }
        self.inactive = inactive;
        [0, 1].map(|kind| inactive[kind].min(self.most[kind]))
    }

    /// Takes note of bytes that left. It is not known of which kind: so of both.
    pub(super) fn left(&mut self, bytes: u64) {
        for known in [&mut self.most, &mut self.inactive] {
            *known = known.map(|most| most.saturating_sub(bytes));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_look_finds_more_than_the_one_before_is_believed_when_the_next_finds_it_too() {
        let at = Duration::from_secs;
        let mut believed = Believed::first(at(100));
        assert_eq!(believed.of([64, 8], at(100)), [64, 8]);
        believed.left(8);
        // The same look, by ages that were read a little later.
        assert_eq!(believed.of([56, 8], at(109)), [56, 8]);
        believed.left(24);
        // It passed over a program that uses 32 MiB.
        assert_eq!(believed.of([64, 8], at(130)), [32, 0]);
        believed.left(4);
        assert_eq!(believed.of([60, 8], at(130)), [28, 0]);
        // The next finds that in use; what has become idle since the last is believed after one more.
        assert_eq!(believed.of([48, 8], at(160)), [48, 8]);
        assert_eq!(believed.of([50, 6], at(190)), [48, 6]);
        assert_eq!(believed.of([50, 6], at(220)), [50, 6]);
    }
}
