//! What holds after every cycle, whatever the machine, the process and the limits.

use super::stand::{MIB, Memory, file, keys, lying, made, moved, pairs, step, works};
use etmem_core::kernel::probe::Access;
use etmem_testkit::fake::{FakeMachine, Script};
use proptest::prelude::*;

const SCRIPTS: [Script; 4] = [
    |_, _| Access::IDLE,
    |_, _| Access::READ,
    |page, _| if page.is_multiple_of(3) { Access::WRITTEN } else { Access::IDLE },
    |page, _| [Access::IDLE, Access::WRITTEN, Access::READ, Access::IDLE, Access::IDLE][(page % 5) as usize],
];

prop_compose! {
    /// Sizes in pages: of the nodes, and of the process on each.
    fn sizes()(fast in 0u64..60, slow in 0u64..120)
        (on_fast in 0..=fast, on_slow in 0..=slow, fast in Just(fast), slow in Just(slow))
        -> [u64; 4] {
        [fast, slow, on_fast, on_slow]
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    #[test]
    fn every_cycle_keeps_the_limits(
        sizes in sizes(),
        huge in any::<bool>(),
        script in 0usize..4,
        every in 1usize..4,
        quota in 0u64..80,
        reserve in 0u64..80,
    ) {
        // Base pages by the mebibyte, so that limits in mebibytes mean something.
        let (memory, unit) = if huge { (Memory::Huge, 2 * MIB) } else { (Memory::Base, MIB / 8) };
        let [fast, slow, on_fast, on_slow] = sizes.map(|pages| pages * unit);
        prop_assume!(on_fast + on_slow > 0);
        let (fast_pages, all) = (on_fast / memory.page(), (on_fast + on_slow) / memory.page());
        // Spread over the process, not in one piece.
        let mut left = fast_pages;
        let place = |page: usize| {
            let take = left > 0 && (page.is_multiple_of(every) || all - page as u64 <= left);
            left -= u64::from(take);
            u16::from(!take)
        };
        let mut places: Vec<u16> = (0..usize::try_from(all).unwrap()).map(place).collect();
        places.reverse();
        let process = memory.process(42, on_fast + on_slow, SCRIPTS[script]).placed(|page| places[page]);
        let nodes = vec![memory.node(0, true, fast.max(unit)), memory.node(1, false, slow.max(unit))];
        let machine = FakeMachine::new(FakeMachine::roomy(), vec![process]).with_nodes(nodes);
        let file = file(&keys("0,1", quota, reserve), &[memory.task()]);
        let mut works = works(&file, &*made(&file));

        let hot = |page: usize| SCRIPTS[script](page as u64, 0) != Access::IDLE;
        let hot_or_free = || memory.free(&machine, 0) + lying(&machine, &[42], 0, hot);
        for _ in 0..2 {
            let (before, free) = (hot_or_free(), memory.free(&machine, 0));
            let report = step(&mut *works[0], &machine);
            let moved = moved(&machine);
            let way = |way| moved.iter().find(|(known, _)| *known == way).map_or(0, |(_, bytes)| *bytes);
            let (up, down) = (way((1, 0)), way((0, 1)));
            prop_assert!(up <= quota * MIB && down <= quota * MIB, "{up} {down} of {quota} MiB");
            prop_assert!(up <= free + down, "{up} into {free} and {down}");
            prop_assert!(hot_or_free() >= before.min(reserve * MIB), "{} of {before}", hot_or_free());
            // Enough room for all that is planned, so nothing fails.
            let pair = pairs(&report)[0];
            prop_assert_eq!(pair.up.pages.failed() + pair.down.pages.failed(), 0, "{}", pair);
            prop_assert_eq!((pair.up.bytes, pair.down.bytes), (up, down));
        }
    }
}
