//! The end of a cycle's looks: who came back, who may go, and how every page stands now.

use super::encoding::BlockStandings;
use super::standing::{AGE_MAX, Seen, Standing};
use super::standings::{Known, Reading, Standings, Writing};
use super::walk::{Counted, HeatWalk, Part, RangeWalk};
use crate::address::{AddressRange, BLOCK_SIZE, PAGE_SIZE, PAGES_PER_BLOCK};
use crate::heat::{ABSENT, BlockCounts, COUNT_MAX, HeatMap, Writer};

/// Ranks of pages that were not touched lie below this: the longer idle, the lower.
pub(crate) const TOUCHED_RANK: u16 = 31;

/// What a cycle has to be told.
#[derive(Debug, Clone, Copy)]
pub struct Cycle<'a> {
    /// Its number, ascending.
    pub number: u64,
    /// The part of the address space that was looked at, whole blocks; what lies outside stands as before.
    pub window: AddressRange,
    /// The ranges looked at, in ascending order: what is known of pages inside the window and outside these is forgotten.
    pub ranges: &'a [AddressRange],
    /// Pages touched within so many cycles, this one included, are the working set.
    pub working_set_cycles: u8,
    /// Whether pages that came back are left alone for some cycles.
    pub hold: bool,
}

/// What came of it.
#[derive(Debug, Default, Clone)]
pub struct Settled {
    /// How each page stands now.
    pub standings: Standings,
    /// The pages that may go, each with its rank in the place of a count: the lower, the colder. Those that were not
    /// touched in this cycle rank by how long that is so, then those touched by their count.
    pub ranks: HeatMap,
    /// Bytes that were moved out and were touched since.
    pub came_back: u64,
    /// Bytes that were to leave and never did.
    pub stayed: u64,
    /// Bytes touched in this cycle.
    pub touched: u64,
    /// Bytes touched in the last cycles.
    pub working_set: u64,
    /// Bytes that were moved out and still are.
    pub out: u64,
    /// Bytes left alone, as they came back.
    pub held: u64,
}

/// The rank of a page that may go.
const fn rank(standing: Standing, count: u16) -> u16 {
    match standing.age() {
        Some(_) if count > 0 => {
            let rank = TOUCHED_RANK - 1 + count;
            if rank < COUNT_MAX { rank } else { COUNT_MAX }
        }
        Some(age) => (AGE_MAX - age) as u16,
        None => ABSENT,
    }
}

/// What is to be counted of a page: came back, stayed, working set, out, held; touched is known without.
const COUNTERS: usize = 5;

/// What becomes of a page by how it stood and how it was seen: looked up, as it is asked for every page.
struct Rules {
    after: [[u8; 256]; 3],
    /// Counters of twelve bits each, for blocks of 512 pages.
    counts: [[u64; 256]; 3],
}

impl Rules {
    fn of(cycle: &Cycle<'_>) -> Self {
        let mut rules = Self { after: [[0; 256]; 3], counts: [[0; 256]; 3] };
        for (number, seen) in Seen::ALL.into_iter().enumerate() {
            for byte in 0..=u8::MAX {
                let before = Standing(byte);
                let after = before.after(seen, cycle.number);
                let after = if cycle.hold || !after.is_held() { after } else { Standing::idle(0) };
                let came_back = before.is_out() && seen == Seen::Touched;
                let stayed = before.is_out() && seen == Seen::Idle;
                let touched = seen == Seen::Touched;
                let recent = after.age().is_some_and(|age| age < cycle.working_set_cycles);
                let in_set = touched || (recent && seen != Seen::Absent);
                let bits = [came_back, stayed, in_set, after.is_out(), after.is_held()];
                let counts = bits.iter().rev().fold(0, |sum, bit| (sum << 12) | u64::from(*bit));
                rules.after[number][usize::from(byte)] = after.0;
                rules.counts[number][usize::from(byte)] = counts;
            }
        }
        rules
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
    /// Pages by counter, and touched ones.
    pages: [u64; COUNTERS],
    touched: u64,
}

impl Settling<'_> {
    fn add(&mut self, counts: u64, times: u64) {
        for (number, pages) in self.pages.iter_mut().enumerate() {
            *pages += (counts >> (12 * number) & 0xFFF) * times;
        }
    }

    /// Blocks of which everything is alike.
    fn alike(&mut self, block: u64, blocks: u64, count: u16, huge: bool, before: u8) {
        let pages = blocks * PAGES_PER_BLOCK as u64;
        let class = seen(count);
        let after = self.rules.after[class][usize::from(before)];
        self.add(self.rules.counts[class][usize::from(before)], pages);
        self.touched += if class == 2 { pages } else { 0 };
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
        let (mut sum, mut touched) = (0u64, 0u64);
        for (page, (&count, &stood)) in counts.0.iter().zip(before).enumerate() {
            let class = seen(count);
            after[page] = self.rules.after[class][usize::from(stood)];
            sum += self.rules.counts[class][usize::from(stood)];
            touched += u64::from(class == 2);
            ranks.0[page] = if class == 0 { ABSENT } else { rank(Standing(after[page]), count) };
        }
        self.add(sum, 1);
        self.touched += touched;
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
        let unknown = Known::Alike(Standing::UNKNOWN.0);
        let known = if mapped == Part::Nothing { unknown } else { known };
        match (counted, known, mapped) {
            (Counted::Nothing, Known::Alike(before), Part::Whole | Part::Nothing) => {
                self.alike(block, blocks, ABSENT, false, before);
                return blocks;
            }
            (Counted::Alike { count, huge }, Known::Alike(before), Part::Whole | Part::Nothing) => {
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
            Known::Alike(standing) => [standing; PAGES_PER_BLOCK],
            Known::Mixed => self.before.block,
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
                Known::Alike(standing) => self.after.alike(next, blocks, standing),
                Known::Mixed => self.after.block(next, &self.before.block),
            }
            block = next + blocks;
        }
    }
}

/// Settles a cycle that ended with `heat`, on top of what was known `before`.
#[must_use]
pub fn settle(before: Standings, heat: &HeatMap, cycle: &Cycle<'_>) -> Settled {
    let mut settling = Settling {
        rules: Rules::of(cycle),
        heat: HeatWalk::new(heat),
        before: Reading::new(before),
        after: Writing::default(),
        ranks: Writer::default(),
        pages: [0; COUNTERS],
        touched: 0,
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
    let [came_back, stayed, working_set, out, held] = settling.pages.map(|pages| pages * PAGE_SIZE);
    Settled {
        standings: settling.after.finish(),
        ranks: settling.ranks.finish(),
        came_back,
        stayed,
        touched: settling.touched * PAGE_SIZE,
        working_set,
        out,
        held,
    }
}
