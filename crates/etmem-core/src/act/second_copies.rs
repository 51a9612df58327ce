//! Pages that are out may be in memory as well: what a forked child reads comes to the swap cache, and stays there when the child has
//! ended, beside its copy in swap. The kernel takes such pages when memory is short, and no earlier. They belong to no mapping, so
//! nothing can ask for them as they are: they are read, which maps them, and paged out again.
//!
//! The kernel does not tell of which pages there are two copies. A page that is read without anything being read from swap had two.

use super::tools::Tools;
use crate::address::{AddressRange, BLOCK_SIZE, PAGE_SIZE, append, block_of};
use crate::kernel::memory::SystemMemory;
use crate::kernel::mover::{Residence, SwapOut};
use crate::kernel::pacer::Pace;
use crate::kernel::process::ProcessError;
use crate::kernel::reader::MemoryReader;
use std::time::Duration;

/// Places at which a few pages are tried first, and pages of each.
const PLACES: u64 = 16;
const PAGES: usize = 4;

/// What reads the pages, and says how much was read from swap.
#[derive(Debug)]
pub struct Reading<'a> {
    /// Reads them.
    pub reader: &'a mut dyn MemoryReader,
    /// Counts what is read from swap.
    pub memory: &'a dyn SystemMemory,
}

/// What came of a pass.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SecondCopies {
    /// Bytes that were in memory beside their copy in swap, and are not any more.
    pub freed: u64,
    /// How it ended.
    pub end: PassEnd,
}

/// How a pass ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum PassEnd {
    /// There is nothing more.
    #[default]
    Done,
    /// Next to nothing of it is in memory twice.
    None,
    /// It does not leave: others have it mapped.
    Mapped,
    /// Its time was over, or a stop came: the next goes on at this address.
    Later(u64),
}

/// What became of pages that were read and paged out again, in bytes.
#[derive(Debug, Clone, Copy, Default)]
struct Redone {
    read: u64,
    from_swap: u64,
    out: u64,
}

/// Has the pages of `ranges` from `resume` on that are in swap in memory no longer, until the clock is at `until`. From the beginning
/// on, some are tried first.
///
/// # Errors
/// When the process is gone, or the kernel refuses.
pub fn free_second_copies(
    ranges: &[AddressRange],
    resume: u64,
    until: Duration,
    Reading { reader, memory }: Reading<'_>,
    tools: &mut Tools<'_>,
) -> Result<SecondCopies, ProcessError> {
    let mut pass = Pass { reader, memory, places: Vec::new(), out: Vec::new() };
    let mut copies = SecondCopies::default();
    if resume == 0 {
        let mut tried = Redone::default();
        for place in places(ranges) {
            pass.find(place, PAGES, &mut *tools.mover)?;
            tried.add(pass.redo(tools)?);
        }
        copies.freed += tried.freed();
        if let Some(end) = tried.ends() {
            return Ok(SecondCopies { end, ..copies });
        }
    }
    for range in pieces(ranges, resume) {
        let wait = tools.throttle().wait(tools.pacer.now());
        if tools.pacer.now() + wait >= until || tools.pacer.pause(wait) == Pace::Stop {
            return Ok(SecondCopies { end: PassEnd::Later(range.start), ..copies });
        }
        pass.find(range, usize::MAX, &mut *tools.mover)?;
        let redone = pass.redo(tools)?;
        copies.freed += redone.freed();
        // A few pages say nothing of what follows.
        if let Some(end) = redone.ends().filter(|_| redone.read >= PLACES * PAGE_SIZE) {
            return Ok(SecondCopies { end, ..copies });
        }
    }
    Ok(copies)
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

    /// Why it is of no use to go on.
    fn ends(&self) -> Option<PassEnd> {
        if self.from_swap > self.read / 4 || self.read == 0 {
            Some(PassEnd::None)
        } else if self.out < self.read / 2 {
            Some(PassEnd::Mapped)
        } else {
            None
        }
    }
}

/// A pass under way.
struct Pass<'a> {
    reader: &'a mut dyn MemoryReader,
    memory: &'a dyn SystemMemory,
    places: Vec<Residence>,
    /// Pages that are out, as ranges.
    out: Vec<AddressRange>,
}

impl Pass<'_> {
    /// Looks which pages of `range` are out, no more than `most`.
    fn find(
        &mut self,
        range: AddressRange,
        most: usize,
        mover: &mut dyn SwapOut,
    ) -> Result<(), ProcessError> {
        self.out.clear();
        if mover.residence(&[range], &mut self.places)? {
            let pages = (range.start..range.end).step_by(4096).zip(&self.places);
            let out = pages.filter(|(_, place)| **place == Residence::Swap).take(most);
            for (at, _) in out {
                append(&mut self.out, AddressRange::new(at, at + PAGE_SIZE));
            }
        }
        Ok(())
    }

    /// Reads what was found, and pages it out again.
    fn redo(&mut self, tools: &mut Tools<'_>) -> Result<Redone, ProcessError> {
        let Some(before) = self.memory.swapped_in().filter(|_| !self.out.is_empty()) else {
            return Ok(Redone::default());
        };
        let read: u64 = self.out.iter().map(AddressRange::bytes).sum();
        let pacer = tools.pacer;
        self.reader.touch(&self.out)?;
        let from_swap = self.memory.swapped_in().map_or(read, |now| now.saturating_sub(before).min(read));
        let (start, processor) = (pacer.now(), pacer.processor_time());
        tools.mover.swap_out(&self.out)?;
        let (end, spent) = (pacer.now(), pacer.processor_time().saturating_sub(processor));
        let is_told = tools.mover.residence(&self.out, &mut self.places)?;
        let out = self.places.iter().filter(|place| is_told && **place == Residence::Swap).count();
        let out = out as u64 * PAGE_SIZE;
        tools.throttle().moved(start, end, spent, out);
        Ok(Redone { read, from_swap, out })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feedback::PageSetBuilder;
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
        /// What is read stays: another process has it mapped.
        is_mapped: bool,
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
            if !world.is_mapped {
                numbers(ranges).for_each(|page| (world.out[page], world.twice[page]) = (true, false));
            }
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
            Ok(MemoryState::default())
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

    fn pass(world: &Shared, pages: u64, resume: u64, until: Duration) -> SecondCopies {
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
        let reading = Reading { reader: &mut world.clone(), memory: world };
        // Two mappings, the first of which ends within a block.
        let cut = 700 * PAGE_SIZE;
        let ranges = [AddressRange::new(0, cut), AddressRange::new(cut, pages * PAGE_SIZE)];
        free_second_copies(&ranges, resume, until, reading, &mut tools).unwrap()
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
        let world = world(PAGES_IN_ALL, |page| page % 16 > 0);
        let World { out, twice, .. } = world.0.lock().unwrap().clone();
        let copies = pass(&world, PAGES_IN_ALL as u64, 0, ENDLESS);
        let count = twice.iter().filter(|twice| **twice).count() as u64;
        assert_eq!(copies, SecondCopies { freed: count * PAGE_SIZE, end: PassEnd::Done });
        let world = world.0.lock().unwrap();
        assert_eq!(world.out, out);
        assert!(world.twice.iter().all(|twice| !twice));
    }

    #[test]
    fn where_next_to_nothing_is_there_twice_little_is_read() {
        let world = world(PAGES_IN_ALL, |page| page < 40);
        let copies = pass(&world, PAGES_IN_ALL as u64, 0, ENDLESS);
        assert_eq!(copies.end, PassEnd::None);
        let read_back = world.0.lock().unwrap().read_back / PAGE_SIZE;
        assert!((1..=PLACES * PAGES as u64).contains(&read_back), "{read_back}");
        let none = Shared::default();
        none.0.lock().unwrap().out = vec![false; PAGES_IN_ALL];
        assert_eq!(pass(&none, PAGES_IN_ALL as u64, 0, ENDLESS).end, PassEnd::None, "none is out");
    }

    #[test]
    fn what_others_have_mapped_is_left_to_them() {
        let world = world(PAGES_IN_ALL, |_| true);
        world.0.lock().unwrap().is_mapped = true;
        let copies = pass(&world, PAGES_IN_ALL as u64, 0, ENDLESS);
        assert_eq!(copies, SecondCopies { freed: 0, end: PassEnd::Mapped });
        let out = world.0.lock().unwrap().out.iter().filter(|out| **out).count();
        assert!(PAGES_IN_ALL * 6 / 7 - out <= 64, "no more than was tried is read");
    }

    #[test]
    fn a_pass_goes_on_where_its_time_was_over() {
        let world = world(PAGES_IN_ALL, |_| true);
        let mut freed = 0;
        let (mut resume, mut passes) = (0, 0);
        loop {
            let until = world.0.lock().unwrap().now + Duration::from_secs(3);
            let copies = pass(&world, PAGES_IN_ALL as u64, resume, until);
            freed += copies.freed;
            passes += 1;
            let PassEnd::Later(at) = copies.end else {
                assert_eq!(copies.end, PassEnd::Done);
                break;
            };
            assert!(at > resume, "it goes on");
            resume = at;
        }
        assert!(passes > 2, "{passes}");
        assert_eq!(freed, (PAGES_IN_ALL as u64 - PAGES_IN_ALL.div_ceil(7) as u64) * PAGE_SIZE);
    }
}
