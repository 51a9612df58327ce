//! What the probe `bpf` sees.

use crate::target::{CONSTANT_PAGES, Mapped, Target};
use crate::{Outcome, trial};
use etmem_core::address::{AddressRange, BLOCK_SIZE, PAGE_SIZE};
use etmem_core::kernel::probe::{Access, AccessProbe, AccessSink, Block, ProbeSource};
use etmem_core::kernel::process::{ProcessError, ProcessId};
use etmem_linux::probe::bpf::Bpf;
use libtest_mimic::{Failed, Trial};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

pub(crate) fn trials(bpf: &Arc<Bpf>) -> Vec<Trial> {
    let here = |name, run: fn(&Bpf) -> Outcome| {
        let bpf = Arc::clone(bpf);
        trial(name, &Ok(()), move || run(&bpf))
    };
    let huge_pages = std::fs::read_to_string("/sys/kernel/mm/transparent_hugepage/enabled");
    let can_be_huge = match huge_pages {
        Ok(modes) if !modes.contains("[never]") => Ok(()),
        _ => Err("transparent huge pages are off".to_owned()),
    };
    let for_huge = Arc::clone(bpf);
    vec![
        here("touched pages are seen, others not", touched_pages),
        here("pages read and clean differ from pages written", clean_pages),
        here("the zero page and untouched pages are absent", zero_pages),
        trial("huge pages are seen whole", &can_be_huge, move || huge(&for_huge)),
        here("a sparse TiB", sparse),
        here("more ranges than one run takes", many_ranges),
        here("exec", exec),
        here("exit", exit),
        here("another process of the same pid", another_process),
        here("memory that comes and goes, several processes at once", churn),
    ]
}

/// All that a probe reported.
#[derive(Default)]
struct Seen {
    pages: BTreeMap<u64, Access>,
    huge: BTreeSet<u64>,
}

impl AccessSink for Seen {
    fn block(&mut self, start: u64, block: Block<'_>) {
        match block {
            Block::Pages(pages) => {
                for (page, access) in (0..).zip(pages).filter(|(_, access)| access.is_present()) {
                    self.pages.insert(start + page * PAGE_SIZE, *access);
                }
            }
            Block::Huge(access) => {
                self.huge.insert(start);
                self.pages.extend((0..512).map(|page| (start + page * PAGE_SIZE, access)));
            }
        }
    }
}

fn see(probe: &mut dyn AccessProbe, ranges: &[AddressRange]) -> Result<Seen, ProcessError> {
    let mut seen = Seen::default();
    probe.check(ranges, &mut seen)?;
    Ok(seen)
}

/// Clears, lets the target `touch`, and looks. Others (DAMON, reclaim) may clear an accessed bit between: what
/// differs from `want` is looked at again, but not for ever.
fn expect(
    probe: &mut dyn AccessProbe,
    target: &mut Target,
    ranges: &[AddressRange],
    touch: impl Fn(&mut Target),
    want: &BTreeMap<u64, Access>,
) -> Outcome {
    let mut wrong = Vec::new();
    for _ in 0..3 {
        target.forget_translations();
        probe.prepare(ranges)?;
        touch(target);
        let seen = see(probe, ranges)?.pages;
        if seen == *want {
            return Ok(());
        }
        wrong = want
            .keys()
            .chain(seen.keys())
            .filter(|address| want.get(address) != seen.get(address))
            .map(|address| (*address, want.get(address).copied(), seen.get(address).copied()))
            .collect();
    }
    Err(Failed::from(format!("{} pages differ, the first: {:x?}", wrong.len(), &wrong[..wrong.len().min(4)])))
}

/// Every page of `region`, idle, but written where `touched`.
fn written(region: Mapped, touched: impl Fn(usize) -> bool) -> BTreeMap<u64, Access> {
    (0..region.pages())
        .map(|page| (region.address(page), if touched(page) { Access::WRITTEN } else { Access::IDLE }))
        .collect()
}

fn touched_pages(bpf: &Bpf) -> Outcome {
    let mut target = Target::start();
    let region = target.map(64 << 20, "base");
    target.write(region, 0, 1, region.pages());
    let mut probe = bpf.attach(target.id())?;
    // What was written stays dirty, so that a later read counts as what it is: a use of a page with content.
    let mut want = written(region, |page| page % 3 == 1);
    let count = region.pages() / 3;
    let touch = |target: &mut Target| target.read(region, 1, 3, count);
    expect(&mut *probe, &mut target, &[region.range], touch, &want)?;
    // Of parts of blocks, those pages only.
    let ranges = [(3, 7), (9, 700), (1024, 1025), (5000, 9000)]
        .map(|(first, end)| AddressRange::new(region.address(first), region.address(end)));
    want.retain(|address, _| ranges.iter().any(|range| (range.start..range.end).contains(address)));
    expect(&mut *probe, &mut target, &ranges, touch, &want)?;
    let nowhere = AddressRange::new(0xffff_ffff_ff60_0000, 0xffff_ffff_ff60_1000);
    assert!(see(&mut *probe, &[nowhere])?.pages.is_empty());
    assert!(see(&mut *probe, &[])?.pages.is_empty());
    Ok(())
}

fn clean_pages(bpf: &Bpf) -> Outcome {
    let mut target = Target::start();
    let start = target.read_constant();
    let mut probe = bpf.attach(target.id())?;
    // The pages that lie in it whole.
    let first = start.next_multiple_of(PAGE_SIZE);
    let range = AddressRange::new(first, first + (CONSTANT_PAGES as u64 - 1) * PAGE_SIZE);
    let pages = || (range.start..range.end).step_by(4096);
    let idle = pages().map(|address| (address, Access::IDLE)).collect();
    expect(&mut *probe, &mut target, &[range], |_| (), &idle)?;
    let read = pages().map(|address| (address, Access::READ)).collect();
    let touch = |target: &mut Target| {
        target.read_constant();
    };
    expect(&mut *probe, &mut target, &[range], touch, &read)
}

fn zero_pages(bpf: &Bpf) -> Outcome {
    let mut target = Target::start();
    let region = target.map(4 << 20, "base");
    target.read(region, 0, 1, region.pages() / 2);
    let mut probe = bpf.attach(target.id())?;
    assert!(see(&mut *probe, &[region.range])?.pages.is_empty());
    target.write(region, 5, 1, 1);
    let seen = see(&mut *probe, &[region.range])?.pages;
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), [(region.address(5), Access::WRITTEN)]);
    Ok(())
}

fn huge(bpf: &Bpf) -> Outcome {
    let mut target = Target::start();
    let region = target.map(8 * BLOCK_SIZE, "huge");
    target.write(region, 0, 1, region.pages());
    let mut probe = bpf.attach(target.id())?;
    let huge = see(&mut *probe, &[region.range])?.huge;
    if huge.is_empty() {
        return Err("the kernel gave no huge page at all".into());
    }
    let one = *huge.first().ok_or("none")?;
    let index = usize::try_from((one - region.range.start) / PAGE_SIZE)?;
    let want: BTreeMap<u64, Access> =
        (0..512).map(|page| (one + page * PAGE_SIZE, Access::WRITTEN)).collect();
    let range = AddressRange::new(one, one + BLOCK_SIZE);
    let touch = |target: &mut Target| target.read(region, index + 77, 1, 1);
    expect(&mut *probe, &mut target, &[range], touch, &want)?;
    assert_eq!(see(&mut *probe, &[range])?.huge.len(), 1);
    // A part of it is no huge page.
    let part = see(&mut *probe, &[AddressRange::new(one + PAGE_SIZE, one + 3 * PAGE_SIZE)])?;
    assert!(part.huge.is_empty());
    assert_eq!(part.pages.into_keys().collect::<Vec<_>>(), [one + PAGE_SIZE, one + 2 * PAGE_SIZE]);
    Ok(())
}

fn sparse(bpf: &Bpf) -> Outcome {
    let mut target = Target::start();
    let region = target.map(1 << 40, "sparse");
    let pages = [0, 511, 512, 99_999_999, 200_000_001, region.pages() - 1];
    for page in pages {
        target.write(region, page, 1, 1);
    }
    let mut probe = bpf.attach(target.id())?;
    let want: Vec<u64> = pages.iter().map(|page| region.address(*page)).collect();
    for _ in 0..100 {
        let seen = see(&mut *probe, &[region.range])?.pages;
        assert_eq!(seen.into_keys().collect::<Vec<_>>(), want);
    }
    Ok(())
}

fn many_ranges(bpf: &Bpf) -> Outcome {
    let mut target = Target::start();
    let region = target.map(8 << 30, "sparse");
    // Two pages in every second block, of which one is asked for: 2,048 spans, as many tables.
    let step = 1024;
    let count = region.pages() / step;
    target.write(region, 7, step, count);
    target.write(region, 9, step, count);
    let mut probe = bpf.attach(target.id())?;
    let wanted: Vec<usize> = (0..count).map(|number| number * step + 9).collect();
    let ranges: Vec<AddressRange> = wanted
        .iter()
        .map(|page| AddressRange::new(region.address(*page), region.address(page + 1)))
        .collect();
    let want = wanted.iter().map(|page| (region.address(*page), Access::WRITTEN)).collect();
    expect(&mut *probe, &mut target, &ranges, |target| target.read(region, 9, step, count), &want)?;
    assert_eq!(see(&mut *probe, &[region.range])?.pages.len(), 2 * count);
    Ok(())
}

fn exec(bpf: &Bpf) -> Outcome {
    let mut target = Target::start();
    let region = target.map(4 << 20, "base");
    target.write(region, 0, 1, region.pages());
    let mut probe = bpf.attach(target.id())?;
    probe.prepare(&[region.range])?;
    target.exec();
    let seen = see(&mut *probe, &[region.range]);
    assert_eq!(seen.map(|seen| seen.pages), Err(ProcessError::Replaced));
    // The same process, so that a new watch is possible.
    see(&mut *bpf.attach(target.id())?, &[region.range])?;
    Ok(())
}

fn exit(bpf: &Bpf) -> Outcome {
    let mut target = Target::start();
    let region = target.map(4 << 20, "base");
    let process = target.id();
    let mut probe = bpf.attach(process)?;
    probe.prepare(&[region.range])?;
    target.end();
    let seen = see(&mut *probe, &[region.range]);
    assert_eq!(seen.map(|seen| seen.pages), Err(ProcessError::Exited));
    assert_eq!(probe.prepare(&[region.range]), Err(ProcessError::Exited));
    assert_eq!(bpf.attach(process).map(drop), Err(ProcessError::Exited));
    Ok(())
}

fn another_process(bpf: &Bpf) -> Outcome {
    let target = Target::start();
    let process = target.id();
    let earlier = ProcessId { start_time: process.start_time - 1, ..process };
    assert_eq!(bpf.attach(earlier).map(drop), Err(ProcessError::Exited));
    Ok(())
}

fn churn(bpf: &Bpf) -> Outcome {
    let mut targets = [Target::start(), Target::start()];
    std::thread::scope(|scope| {
        let watches = targets.each_mut().map(|target| {
            scope.spawn(move || -> Result<(), ProcessError> {
                let region = target.map(32 << 20, "base");
                target.write(region, 0, 2, region.pages() / 2);
                target.churn();
                let mut probe = bpf.attach(target.id())?;
                let want: Vec<u64> =
                    (0..region.pages()).step_by(2).map(|page| region.address(page)).collect();
                for _ in 0..50 {
                    probe.prepare(&[region.range])?;
                    let seen = see(&mut *probe, &[region.range])?.pages;
                    assert_eq!(seen.into_keys().collect::<Vec<_>>(), want);
                    see(&mut *probe, &[AddressRange::new(0, u64::MAX)])?;
                }
                Ok(())
            })
        });
        for watch in watches {
            watch.join().map_err(|_| "a watch panicked")??;
        }
        Ok(())
    })
}
