//! What is known of one page: how long it is idle, whether it was moved out, how often it refaulted.

use crate::age::{AGES, Age};

/// Most cycles in a row that a page may be asked to be idle: as far as each cycle is an age of its own.
pub const IDLE_CYCLES_MAX: u8 = 4;

/// Refaults of a page are counted up to this.
const LEVEL_MAX: u8 = 2;

/// Moved out, from here on by age.
#[expect(clippy::cast_possible_truncation, reason = "33 steps")]
const OUT: u8 = AGES as u8;

/// Steps for which a page that refaulted is left alone.
const ALONE_STEPS: u8 = 5;
const FIRST_ALONE: u8 = 2 * OUT;

/// Ways in which a page of one level can stand.
const PHASES: u8 = FIRST_ALONE + ALONE_STEPS;

/// Steps for which a page that stayed is left alone; from `PHASES` on. They have numbers of their own, after all levels.
const KEPT: u8 = PHASES;
const KEPT_FIRST: u8 = (LEVEL_MAX + 1) * PHASES;
const KEPT_END: u8 = KEPT_FIRST + LEVEL_MAX * ALONE_STEPS;

/// What is known of a page between two cycles, in a byte: how often it refaulted, and one of
/// - present, and idle for an [`Age`],
/// - moved out, and not touched for an [`Age`], from before it left on,
/// - left alone for some steps more, as it refaulted,
/// - left alone for some steps more, as the kernel kept it in memory again and again.
///
/// A page that refaulted is left alone for at least 4 cycles, and from the second time on for 256. A page that
/// stayed once may go again in the next cycle: it may have been under writeback. The second time it is left alone for at least 16
/// cycles, and from then on for 256.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Standing(pub(super) u8);

impl Standing {
    /// Nothing is known.
    pub const UNKNOWN: Self = Self(u8::MAX);

    const fn new(level: u8, phase: u8) -> Self {
        if phase < KEPT {
            return Self(level * PHASES + phase);
        }
        let level = if level > 0 { level - 1 } else { 0 };
        Self(KEPT_FIRST + level * ALONE_STEPS + (phase - KEPT))
    }

    /// Present and idle for `age`.
    #[must_use]
    pub const fn idle(age: Age) -> Self {
        Self::new(0, age.step())
    }

    const fn parts(self) -> Option<(u8, u8)> {
        match self.0 {
            KEPT_END.. => None,
            KEPT_FIRST.. => {
                let number = self.0 - KEPT_FIRST;
                Some((number / ALONE_STEPS + 1, KEPT + number % ALONE_STEPS))
            }
            _ => Some((self.0 / PHASES, self.0 % PHASES)),
        }
    }

    /// Whether it was moved out and has not refaulted yet.
    #[must_use]
    pub const fn is_out(self) -> bool {
        matches!(self.parts(), Some((_, OUT..FIRST_ALONE)))
    }

    /// Whether it is left alone, as it refaulted.
    #[must_use]
    pub const fn is_left_alone(self) -> bool {
        matches!(self.parts(), Some((_, FIRST_ALONE..KEPT)))
    }

    /// Whether it is left alone, as the kernel kept it in memory.
    #[must_use]
    pub const fn is_kept(self) -> bool {
        matches!(self.parts(), Some((_, phase)) if phase >= KEPT)
    }

    /// How often it refaulted or stayed, as far as that is counted.
    #[must_use]
    pub const fn level(self) -> u8 {
        match self.parts() {
            Some((level, _)) => level,
            None => 0,
        }
    }

    /// For how long it was idle; `None` if it is out, left alone or unknown.
    #[must_use]
    pub const fn age(self) -> Option<Age> {
        match self.parts() {
            Some((_, phase @ ..OUT)) => Some(Age::of_step(phase)),
            _ => None,
        }
    }

    /// For how long it was not touched, in memory or out; `None` if it is left alone or unknown.
    #[must_use]
    pub const fn untouched(self) -> Option<Age> {
        match self.parts() {
            Some((_, phase @ OUT..FIRST_ALONE)) => Some(Age::of_step(phase - OUT)),
            _ => self.age(),
        }
    }

    /// The same page once it was moved out.
    #[must_use]
    pub const fn moved_out(self) -> Self {
        let age = match self.untouched() {
            Some(age) => age.step(),
            None => 0,
        };
        Self::new(self.level(), OUT + age)
    }

    /// The same page once it was to move and stayed.
    #[must_use]
    pub const fn stayed(self) -> Self {
        match self.level() {
            0 => Self::new(1, 0),
            level => Self::new(level, KEPT + ALONE_STEPS - 1),
        }
    }

    /// The same page after swap was taken away (swapoff): it is in memory again, without a touch.
    #[must_use]
    pub(super) const fn brought_back(self) -> Self {
        Self::new(self.level(), 0)
    }

    /// The same page after the cycle `now`, in which it was seen as `seen`.
    #[must_use]
    pub(super) const fn after(self, seen: PageSeen, now: CycleTime) -> Self {
        let CycleTime { number, from, to } = now;
        let Some((level, phase)) = self.parts() else {
            return match seen {
                PageSeen::Absent => Self::UNKNOWN,
                PageSeen::Idle => Self::idle(Age::LEAST),
                PageSeen::Touched => Self::idle(Age::TOUCHED),
            };
        };
        match (phase, seen) {
            (OUT..FIRST_ALONE, PageSeen::Absent) => {
                Self::new(level, OUT + Age::of_step(phase - OUT).after(from, to).step())
            }
            // It did leave, so it was touched, also where the accessed bit was cleared since.
            (OUT..FIRST_ALONE, PageSeen::Touched | PageSeen::Idle) => {
                let level = if level < LEVEL_MAX { level + 1 } else { LEVEL_MAX };
                Self::new(level, FIRST_ALONE + ALONE_STEPS - 1)
            }
            (FIRST_ALONE.., _) => {
                // The first step may be cut short.
                let is_step = number.is_multiple_of(match (level, phase) {
                    (..=1, ..KEPT) => 1,
                    (..=1, _) => 4,
                    _ => 64,
                });
                match (phase, is_step) {
                    (_, false) => self,
                    (FIRST_ALONE, true) => Self::new(level, 0),
                    (KEPT, true) => Self::new(LEVEL_MAX, 0),
                    (_, true) => Self::new(level, phase - 1),
                }
            }
            (_, PageSeen::Touched) => Self::new(level, 0),
            (_, PageSeen::Idle) => Self::new(level, Age::of_step(phase).after(from, to).step()),
            // Not moved by us: unmapped, or taken by the kernel.
            (_, PageSeen::Absent) if level == 0 => Self::UNKNOWN,
            (_, PageSeen::Absent) => Self::new(level, 0),
        }
    }
}

/// When a cycle was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct CycleTime {
    /// Its number, ascending.
    pub(super) number: u64,
    /// The tick at which the cycle before it ended.
    pub(super) from: u64,
    /// The tick at which it ended itself.
    pub(super) to: u64,
}

/// How a page was seen in a cycle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PageSeen {
    /// Not in memory.
    Absent,
    /// In memory and not touched.
    Idle,
    /// Touched.
    Touched,
}

impl PageSeen {
    pub(super) const ALL: [Self; 3] = [Self::Absent, Self::Idle, Self::Touched];
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ways_to_stand_fit_a_byte() {
        assert!(u16::from(LEVEL_MAX + 1) * u16::from(PHASES) <= u16::from(u8::MAX));
        let last = Standing::new(LEVEL_MAX, PHASES - 1);
        assert!(last != Standing::UNKNOWN && last.is_left_alone() && last.level() == LEVEL_MAX);
        let mut all = std::collections::BTreeSet::from([Standing::UNKNOWN.0]);
        for level in 0..=LEVEL_MAX {
            let kept = if level > 0 { KEPT..KEPT + ALONE_STEPS } else { KEPT..KEPT };
            for phase in (0..PHASES).chain(kept) {
                let standing = Standing::new(level, phase);
                assert!(all.insert(standing.0), "level {level}, phase {phase}");
                assert_eq!(standing.parts(), Some((level, phase)));
            }
        }
        assert!(!Standing::UNKNOWN.is_out() && !Standing::UNKNOWN.is_left_alone());
        assert_eq!(Standing::UNKNOWN.age(), None);
    }

    /// Cycle `number`, a tick after the one before.
    fn at(number: u64) -> CycleTime {
        CycleTime { number, from: number - 1, to: number }
    }

    /// What is left alone, of a page that refaulted or stayed `level` times.
    fn least(level: u8) -> u64 {
        4 * 64u64.pow(u32::from(level.min(LEVEL_MAX) - 1))
    }

    #[test]
    fn idle_cycles_are_counted_in_a_row() {
        let mut page = Standing::UNKNOWN;
        for want in 1..=IDLE_CYCLES_MAX {
            page = page.after(PageSeen::Idle, at(7));
            assert_eq!(page.age(), Some(Age::of_step(want)));
        }
        let last = Standing::idle(Age::LAST);
        assert_eq!(last.after(PageSeen::Idle, at(7)), last);
        assert_eq!(page.after(PageSeen::Touched, at(7)).age(), Some(Age::TOUCHED));
        assert_eq!(page.after(PageSeen::Absent, at(7)), Standing::UNKNOWN);
    }

    #[test]
    fn a_page_grows_older_while_it_is_out() {
        let page = Standing::idle(Age::of_step(3)).moved_out();
        assert_eq!((page.age(), page.untouched()), (None, Some(Age::of_step(3))));
        let later = page.after(PageSeen::Absent, CycleTime { number: 9, from: 8, to: 64 });
        assert!(later.is_out() && later.untouched() > Some(Age::of_step(8)), "{later:?}");
    }

    #[test]
    fn a_page_that_refaults_is_left_alone_longer_each_time() {
        let mut page = Standing::idle(Age::of_step(3));
        let mut cycle = 1000;
        for level in 1..=5u8 {
            page = page.moved_out();
            assert!(page.is_out());
            assert!(page.after(PageSeen::Absent, at(cycle)).is_out(), "stays out");
            page = page.after(PageSeen::Touched, at(cycle));
            assert_eq!(page.level(), level.min(LEVEL_MAX));
            let mut held: u64 = 0;
            while page.is_left_alone() {
                cycle += 1;
                held += 1;
                // Whether it is touched meanwhile does not matter.
                let seen = if held.is_multiple_of(3) { PageSeen::Touched } else { PageSeen::Idle };
                page = page.after(seen, at(cycle));
            }
            let least = least(level);
            assert!((least..=least + least / 4).contains(&held), "time {level}: {held} cycles");
            assert_eq!(page.age(), Some(Age::TOUCHED), "and must be idle again");
        }
    }

    #[test]
    fn a_page_that_left_and_is_there_was_read_back() {
        let out = Standing::idle(Age::of_step(2)).moved_out();
        for seen in [PageSeen::Idle, PageSeen::Touched] {
            let page = out.after(seen, at(1));
            assert!(page.is_left_alone() && page.level() == 1, "{seen:?}");
        }
        assert_eq!(out.brought_back(), Standing::idle(Age::TOUCHED));
    }

    #[test]
    fn a_page_that_never_left_did_not_refault_and_is_left_alone_longer_each_time() {
        let mut page = Standing::idle(Age::of_step(2)).stayed();
        assert_eq!((page.age(), page.level(), page.is_kept()), (Some(Age::TOUCHED), 1, false));
        let mut cycle = 1000;
        for least in [16, 256, 256] {
            page = page.after(PageSeen::Idle, at(cycle)).stayed();
            assert!(page.is_kept() && !page.is_left_alone() && !page.is_out(), "{page:?}");
            let mut held: u64 = 0;
            while page.is_kept() {
                (cycle, held) = (cycle + 1, held + 1);
                page = page.after(PageSeen::Idle, at(cycle));
            }
            assert!((least..=least + least / 4).contains(&held), "{least}: {held} cycles");
            assert_eq!(page.age(), Some(Age::TOUCHED));
        }
    }
}
