//! Where pages lie and carrying them, over random memory: no more than the budget, nothing twice, nothing that stays
//! where it is asked to be.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use etmem_core::address::{BLOCK_SIZE, PAGE_SIZE, PAGES_PER_BLOCK};
use etmem_core::heat::{HeatMap, HeatUpdate};
use etmem_core::kernel::nodes::{Migrated, NodeId, NodePages, Place};
use etmem_core::kernel::pacer::{Pace, Pacer};
use etmem_core::kernel::probe::{Access, AccessSink, Block};
use etmem_core::kernel::process::ProcessError;
use etmem_core::placement::{Budget, Carried, Way, carry, take_census};
use etmem_core::scan::ScanEnd;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

const FAST: NodeId = NodeId(0);
const SLOW: NodeId = NodeId(3);
const CALL_BYTES: u64 = 64 << 20;

/// What becomes of a page that is to move.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Moves,
    Pinned,
    Shared,
}

/// A page of a scripted process.
#[derive(Debug, Clone, Copy)]
struct Page {
    huge: bool,
    count: u16,
    place: Place,
    fate: Fate,
}

impl Page {
    const fn bytes(&self) -> u64 {
        if self.huge { BLOCK_SIZE } else { PAGE_SIZE }
    }
}

/// A process that lies somewhere, and what was asked of it.
#[derive(Debug, Default)]
struct Process {
    pages: BTreeMap<u64, Page>,
    /// Free on every node.
    free: u64,
    tried: Vec<u64>,
    calls: Vec<u64>,
    exits_after: Option<usize>,
}

impl Process {
    fn alive(&mut self) -> Result<(), ProcessError> {
        match &mut self.exits_after {
            Some(0) => Err(ProcessError::Exited),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }
}

impl NodePages for Process {
    fn where_are(&mut self, pages: &[u64], places: &mut Vec<Place>) -> Result<(), ProcessError> {
        self.alive()?;
        assert!(pages.len() <= 65_536);
        places.clear();
        places.extend(pages.iter().map(|page| self.pages.get(page).map_or(Place::Absent, |page| page.place)));
        Ok(())
    }

    fn move_to(&mut self, pages: &[u64], node: NodeId) -> Result<Migrated, ProcessError> {
        self.alive()?;
        let mut migrated = Migrated::default();
        let mut bytes = 0;
        for address in pages {
            let page = self.pages.get_mut(address).unwrap();
            bytes += page.bytes();
            self.tried.push(*address);
            match page.fate {
                Fate::Pinned => migrated.busy += 1,
                Fate::Shared => migrated.shared += 1,
                Fate::Moves if self.free < page.bytes() => migrated.no_room += 1,
                Fate::Moves => {
                    self.free -= page.bytes();
                    page.place = Place::Node(node);
                    migrated.moved += 1;
                }
            }
        }
        self.calls.push(bytes);
        Ok(migrated)
    }
}

/// Stops after a number of looks.
#[derive(Debug)]
struct StopAfter(AtomicUsize);

impl StopAfter {
    const fn never() -> Self {
        Self(AtomicUsize::new(usize::MAX))
    }
}

impl Pacer for StopAfter {
    fn pause(&self, _: Duration) -> Pace {
        self.pace()
    }

    fn pace(&self) -> Pace {
        let left = self.0.load(Ordering::Relaxed);
        self.0.store(left.saturating_sub(1), Ordering::Relaxed);
        if left == 0 { Pace::Stop } else { Pace::Continue }
    }

    fn now(&self) -> Duration {
        Duration::ZERO
    }
}

/// A number that follows from two others and looks like chance.
fn hash(seed: u64, number: u64) -> u64 {
    let mixed = (seed ^ number.wrapping_mul(0x9E37_79B9_7F4A_7C15)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed ^ (mixed >> 29)
}

/// A process of blocks, each a seed and whether it is a huge page, and its heat.
fn process(blocks: &[(u64, bool)], free: u64) -> (Process, HeatMap) {
    let mut process = Process { free, ..Process::default() };
    let mut update = HeatUpdate::new(HeatMap::default());
    for (start, (seed, huge)) in (0..).step_by(2 << 20).zip(blocks) {
        let access =
            |number| [Access::IDLE, Access::READ, Access::WRITTEN][(hash(*seed, number) % 3) as usize];
        let page = |number, huge| Page {
            huge,
            count: u16::from(access(number).weight()),
            place: match hash(*seed, number + 1000) % 8 {
                0..4 => Place::Node(SLOW),
                4..6 => Place::Node(FAST),
                6 => Place::Unknown,
                _ => Place::Absent,
            },
            fate: match hash(*seed, number + 2000) % 8 {
                0 => Fate::Pinned,
                1 => Fate::Shared,
                _ => Fate::Moves,
            },
        };
        if *huge {
            update.block(start, Block::Huge(access(0)));
            process.pages.insert(start, page(0, true));
            continue;
        }
        let mut seen = [Access::ABSENT; PAGES_PER_BLOCK];
        // Few pages, or all.
        let every = [1, 7, 100][(seed % 3) as usize];
        for (number, seen) in (0..).zip(&mut seen).step_by(every) {
            *seen = access(number);
            process.pages.insert(start + number * PAGE_SIZE, page(number, false));
        }
        update.block(start, Block::Pages(&seen));
    }
    (process, update.finish())
}

fn sum(process: &Process, pick: impl Fn(&Page) -> bool) -> u64 {
    process.pages.values().filter(|page| pick(page)).map(Page::bytes).sum()
}

fn blocks() -> impl Strategy<Value = Vec<(u64, bool)>> {
    prop::collection::vec((any::<u64>(), prop::bool::weighted(0.7)), 0..6)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    #[test]
    fn a_census_counts_every_page_once(blocks in blocks(), threshold in 0u16..5) {
        let (mut process, heat) = process(&blocks, 0);
        let census = take_census(&heat, &mut process, &StopAfter::never()).unwrap();
        for node in [FAST, SLOW] {
            let here = |page: &Page| page.place == Place::Node(node);
            prop_assert_eq!(census.cold(node, threshold), sum(&process, |page| here(page) && page.count < threshold));
            prop_assert_eq!(census.hot(node, threshold), sum(&process, |page| here(page) && page.count >= threshold));
            prop_assert_eq!(census.at(node, 3), sum(&process, |page| here(page) && page.count == 3));
        }
        prop_assert_eq!(census.total(), sum(&process, |page| page.place != Place::Absent));
    }

    #[test]
    fn no_more_moves_than_the_budget_and_nothing_is_tried_twice(
        blocks in blocks(),
        count in prop::sample::select(vec![0u16, 1, 3]),
        budget in prop_oneof![0u64..200, 200u64..5000],
        free in prop_oneof![Just(u64::MAX), (0u64..2000).prop_map(|pages| pages * PAGE_SIZE)],
    ) {
        let (mut process, heat) = process(&blocks, free);
        let before = process.pages.clone();
        let way = Way { from: SLOW, to: FAST };
        let mut left = Budget::new(budget * PAGE_SIZE);
        let mut carried = Carried::default();
        carry(&heat, count, way, &mut left, &mut process, &mut carried, &StopAfter::never()).unwrap();

        prop_assert!(carried.bytes <= budget * PAGE_SIZE, "{carried:?}");
        prop_assert_eq!(left.left(), budget * PAGE_SIZE - carried.bytes);
        prop_assert!(process.calls.iter().all(|bytes| *bytes <= CALL_BYTES));
        let tried: BTreeSet<u64> = process.tried.iter().copied().collect();
        prop_assert_eq!(tried.len(), process.tried.len());
        for address in &tried {
            prop_assert_eq!((before[address].count, before[address].place), (count, Place::Node(SLOW)));
        }
        let moved = |(address, page): (&u64, &Page)| (page.place != before[address].place).then_some(page.bytes());
        prop_assert_eq!(process.pages.iter().filter_map(moved).sum::<u64>(), carried.bytes);
        prop_assert_eq!(carried.pages.moved + carried.pages.failed(), tried.len() as u64);

        // And no less, but for what fails, has no room or is larger than what is left.
        let wanted = |page: &Page| page.count == count && page.place == Place::Node(SLOW) && page.fate == Fate::Moves;
        let stay = sum(&process, wanted);
        if carried.pages.no_room == 0 && stay > 0 {
            let least = budget * PAGE_SIZE - (budget * PAGE_SIZE / 64).max(BLOCK_SIZE).min(budget * PAGE_SIZE);
            prop_assert!(carried.bytes >= least, "{} of {budget} pages, {stay} bytes stay", carried.bytes / PAGE_SIZE);
        }
    }

    #[test]
    fn an_end_on_the_way_loses_nothing_of_the_account(blocks in blocks(), exits in 0usize..8, looks in 0usize..8) {
        let way = Way { from: SLOW, to: FAST };
        for (exits_after, pacer) in [(Some(exits), StopAfter::never()), (None, StopAfter(AtomicUsize::new(looks)))] {
            let (mut process, heat) = process(&blocks, u64::MAX);
            process.exits_after = exits_after;
            let before = process.pages.clone();
            let (mut left, mut carried) = (Budget::new(u64::MAX), Carried::default());
            let end = carry(&heat, 1, way, &mut left, &mut process, &mut carried, &pacer);
            let moved = |(address, page): (&u64, &Page)| {
                (page.place != before[address].place).then_some(page.bytes())
            };
            prop_assert_eq!(process.pages.iter().filter_map(moved).sum::<u64>(), carried.bytes);
            if let Err(end) = end {
                let want = if exits_after.is_some() { ScanEnd::Process(ProcessError::Exited) } else { ScanEnd::Stopped };
                prop_assert_eq!(end, want);
            }
        }
    }
}

#[test]
fn a_node_without_room_is_left_after_one_call() {
    let blocks: Vec<(u64, bool)> = vec![(3, true); 200];
    let (mut process, heat) = process(&blocks, 0);
    process.pages.values_mut().for_each(|page| (page.place, page.fate) = (Place::Node(SLOW), Fate::Moves));
    let count = process.pages[&0].count;
    let way = Way { from: SLOW, to: FAST };
    let (mut left, mut carried) = (Budget::new(u64::MAX), Carried::default());
    carry(&heat, count, way, &mut left, &mut process, &mut carried, &StopAfter::never()).unwrap();
    assert_eq!((process.calls.len(), carried.pages.no_room), (1, CALL_BYTES / BLOCK_SIZE));
    assert!(left.is_over());
}

#[test]
fn a_census_follows_what_moves() {
    let (mut process, heat) = process(&[(3, true)], 0);
    process.pages.values_mut().for_each(|page| page.place = Place::Node(SLOW));
    let count = process.pages[&0].count;
    let mut census = take_census(&heat, &mut process, &StopAfter::never()).unwrap();
    census.moved(SLOW, FAST, count, BLOCK_SIZE);
    // More than there is, and from where nothing is.
    census.moved(SLOW, FAST, count, BLOCK_SIZE);
    census.moved(NodeId(9), FAST, count, BLOCK_SIZE);
    assert_eq!((census.at(SLOW, count), census.at(FAST, count), census.total()), (0, BLOCK_SIZE, BLOCK_SIZE));
    assert_eq!(census.hot_everywhere(count), BLOCK_SIZE);
}

#[test]
fn a_stop_ends_a_census() {
    let (mut process, heat) = process(&[(3, true)], 0);
    let stopped = take_census(&heat, &mut process, &StopAfter(AtomicUsize::new(0))).unwrap_err();
    assert_eq!(stopped, ScanEnd::Stopped);
}
