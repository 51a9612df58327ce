//! When each page was touched last: bytes that have been idle for at least each age, and the working set at each look.
//!
//! Only pages whose state changes cost anything: a page that goes on being touched, or being idle, is as it was.

use super::about::About;
use crate::bits::PageBits;
use crate::memory::{BlockPages, Memory};
use etmem_core::address::{PAGE_SIZE, PAGES_PER_BLOCK};
use std::collections::BTreeMap;
use std::time::Duration;

/// Ages that are shown, in seconds.
const AGES: [u64; 13] = [10, 30, 60, 120, 300, 600, 1800, 3600, 7200, 14_400, 28_800, 43_200, 86_400];

/// The working set is what was touched within this time.
pub const WORKING_SET: Duration = Duration::from_secs(120);

/// The look that saw the last touch of the idle pages of a block.
#[derive(Debug)]
enum LastTouch {
    Alike(u32),
    Each(Box<[u32; PAGES_PER_BLOCK]>),
}

#[derive(Debug)]
struct Block {
    pages: BlockPages,
    last: LastTouch,
    /// The last look that had it.
    look: u32,
}

impl Block {
    fn idle(&self) -> PageBits {
        self.pages.present.without(self.pages.touched)
    }
}

/// The working set at a look, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WorkingSet {
    /// When, after the beginning of the record.
    pub at: Duration,
    /// In memory.
    pub resident: u64,
    /// Touched since the look before.
    pub touched: u64,
    /// Touched within [`WORKING_SET`].
    pub within: u64,
}

/// When each page of a process was touched last.
#[derive(Debug)]
pub struct Ages {
    blocks: BTreeMap<u64, Block>,
    /// When each look was; the first is the beginning.
    times: Vec<Duration>,
    /// Idle pages by the look that saw their last touch.
    idle: Vec<u64>,
    touched: u64,
    sets: Vec<WorkingSet>,
    /// Pages that were touched after having been idle for at least each age.
    back: [u64; AGES.len()],
}

/// Memory by its age.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ByAge {
    /// Idle for at least this.
    pub age: Duration,
    /// Bytes that are, at the last look.
    pub idle: u64,
    /// Bytes that were touched after having been, in a minute of the time in which that could be seen; none if that is less than one.
    pub back_per_minute: Option<u64>,
}

impl Ages {
    /// Nothing is known yet, at `since`.
    #[must_use]
    pub fn new(since: Duration) -> Self {
        Self {
            blocks: BTreeMap::new(),
            times: vec![since],
            idle: vec![0],
            touched: 0,
            sets: Vec::new(),
            back: [0; AGES.len()],
        }
    }

    /// Takes in a look.
    pub fn saw(&mut self, memory: &Memory, at: Duration) {
        let look = u32::try_from(self.times.len()).unwrap_or(u32::MAX);
        self.times.push(at);
        self.idle.push(0);
        let (mut present, mut touched) = (0, 0);
        // Idle pages that were touched now, by the look that saw their last touch.
        let mut again: BTreeMap<u32, u64> = BTreeMap::new();
        for (number, pages) in memory.blocks() {
            present += u64::from(pages.present.count());
            touched += u64::from(pages.touched.count());
            let block = self.blocks.entry(number).or_insert_with(|| Block {
                pages: BlockPages::default(),
                last: LastTouch::Alike(0),
                look,
            });
            change(block, pages, look, &mut self.idle, &mut again);
        }
        // What is gone.
        let idle = &mut self.idle;
        self.blocks.retain(|_, block| {
            let stays = block.look == look;
            if !stays {
                change(block, &BlockPages::default(), look, idle, &mut again);
            }
            stays
        });
        for (last, pages) in again {
            let last = usize::try_from(last).ok().and_then(|last| self.times.get(last));
            let idle_for = last.map_or(Duration::ZERO, |last| at.saturating_sub(*last));
            let reached = self.back.iter_mut().zip(AGES).take_while(|(_, age)| *age <= idle_for.as_secs());
            reached.for_each(|(back, _)| *back += pages);
        }
        self.touched = touched;
        // The first are those that were not touched yet.
        let recent = self.idle.iter().zip(&self.times).skip(1).rev();
        let recent = recent.take_while(|(_, time)| at.saturating_sub(**time) < WORKING_SET);
        let within = touched + recent.map(|(pages, _)| pages).sum::<u64>();
        self.sets.push(WorkingSet {
            at,
            resident: present * PAGE_SIZE,
            touched: touched * PAGE_SIZE,
            within: within * PAGE_SIZE,
        });
    }

    /// How long pages were watched.
    #[must_use]
    pub fn watched(&self) -> Duration {
        let ends = self.times.last().zip(self.times.first());
        ends.map_or(Duration::ZERO, |(last, first)| last.saturating_sub(*first))
    }

    /// Bytes that have been idle for at least `age` at the last look.
    #[must_use]
    pub fn idle_for(&self, age: Duration) -> u64 {
        let Some(now) = self.times.last() else { return 0 };
        let old = self.idle.iter().zip(&self.times).take_while(|(_, time)| now.saturating_sub(**time) >= age);
        old.map(|(pages, _)| pages).sum::<u64>() * PAGE_SIZE
    }

    /// The working set at each look.
    #[must_use]
    pub fn working_sets(&self) -> &[WorkingSet] {
        &self.sets
    }

    /// Bytes in memory at the last look.
    #[must_use]
    pub fn resident(&self) -> u64 {
        self.sets.last().map_or(0, |set| set.resident)
    }

    /// The ages for which pages were watched.
    #[must_use]
    pub fn table(&self) -> Vec<ByAge> {
        let rows = AGES.map(Duration::from_secs).into_iter().zip(self.back);
        let known = rows.take_while(|(age, _)| *age <= self.watched());
        let row = |(age, back): (Duration, u64)| {
            let seconds = (self.watched() - age).as_secs();
            let back_per_minute = (seconds >= 60).then(|| (back * PAGE_SIZE).saturating_mul(60) / seconds);
            ByAge { age, idle: self.idle_for(age), back_per_minute }
        };
        known.map(row).collect()
    }
}

/// Takes note of how the pages of a block are at `look`.
fn change(
    block: &mut Block,
    pages: &BlockPages,
    look: u32,
    idle: &mut [u64],
    again: &mut BTreeMap<u32, u64>,
) {
    let (before, now) = (block.idle(), pages.present.without(pages.touched));
    let back = before.and(pages.touched);
    match &block.last {
        _ if back.is_empty() => {}
        LastTouch::Alike(last) => *again.entry(*last).or_default() += u64::from(back.count()),
        LastTouch::Each(last) => back.pages().for_each(|page| *again.entry(last[page]).or_default() += 1),
    }
    let mut count = |last: u32, add: bool, pages: u64| {
        if let Some(sum) = usize::try_from(last).ok().and_then(|last| idle.get_mut(last)) {
            *sum = if add { *sum + pages } else { sum.saturating_sub(pages) };
        }
    };
    let left = before.without(now);
    match &block.last {
        _ if left.is_empty() => {}
        LastTouch::Alike(last) => count(*last, false, left.count().into()),
        LastTouch::Each(last) => left.pages().for_each(|page| count(last[page], false, 1)),
    }
    let entered = now.without(before);
    // Touched until the look before; or it has come since, which was a touch. What is there at the first look was there before.
    let stopped = entered.and(block.pages.touched);
    let came = entered.without(stopped);
    let came_at = if look == 1 { 0 } else { look };
    for (pages, last) in [(stopped, look - 1), (came, came_at)] {
        if pages.is_empty() {
            continue;
        }
        count(last, true, pages.count().into());
        if pages == now {
            block.last = LastTouch::Alike(last);
            continue;
        }
        if let LastTouch::Alike(alike) = block.last {
            block.last = LastTouch::Each(Box::new([alike; PAGES_PER_BLOCK]));
        }
        if let LastTouch::Each(each) = &mut block.last {
            pages.pages().for_each(|page| each[page] = last);
        }
    }
    (block.pages, block.look) = (*pages, look);
}

/// How long memory was idle, ready to be written.
#[derive(Debug)]
pub struct AgesReport<'a> {
    /// What it is about.
    pub about: &'a About,
    /// When pages were touched.
    pub ages: &'a Ages,
}

/// The working set over time, ready to be written.
#[derive(Debug)]
pub struct WorkingSetReport<'a> {
    /// What it is about.
    pub about: &'a About,
    /// When pages were touched.
    pub ages: &'a Ages,
}

#[cfg(test)]
#[path = "../../tests/unit/ages.rs"]
mod tests;
