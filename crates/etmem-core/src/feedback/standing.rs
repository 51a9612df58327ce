//! What is known of one page: how long it is idle, whether it was moved out, how often it refaulted.

/// Most cycles in a row that are counted in which a page was not touched.
pub const AGE_MAX: u8 = 31;

/// Most cycles in a row that a page may be asked to be idle.
pub const IDLE_CYCLES_MAX: u8 = AGE_MAX;

/// Refaults of a page are counted up to this.
const LEVEL_MAX: u8 = 5;

/// Moved out.
const OUT: u8 = AGE_MAX + 1;

/// Steps for which a page that refaulted is left alone; from `OUT + 1` on.
const ALONE_STEPS: u8 = 5;
const FIRST_ALONE: u8 = OUT + 1;

/// Ways in which a page of one level can stand.
const PHASES: u8 = OUT + ALONE_STEPS + 1;

/// Steps for which a page that stayed is left alone; from `PHASES` on. They have numbers of their own, after all levels.
const KEPT: u8 = PHASES;
const KEPT_FIRST: u8 = (LEVEL_MAX + 1) * PHASES;
const KEPT_END: u8 = KEPT_FIRST + LEVEL_MAX * ALONE_STEPS;

/// What is known of a page between two cycles, in a byte: how often it refaulted, and one of
/// - present, and idle for a number of cycles in a row (0: touched in the last one),
/// - moved out,
/// - left alone for some steps more, as it refaulted,
/// - left alone for some steps more, as the kernel kept it in memory again and again.
///
/// A page that refaulted for the nth time is left alone for 4ⁿ cycles at least: 4, 16, 64, 256, 1024, and not more. A page that
/// stayed once may go again in the next cycle: it may have been under writeback. From the second time on it is left alone as
/// one that refaulted.
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

    /// Present and idle for `age` cycles in a row.
    #[must_use]
    pub const fn idle(age: u8) -> Self {
        Self::new(0, if age > AGE_MAX { AGE_MAX } else { age })
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
        matches!(self.parts(), Some((_, OUT)))
    }

    /// Whether it is left alone, as it refaulted.
    #[must_use]
    pub const fn is_left_alone(self) -> bool {
        matches!(self.parts(), Some((_, phase)) if phase > OUT && phase < KEPT)
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

    /// For how many cycles in a row it was idle; `None` if it is out, left alone or unknown.
    #[must_use]
    pub const fn age(self) -> Option<u8> {
        match self.parts() {
            Some((_, phase)) if phase <= AGE_MAX => Some(phase),
            _ => None,
        }
    }

    /// The same page once it was moved out.
    #[must_use]
    pub const fn moved_out(self) -> Self {
        Self::new(self.level(), OUT)
    }

    /// The same page once it was to move and stayed.
    #[must_use]
    pub const fn stayed(self) -> Self {
        match self.level() {
            0 => Self::new(1, 0),
            level => {
                let level = if level < LEVEL_MAX { level + 1 } else { LEVEL_MAX };
                Self::new(level, KEPT + ALONE_STEPS - 1)
            }
        }
    }

    /// The same page after swap was taken away (swapoff): it is in memory again without having been touched.
    #[must_use]
    pub(super) const fn brought_back(self) -> Self {
        Self::new(self.level(), 0)
    }

    /// The same page after cycle number `cycle`, in which it was seen as `seen`.
    #[must_use]
    pub(super) const fn after(self, seen: PageSeen, cycle: u64) -> Self {
        let Some((level, phase)) = self.parts() else {
            return match seen {
                PageSeen::Absent => Self::UNKNOWN,
                PageSeen::Idle => Self::idle(1),
                PageSeen::Touched => Self::idle(0),
            };
        };
        match (phase, seen) {
            (OUT, PageSeen::Absent) => self,
            // It did leave, so it was touched, also where the accessed bit was cleared since.
            (OUT, PageSeen::Touched | PageSeen::Idle) => {
                let level = if level < LEVEL_MAX { level + 1 } else { LEVEL_MAX };
                Self::new(level, OUT + ALONE_STEPS)
            }
            (OUT.., _) => {
                // A step of level n is 4ⁿ⁻¹ cycles, and the first may be cut short.
                let is_step = cycle.is_multiple_of(1 << (2 * (level.saturating_sub(1))));
                match (phase, is_step) {
                    (_, false) => self,
                    (FIRST_ALONE | KEPT, true) => Self::new(level, 0),
                    (_, true) => Self::new(level, phase - 1),
                }
            }
            (_, PageSeen::Touched) => Self::new(level, 0),
            (_, PageSeen::Idle) => Self::new(level, if phase < AGE_MAX { phase + 1 } else { AGE_MAX }),
            // Not moved by us: unmapped, or taken by the kernel.
            (_, PageSeen::Absent) if level == 0 => Self::UNKNOWN,
            (_, PageSeen::Absent) => Self::new(level, 0),
        }
    }
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

    #[test]
    fn idle_cycles_are_counted_in_a_row() {
        let mut page = Standing::UNKNOWN;
        for want in 1..=AGE_MAX {
            page = page.after(PageSeen::Idle, 7);
            assert_eq!(page.age(), Some(want));
        }
        assert_eq!(page.after(PageSeen::Idle, 7).age(), Some(AGE_MAX));
        assert_eq!(page.after(PageSeen::Touched, 7).age(), Some(0));
        assert_eq!(page.after(PageSeen::Absent, 7), Standing::UNKNOWN);
    }

    #[test]
    fn a_page_that_refaults_is_left_alone_longer_each_time() {
        let mut page = Standing::idle(3);
        let mut cycle = 1000;
        for level in 1..=7u8 {
            page = page.moved_out();
            assert!(page.is_out());
            assert_eq!(page.after(PageSeen::Absent, cycle), page, "stays out");
            page = page.after(PageSeen::Touched, cycle);
            assert_eq!(page.level(), level.min(LEVEL_MAX));
            let mut held: u64 = 0;
            while page.is_left_alone() {
                cycle += 1;
                held += 1;
                // Whether it is touched meanwhile does not matter.
                page = page
                    .after(if held.is_multiple_of(3) { PageSeen::Touched } else { PageSeen::Idle }, cycle);
            }
            let least = 4u64.pow(u32::from(level.min(LEVEL_MAX)));
            assert!((least..=least + least / 4).contains(&held), "time {level}: {held} cycles");
            assert_eq!(page.age(), Some(0), "and must be idle again");
        }
    }

    #[test]
    fn a_page_that_left_and_is_there_was_read_back() {
        let out = Standing::idle(2).moved_out();
        for seen in [PageSeen::Idle, PageSeen::Touched] {
            let page = out.after(seen, 1);
            assert!(page.is_left_alone() && page.level() == 1, "{seen:?}");
        }
        assert_eq!(out.brought_back(), Standing::idle(0));
    }

    #[test]
    fn a_page_that_never_left_did_not_refault_and_is_left_alone_longer_each_time() {
        let mut page = Standing::idle(2).stayed();
        assert_eq!((page.age(), page.level(), page.is_kept()), (Some(0), 1, false));
        let mut cycle = 1000;
        for level in 2..=7u8 {
            page = page.after(PageSeen::Idle, cycle).stayed();
            assert!(page.is_kept() && !page.is_left_alone() && !page.is_out(), "{page:?}");
            let mut held: u64 = 0;
            while page.is_kept() {
                (cycle, held) = (cycle + 1, held + 1);
                page = page.after(PageSeen::Idle, cycle);
            }
            let least = 4u64.pow(u32::from(level.min(LEVEL_MAX)));
            assert!((least..=least + least / 4).contains(&held), "time {level}: {held} cycles");
            assert_eq!(page.age(), Some(0));
        }
    }
}
