//! How much of hot and cold changes places between the two nodes of a pair in one cycle.
//!
//! Bytes of one kind of memory: the pool of huge pages, or all other. With Q the quota, R the reserve, F free and C cold
//! on the fast node, f free on the slow one:
//!
//! 1. **Hot up.** Hot pages on the slow node, at most M and at most C + F. M is Q where Q < F, else the lesser of
//!    F + (Q - F) / 2 and F + f: beyond F each page that comes up needs one that goes down, so it costs twice.
//! 2. What comes up into free memory takes from F and Q and adds to f; what exceeds F, say x, is owed as cold pages
//!    that go down (`replaced`), takes F + 2 x from Q, and leaves F at 0.
//! 3. **Prefetch.** Cold pages of the slow node that count most, at most Q and at most F - R.
//! 4. **Cold down.** Cold pages of the fast node, at most Q, R - F and f, and what is owed besides.

/// The limits that an engine sets, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuotaLimits {
    /// Most that moves one way in one cycle (`node_mig_quota`).
    pub quota: u64,
    /// How much of the fast node is kept for hot pages (`node_hot_reserve`).
    pub reserve: u64,
}

/// What lies on the nodes of a pair, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct NodeBytes {
    /// Free on the fast node.
    pub fast_free: u64,
    /// Cold on the fast node.
    pub fast_cold: u64,
    /// Free on the slow node.
    pub slow_free: u64,
    /// Hot on the slow node.
    pub slow_hot: u64,
    /// Cold on the slow node.
    pub slow_cold: u64,
}

/// What is to change places, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Exchange {
    /// Hot pages to the fast node.
    pub hot_up: u64,
    /// Cold pages to the fast node, which has room beyond its reserve.
    pub prefetch: u64,
    /// Cold pages to the slow node: what keeps the reserve, and what is owed for hot pages.
    pub cold_down: u64,
}

impl Exchange {
    /// All that moves to the fast node.
    #[must_use]
    pub const fn up(&self) -> u64 {
        self.hot_up.saturating_add(self.prefetch)
    }

    /// Whether nothing is to move.
    #[must_use]
    pub const fn is_none(&self) -> bool {
        self.up() == 0 && self.cold_down == 0
    }

    /// `limits` as they are left for another kind of memory on the same nodes, so that both kinds together keep them.
    #[must_use]
    pub fn left_of(&self, limits: QuotaLimits) -> QuotaLimits {
        QuotaLimits { quota: limits.quota.saturating_sub(self.up().max(self.cold_down)), ..limits }
    }
}

/// A page is hot from this count on: `wanted`, and at most one more than a cycle of `loops` looks can count.
#[must_use]
pub fn hot_threshold(wanted: u32, loops: u16) -> u16 {
    let most = loops.saturating_mul(3).saturating_add(1);
    u16::try_from(wanted).map_or(most, |wanted| wanted.min(most))
}

/// What changes places, in whole pages of `page` bytes (a power of two).
#[must_use]
pub fn exchange(limits: QuotaLimits, held: NodeBytes, page: u64) -> Exchange {
    let whole = |bytes: u64| bytes & !(page - 1);
    let (quota, reserve) = (limits.quota, limits.reserve);
    let (free, cold) = (whole(held.fast_free), whole(held.fast_cold));
    let slow_free = whole(held.slow_free);

    let most = if quota < free {
        quota
    } else {
        // The half is rounded down to whole pages: an odd page could not be paid for twice.
        (free + whole((quota - free) / 2)).min(free.saturating_add(slow_free))
    };
    let hot_up = whole(held.slow_hot.min(most).min(cold.saturating_add(free)));

    let into_free = hot_up.min(free);
    let replaced = hot_up - into_free;
    // Never below zero: what replaces is at most half of what the quota has beyond `free`.
    let quota = quota.saturating_sub(into_free).saturating_sub(replaced.saturating_mul(2));
    let free = free - into_free;
    let slow_free = slow_free.saturating_add(into_free);

    let prefetch = whole(held.slow_cold.min(free.saturating_sub(reserve)).min(quota));
    let for_reserve = quota.min(reserve.saturating_sub(free)).min(slow_free);
    let cold_down = whole(cold.min(for_reserve.saturating_add(replaced)));
    Exchange { hot_up, prefetch, cold_down }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address::{BLOCK_SIZE, PAGE_SIZE};
    use proptest::prelude::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn by_hand() {
        let none = NodeBytes::default();
        // (name, quota, reserve, held, hot up, prefetch, cold down), all in MiB.
        for (name, quota, reserve, held, up, prefetch, down) in [
            ("nothing to do", 100, 0, none, 0, 0, 0),
            ("all hot pages find room", 100, 0, NodeBytes { fast_free: 200, slow_hot: 50, ..none }, 50, 0, 0),
            ("the quota limits", 30, 0, NodeBytes { fast_free: 200, slow_hot: 50, ..none }, 30, 0, 0),
            ("full, nothing cold there", 100, 0, NodeBytes { slow_free: 500, slow_hot: 50, ..none }, 0, 0, 0),
            (
                "replaced one by one: half the quota up, half down",
                100,
                0,
                NodeBytes { fast_cold: 500, slow_free: 500, slow_hot: 500, ..none },
                50,
                0,
                50,
            ),
            (
                "beyond free it costs twice",
                100,
                0,
                NodeBytes { fast_free: 40, fast_cold: 500, slow_free: 500, slow_hot: 500, ..none },
                70,
                0,
                30,
            ),
            (
                "the slow node has no room for more",
                100,
                0,
                NodeBytes { fast_free: 40, fast_cold: 500, slow_free: 10, slow_hot: 500, ..none },
                50,
                0,
                10,
            ),
            (
                "not more than the fast node can ever take",
                1000,
                0,
                NodeBytes { fast_free: 40, fast_cold: 5, slow_free: 500, slow_hot: 500, ..none },
                45,
                0,
                5,
            ),
            (
                "room beyond the reserve is used for the warmest of the cold",
                100,
                150,
                NodeBytes { fast_free: 200, slow_hot: 20, slow_cold: 500, ..none },
                20,
                30,
                0,
            ),
            (
                "the quota limits prefetch, too",
                30,
                0,
                NodeBytes { fast_free: 200, slow_hot: 20, slow_cold: 500, ..none },
                20,
                10,
                0,
            ),
            (
                "cold pages leave the reserve",
                100,
                60,
                NodeBytes { fast_free: 10, fast_cold: 500, slow_free: 500, ..none },
                0,
                0,
                50,
            ),
            (
                "hot pages come into the reserve, and it is made up for",
                100,
                60,
                NodeBytes { fast_free: 60, fast_cold: 500, slow_free: 500, slow_hot: 20, ..none },
                20,
                0,
                20,
            ),
            (
                "the slow node is full: what comes up makes its room",
                100,
                60,
                NodeBytes { fast_free: 20, fast_cold: 500, slow_hot: 10, ..none },
                10,
                0,
                10,
            ),
            (
                "no quota, no move",
                0,
                60,
                NodeBytes { fast_free: 20, fast_cold: 500, slow_free: 90, slow_hot: 10, slow_cold: 9 },
                0,
                0,
                0,
            ),
        ] {
            let mib = |n: u64| n * MIB;
            let held = NodeBytes {
                fast_free: mib(held.fast_free),
                fast_cold: mib(held.fast_cold),
                slow_free: mib(held.slow_free),
                slow_hot: mib(held.slow_hot),
                slow_cold: mib(held.slow_cold),
            };
            let limits = QuotaLimits { quota: mib(quota), reserve: mib(reserve) };
            let want = Exchange { hot_up: mib(up), prefetch: mib(prefetch), cold_down: mib(down) };
            assert_eq!(exchange(limits, held, PAGE_SIZE), want, "{name}");
        }
    }

    #[test]
    fn huge_pages_go_whole() {
        // A quota of 7 MiB beyond nothing free: half of it is one huge page and a bit.
        let held = NodeBytes {
            fast_cold: 10 * BLOCK_SIZE,
            slow_free: 10 * BLOCK_SIZE,
            slow_hot: 10 * BLOCK_SIZE,
            ..NodeBytes::default()
        };
        let limits = QuotaLimits { quota: 7 * MIB, reserve: 0 };
        let want = Exchange { hot_up: BLOCK_SIZE, prefetch: 0, cold_down: BLOCK_SIZE };
        assert_eq!(exchange(limits, held, BLOCK_SIZE), want);
    }

    #[test]
    fn two_kinds_share_the_quota() {
        let limits = QuotaLimits { quota: 100, reserve: 7 };
        let first = Exchange { hot_up: 20, prefetch: 10, cold_down: 50 };
        assert_eq!(first.left_of(limits), QuotaLimits { quota: 50, reserve: 7 });
        let all = Exchange { hot_up: u64::MAX, prefetch: 1, cold_down: 0 };
        assert_eq!(all.left_of(limits), QuotaLimits { quota: 0, reserve: 7 });
    }

    #[test]
    fn a_threshold_is_at_most_one_more_than_can_be_counted() {
        for (wanted, loops, want) in [
            (0, 3, 0),
            (1, 3, 1),
            (10, 3, 10),
            (11, 3, 10),
            (u32::MAX, 120, 361),
            (65_536, 1, 4),
            (5, u16::MAX, 5),
        ] {
            assert_eq!(hot_threshold(wanted, loops), want, "{wanted} {loops}");
        }
    }

    /// Sizes near each other, so that every limit is met, and the greatest there are.
    fn bytes() -> impl Strategy<Value = u64> {
        prop_oneof![
            8 => (0u64..64).prop_map(|pages| pages * PAGE_SIZE),
            4 => (0u64..64).prop_map(|pages| pages * BLOCK_SIZE),
            2 => 0u64..1 << 40,
            1 => (u64::MAX - (1 << 20))..=u64::MAX,
        ]
    }

    prop_compose! {
        fn held()(fast_free in bytes(), fast_cold in bytes(), slow_free in bytes(), slow_hot in bytes(),
                  slow_cold in bytes()) -> NodeBytes {
            NodeBytes { fast_free, fast_cold, slow_free, slow_hot, slow_cold }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(10_000))]

        #[test]
        fn what_always_holds(
            quota in bytes(),
            reserve in bytes(),
            held in held(),
            page in prop_oneof![Just(PAGE_SIZE), Just(BLOCK_SIZE)],
        ) {
            let Exchange { hot_up, prefetch, cold_down } = exchange(QuotaLimits { quota, reserve }, held, page);
            let wide = u128::from;
            let up = wide(hot_up) + wide(prefetch);

            // Whole pages, and no more than there are.
            for moved in [hot_up, prefetch, cold_down] {
                prop_assert_eq!(moved % page, 0);
            }
            prop_assert!(hot_up <= held.slow_hot && prefetch <= held.slow_cold && cold_down <= held.fast_cold);

            // Never more than the quota one way.
            prop_assert!(up <= wide(quota), "up {up}");
            prop_assert!(cold_down <= quota, "down {cold_down}");

            // What goes up beyond free is matched by what goes down, so that it finds room.
            prop_assert!(up <= wide(held.fast_free) + wide(cold_down));
            // What goes down finds room, once what comes up has left it.
            prop_assert!(wide(cold_down) <= wide(held.slow_free) + up);

            // Free or hot on the fast node, not less than the reserve because of us: a hot page that comes up takes
            // free memory and is hot, so that cold pages alone count.
            let before = wide(held.fast_free);
            prop_assert!(wide(prefetch) <= before);
            prop_assert!(before - wide(prefetch) + wide(cold_down) >= before.min(wide(reserve)));
            // And they come up only into what is beyond it.
            prop_assert!(prefetch == 0 || before >= up + wide(reserve));
        }

        /// Beyond what is owed for hot pages, cold pages go down only until the reserve is free.
        #[test]
        fn no_more_goes_down_than_it_takes(
            quota in bytes(), reserve in bytes(), held in held(),
            page in prop_oneof![Just(PAGE_SIZE), Just(BLOCK_SIZE)],
        ) {
            let Exchange { hot_up, prefetch, cold_down } = exchange(QuotaLimits { quota, reserve }, held, page);
            let free = held.fast_free & !(page - 1);
            let owed = hot_up.saturating_sub(free);
            let missing = reserve.saturating_sub(free.saturating_sub(hot_up));
            prop_assert!(cold_down >= owed);
            prop_assert!(cold_down - owed <= missing);
            prop_assert!(prefetch == 0 || cold_down == 0, "never both ways for cold pages");
        }

        /// Two kinds of memory on one pair, one after the other, keep the quota together.
        #[test]
        fn both_kinds_together_keep_the_quota(quota in bytes(), reserve in bytes(), huge in held(), base in held()) {
            let limits = QuotaLimits { quota, reserve };
            let first = exchange(limits, huge, BLOCK_SIZE);
            let second = exchange(first.left_of(limits), base, PAGE_SIZE);
            prop_assert!(u128::from(first.up()) + u128::from(second.up()) <= u128::from(quota));
            prop_assert!(u128::from(first.cold_down) + u128::from(second.cold_down) <= u128::from(quota));
        }
    }
}
