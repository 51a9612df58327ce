//! When it is looked into whether what is out of a process is in memory as well: where the swap cache takes much, and not too often.

use etmem_core::act::{PassEnd, Progress};
use etmem_core::kernel::memory::MemoryState;
use std::time::Duration;

/// Where the swap cache takes less than this, or less than one part in eight of what is out, it stays as it is.
const LEAST: u64 = 16 << 20;
const PART: u64 = 8;

/// From one pass to the next: a child that reads all each few minutes brings all of it back each time. Where a pass was of no use, the
/// next is four times as far away, up to a day.
const AGAIN: Duration = Duration::from_secs(600);
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// The same where others had the pages mapped, as a child that has not ended yet: twice as long each time, up to `AGAIN`.
const SOON: Duration = Duration::from_secs(15);

/// When the next pass over a process is due, and how far the one under way is.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct NextPass {
    due: Duration,
    /// How far the one under way is.
    pub(super) progress: Progress,
    /// How long the wait was after the last pass, if that was of no use.
    useless: Option<Duration>,
    /// The same, if others had the pages mapped.
    mapped: Option<Duration>,
}

impl NextPass {
    /// Whether it is due `now` that `out` bytes of the process are out, some of which have just `left`.
    pub(super) fn is_due(&mut self, now: Duration, out: u64, left: u64, memory: &MemoryState) -> bool {
        let cached = memory.swap_cached;
        // What has just left may be on its way to a disk.
        let is_much = out >= LEAST && cached >= LEAST.max(out / PART) && left < out / PART;
        if !is_much || memory.swap_stuck > 0 {
            self.progress = Progress::default();
            return false;
        }
        now >= self.due || self.progress.is_under_way()
    }

    /// Takes note of a pass that ended so.
    pub(super) fn ended(&mut self, end: &PassEnd, now: Duration) {
        let useless = self.useless.map_or(AGAIN, |before| (before * 4).min(LONGEST));
        let mapped = self.mapped.map_or(SOON, |before| (before * 2).min(AGAIN));
        *self = match end {
            PassEnd::Later => *self,
            PassEnd::Mapped => Self { due: now + mapped, mapped: Some(mapped), ..Self::default() },
            PassEnd::None => Self { due: now + useless, useless: Some(useless), ..Self::default() },
            PassEnd::Done => Self { due: now + AGAIN, ..Self::default() },
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pass_is_due_where_the_swap_cache_takes_much_and_not_too_often() {
        let memory = |swap_cached| MemoryState { swap_cached, ..MemoryState::default() };
        let mut next = NextPass::default();
        for (out, cached, want) in [
            (LEAST, LEAST, true),
            (LEAST - 1, LEAST, false),
            (LEAST, LEAST - 1, false),
            (9 * LEAST, LEAST, false),
        ] {
            assert_eq!(next.is_due(Duration::ZERO, out, 0, &memory(cached)), want, "{out} {cached}");
        }
        let fails = MemoryState { swap_stuck: 1, ..memory(LEAST) };
        assert!(!next.is_due(Duration::ZERO, LEAST, LEAST / 4, &memory(LEAST)), "it has just left");
        assert!(!next.is_due(Duration::ZERO, LEAST, 0, &fails), "what cannot be written is the only copy");
        let at = Duration::from_secs;
        let mut is_due = |end, now, then| {
            next.ended(&end, at(now));
            next.is_due(at(then), LEAST, 0, &memory(LEAST))
        };
        assert!(!is_due(PassEnd::Done, 100, 699) && is_due(PassEnd::Done, 100, 700));
        assert!(!is_due(PassEnd::Mapped, 100, 114) && is_due(PassEnd::Mapped, 100, 130));
        assert!(
            !is_due(PassEnd::Mapped, 100, 159) && is_due(PassEnd::Mapped, 100, 220),
            "twice as far away each time"
        );
        assert!(!is_due(PassEnd::None, 180, 779) && !is_due(PassEnd::None, 180, 2579));
        assert!(is_due(PassEnd::None, 180, 180 + 9600), "four times as far away each time");
    }
}
