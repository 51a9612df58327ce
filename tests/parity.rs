//! The probes and movers of openEuler's modules beside those of a stock kernel.
//!
//! The modules cannot be loaded here, and BPF reads no scripted machine. So both probes look at one program of touches: `etmem`
//! through a scripted machine that plays it and keeps translations cached, `bpf` in real memory in which this program plays it.
//! The mover `etmem` runs on a scripted machine whose module keeps a third of what it is given.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use etmem_core::address::AddressRange;
use etmem_core::feedback::BackOff;
use etmem_core::heat::{Entry, HeatMap, HeatUpdate};
use etmem_core::kernel::pacer::Pacer;
use etmem_core::kernel::probe::{AccessProbe, ProbeSource};
use etmem_core::kernel::process::Pid;
use etmem_core::kernel::wishes::{Mover, ScanWishes, Tracker, Wishes};
use etmem_engine::figures::{MOVED, REFAULTED, STAYED};
use etmem_engine::slide::Scanned;
use etmem_engine::{Figures, ScanLocks, engine};
use etmem_linux::choice::Interfaces;
use etmem_linux::probe::bpf::Bpf;
use etmem_linux::probe::etmem::Etmem;
use etmem_linux::process::table::Processes;
use etmem_linux::root::{ProcRoot, Roots, SysRoot};
use etmem_testkit::fake::proc::FakeProc;
use etmem_testkit::fake::proc::handle::HandClock;
use etmem_testkit::fake::proc::script::{
    Doing, Life, Script, ScriptedMapping, ScriptedProcess, Segment, Touch, When,
};
use etmem_testkit::machine::Need;
use etmem_testkit::trial::{run_side_by_side, trial_or_skip};
use memmap2::{Advice, MmapMut};

const PAGE: usize = 4096;
/// Observation windows, and groups of pages, each with a rule of its own.
const WINDOWS: usize = 6;
const GROUPS: [[bool; WINDOWS]; 8] = {
    const T: bool = true;
    const F: bool = false;
    [
        [T, T, T, T, T, T],
        [F, F, F, F, F, F],
        [T, F, T, F, T, F],
        [T, F, F, F, F, F],
        [F, F, F, F, F, T],
        [F, T, T, F, F, F],
        [T, T, T, F, F, F],
        [F, F, F, T, T, T],
    ]
};
/// Pages of a group: a block and a part of one.
const PAGES: usize = 700;

const PID: u32 = 3_000_000;
const START: u64 = 0x7000_0000_0000;
/// A touch comes in the middle of a window.
const WINDOW: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    let fake = [Need::Root, Need::FakeProc];
    let both = [Need::Root, Need::FakeProc, Need::Bpf];
    run_side_by_side(
        2,
        vec![
            trial_or_skip("etmem_and_bpf_see_the_same_hot_sets", &both, hot_sets),
            trial_or_skip("what_the_module_keeps_has_not_moved", &fake, keeps_a_third),
        ],
    )
}

/// What `probe` counts of each page of `range` in the windows; `play` lets a window pass.
fn counted(
    probe: &mut dyn AccessProbe,
    range: AddressRange,
    mut play: impl FnMut(usize),
) -> Result<Vec<Option<u16>>> {
    let ranges = [range];
    let mut heat = HeatMap::default();
    probe.prepare(&ranges)?;
    for window in 0..WINDOWS {
        play(window);
        let mut update = HeatUpdate::new(heat);
        probe.check(&ranges, &mut update)?;
        heat = update.finish();
        probe.prepare(&ranges)?;
    }
    Ok(by_page(&heat, range))
}

/// The counts of `range`, page by page; none of those that are not in memory.
fn by_page(heat: &HeatMap, range: AddressRange) -> Vec<Option<u16>> {
    let page_of = |at: u64| usize::try_from(at / PAGE as u64).unwrap_or(usize::MAX);
    let mut pages = vec![None; page_of(range.bytes())];
    let mut set = |address: u64, count: u16| {
        if let Some(page) = address.checked_sub(range.start).and_then(|at| pages.get_mut(page_of(at))) {
            *page = Some(count);
        }
    };
    let mut cursor = heat.cursor();
    while let Some((start, entry)) = cursor.next() {
        match entry {
            Entry::Pages { blocks, count } | Entry::Huge { blocks, count } => {
                (0..blocks * 512).for_each(|page| set(start + page * PAGE as u64, count));
            }
            Entry::Mixed => {
                for (page, count) in (0u64..).zip(cursor.counts().0) {
                    if count != etmem_core::heat::ABSENT {
                        set(start + page * PAGE as u64, count);
                    }
                }
            }
        }
    }
    pages
}

/// Each page counts 3 for each window in which it was written.
fn wanted() -> Vec<Option<u16>> {
    let group = |group: &[bool; WINDOWS]| Some(group.iter().map(|touched| 3 * u16::from(*touched)).sum());
    GROUPS.iter().flat_map(|of| std::iter::repeat_n(group(of), PAGES)).collect()
}

/// A page's life: written by the first beat of each window that its group names.
fn life(group: &[bool; WINDOWS]) -> Life {
    let doing = |touched: bool| {
        Life::of(Doing::Present {
            touch: if touched { Touch::Every(WINDOW) } else { Touch::Never },
            writes: true,
        })
    };
    let first = doing(group[0]);
    (1u32..).zip(&group[1..]).fold(first, |life, (window, touched)| {
        life.then(When::Time(WINDOW / 2 + WINDOW * window), &doing(*touched))
    })
}

fn seen_by_etmem() -> Result<Vec<Option<u16>>> {
    let segments = GROUPS.iter().map(|group| Segment::solid(PAGES as u64, life(group))).collect();
    let process = ScriptedProcess::new(PID, "played", vec![ScriptedMapping::private(START, segments)]);
    ensure!(process.caches_translations);
    let clock = Arc::new(HandClock::default());
    let fake = FakeProc::mount_with_clock(Script::new(vec![process]), Arc::clone(&clock) as Arc<dyn Pacer>)?;
    let proc = ProcRoot::new(fake.root());
    let id = Processes::new(proc.clone()).identify(Pid::new(PID).context("a number")?)?;
    let mut probe = Etmem::detect(&proc, ScanWishes::default())?.attach(id)?;
    let range = AddressRange::new(START, START + (GROUPS.len() * PAGES * PAGE) as u64);
    clock.pass(WINDOW / 2);
    let counted = counted(&mut *probe, range, |_| clock.pass(WINDOW))?;
    ensure!(fake.violations().is_empty(), "{:?}", fake.violations());
    Ok(counted)
}

/// Memory of this process in which groups of pages are written.
struct Played(MmapMut);

impl Played {
    fn new() -> Result<Self> {
        let mut memory = MmapMut::map_anon(GROUPS.len() * PAGES * PAGE)?;
        memory.advise(Advice::NoHugePage)?;
        memory.iter_mut().step_by(PAGE).for_each(|byte| *byte = 1);
        Ok(Self(memory))
    }

    fn range(&self) -> AddressRange {
        let start = self.0.as_ptr() as u64;
        AddressRange::new(start, start + self.0.len() as u64)
    }

    /// Window number `window` of the program of touches.
    fn play(&mut self, window: usize) {
        forget_translations();
        for (memory, group) in self.0.chunks_exact_mut(PAGES * PAGE).zip(&GROUPS) {
            if group[window] {
                memory.iter_mut().step_by(PAGE).for_each(|byte| *byte = byte.wrapping_add(1));
            }
        }
    }
}

/// More pages than the kernel drops from the translation buffer one by one: it drops all (`arch/x86/mm/tlb.c`).
fn forget_translations() {
    if let Ok(mut scratch) = MmapMut::map_anon(64 * PAGE) {
        scratch.iter_mut().step_by(PAGE).for_each(|byte| *byte = 1);
    }
}

fn hot_sets() -> Result<()> {
    let wanted = wanted();
    let etmem = seen_by_etmem()?;
    ensure!(etmem == wanted, "etmem: {}", difference(&etmem, &wanted));
    let bpf = Bpf::detect(&ProcRoot::default(), &SysRoot::default())?;
    let own =
        Processes::new(ProcRoot::default()).identify(Pid::new(std::process::id()).context("a number")?)?;
    let mut played = Played::new()?;
    let mut said = String::new();
    // Others (DAMON, reclaim) may clear an accessed bit, or scan it, between: then once more, but not for ever.
    for _ in 0..5 {
        let mut probe = bpf.attach(own)?;
        let range = played.range();
        let bpf = counted(&mut *probe, range, |window| played.play(window))?;
        if bpf == etmem {
            return Ok(());
        }
        said = difference(&bpf, &etmem);
    }
    anyhow::bail!("bpf, beside etmem: {said}")
}

fn difference(got: &[Option<u16>], want: &[Option<u16>]) -> String {
    let pages: Vec<usize> = (0..want.len()).filter(|page| got.get(*page) != want.get(*page)).collect();
    let first = pages.first().map(|page| (page, got.get(*page), want.get(*page)));
    format!("{} of {} pages differ, the first: {first:?}", pages.len(), want.len())
}

/// Of three pages that the module is given it keeps one; of those that left, a part is used again later.
fn keeps_a_third() -> Result<()> {
    const COLD: u64 = 3000;
    const LATER: u64 = 600;
    let written = Life::of(Doing::Present { touch: Touch::Every(WINDOW), writes: true });
    let later = Life::cold().then(When::Time(Duration::from_secs(60)), &written);
    let segments = vec![Segment::solid(COLD, Life::cold()), Segment::solid(LATER, later)];
    let mapping = ScriptedMapping::private(START, segments);
    let process = ScriptedProcess { keeps_one_in: 3, ..ScriptedProcess::new(PID, "kept", vec![mapping]) };
    let clock = Arc::new(HandClock::default());
    let fake = FakeProc::mount_with_clock(Script::new(vec![process]), Arc::clone(&clock) as Arc<dyn Pacer>)?;
    let text = format!(
        "[project]\nname=p\nscan_type=page\nloop=1\ninterval=1\nsleep=1\n[engine]\nproject=p\nname=slide\n\
         [task]\nproject=p\nengine=slide\nname=t\ntype=pid\nvalue={PID}\nT=1\nage=none\nmax_pressure=none\n\
         tracker=etmem\nmover=etmem\nmax_refault=none\n"
    );
    let file = etmem_config::parse(Path::new("parity.yaml"), &text, &etmem_engine::keys())?;
    let mut work =
        engine(&file.engines[0], &ScanLocks::default())?.work(&file.projects[0], &file.tasks[0])?;
    let roots = Roots { proc: ProcRoot::new(fake.root()), ..Roots::default() };
    let wishes = Wishes { tracker: Tracker::Etmem, mover: Mover::Etmem, ..Wishes::default() };
    let kernel = Interfaces::new(roots).kernel(&wishes)?.kernel;

    let mut sum = Figures::default();
    let mut cycle = |number: usize| -> Result<Scanned> {
        let before = fake.counts(PID);
        let report = work.step(&kernel, &*clock).processes.into_iter().next().context("no process")?;
        clock.pass(Duration::from_secs(2));
        let after = fake.counts(PID);
        let figure = |row| report.figures.get(row).unwrap_or(0) / PAGE as u64;
        let (moved, stayed) = (figure(&MOVED), figure(&STAYED));
        let told = (after.paged_out - before.paged_out, after.skipped - before.skipped);
        ensure!(
            (moved, stayed) == told,
            "cycle {number}: {moved} moved and {stayed} stayed, the module: {told:?}"
        );
        sum.add_all(&report.figures);
        let scanned = report.text.value::<Scanned>().with_context(|| format!("{report:?}"))?;
        ensure!(scanned.feedback.back_off == BackOff::None, "{:?}", scanned.feedback);
        Ok(scanned.clone())
    };
    let first = cycle(0)?.outcome;
    let pages = |bytes: u64| bytes / PAGE as u64;
    let all = COLD + LATER;
    ensure!((pages(first.applied), pages(first.stayed)) == (2 * all / 3, all / 3), "{first:?}");
    for number in 1..40 {
        let outcome = cycle(number)?.outcome;
        ensure!(number == 1 || number > 16 || outcome.tried == 0, "what stays is left alone: {outcome:?}");
    }
    ensure!(clock.now() > Duration::from_secs(70), "the later pages are in use");
    let (back, refaulted) = (fake.counts(PID).came_back, pages(sum.get(&REFAULTED).unwrap_or(0)));
    ensure!(back == 2 * LATER / 3 && refaulted == back, "{back} pages came back, {refaulted} refaulted");
    let out: u64 = fake.out(PID).iter().map(|range| pages(range.end - range.start)).sum();
    ensure!(pages(sum.get(&MOVED).unwrap_or(0)) - refaulted == out, "{out} pages are out");
    Ok(())
}
