//! When each page was touched last, to the look: how much has been idle for how long, and what of it is touched again.
//!
//! In come looks, each with what was touched since the one before; out go bytes. A task of slide needs ages for weeks and keeps
//! [steps](crate::age) of them; this is for a survey of some minutes, which names its ages itself and is exact. The number of the look
//! takes the place of a count in a [`HeatMap`], so memory that is used alike takes next to nothing.

use super::walk::{Counted, HeatWalk};
use crate::address::{BLOCK_SIZE, PAGE_SIZE, PAGES_PER_BLOCK};
use crate::heat::{ABSENT, BlockCounts, COUNT_MAX, HeatMap, Histogram, Writer};
use std::time::Duration;

/// Most looks.
pub const LOOKS_MAX: u16 = COUNT_MAX;

/// When each page of a process was touched last.
#[derive(Debug, Clone)]
pub struct LastTouches {
    /// The number of the look that saw it; 0 for pages that were not touched yet.
    last: HeatMap,
    /// When each look was, the beginning first.
    times: Vec<Duration>,
    /// The ages after which a touch counts as a return.
    ages: Vec<Duration>,
    /// For each of them, bytes that were touched after having been idle for at least as long.
    returned: Vec<u64>,
    /// Bytes touched since the look before.
    touched: u64,
}

/// What becomes of pages at a look.
struct Merge {
    look: u16,
    /// Bytes touched at this look, by the look that saw the touch before.
    again: Vec<u64>,
    touched: u64,
}

impl Merge {
    /// The number of a page that had `before`, if it was known, and is seen with the count `seen`.
    fn page(&mut self, before: u16, seen: u16, bytes: u64) -> u16 {
        match seen {
            ABSENT => ABSENT,
            // It has come since: that was a touch, though the processor may have left no trace of it.
            0 if before == ABSENT => self.look,
            0 => before,
            _ => {
                self.touched += bytes;
                if let Some(sum) = self.again.get_mut(usize::from(before)) {
                    *sum += bytes;
                }
                self.look
            }
        }
    }
}

impl LastTouches {
    /// Nothing is known yet, `now` that touches are seen. What is touched after having been idle for each of `ages` is counted.
    #[must_use]
    pub fn new(ages: &[Duration], now: Duration) -> Self {
        Self {
            last: HeatMap::default(),
            times: vec![now],
            ages: ages.to_vec(),
            returned: vec![0; ages.len()],
            touched: 0,
        }
    }

    /// Takes note of what was touched until `now` since the look before. After [`LOOKS_MAX`] looks, nothing is taken note of.
    pub fn saw(&mut self, seen: &HeatMap, now: Duration) {
        let Some(look) = u16::try_from(self.times.len()).ok().filter(|look| *look < LOOKS_MAX) else {
            return;
        };
        let mut merge = Merge { look, again: vec![0; self.times.len()], touched: 0 };
        // What is there at the first look was there before: how long it has been idle is not known, and counts from the beginning.
        let first = look == 1;
        let (mut old, mut new) = (HeatWalk::new(&self.last), HeatWalk::new(seen));
        let (mut writer, mut block) = (Writer::default(), 0);
        while let Some(next) = new.next_known(block) {
            let (alike, counted) = new.at(next);
            let (old_alike, before) = old.at(next);
            let blocks = alike.min(old_alike);
            let before = match before {
                Counted::Nothing if first => Counted::Alike { count: 0, huge: false },
                Counted::Nothing | Counted::Alike { .. } | Counted::Mixed => before,
            };
            let uniform = match before {
                Counted::Nothing => Some(ABSENT),
                Counted::Alike { count, .. } => Some(count),
                Counted::Mixed => None,
            };
            match (counted, uniform) {
                (Counted::Alike { count, huge }, Some(before)) => {
                    let after = merge.page(before, count, blocks * BLOCK_SIZE);
                    writer.equal_blocks(next, blocks, after, huge);
                    block = next + blocks;
                }
                _ => {
                    let mut counts = BlockCounts([ABSENT; PAGES_PER_BLOCK]);
                    for (page, after) in counts.0.iter_mut().enumerate() {
                        let seen = match counted {
                            Counted::Alike { count, .. } => count,
                            Counted::Mixed => new.counts().0[page],
                            Counted::Nothing => ABSENT,
                        };
                        let known = uniform.unwrap_or_else(|| old.counts().0[page]);
                        let known = if first && known == ABSENT { 0 } else { known };
                        *after = merge.page(known, seen, PAGE_SIZE);
                    }
                    writer.pages(next, &counts);
                    block = next + 1;
                }
            }
        }
        self.count_returned(&merge.again);
        self.touched = merge.touched;
        self.last = writer.finish();
        self.times.push(now);
    }

    /// A page that was touched before look `j` and not until look `k` had been idle from the one to the last look before the other.
    fn count_returned(&mut self, again: &[u64]) {
        let Some(before) = self.times.last() else { return };
        for (time, bytes) in self.times.iter().zip(again) {
            let idle = before.saturating_sub(*time);
            let ages = self.ages.iter().zip(&mut self.returned);
            ages.filter(|(age, _)| idle >= **age).for_each(|(_, returned)| *returned += bytes);
        }
    }

    /// How long looks have been made.
    #[must_use]
    pub fn watched(&self) -> Duration {
        let (first, last) = (self.times.first(), self.times.last());
        last.zip(first).map_or(Duration::ZERO, |(last, first)| last.saturating_sub(*first))
    }

    /// Bytes that are in memory.
    #[must_use]
    pub fn resident(&self) -> u64 {
        self.last.histogram().total()
    }

    /// For each age, bytes that have been idle for at least as long; `None` if looks have not been made for that long.
    #[must_use]
    pub fn idle(&self, ages: &[Duration]) -> Vec<Option<u64>> {
        let histogram = self.last.histogram();
        let idle = |age: &Duration| self.threshold(*age).map(|look| histogram.below(look));
        ages.iter().map(idle).collect()
    }

    /// For each age, bytes that were touched after having been idle for at least as long.
    #[must_use]
    pub fn returned(&self) -> &[u64] {
        &self.returned
    }

    /// Bytes touched since `age` ago, or since the beginning: the working set.
    #[must_use]
    pub fn touched_within(&self, age: Duration) -> u64 {
        let histogram = self.last.histogram();
        let look = self.threshold(age).unwrap_or(1);
        histogram.total() - histogram.below(look)
    }

    /// The map and its histogram: pages below the number that [`LastTouches::threshold`] gives have been idle for as long.
    #[must_use]
    pub fn map(&self) -> (&HeatMap, Histogram) {
        (&self.last, self.last.histogram())
    }

    /// The number of the first look that is less than `age` ago.
    #[must_use]
    pub fn threshold(&self, age: Duration) -> Option<u16> {
        let last = self.times.last()?;
        if self.watched() < age {
            return None;
        }
        let looks = self.times.iter().take_while(|time| last.saturating_sub(**time) >= age).count();
        u16::try_from(looks).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::heat::HeatUpdate;
    use crate::kernel::probe::{Access, AccessSink, Block};
    use proptest::prelude::*;

    const AGES: [Duration; 3] = [Duration::from_secs(10), Duration::from_secs(30), Duration::from_secs(60)];
    const BLOCKS: u64 = 3;

    /// What a look sees where `access` says how each page was.
    fn seen(access: impl Fn(u64) -> Access) -> HeatMap {
        let mut update = HeatUpdate::new(HeatMap::default());
        for block in 0..BLOCKS {
            let pages: [Access; PAGES_PER_BLOCK] =
                std::array::from_fn(|page| access(block * PAGES_PER_BLOCK as u64 + page as u64));
            update.block(block * BLOCK_SIZE, Block::Pages(&pages));
        }
        update.finish()
    }

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn hot_warm_and_cold() {
        // The first block is hot, the second touched each 40 s, the third never.
        let mut touches = LastTouches::new(&AGES, seconds(0));
        for now in (10..=120).step_by(10) {
            let map = seen(|page| match page / 512 {
                0 => Access::READ,
                1 if now % 40 == 0 => Access::WRITTEN,
                _ => Access::IDLE,
            });
            touches.saw(&map, seconds(now));
            assert_eq!(touches.resident(), BLOCKS * BLOCK_SIZE);
        }
        assert_eq!(touches.watched(), seconds(120));
        // Touched at 120 s: only the third is idle.
        assert_eq!(touches.idle(&AGES), [Some(BLOCK_SIZE); 3]);
        // At 80 and 120 s after 30 s without a touch; at 40 s after 30 s since the beginning.
        assert_eq!(touches.returned(), [3 * BLOCK_SIZE, 3 * BLOCK_SIZE, 0]);
        assert_eq!(touches.touched_within(seconds(30)), 2 * BLOCK_SIZE);
        touches.saw(&seen(|_| Access::IDLE), seconds(130));
        assert_eq!(touches.idle(&AGES), [Some(3 * BLOCK_SIZE), Some(BLOCK_SIZE), Some(BLOCK_SIZE)]);
    }

    #[test]
    fn what_was_not_watched_for_so_long_is_not_known() {
        let mut touches = LastTouches::new(&AGES, seconds(5));
        assert_eq!(touches.idle(&AGES), [None; 3]);
        touches.saw(&seen(|_| Access::IDLE), seconds(15));
        assert_eq!(touches.idle(&AGES), [Some(BLOCKS * BLOCK_SIZE), None, None]);
    }

    #[test]
    fn what_comes_later_was_touched_then() {
        let mut touches = LastTouches::new(&AGES, seconds(0));
        touches.saw(&seen(|page| if page < 100 { Access::IDLE } else { Access::ABSENT }), seconds(30));
        touches.saw(&seen(|page| if page < 200 { Access::IDLE } else { Access::ABSENT }), seconds(40));
        touches.saw(&seen(|page| if page < 50 { Access::ABSENT } else { Access::IDLE }), seconds(50));
        assert_eq!(touches.resident(), (BLOCKS * 512 - 50) * PAGE_SIZE);
        assert_eq!(touches.idle(&AGES), [Some(150 * PAGE_SIZE), Some(50 * PAGE_SIZE), None]);
        assert_eq!(touches.returned(), [0; 3]);
    }

    #[test]
    fn no_more_looks_than_there_are_numbers() {
        let mut touches = LastTouches::new(&AGES, seconds(0));
        for look in 1..=2 * u64::from(LOOKS_MAX) {
            touches.saw(&seen(|_| Access::READ), seconds(look));
        }
        assert_eq!(touches.watched(), seconds(u64::from(LOOKS_MAX) - 1));
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]
        /// Page by page.
        #[test]
        fn as_a_list_would_have_it(
            looks in prop::collection::vec((1u64..40, prop::collection::vec(0u8..4, 12)), 1..12)
        ) {
            let mut touches = LastTouches::new(&AGES, Duration::ZERO);
            // When each page was touched last; `None` for absent pages.
            let pages = usize::try_from(BLOCKS).unwrap() * PAGES_PER_BLOCK;
            let mut list = vec![Some(Duration::ZERO); pages];
            let (mut now, mut returned) = (Duration::ZERO, vec![0; AGES.len()]);
            for (number, (passed, kinds)) in looks.iter().enumerate() {
                let before = now;
                now += seconds(*passed);
                // Stretches of 128 pages are alike.
                let access = |page: u64| match kinds[(page / 128) as usize] {
                    0 => Access::READ,
                    1 => Access::ABSENT,
                    _ => Access::IDLE,
                };
                touches.saw(&seen(access), now);
                for (page, last) in list.iter_mut().enumerate() {
                    let seen = access(page as u64);
                    if let Some(last) = last.filter(|_| seen == Access::READ) {
                        for (age, returned) in AGES.iter().zip(&mut returned) {
                            *returned += if before - last >= *age { PAGE_SIZE } else { 0 };
                        }
                    }
                    *last = match seen {
                        Access::ABSENT => None,
                        Access::IDLE => Some(last.unwrap_or(if number == 0 { Duration::ZERO } else { now })),
                        _ => Some(now),
                    };
                }
            }
            let idle = |age: Duration| {
                let pages = list.iter().flatten().filter(|last| now - **last >= age).count() as u64;
                (now >= age).then_some(pages * PAGE_SIZE)
            };
            prop_assert_eq!(touches.idle(&AGES), AGES.map(idle));
            prop_assert_eq!(touches.returned(), returned);
        }
    }
}
