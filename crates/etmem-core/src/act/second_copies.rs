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
mod tests {
    use super::*;
    use crate::kernel::memory::MemoryState;
    use crate::kernel::mover::Moved;
    use crate::kernel::pacer::Pacer;
    use crate::throttle::{Rate, Throttle};
    use std::sync::{Arc, Mutex};

    const IN_MEMORY: Residence = Residence::Memory { frame: 0, file: false, shared: false };

    /// Pages from address 0 on.
    #[derive(Debug, Clone, Default)]
    struct World {
        out: Vec<bool>,
        /// Which are in the swap cache, too.
        twice: Vec<bool>,
        /// What of it stays when it was read: another process has it mapped.
        mapped: Vec<bool>,
        /// What leaves is in the swap cache as before, as on a disk that has not written it yet.
        lingers: bool,
        /// Reading brings nothing.
        unreadable: bool,
        read_back: u64,
        now: Duration,
    }

    #[derive(Debug, Clone, Default)]
    struct Shared(Arc<Mutex<World>>);

    fn numbers(ranges: &[AddressRange]) -> impl Iterator<Item = usize> + '_ {
        ranges.iter().flat_map(|range| {
            (range.start..range.end).step_by(4096).map(|at| usize::try_from(at / PAGE_SIZE).unwrap())
        })
    }

    impl MemoryReader for Shared {
        fn touch(&mut self, ranges: &[AddressRange]) -> Result<(), ProcessError> {
            let mut world = self.0.lock().unwrap();
            if world.unreadable {
                return Ok(());
            }
            for page in numbers(ranges) {
                assert!(world.out[page], "what is there is not read");
                world.out[page] = false;
                world.read_back += if world.twice[page] { 0 } else { PAGE_SIZE };
            }
            Ok(())
        }

        fn read(&mut self, _: u64, _: &mut [u8]) -> Result<bool, ProcessError> {
            unreachable!("one byte is enough")
        }

        fn residence(&mut self, _: &[AddressRange], _: &mut Vec<Residence>) -> Result<(), ProcessError> {
            unreachable!("the mover tells")
        }
    }

    impl SwapOut for Shared {
        fn swap_out(&mut self, ranges: &[AddressRange]) -> Result<Moved, ProcessError> {
            let world = &mut *self.0.lock().unwrap();
            let lingers = world.lingers;
            let mapped = std::mem::take(&mut world.mapped);
            for page in numbers(ranges).filter(|page| !mapped.get(*page).is_some_and(|mapped| *mapped)) {
                (world.out[page], world.twice[page]) = (true, world.twice[page] && lingers);
            }
            world.mapped = mapped;
            Ok(Moved::default())
        }

        fn residence(
            &mut self,
            ranges: &[AddressRange],
            out: &mut Vec<Residence>,
        ) -> Result<bool, ProcessError> {
            let world = self.0.lock().unwrap();
            out.clear();
            out.extend(numbers(ranges).map(|page| if world.out[page] { Residence::Swap } else { IN_MEMORY }));
            Ok(true)
        }
    }

    impl SystemMemory for Shared {
        fn state(&self) -> Result<MemoryState, ProcessError> {
            let cached = self.0.lock().unwrap().twice.iter().filter(|twice| **twice).count();
            Ok(MemoryState { swap_cached: cached as u64 * PAGE_SIZE, ..MemoryState::default() })
        }

        fn swapped_in(&self) -> Option<u64> {
            Some(self.0.lock().unwrap().read_back)
        }
    }

    /// Each question for the time takes 100 ms.
    impl Pacer for Shared {
        fn pause(&self, _: Duration) -> Pace {
            Pace::Continue
        }

        fn pace(&self) -> Pace {
            Pace::Continue
        }

        fn now(&self) -> Duration {
            let mut world = self.0.lock().unwrap();
            world.now += Duration::from_millis(100);
            world.now
        }
    }

    fn pass(world: &Shared, pages: u64, until: Duration) -> SecondCopies {
        part_of_pass(world, pages, &mut Progress::default(), until)
    }

    fn part_of_pass(world: &Shared, pages: u64, progress: &mut Progress, until: Duration) -> SecondCopies {
        let throttle = Mutex::new(Throttle::new(Rate::Unlimited, None));
        let mut tools = Tools {
            mover: &mut world.clone(),
            probe: None,
            fresh_until: Duration::ZERO,
            throttle: &throttle,
            given: &mut PageSetBuilder::default(),
            kept: &mut PageSetBuilder::default(),
            pacer: world,
        };
        let reading = Reading { reader: &mut world.clone(), memory: world, out: pages * PAGE_SIZE };
        // Two mappings, the first of which ends within a block.
        let cut = 700 * PAGE_SIZE;
        let ranges = [AddressRange::new(0, cut), AddressRange::new(cut, pages * PAGE_SIZE)];
        free_second_copies(&ranges, progress, until, reading, &mut tools).unwrap()
    }

    fn world(pages: usize, twice: impl Fn(usize) -> bool) -> Shared {
        let out: Vec<bool> = (0..pages).map(|page| page % 7 > 0).collect();
        let twice = (0..pages).map(|page| out[page] && twice(page)).collect();
        Shared(Arc::new(Mutex::new(World { out, twice, ..World::default() })))
    }

    const PAGES_IN_ALL: usize = 9000;
    const ENDLESS: Duration = Duration::MAX;

    #[test]
    fn what_is_there_twice_is_in_swap_alone_afterwards() {
        let world = world(PAGES_IN_ALL, |page| page % 16 != 9);
        let World { out, twice, .. } = world.0.lock().unwrap().clone();
        let copies = pass(&world, PAGES_IN_ALL as u64, ENDLESS);
        let count = twice.iter().filter(|twice| **twice).count() as u64;
        assert_eq!((copies.freed, copies.end), (count * PAGE_SIZE, PassEnd::Done));
        assert!(copies.stayed.is_empty());
        let world = world.0.lock().unwrap();
        assert_eq!(world.out, out);
        assert!(world.twice.iter().all(|twice| !twice));
    }

    #[test]
    fn where_next_to_nothing_is_there_twice_little_is_read() {
        let world = world(PAGES_IN_ALL, |page| page < 40);
        let copies = pass(&world, PAGES_IN_ALL as u64, ENDLESS);
        assert_eq!(copies.end, PassEnd::None);
        let read_back = world.0.lock().unwrap().read_back / PAGE_SIZE;
        assert!((1..=PLACES * PAGES as u64).contains(&read_back), "{read_back}");
        let none = Shared::default();
        none.0.lock().unwrap().out = vec![false; PAGES_IN_ALL];
        assert_eq!(pass(&none, PAGES_IN_ALL as u64, ENDLESS).end, PassEnd::None, "none is out");
    }

    #[test]
    fn what_others_have_mapped_is_left_to_them() {
        let world = world(PAGES_IN_ALL, |_| true);
        world.0.lock().unwrap().mapped = vec![true; PAGES_IN_ALL];
        let copies = pass(&world, PAGES_IN_ALL as u64, ENDLESS);
        assert_eq!((copies.freed, copies.end), (0, PassEnd::Mapped));
        let out = world.0.lock().unwrap().out.clone();
        let stayed: Vec<usize> = numbers(&copies.stayed.into_ranges()).collect();
        let back: Vec<usize> = (0..PAGES_IN_ALL).filter(|page| page % 7 > 0 && !out[*page]).collect();
        assert!((1..=64).contains(&back.len()), "no more than was tried is read");
        assert_eq!(stayed, back);
    }

    #[test]
    fn what_was_tried_and_the_rest_are_all() {
        for count in [1, 3, 4, 5, 9, 10, 511, 512] {
            let pages: Vec<u64> = (0..count).collect();
            let tried: Vec<u64> = Which::Spread(TRIED).of(&pages, &[]).collect();
            assert_eq!(tried.len() as u64, count.min(TRIED as u64), "{count}");
            let mut both: Vec<u64> = Which::Rest.of(&pages, &tried).chain(tried.iter().copied()).collect();
            both.sort_unstable();
            assert_eq!(both, pages);
        }
    }

    #[test]
    fn blocks_of_which_nothing_is_there_twice_are_passed_over() {
        // Two blocks in three, a long run of them at the beginning.
        let is_twice = |page: usize| page > 4000 && !(page / 512).is_multiple_of(3);
        let world = world(PAGES_IN_ALL, is_twice);
        let count = world.0.lock().unwrap().twice.iter().filter(|twice| **twice).count() as u64;
        let copies = pass(&world, PAGES_IN_ALL as u64, ENDLESS);
        // Of a block that is twice in part, that part may be left.
        assert_eq!(copies.end, PassEnd::Done);
        assert!(copies.freed >= (count - 512) * PAGE_SIZE, "{} of {count} pages", copies.freed / PAGE_SIZE);
        let world = world.0.lock().unwrap();
        let in_vain = world.read_back / PAGE_SIZE;
        let tried = PLACES * PAGES as u64 + (PAGES_IN_ALL / 512 + 3) as u64 * TRIED as u64;
        assert!(in_vain <= tried + 512, "{in_vain}");
    }

    #[test]
    fn a_few_pages_of_others_end_no_pass() {
        let world = world(PAGES_IN_ALL, |_| true);
        world.0.lock().unwrap().mapped = (0..PAGES_IN_ALL).map(|page| page % 500 == 1).collect();
        let copies = pass(&world, PAGES_IN_ALL as u64, ENDLESS);
        assert_eq!(copies.end, PassEnd::Done);
        let world = world.0.lock().unwrap();
        let left = (0..PAGES_IN_ALL).filter(|page| world.twice[*page] && page % 500 != 1).count();
        assert_eq!(left, 0);
    }

    #[test]
    fn it_ends_where_the_swap_cache_does_not_get_smaller() {
        let world = world(PAGES_IN_ALL, |_| true);
        world.0.lock().unwrap().lingers = true;
        let copies = pass(&world, PAGES_IN_ALL as u64, ENDLESS);
        assert_eq!((copies.freed, copies.end), (0, PassEnd::None));
    }

    #[test]
    fn what_cannot_be_read_is_not_there_twice() {
        let world = world(PAGES_IN_ALL, |_| true);
        world.0.lock().unwrap().unreadable = true;
        let copies = pass(&world, PAGES_IN_ALL as u64, ENDLESS);
        assert_eq!((copies.freed, copies.end), (0, PassEnd::None));
    }

    #[test]
    fn a_pass_goes_on_where_its_time_was_over() {
        let world = world(PAGES_IN_ALL, |_| true);
        let (mut freed, mut passes, mut progress) = (0, 0, Progress::default());
        loop {
            let until = world.0.lock().unwrap().now + Duration::from_millis(7500);
            let before = progress.resume;
            let copies = part_of_pass(&world, PAGES_IN_ALL as u64, &mut progress, until);
            freed += copies.freed;
            passes += 1;
            if copies.end != PassEnd::Later {
                assert_eq!(copies.end, PassEnd::Done);
                break;
            }
            assert!(progress.resume > before, "it goes on");
        }
        assert!(passes > 1, "{passes}");
        assert_eq!(freed, (PAGES_IN_ALL as u64 - PAGES_IN_ALL.div_ceil(7) as u64) * PAGE_SIZE);
    }

    #[test]
    fn what_is_read_in_vain_is_bounded_however_short_its_parts_are() {
        // The trial finds enough, at the end; before that comes much of which nothing is there twice.
        let pages = 2_000_000;
        let world = world(pages, |page| page > 1_500_000);
        let (mut parts, mut progress) = (0, Progress::default());
        let end = loop {
            let until = world.0.lock().unwrap().now + Duration::from_secs(20);
            let copies = part_of_pass(&world, pages as u64, &mut progress, until);
            parts += 1;
            if copies.end != PassEnd::Later {
                break copies.end;
            }
        };
        assert!(parts > 10, "{parts}");
        assert_eq!(end, PassEnd::Done, "half of what is tried may be in vain, and it is less");
        let vain = world.0.lock().unwrap().read_back;
        assert!(vain <= VAIN + (pages as u64 * PAGE_SIZE) / VAIN_PART + (4 << 20), "{vain}");
    }
}
