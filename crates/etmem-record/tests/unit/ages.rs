//! As a list of pages would have it.

use super::*;
use crate::damo::fill;
use etmem_core::address::{AddressRange, BLOCK_SIZE};
use etmem_core::heat::{HeatMap, HeatUpdate};
use etmem_core::kernel::probe::Access;
use proptest::prelude::*;

/// Pages in stretches of 128, each with a number that a test draws.
fn heat(kinds: &[u8]) -> HeatMap {
    let mut update = HeatUpdate::new(HeatMap::default());
    for (number, kind) in (0u64..).zip(kinds) {
        let start = BLOCK_SIZE + number * 128 * PAGE_SIZE;
        let access = [Access::IDLE, Access::READ, Access::ABSENT, Access::IDLE][usize::from(*kind) % 4];
        if access != Access::ABSENT {
            fill(&mut update, AddressRange::new(start, start + 128 * PAGE_SIZE), access);
        }
    }
    update.finish()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]
    #[test]
    fn as_a_list_would_have_it(looks in prop::collection::vec((1u64..90, prop::collection::vec(0u8..4, 12)), 1..14)) {
        let (mut memory, mut ages) = (Memory::default(), Ages::new(Duration::ZERO));
        let mut list: Vec<Option<u64>> = vec![Some(0); 12];
        let (mut now, mut was_idle, mut back) = (0, vec![false; 12], [0u64; AGES.len()]);
        for (number, (passed, kinds)) in looks.iter().enumerate() {
            now += passed;
            // What was seen idle, and is touched now.
            for ((last, kind), was_idle) in list.iter().zip(kinds).zip(&mut was_idle) {
                if let (1, Some(last), true) = (kind % 4, last, *was_idle) {
                    let reached = back.iter_mut().zip(AGES).filter(|(_, age)| *age <= now - last);
                    reached.for_each(|(sum, _)| *sum += 128 * PAGE_SIZE);
                }
                *was_idle = [0, 3].contains(&(kind % 4));
            }
            memory.write(&heat(kinds)).unwrap();
            ages.saw(&memory, Duration::from_secs(now));
            for (last, kind) in list.iter_mut().zip(kinds) {
                *last = match kind % 4 {
                    1 => Some(now),
                    2 => None,
                    _ => Some(last.unwrap_or(if number == 0 { 0 } else { now })),
                };
            }
            let count = |is: &dyn Fn(u64) -> bool| {
                list.iter().flatten().filter(|last| is(**last)).count() as u64 * 128 * PAGE_SIZE
            };
            for age in [1, 10, 30, 60, 120, 300] {
                prop_assert_eq!(ages.idle_for(Duration::from_secs(age)), count(&|last| now - last >= age));
            }
            for (row, back) in ages.table().iter().zip(back) {
                let seconds = now - row.age.as_secs();
                prop_assert_eq!(row.back_per_minute, (seconds >= 60).then(|| back * 60 / seconds));
            }
            let set = ages.working_sets().last().unwrap();
            prop_assert_eq!(set.resident, count(&|_| true));
            // Those that were not touched since the beginning are not in it.
            prop_assert_eq!(set.within, count(&|last| last > 0 && now - last < 120));
        }
    }
}
