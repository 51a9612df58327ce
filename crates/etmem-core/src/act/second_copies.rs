//! Pages that are out may be in memory as well: what a forked child reads comes to the swap cache, and stays there when the child has
//! ended, beside its copy in swap. The kernel takes such pages when memory is short, and no earlier. They belong to no mapping, so
//! nothing can ask for them as they are: they are read, which maps them, and paged out again.
//!
//! The kernel does not tell of which pages there are two copies. Where there are, nothing is read from swap for them, and the swap cache
//! gets smaller: both are seen to, as not all kernels count all that is read, and not all swap takes a page at once.

use super::tools::Tools;
use crate::address::{AddressRange, BLOCK_SIZE, PAGE_SIZE, append, block_of};
use crate::feedback::{PageSet, PageSetBuilder};
use crate::kernel::memory::SystemMemory;
use crate::kernel::mover::{Residence, SwapOut};
use crate::kernel::pacer::Pace;
use crate::kernel::process::ProcessError;
use crate::kernel::reader::MemoryReader;
use std::time::Duration;

/// Places at which a few pages are tried first, and pages of each.
const PLACES: u64 = 16;
const PAGES: usize = 4;

/// Pages that are tried first of each block: a child does not read all, so that of one block all is there twice, and of the next nothing.
const TRIED: usize = 4;

/// Bytes that may be read in vain, and those that may stay, besides a part of what was of use. As much of what is out may be read in vain
/// as half of all that is tried.
const VAIN: u64 = 16 << 20;
const VAIN_PART: u64 = 256;
const STAYED: u64 = 64 * PAGE_SIZE;

/// Bytes that have left after which the swap cache must be smaller by half of them: its figure lags behind by some hundred pages.
const CHECKED: u64 = 16 << 20;

/// What reads the pages, and says what that took.
#[derive(Debug)]
pub struct Reading<'a> {
    /// Reads them.
    pub reader: &'a mut dyn MemoryReader,
    /// Counts what is read from swap, and what is in the swap cache.
    pub memory: &'a dyn SystemMemory,
    /// Bytes of the process that are out.
    pub out: u64,
}

/// How far a pass is that is done in parts. The first begins at the beginning, with a trial.
#[derive(Debug, Clone, Copy, Default)]
pub struct Progress {
    /// Where the next part begins; 0: the pass has not begun.
    resume: u64,
    /// What was read so far.
    sum: Redone,
    /// What was in the swap cache when it began.
    cached: u64,
    /// What had been freed when it was seen to last that the swap cache gets smaller.
    checked: u64,
}

impl Progress {
    /// Whether a pass has begun and is not at its end.
    #[must_use]
    pub const fn is_under_way(&self) -> bool {
        self.resume > 0
    }
}

/// What came of a pass.
#[derive(Debug, Clone, Default)]
pub struct SecondCopies {
    /// Bytes that were in memory beside their copy in swap, and are not any more.
    pub freed: u64,
    /// What was read and did not leave again.
    pub stayed: PageSet,
    /// How it ended.
    pub end: PassEnd,
}

/// How a pass ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum PassEnd {
    /// There is nothing more.
    #[default]
    Done,
    /// Next to nothing of what was looked at is in memory twice, or it is of no use to page it out again.
    None,
    /// It does not leave: others have it mapped.
    Mapped,
    /// Its time was over, or a stop came: the next part goes on where this one ended.
    Later,
}

/// Frees the copies in memory of pages of `ranges` that are in swap, from where `progress` is, until the clock is at `until`.
///
/// # Errors
/// When the process is gone, or the kernel refuses.
pub fn free_second_copies(
    ranges: &[AddressRange],
    progress: &mut Progress,
    until: Duration,
    Reading { reader, memory, out }: Reading<'_>,
    tools: &mut Tools<'_>,
) -> Result<SecondCopies, ProcessError> {
    let cached = memory.state()?.swap_cached;
    let begins = !progress.is_under_way();
    if begins {
        *progress = Progress { cached, ..Progress::default() };
    }
    let before = progress.sum.freed();
    let vain = VAIN + out / VAIN_PART;
    let mut pass = Pass {
        reader,
        memory,
        until,
        vain,
        places: Vec::new(),
        out: Vec::new(),
        tried: Vec::new(),
        progress,
    };
    let mut stayed = PageSet::default();
    let mut end = None;
    if begins {
        let mut builder = PageSetBuilder::default();
        end = pass.over(places(ranges), false, &mut builder, tools)?;
        end = end.or_else(|| pass.progress.sum.ends());
        // The trial is not repeated: it begins again.
        pass.progress.resume = 0;
        stayed = builder.finish();
    }
    if end.is_none() {
        let mut builder = PageSetBuilder::default();
        end = pass.over(pieces(ranges, pass.progress.resume), true, &mut builder, tools)?;
        stayed = stayed.joined(builder.finish());
    }
    // What is in the swap cache of others comes and goes as well.
    let fallen = cached.saturating_sub(pass.memory.state()?.swap_cached);
    let freed = pass.progress.sum.freed().saturating_sub(before).min(fallen);
    let end = end.unwrap_or_default();
    if end != PassEnd::Later {
        *pass.progress = Progress::default();
    }
    Ok(SecondCopies { freed, stayed, end })
}

/// Parts of `ranges` of a block at most, from `resume` on.
fn pieces(ranges: &[AddressRange], resume: u64) -> impl Iterator<Item = AddressRange> + '_ {
    ranges.iter().flat_map(move |range| {
        let (mut at, end) = (range.start.max(resume), range.end);
        std::iter::from_fn(move || {
            let start = at;
            at = end.min(block_of(start) + BLOCK_SIZE);
            (start < end).then(|| AddressRange::new(start, at))
        })
    })
}

/// Places that are spread over `ranges`.
fn places(ranges: &[AddressRange]) -> impl Iterator<Item = AddressRange> + '_ {
    let count = pieces(ranges, 0).count() as u64;
    let step = count.div_ceil(PLACES).max(1);
    pieces(ranges, 0).step_by(usize::try_from(step).unwrap_or(usize::MAX))
}

/// What became of pages that were read and paged out again, in bytes.
#[derive(Debug, Clone, Copy, Default)]
struct Redone {
    read: u64,
    from_swap: u64,
    out: u64,
}

impl Redone {
    fn add(&mut self, other: Self) {
        self.read += other.read;
        self.from_swap += other.from_swap;
        self.out += other.out;
    }

    /// What was there twice, and left.
    const fn freed(&self) -> u64 {
        self.out.saturating_sub(self.from_swap)
    }

    /// What was read and stayed in memory.
    const fn stayed(&self) -> u64 {
        self.read - self.out
    }

    /// Of what was tried, why it is of no use to go on.
    fn ends(&self) -> Option<PassEnd> {
        if self.read - self.from_swap <= self.read / 8 {
            Some(PassEnd::None)
        } else if self.stayed() > self.read / 2 {
            Some(PassEnd::Mapped)
        } else {
            None
        }
    }

    /// Of all so far, the same, where that much may be read in vain.
    fn is_enough(&self, vain: u64) -> Option<PassEnd> {
        if self.stayed() > STAYED + self.out / 8 {
            Some(PassEnd::Mapped)
        } else if self.from_swap > vain + self.freed() / 2 {
            // It was of use before.
            Some(if self.freed() >= CHECKED { PassEnd::Done } else { PassEnd::None })
        } else {
            None
        }
    }
}

/// Which of the pages that are out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Which {
    All,
    /// This number of them, from the lowest address on.
    First(usize),
    /// This number of them, all over.
    Spread(usize),
    /// All but those, which were tried just before.
    Rest,
}

impl Which {
    /// Those of `pages`, where `tried` were tried.
    fn of<'a>(self, pages: &'a [u64], tried: &'a [u64]) -> impl Iterator<Item = u64> + 'a {
        let (step, most) = match self {
            Self::All | Self::Rest => (1, usize::MAX),
            Self::First(most) => (1, most),
            Self::Spread(most) => ((pages.len() / most).max(1), most),
        };
        let left_out = if self == Self::Rest { tried } else { &[] };
        let pages = pages.iter().skip(step / 2).step_by(step).take(most);
        pages.filter(|page| !left_out.contains(page)).copied()
    }
}

/// A pass under way.
struct Pass<'a> {
    reader: &'a mut dyn MemoryReader,
    memory: &'a dyn SystemMemory,
    until: Duration,
    /// Bytes that may be read in vain.
    vain: u64,
    places: Vec<Residence>,
    /// Pages that are out, or that came, as ranges.
    out: Vec<AddressRange>,
    /// Pages of the block that were tried.
    tried: Vec<u64>,
    progress: &'a mut Progress,
}

impl Pass<'_> {
    /// Goes over `parts`: of each a few pages are tried. Where they are to be `whole`, the others follow where that is of use, and it ends where
    /// the swap cache does not get smaller. What stays is added to `stayed`.
    fn over(
        &mut self,
        parts: impl Iterator<Item = AddressRange>,
        whole: bool,
        stayed: &mut PageSetBuilder,
        tools: &mut Tools<'_>,
    ) -> Result<Option<PassEnd>, ProcessError> {
        for range in parts {
            let pacer = tools.pacer;
            let wait = tools.throttle().wait(pacer.now());
            if pacer.now() + wait >= self.until || pacer.pause(wait) == Pace::Stop {
                self.progress.resume = range.start;
                return Ok(Some(PassEnd::Later));
            }
            let (start, processor) = (pacer.now(), pacer.processor_time());
            let redone = self.part(range, whole, stayed, &mut *tools.mover);
            let spent = pacer.processor_time().saturating_sub(processor);
            // Where nothing was out, looking took its time all the same; and a rate in bytes needs those that left.
            let left = redone.as_ref().map_or(0, |redone| redone.out);
            tools.throttle().moved(start, pacer.now(), spent, left);
            self.progress.sum.add(redone?);
            if !whole {
                continue;
            }
            let freed = self.progress.sum.freed();
            if let Some(end) = self.progress.sum.is_enough(self.vain) {
                return Ok(Some(end));
            }
            if freed >= self.progress.checked + CHECKED {
                self.progress.checked = freed;
                if self.progress.cached.saturating_sub(self.memory.state()?.swap_cached) < freed / 2 {
                    return Ok(Some(PassEnd::None));
                }
            }
        }
        Ok(None)
    }

    /// Tries some pages of `range`, and, if it is to be `whole`, does the others where most of those were there twice.
    fn part(
        &mut self,
        range: AddressRange,
        whole: bool,
        stayed: &mut PageSetBuilder,
        mover: &mut dyn SwapOut,
    ) -> Result<Redone, ProcessError> {
        if !whole {
            return self.redo(range, Which::First(PAGES), stayed, mover);
        }
        let mut all = self.redo(range, Which::Spread(TRIED), stayed, mover)?;
        if all.read > 0 && all.from_swap <= all.read / 4 && all.stayed() <= all.read / 2 {
            all.add(self.redo(range, Which::Rest, stayed, mover)?);
        }
        Ok(all)
    }

    /// Reads those of the pages of `range` that are out, and pages them out again.
    fn redo(
        &mut self,
        range: AddressRange,
        which: Which,
        stayed: &mut PageSetBuilder,
        mover: &mut dyn SwapOut,
    ) -> Result<Redone, ProcessError> {
        let is_told = mover.residence(&[range], &mut self.places)?;
        self.keep(&[range], which, |place| is_told && place == Residence::Swap);
        let Some(before) = self.memory.swapped_in().filter(|_| !self.out.is_empty()) else {
            return Ok(Redone::default());
        };
        self.reader.touch(&self.out)?;
        let asked = std::mem::take(&mut self.out);
        mover.residence(&asked, &mut self.places)?;
        // What cannot be read is still where it was.
        self.keep(&asked, Which::All, Residence::is_memory);
        let read: u64 = self.out.iter().map(AddressRange::bytes).sum();
        let from_swap = self.memory.swapped_in().map_or(read, |now| now.saturating_sub(before).min(read));
        if read == 0 {
            return Ok(Redone::default());
        }
        mover.swap_out(&self.out)?;
        let given = std::mem::take(&mut self.out);
        mover.residence(&given, &mut self.places)?;
        self.keep(&given, Which::All, Residence::is_memory);
        let there: u64 = self.out.iter().map(AddressRange::bytes).sum();
        self.out.iter().for_each(|range| stayed.add(*range));
        Ok(Redone { read, from_swap, out: read - there })
    }

    /// Of the pages of `ranges`, which are at `places`, keeps `which` of those that `are`.
    fn keep(&mut self, ranges: &[AddressRange], which: Which, are: impl Fn(Residence) -> bool) {
        let pages = ranges.iter().flat_map(|range| (range.start..range.end).step_by(4096));
        let pages: Vec<u64> =
            pages.zip(&self.places).filter(|(_, place)| are(**place)).map(|(at, _)| at).collect();
        self.out.clear();
        for at in which.of(&pages, &self.tried) {
            append(&mut self.out, AddressRange::new(at, at + PAGE_SIZE));
        }
        if let Which::Spread(_) = which {
            self.tried = which.of(&pages, &[]).collect();
        }
    }
}

#[cfg(test)]
mod tests;
