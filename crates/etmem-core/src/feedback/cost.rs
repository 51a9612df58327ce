//! What it costs a program that a page of it is read back from swap.
//!
//! It is measured by all reads of the machine's swap, of any program: what they took, by their number. What is usual for such swap
//! counts as some reads before any was seen.

use crate::kernel::memory::SwapReads;
use std::time::Duration;

/// What a fault takes besides the read: entering the kernel, a page to put it in, mapping it, and caches that are cold then. Measured in a
/// virtual machine with redis, which goes over 770 MiB that are out (`DEBUG DIGEST`): 12.5 µs a page longer than over the same in memory, of
/// which zram took 3.
const FAULT: Duration = Duration::from_micros(9);

/// Until reads have taken so long, those that are missing count as usual. The kernel counts some reads in ticks of its clock: one that takes micro-
/// seconds as nothing, or as some milliseconds.
const AS_USUAL: Duration = Duration::from_millis(50);

/// What was seen counts half after so much more was seen.
const MEMORY: Duration = Duration::from_secs(2);

/// What a page costs that is read back.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct RefaultCost {
    last: Option<SwapReads>,
    /// What was seen, the older the less.
    reads: f64,
    seconds: f64,
}

impl RefaultCost {
    /// Nothing is known.
    pub(crate) const NOT_SEEN: Self = Self { last: None, reads: 0.0, seconds: 0.0 };

    /// A read is known to make it so much.
    #[cfg(test)]
    pub(crate) fn known(cost: Duration) -> Self {
        let usual = cost.saturating_sub(FAULT);
        Self { last: Some(SwapReads { usual, ..SwapReads::default() }), ..Self::default() }
    }

    /// Takes note of what was read by now.
    pub fn saw(&mut self, now: SwapReads) {
        let before = self.last.replace(now);
        let Some(before) = before.filter(|before| before.usual == now.usual) else {
            // The first time, or other swap.
            (self.reads, self.seconds) = (0.0, 0.0);
            return;
        };
        // It counts from nothing where a device came or went.
        let (reads, took) = (now.reads.saturating_sub(before.reads), now.took.saturating_sub(before.took));
        #[expect(clippy::cast_precision_loss, reason = "a number of reads, for an average")]
        let reads = reads as f64;
        self.reads += reads;
        self.seconds += took.as_secs_f64();
        if self.seconds > MEMORY.as_secs_f64() {
            self.reads /= 2.0;
            self.seconds /= 2.0;
        }
    }

    /// Whether anything was noted.
    #[must_use]
    pub const fn is_seen(&self) -> bool {
        self.last.is_some()
    }

    /// What a page costs; none if nothing was noted.
    #[must_use]
    pub fn of_page(&self) -> Option<Duration> {
        let usual = self.last?.usual;
        // As far as less than that was seen.
        let prior = (AS_USUAL.as_secs_f64() - self.seconds).max(0.0);
        let read = (prior + self.seconds) / (prior / usual.as_secs_f64() + self.reads);
        Some(FAULT + Duration::from_secs_f64(read))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const USUAL: Duration = Duration::from_micros(3);

    fn reads(reads: u64, took: Duration) -> SwapReads {
        SwapReads { reads, took, usual: USUAL }
    }

    fn micros(cost: &RefaultCost) -> u128 {
        cost.of_page().unwrap().as_micros()
    }

    #[test]
    fn it_is_as_usual_until_it_is_seen() {
        let mut cost = RefaultCost::default();
        assert_eq!(cost.of_page(), None);
        cost.saw(reads(1_000_000, Duration::from_secs(9000)));
        assert_eq!(micros(&cost), 12, "what was before does not count");
        // A tick of the clock among a thousand reads says little.
        cost.saw(reads(1_001_000, Duration::from_millis(9_000_004)));
        assert_eq!(micros(&cost), 12);
        cost.saw(reads(1_001_010, Duration::from_millis(9_001_004)));
        assert!(micros(&cost) > 900, "a second for ten: {cost:?}");
    }

    #[test]
    fn what_is_seen_is_forgotten_by_what_is_seen_after_it() {
        let mut cost = RefaultCost::default();
        let mut now = reads(0, Duration::ZERO);
        cost.saw(now);
        for (each, most) in [(10_000, 10_500), (100, 120)] {
            for _ in 0..100_000 {
                now.reads += 1;
                now.took += Duration::from_micros(each);
                cost.saw(now);
            }
            assert!((u128::from(each)..most).contains(&micros(&cost)), "{each}: {cost:?}");
        }
        // Counters that begin again say nothing.
        let before = cost;
        cost.saw(reads(3, Duration::ZERO));
        assert_eq!(micros(&cost), micros(&before));
    }
}
