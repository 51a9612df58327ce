//! The end of a cycle's looks: which pages refaulted, which may go, and how every page stands now.

use super::encoding::BlockStandings;
use super::standing::{CycleTime, PageSeen, Standing};
use super::standings::{BlockStanding, Reading, Standings, Writing};
use super::tally::Tally;
use super::walk::{Counted, HeatWalk, Part, RangeWalk};
use crate::address::{AddressRange, BLOCK_SIZE, PAGE_SIZE, PAGES_PER_BLOCK};
use crate::age::{Age, ByAge};
use crate::heat::{ABSENT, BlockCounts, COUNT_MAX, HeatMap, Writer};

/// Ranks of pages that were not touched lie below this: the longer idle, the lower.
pub(crate) const TOUCHED_RANK: u16 = Age::LAST.step() as u16;

/// A cycle, as far as settling it needs to know.
#[derive(Debug, Clone, Copy)]
pub struct ScannedCycle<'a> {
    /// Its number, ascending.
    pub number: u64,
    /// The tick at which the last look at this part was, and the tick of this one. Ages are counted in ticks.
    pub ticks: (u64, u64),
    /// The part of the address space that was looked at, whole blocks; what lies outside stands as before.
    pub window: AddressRange,
    /// The ranges looked at, in ascending order: what is known of pages inside the window and outside these is forgotten.
    pub ranges: &'a [AddressRange],
    /// Pages touched within this number of ticks, the last one included, are the working set.
    pub working_set_ticks: u64,
    /// Whether pages that refaulted are left alone for some cycles.
    pub leave_alone: bool,
    /// Whether swap was taken away since the last cycle (swapoff): what was out is back, without a touch.
    pub swap_shrank: bool,
}

/// What came of it.
#[derive(Debug, Default, Clone)]
pub struct Settled {
    /// How each page stands now.
    pub standings: Standings,
    /// The pages that may go, each with its rank in the place of a count: the lower, the colder. Those that were not
    /// touched in this cycle rank by how long that is so, then those touched by their count.
    pub ranks: HeatMap,
    /// Bytes that were moved out and are in memory again: refaults.
    pub refaulted: u64,
    /// Bytes touched in this cycle.
    pub touched: u64,
    /// Bytes touched in the last cycles.
    pub working_set: u64,
    /// Bytes that were moved out and still are.
    pub out: u64,
    /// Bytes left alone, as they refaulted.
    pub left_alone: u64,
    /// Bytes left alone, as the kernel kept them in memory.
    pub kept: u64,
    /// Bytes by how long they have not been touched, in memory or out; without what is left alone.
    pub idle: ByAge,
    /// Bytes that were touched in this cycle, by how long they had not been touched before it.
    pub returned: ByAge,
}

/// The rank of a page that may go.
const fn rank(standing: Standing, count: u16) -> u16 {
    match standing.age() {
        Some(_) if count > 0 => {
            let rank = TOUCHED_RANK - 1 + count;
            if rank < COUNT_MAX { rank } else { COUNT_MAX }
        }
        Some(age) => TOUCHED_RANK - age.step() as u16,
        None => ABSENT,
    }
}

/// What becomes of a page by how it stood and how it was seen: looked up, as it is asked for every page.
type Rules = [[u8; 256]; 3];

fn rules(cycle: &ScannedCycle<'_>) -> Rules {
    let now = CycleTime { number: cycle.number, from: cycle.ticks.0, to: cycle.ticks.1 };
    let mut rules = [[0; 256]; 3];
    for (rules, seen) in rules.iter_mut().zip(PageSeen::ALL) {
        for (after, byte) in rules.iter_mut().zip(0..=u8::MAX) {
            let before = Standing(byte);
            let is_back = before.is_out() && seen != PageSeen::Absent;
            let standing =
                if is_back && cycle.swap_shrank { before.brought_back() } else { before.after(seen, now) };
            let is_free = cycle.leave_alone || !standing.is_left_alone();
            *after = if is_free { standing } else { Standing::idle(Age::TOUCHED) }.0;
        }
    }
    rules
}

impl Settled {
    /// Takes note of `bytes` that stood as `before`, were seen as `seen`, and stand as `after` now.
    fn count(
        &mut self,
        cycle: &ScannedCycle<'_>,
        seen: PageSeen,
        [before, after]: [Standing; 2],
        bytes: u64,
    ) {
        let (is_touched, is_present) = (seen == PageSeen::Touched, seen != PageSeen::Absent);
        let is_back = before.is_out() && is_present && !cycle.swap_shrank;
        let recent = after.age().is_some_and(|age| age.ticks() < cycle.working_set_ticks);
        for (sum, is_so) in [
            (&mut self.refaulted, is_back),
            (&mut self.touched, is_touched),
            (&mut self.working_set, is_touched || (is_present && recent)),
            (&mut self.out, after.is_out()),
            (&mut self.left_alone, after.is_left_alone()),
            (&mut self.kept, after.is_kept()),
        ] {
            *sum += if is_so { bytes } else { 0 };
        }
        if let Some(age) = after.untouched() {
            self.idle.add(age, bytes);
        }
        if let Some(age) = before.untouched().filter(|_| is_back || (is_touched && !before.is_out())) {
            self.returned.add(age, bytes);
        }
    }
}

const fn seen(count: u16) -> usize {
    match count {
        ABSENT => 0,
        0 => 1,
        _ => 2,
    }
}

struct Settling<'a> {
    rules: Rules,
    heat: HeatWalk<'a>,
    before: Reading,
    after: Writing,
    ranks: Writer,
    tally: Tally,
}

impl Settling<'_> {
    /// Blocks of which everything is alike.
    fn alike(&mut self, block: u64, blocks: u64, count: u16, huge: bool, before: u8) {
        let pages = blocks * PAGES_PER_BLOCK as u64;
        let class = seen(count);
        let after = self.rules[class][usize::from(before)];
        self.tally.alike(class, before, pages);
        self.after.alike(block, blocks, after);
        if count != ABSENT {
            let rank = rank(Standing(after), count);
            if rank != ABSENT {
                self.ranks.equal_blocks(block, blocks, rank, huge);
            }
        }
    }

    /// One block, page by page; of a huge page all pages have one count, and it goes as a whole or not at all.
    fn pages(&mut self, block: u64, counts: &BlockCounts, huge: bool, before: &BlockStandings) {
        let mut after = [0u8; PAGES_PER_BLOCK];
        let mut ranks = BlockCounts::EMPTY;
        for (page, (&count, &stood)) in counts.0.iter().zip(before).enumerate() {
            let class = seen(count);
            after[page] = self.rules[class][usize::from(stood)];
            self.tally.page(class, stood, page);
            ranks.0[page] = if class == 0 { ABSENT } else { rank(Standing(after[page]), count) };
        }
        self.after.block(block, &after);
        if huge {
            let hottest = ranks.0.iter().copied().max().unwrap_or(ABSENT);
            if hottest != ABSENT {
                self.ranks.equal_blocks(block, 1, hottest, true);
            }
        } else {
            self.ranks.pages(block, &ranks);
        }
    }

    /// Blocks from `block` on, at most `limit` of them: how many were settled.
    fn step<I: Iterator<Item = AddressRange>>(
        &mut self,
        block: u64,
        limit: u64,
        ranges: &mut RangeWalk<I>,
    ) -> u64 {
        let (blocks, counted) = self.heat.at(block);
        let (known_blocks, known) = self.before.at(block);
        let (mapped_blocks, mapped) = ranges.at(block);
        let blocks = blocks.min(known_blocks).min(mapped_blocks).min(limit);
        let unknown = BlockStanding::Alike(Standing::UNKNOWN.0);
        let known = if mapped == Part::Nothing { unknown } else { known };
        match (counted, known, mapped) {
            (Counted::Nothing, BlockStanding::Alike(before), Part::Whole | Part::Nothing) => {
                self.alike(block, blocks, ABSENT, false, before);
                return blocks;
            }
            (Counted::Alike { count, huge }, BlockStanding::Alike(before), Part::Whole | Part::Nothing) => {
                self.alike(block, blocks, count, huge, before);
                return blocks;
            }
            _ => {}
        }
        let (counts, huge) = match counted {
            Counted::Nothing => (BlockCounts::EMPTY, false),
            Counted::Alike { count, huge } => (BlockCounts::uniform(count), huge),
            Counted::Mixed => (*self.heat.counts(), false),
        };
        let mut before = match known {
            BlockStanding::Alike(standing) => [standing; PAGES_PER_BLOCK],
            BlockStanding::Mixed => self.before.block,
        };
        if let Part::Some(bits) = mapped {
            for (page, standing) in before.iter_mut().enumerate().filter(|(page, _)| !bits.holds(*page)) {
                let _ = page;
                *standing = Standing::UNKNOWN.0;
            }
        }
        self.pages(block, &counts, huge, &before);
        1
    }

    /// Copies what is known of the blocks in `from..to`.
    fn keep(&mut self, from: u64, to: u64) {
        let mut block = from;
        while let Some(next) = self.before.next_known(block).filter(|next| *next < to) {
            let (blocks, known) = self.before.at(next);
            let blocks = blocks.min(to - next);
            match known {
                BlockStanding::Alike(standing) => self.after.alike(next, blocks, standing),
                BlockStanding::Mixed => self.after.block(next, &self.before.block),
            }
            block = next + blocks;
        }
    }
}

/// Settles a cycle that ended with `heat`, on top of what was known `before`.
#[must_use]
pub fn settle(before: Standings, heat: &HeatMap, cycle: &ScannedCycle<'_>) -> Settled {
    let mut settling = Settling {
        rules: rules(cycle),
        heat: HeatWalk::new(heat),
        before: Reading::new(before),
        after: Writing::default(),
        ranks: Writer::default(),
        tally: Tally::default(),
    };
    let mut ranges = RangeWalk::new(cycle.ranges.iter().copied());
    let (first, end) = (cycle.window.start / BLOCK_SIZE, cycle.window.end.div_ceil(BLOCK_SIZE));
    settling.keep(0, first);
    let mut block = first;
    loop {
        let known = [settling.heat.next_known(block), settling.before.next_known(block)];
        let Some(next) = known.into_iter().flatten().min().filter(|next| *next < end) else { break };
        block = next + settling.step(next, end - next, &mut ranges);
    }
    settling.keep(end.max(block), u64::MAX);
    let mut settled =
        Settled { standings: settling.after.finish(), ranks: settling.ranks.finish(), ..Settled::default() };
    for (seen, standing, pages) in settling.tally.pages() {
        let after = settling.rules[seen][usize::from(standing)];
        settled.count(cycle, PageSeen::ALL[seen], [Standing(standing), Standing(after)], pages * PAGE_SIZE);
    }
    settled
}

#[cfg(test)]
mod tests {
    use super::super::mark::mark_out;
    use super::super::page_set::{PageSet, PageSetBuilder};
    use super::*;
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
                let (mut idle, mut returned) = (ByAge::NONE, ByAge::NONE);
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
                    if let Some(age) = stood.untouched()
                        && (seen == PageSeen::Touched || (stood.is_out() && seen != PageSeen::Absent))
                    {
                        returned.add(age, PAGE_SIZE);
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
                prop_assert_eq!((settled.idle, settled.returned), (idle, returned));
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
}
