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

    fn residence(&mut self, ranges: &[AddressRange], out: &mut Vec<Residence>) -> Result<bool, ProcessError> {
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
