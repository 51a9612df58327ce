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
    /// Bytes in memory that were touched in this cycle, by how long they had not been touched before it.
    pub returned: ByAge,
    /// The same of what refaulted.
    pub refaulted_by_age: ByAge,
}

/// The rank of a page that was touched so often.
const fn touched_rank(count: u16) -> u16 {
    let rank = TOUCHED_RANK - 1 + count;
    if rank < COUNT_MAX { rank } else { COUNT_MAX }
}

/// The rank of a page that may go.
const fn rank(standing: Standing, count: u16) -> u16 {
    match standing.age() {
        Some(_) if count > 0 => touched_rank(count),
        Some(age) => TOUCHED_RANK - age.step() as u16,
        None => ABSENT,
    }
}

/// What becomes of a page by how it was seen and how it stood.
struct Table {
    after: [[u8; 256]; 3],
    /// The rank of a page that was not touched, by how it stands now.
    untouched: [u16; 256],
}

impl Table {
    fn rank(&self, after: u8, count: u16) -> u16 {
        let rank = self.untouched[usize::from(after)];
        if count == 0 || rank == ABSENT { rank } else { touched_rank(count) }
    }
}

/// The same, worked out once where it is asked for page by page.
struct Rules<'a> {
    cycle: &'a ScannedCycle<'a>,
    table: Option<Box<Table>>,
}

impl Rules<'_> {
    /// How a page stands that was seen as class `seen` and stood as `before`.
    fn after(&self, seen: usize, before: u8) -> u8 {
        match &self.table {
            Some(table) => table.after[seen][usize::from(before)],
            None => work_out(self.cycle, seen, before),
        }
    }

    fn table(&mut self) -> &Table {
        self.table.get_or_insert_with(|| {
            let standings: [u8; 256] = std::array::from_fn(|standing| standing.to_le_bytes()[0]);
            Box::new(Table {
                after: [0, 1, 2].map(|seen| standings.map(|before| work_out(self.cycle, seen, before))),
                untouched: standings.map(|standing| rank(Standing(standing), 0)),
            })
        })
    }
}

fn work_out(cycle: &ScannedCycle<'_>, seen: usize, before: u8) -> u8 {
    let now = CycleTime { number: cycle.number, from: cycle.ticks.0, to: cycle.ticks.1 };
    let (before, seen) = (Standing(before), PageSeen::ALL[seen]);
    let is_back = before.is_out() && seen != PageSeen::Absent;
    let standing = if is_back && cycle.swap_shrank { before.brought_back() } else { before.after(seen, now) };
    let is_free = cycle.leave_alone || !standing.is_left_alone();
    if is_free { standing } else { Standing::idle(Age::TOUCHED) }.0
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
        match before.untouched() {
            Some(age) if is_back => self.refaulted_by_age.add(age, bytes),
            Some(age) if is_touched && !before.is_out() => self.returned.add(age, bytes),
            Some(_) | None => {}
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
    rules: Rules<'a>,
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
        let after = self.rules.after(class, before);
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
        let table = self.rules.table();
        for (page, (&count, &stood)) in counts.0.iter().zip(before).enumerate() {
            let class = seen(count);
            after[page] = table.after[class][usize::from(stood)];
            self.tally.page(class, stood, page);
            ranks.0[page] = if class == 0 { ABSENT } else { table.rank(after[page], count) };
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
            bits.others().pages().for_each(|page| before[usize::from(page)] = Standing::UNKNOWN.0);
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
        rules: Rules { cycle, table: None },
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
        let after = settling.rules.after(seen, standing);
        settled.count(cycle, PageSeen::ALL[seen], [Standing(standing), Standing(after)], pages * PAGE_SIZE);
    }
    settled
}

#[cfg(test)]
mod tests;
