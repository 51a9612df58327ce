//! Settling a cycle, page by page beside a slow model.

use super::*;
use crate::feedback::mark::mark_out;
use crate::feedback::page_set::{PageSet, PageSetBuilder};
use crate::heat::{Entry, HeatUpdate};
use crate::kernel::probe::{Access, AccessSink, Block};
use proptest::prelude::*;
use std::collections::BTreeMap;

const BLOCKS: u64 = 4;
const FIRST: u64 = 0x3f80;

#[derive(Debug, Clone)]
enum Shape {
    Absent,
    Huge(Access),
    Alike(Access),
    Mixed(Vec<Access>),
}

fn access() -> impl Strategy<Value = Access> {
    prop_oneof![Just(Access::IDLE), Just(Access::READ), Just(Access::WRITTEN)]
}

fn shape() -> impl Strategy<Value = Shape> {
    let any = prop_oneof![access(), Just(Access::ABSENT)];
    prop_oneof![
        Just(Shape::Absent),
        access().prop_map(Shape::Huge),
        access().prop_map(Shape::Alike),
        prop::collection::vec(any, PAGES_PER_BLOCK).prop_map(Shape::Mixed),
    ]
}

/// Each cycle: the blocks, which pages of each third are mapped, the window in blocks, and which pages then leave.
type Step = (Vec<Shape>, (u64, u64), (u64, u64), u64);

fn step() -> impl Strategy<Value = Step> {
    let pages = BLOCKS * PAGES_PER_BLOCK as u64;
    (
        prop::collection::vec(shape(), 4),
        (0..pages, 0..pages),
        (0..BLOCKS, 1..=BLOCKS),
        prop_oneof![Just(1u64), 2u64..9],
    )
}

fn access_of(shape: &Shape, page: usize) -> Access {
    match shape {
        Shape::Absent => Access::ABSENT,
        Shape::Huge(access) | Shape::Alike(access) => *access,
        Shape::Mixed(pages) => pages[page],
    }
}

fn heat(shapes: &[Shape]) -> HeatMap {
    let mut update = HeatUpdate::new(HeatMap::default());
    for (block, shape) in (FIRST..).zip(shapes) {
        match shape {
            Shape::Absent => {}
            Shape::Huge(access) => update.block(block * BLOCK_SIZE, Block::Huge(*access)),
            Shape::Alike(access) => {
                update.block(block * BLOCK_SIZE, Block::Pages(&[*access; PAGES_PER_BLOCK]))
            }
            Shape::Mixed(pages) => {
                let pages: &[Access; PAGES_PER_BLOCK] = pages.as_slice().try_into().unwrap();
                update.block(block * BLOCK_SIZE, Block::Pages(pages));
            }
        }
    }
    update.finish()
}

fn spread(ranks: &HeatMap) -> BTreeMap<u64, u16> {
    let mut all = BTreeMap::new();
    let mut cursor = ranks.cursor();
    while let Some((start, entry)) = cursor.next() {
        match entry {
            Entry::Pages { blocks, count } | Entry::Huge { blocks, count } => {
                all.extend((start..start + blocks * BLOCK_SIZE).step_by(4096).map(|at| (at, count)));
            }
            Entry::Mixed => {
                let pages = (start..).step_by(4096).zip(cursor.counts().0);
                all.extend(pages.filter(|(_, count)| *count != ABSENT));
            }
        }
    }
    all
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]
    /// Cycle after cycle, every page stands as if it were the only one.
    #[test]
    fn every_page_alone(steps in prop::collection::vec(step(), 1..6)) {
        let pages = BLOCKS * PAGES_PER_BLOCK as u64;
        let address = |page: u64| FIRST * BLOCK_SIZE + page * PAGE_SIZE;
        let mut standings = Standings::default();
        let mut model = vec![Standing::UNKNOWN; usize::try_from(pages).unwrap()];
        for (number, (shapes, hole, window, every)) in (1u64..).zip(&steps) {
            let hole = (hole.0.min(hole.1), hole.0.max(hole.1));
            let ranges = [
                AddressRange::new(address(0), address(hole.0)),
                AddressRange::new(address(hole.1), address(pages)),
            ];
            let ranges: Vec<_> = ranges.into_iter().filter(|range| !range.is_empty()).collect();
            let window = (window.0, window.1.max(window.0 + 1));
            let window = AddressRange::new((FIRST + window.0) * BLOCK_SIZE, (FIRST + window.1) * BLOCK_SIZE);
            let inside = |at: u64| (window.start..window.end).contains(&at);
            // A probe tells of mapped pages inside the window alone.
            let mapped = |at: u64| ranges.iter().any(|range| (range.start..range.end).contains(&at));
            let shapes: Vec<Shape> = shapes.iter().enumerate().map(|(block, shape)| {
                let at = |page: u64| address(block as u64 * PAGES_PER_BLOCK as u64 + page);
                let whole = (0..PAGES_PER_BLOCK as u64).all(|page| mapped(at(page)));
                match shape {
                    _ if !inside(at(0)) => Shape::Absent,
                    _ if whole => shape.clone(),
                    Shape::Absent | Shape::Huge(_) | Shape::Alike(_) | Shape::Mixed(_) => Shape::Mixed((0..PAGES_PER_BLOCK).map(|page| {
                        if mapped(at(page as u64)) { access_of(shape, page) } else { Access::ABSENT }
                    }).collect()),
                }
            }).collect();
            let cycle = ScannedCycle { number, ticks: (number - 1, number), window, ranges: &ranges, working_set_ticks: 2, leave_alone: true, swap_shrank: false };
            let settled = settle(standings, &heat(&shapes), &cycle);
            let ranks = spread(&settled.ranks);
            let [mut back, mut touched, mut out] = [0, 0, 0];
            let [mut idle, mut returned, mut refaulted] = [ByAge::NONE; 3];
            let mut given = PageSetBuilder::default();
            for page in 0..pages {
                let (at, index) = (address(page), usize::try_from(page).unwrap());
                let stood = model[index];
                if !inside(at) {
                    prop_assert_eq!(settled.standings.of(at), stood, "outside of the window, page {}", page);
                    continue;
                }
                let stood = if mapped(at) { stood } else { Standing::UNKNOWN };
                let shape = &shapes[index / PAGES_PER_BLOCK];
                let access = access_of(shape, index % PAGES_PER_BLOCK);
                let seen = match access {
                    Access::ABSENT => PageSeen::Absent,
                    Access::IDLE => PageSeen::Idle,
                    _ => PageSeen::Touched,
                };
                back += u64::from(stood.is_out() && seen != PageSeen::Absent);
                touched += u64::from(seen == PageSeen::Touched);
                if let Some(age) = stood.untouched() {
                    if stood.is_out() && seen != PageSeen::Absent {
                        refaulted.add(age, PAGE_SIZE);
                    } else if seen == PageSeen::Touched {
                        returned.add(age, PAGE_SIZE);
                    }
                }
                model[index] = stood.after(seen, CycleTime { number, from: number - 1, to: number });
                out += u64::from(model[index].is_out());
                if let Some(age) = model[index].untouched() {
                    idle.add(age, PAGE_SIZE);
                }
                let is_huge = matches!(shape, Shape::Huge(_));
                if !is_huge {
                    let may_go = access.is_present() && model[index].age().is_some();
                    prop_assert_eq!(ranks.contains_key(&at), may_go, "page {}", page);
                    if may_go {
                        prop_assert_eq!(ranks[&at], rank(model[index], access.weight().into()));
                    }
                }
            }
            prop_assert_eq!([settled.refaulted, settled.touched, settled.out], [back, touched, out].map(|n| n * PAGE_SIZE));
            prop_assert_eq!((settled.idle, settled.returned, settled.refaulted_by_age), (idle, returned, refaulted));
            // Every nth page that may go leaves.
            for (at, _) in ranks.iter().filter(|(at, _)| (*at / PAGE_SIZE).is_multiple_of(*every)) {
                given.add(AddressRange::new(*at, at + PAGE_SIZE));
                let index = usize::try_from((at - address(0)) / PAGE_SIZE).unwrap();
                model[index] = model[index].moved_out();
            }
            standings = mark_out(settled.standings, given.finish(), PageSet::default()).standings;
            for page in (0..pages).step_by(37) {
                prop_assert_eq!(standings.of(address(page)), model[usize::try_from(page).unwrap()]);
            }
        }
    }
}

#[test]
fn a_huge_page_goes_as_a_whole_or_stays() {
    let block = FIRST * BLOCK_SIZE;
    let range = [AddressRange::new(block, block + BLOCK_SIZE)];
    let window = AddressRange::new(0, u64::MAX);
    let cycle = |number| ScannedCycle {
        number,
        ticks: (number - 1, number),
        window,
        ranges: &range,
        working_set_ticks: 2,
        leave_alone: true,
        swap_shrank: false,
    };
    let settled = settle(Standings::default(), &heat(&[Shape::Alike(Access::IDLE)]), &cycle(1));
    let mut given = PageSetBuilder::default();
    given.add(AddressRange::new(block, block + PAGE_SIZE));
    let standings = mark_out(settled.standings, given.finish(), PageSet::default()).standings;
    // One page of it refaulted and is left alone: so is the huge page that it has become part of.
    let settled = settle(standings, &heat(&[Shape::Huge(Access::READ)]), &cycle(2));
    assert_eq!(settled.refaulted, PAGE_SIZE);
    assert!(spread(&settled.ranks).is_empty());
    let settled = settle(Standings::default(), &heat(&[Shape::Huge(Access::IDLE)]), &cycle(1));
    assert_eq!(spread(&settled.ranks).len(), PAGES_PER_BLOCK);
}

#[test]
fn what_never_left_is_neither_out_nor_back() {
    let block = FIRST * BLOCK_SIZE;
    let range = [AddressRange::new(block, block + BLOCK_SIZE)];
    let window = AddressRange::new(0, u64::MAX);
    let cycle = |number, swap_shrank| ScannedCycle {
        number,
        ticks: (number - 1, number),
        window,
        ranges: &range,
        working_set_ticks: 2,
        leave_alone: true,
        swap_shrank,
    };
    let all_idle = heat(&[Shape::Alike(Access::IDLE)]);
    let mut standings = Standings::default();
    for number in 1..=2 {
        let settled = settle(standings, &all_idle, &cycle(number, false));
        assert_eq!((settled.refaulted, settled.kept), (0, 0), "cycle {number}");
        let (mut left, mut kept) = (PageSetBuilder::default(), PageSetBuilder::default());
        kept.add(AddressRange::new(block, block + 100 * PAGE_SIZE));
        left.add(AddressRange::new(block + 100 * PAGE_SIZE, range[0].end));
        let left = if number == 1 { PageSetBuilder::default() } else { left };
        let marked = mark_out(settled.standings, left.finish(), kept.finish());
        let gone = if number == 1 { 0 } else { 412 };
        assert_eq!((marked.stayed, marked.left), (100 * PAGE_SIZE, gone * PAGE_SIZE));
        standings = marked.standings;
        assert!(!standings.of(block).is_out());
    }
    assert!(standings.of(block + 150 * PAGE_SIZE).is_out());
    // What stayed twice is left alone; what left and is there was read back, unless swap was taken away.
    for (swap_shrank, refaulted) in [(false, 412), (true, 0)] {
        let settled = settle(standings.clone(), &all_idle, &cycle(3, swap_shrank));
        let bytes = (settled.refaulted, settled.kept, settled.out);
        assert_eq!(bytes, (refaulted * PAGE_SIZE, 100 * PAGE_SIZE, 0));
        assert_eq!(spread(&settled.ranks).len(), 412 - usize::try_from(refaulted).unwrap());
    }
}
