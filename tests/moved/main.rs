//! Moved means no longer resident, and a refault is a page that was read back: engine slide on programs whose memory this
//! machine's kernel keeps, frees or returns, against what `/proc/PID/pagemap` shows.

mod grown;
mod target;

use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use etmem_core::feedback::BackOff;
use etmem_core::kernel::Kernel;
use etmem_core::kernel::pacer::{Pace, Pacer};
use etmem_core::kernel::wishes::Wishes;
use etmem_core::plan::Ended;
use etmem_engine::figures::{FREED, MOVED, OUT, REFAULTED, SECOND_COPIES, STAYED};
use etmem_engine::slide::Scanned;
use etmem_engine::{Figures, ProcessReport, ScanLocks, TaskRunner, engine};
use etmem_linux::choice::Interfaces;
use etmem_linux::pacer::SystemPacer;
use etmem_linux::root::Roots;
use etmem_testkit::guest::{self, Story};
use etmem_testkit::laboratory::{self, Machine};
use etmem_testkit::machine::{Need, counter, meminfo};
use etmem_testkit::size::{MIB, PAGE};
use etmem_testkit::swap::{SwapGuard, areas};
use etmem_testkit::trial::{run_in_turn, trial_or_skip};
use grown::Grown;
use target::{HALF, PAGES, Target};

const SWAP: usize = 256 * MIB;
/// By how many pages a figure may differ from what pagemap shows. Pages that wait in the batch of a processor for the
/// kernel's lists (mm/swap.c, 31 of each) stay when they are asked to leave.
const ODD: u64 = 64;
/// Another kernel for what depends on how accessed bits and the swap cache are kept.
const MACHINE: Machine = Machine { modules: &["zram", "lz4"], ..Machine::of("6.12") };

const IN_GUEST: &[Story<SwapGuard>] = &[
    ("a_target_whose_accessed_bits_another_program_clears_on_6.12", |_| cleared_by_another()),
    ("what_a_child_has_read_is_in_swap_alone_again_on_6.12", |_| second_copies()),
];

fn main() -> ExitCode {
    let needs = [Need::Root, Need::Bpf, Need::Swap(SWAP), Need::Program("gcc")];
    let alone = [Need::Root, Need::Bpf, Need::SwapAlone(SWAP, 0), Need::Program("gcc")];
    if let Some(status) = guest::story(|name, _| guest::tell(IN_GUEST, name, || SwapGuard::acquire(SWAP))) {
        return status;
    }
    let usual = |name: &str, body: fn() -> Result<()>| {
        trial_or_skip(name, &needs, move || {
            let _swap = SwapGuard::acquire(SWAP)?;
            target::built()?;
            body()
        })
    };
    let missing = laboratory::lacks(MACHINE.kernel);
    let here = vec![
        usual("pages_shared_with_a_forked_child_stay_and_are_not_tried", || stays("shared", 0)),
        usual("pinned_pages_stay", || stays("pinned", 2)),
        usual("pages_of_nine_processes_are_counted_once", prefork),
        usual("nothing_leaves_while_a_child_is_young", young),
        usual("what_a_child_has_read_is_in_swap_alone_again", second_copies),
        usual("a_segment_of_shared_memory_is_said_not_to_be_looked_at", segment),
        usual("lazily_freed_pages_are_neither_moved_nor_refaulted", freed),
        usual("a_stop_in_the_middle_of_an_act_counts_what_left", stopped),
        usual("a_target_whose_accessed_bits_another_program_clears", cleared_by_another),
        trial_or_skip("swap_that_is_taken_away_in_mid_cycle", &alone, swap_off),
        trial_or_skip("compressed_memory_at_its_limit_takes_no_more", &alone, zram_limit),
    ];
    let commands = |stories: &[Story<SwapGuard>]| guest::commands(stories, vec![target::built()?]);
    let in_guest = guest::trials(MACHINE, IN_GUEST, commands, missing.as_deref(), str::to_owned);
    run_in_turn(here.into_iter().chain(in_guest).collect())
}

/// A task of slide in this process, over this machine.
struct Task {
    kernel: Kernel,
    work: Box<dyn TaskRunner>,
}

impl Task {
    fn new(target: &Target, lines: &str) -> Result<Self> {
        let text = format!(
            "[project]\nname=p\nscan_type=page\nloop=1\ninterval=1\nsleep=1\n[engine]\nproject=p\nname=slide\n\
             [task]\nproject=p\nengine=slide\nname=t\ntype=pid\nvalue={}\nT=1\nage=none\nmax_pressure=none\n{lines}\n",
            target.pid()
        );
        let file = etmem_config::parse(Path::new("moved.yaml"), &text, &etmem_engine::keys())?;
        let work =
            engine(&file.engines[0], &ScanLocks::default())?.work(&file.projects[0], &file.tasks[0])?;
        Ok(Self { kernel: Interfaces::new(Roots::default()).kernel(&Wishes::default())?.kernel, work })
    }

    /// The same, as if all children had been forked more than a minute ago.
    fn of_grown(target: &Target, lines: &str) -> Result<Self> {
        let Self { kernel, work } = Self::new(target, lines)?;
        Ok(Self {
            kernel: Kernel { processes: Arc::new(Grown(Arc::clone(&kernel.processes))), ..kernel },
            work,
        })
    }

    /// A cycle: the reports of all processes.
    fn cycle(&mut self, pacer: &dyn Pacer) -> Vec<ProcessReport> {
        self.work.step(&self.kernel, pacer).processes
    }
}

fn scanned(report: &ProcessReport) -> Result<&Scanned> {
    report.text.value::<Scanned>().with_context(|| format!("{report:?}"))
}

fn figures(reports: &[ProcessReport]) -> Figures {
    let mut sum = Figures::default();
    reports.iter().for_each(|report| sum.add_all(&report.figures));
    sum
}

/// Whether a figure is what was counted, but for a few pages.
fn agrees(name: &str, bytes: u64, pages: usize) -> Result<()> {
    let figure = bytes / PAGE as u64;
    ensure!(figure.abs_diff(pages as u64) <= ODD, "{name}: {figure} pages, pagemap shows {pages}");
    Ok(())
}

/// The first half of the target is kept by the kernel, though it accepts it: that is tried this number of times.
fn stays(role: &str, times: usize) -> Result<()> {
    let mut target = Target::start(role)?;
    let (mut task, pacer) = (Task::of_grown(&target, "")?, SystemPacer::new());
    let (mut moved, mut tried) = (0, Vec::new());
    for cycle in 0..5 {
        let before = target.residency()?.present;
        let reports = task.cycle(&pacer);
        let (figures, gone) = (figures(&reports), before - target.residency()?.present);
        // Beside its memory, a few pages of the program's own data leave as well.
        agrees("moved", figures.get(&MOVED).unwrap_or(0), gone)?;
        agrees("refaulted", figures.get(&REFAULTED).unwrap_or(0), 0)?;
        moved += gone;
        tried.push(figures.get(&MOVED).unwrap_or(0) + figures.get(&STAYED).unwrap_or(0));
        for report in &reports {
            ensure!(scanned(report)?.feedback.back_off == BackOff::None, "cycle {cycle}: {report:?}");
        }
    }
    ensure!(moved.abs_diff(HALF) <= 64, "{moved} of {HALF} pages have left");
    ensure!(target.residency_of(0)?.present == HALF, "the first half stays");
    let half = (HALF * PAGE) as u64;
    // In the first cycle the other half leaves as well.
    ensure!(tried[0] >= half, "{tried:?}");
    tried[0] -= half;
    ensure!(tried[..times].iter().all(|bytes| *bytes >= half), "what stays is tried: {tried:?}");
    ensure!(tried[times..].iter().all(|bytes| *bytes < half / 4), "and then left alone: {tried:?}");
    // What really left comes back: that, and nothing else, is a refault.
    let before = counter("pswpin");
    target.touch(0)?;
    target.touch(1)?;
    let back = counter("pswpin") - before;
    let figures = figures(&task.cycle(&pacer));
    agrees("refaulted", figures.get(&REFAULTED).unwrap_or(0), HALF)?;
    ensure!(back.abs_diff(HALF as u64) <= 8 * ODD, "{back} pages were read from swap");
    Ok(())
}

fn figure(figures: &Figures, name: &str) -> u64 {
    figures.amounts().find(|(row, _)| row.name == name).and_then(|(_, amount)| amount).unwrap_or(0)
}

/// What of the program's own data each process has, beside the memory of the test: libraries and the stack.
const OWN_PAGES: u64 = 64;

/// A server with eight forked children, which have all of its memory.
fn prefork() -> Result<()> {
    let mut target = Target::start("prefork")?;
    let (mut task, pacer) = (Task::of_grown(&target, "")?, SystemPacer::new());
    for _ in 0..3 {
        let reports = task.cycle(&pacer);
        ensure!(reports.len() == 9, "{reports:?}");
        let figures = figures(&reports);
        let (scanned, forked) = (figure(&figures, "scanned_bytes"), figure(&figures, "skipped_forked_bytes"));
        let there = (PAGES * PAGE) as u64;
        let most = 9 * OWN_PAGES * PAGE as u64;
        ensure!(scanned <= most, "{scanned} bytes are scanned of what nine processes share");
        ensure!(forked.abs_diff(there) <= most, "{forked} bytes are shared by copy-on-write, of {there}");
        // Pages of their own may stay as well, see `ODD`.
        ensure!(figures.get(&STAYED).unwrap_or(0) <= most, "none of it is tried: {figures:?}");
        for report in &reports {
            let reason = report.reason.as_ref().context("no reason")?;
            ensure!(reason.name.word() == "not_looked_at", "{reason:?}");
            ensure!(reason.text.contains("64 MiB shared by copy-on-write"), "{reason:?}");
        }
    }
    // What the parent writes to becomes its own, and leaves.
    target.touch_writing(0)?;
    let figures = (0..3).fold(Figures::default(), |mut sum, _| {
        sum.add_all(&figures(&task.cycle(&pacer)));
        sum
    });
    agrees("moved", figures.get(&MOVED).unwrap_or(0), target.residency()?.swapped)?;
    ensure!(target.residency_of(0)?.swapped as u64 + ODD >= HALF as u64, "the half that is its own is out");
    agrees("shared", figure(&figures, "skipped_forked_bytes"), PAGES)
}

/// A server and its children that were forked just now: not even what is the server's own leaves.
fn young() -> Result<()> {
    let mut target = Target::start("prefork")?;
    target.touch_writing(0)?;
    let (mut task, pacer) = (Task::new(&target, "")?, SystemPacer::new());
    for _ in 0..2 {
        let reports = task.cycle(&pacer);
        ensure!(reports.len() == 9, "{reports:?}");
        for report in &reports {
            let reason = report.reason.as_ref().context("no reason")?;
            ensure!(reason.name.word() == "just_forked", "{reason:?}");
            ensure!(report.feedback.is_some(), "it was looked at: {report:?}");
        }
        agrees("moved", figures(&reports).get(&MOVED).unwrap_or(0), 0)?;
    }
    ensure!(target.residency()?.swapped == 0, "all is in memory");
    Ok(())
}

/// A child reads what is out, as one that writes a snapshot does: it stays in the swap cache when the child is gone.
fn second_copies() -> Result<()> {
    let mut target = Target::start("plain")?;
    let (mut task, pacer) =
        (Task::new(&target, "max_rate=none\nmax_ratio=none\nmax_swap_use=100")?, SystemPacer::new());
    let mut cycle = || figures(&task.cycle(&pacer));
    let all = (PAGES * PAGE) as u64;
    let first = cycle();
    agrees("moved", first.get(&MOVED).unwrap_or(0), PAGES)?;
    ensure!(first.get(&SECOND_COPIES) == Some(0), "{first:?}");
    let cached = || meminfo("SwapCached") as u64;
    let before = cached();
    target.read_in_child()?;
    let there = cached().saturating_sub(before);
    ensure!(there > all / 2, "the kernel keeps both copies: {there} bytes");
    let swapped_in = counter("pswpin");
    let second = cycle();
    let left = cached().saturating_sub(before);
    println!("  {} MiB were in memory as well, {} are, {second:?}", there >> 20, left >> 20);
    ensure!(left < all / 16, "{left} of {there} bytes are still in memory");
    ensure!(counter("pswpin") - swapped_in < ODD, "nothing is read from swap for that");
    // No more than the swap cache has lost, by a figure that lags behind by what processors have not added to it yet
    // (`calculate_normal_threshold`, mm/vmstat.c: 125 pages of each at most).
    let freed = second.get(&SECOND_COPIES).unwrap_or(0);
    ensure!(freed <= all && freed >= all - 256 * PAGE as u64, "in swap alone: {freed} bytes of {all}");
    agrees("out", second.get(&OUT).unwrap_or(0), target.residency()?.swapped)?;
    // Neither moved again, nor refaults.
    agrees("moved", second.get(&MOVED).unwrap_or(0), 0)?;
    let third = cycle();
    agrees("refaulted", third.get(&REFAULTED).unwrap_or(0), 0)?;
    // Soon after, it stays: a child each minute would have all of it read and written again and again.
    target.read_in_child()?;
    ensure!(cycle().get(&SECOND_COPIES) == Some(0), "not again at once");
    Ok(())
}

/// A program with twice as much shared memory as memory of its own.
fn segment() -> Result<()> {
    let target = Target::start("segment")?;
    let (mut task, pacer) = (Task::new(&target, "")?, SystemPacer::new());
    for _ in 0..2 {
        let reports = task.cycle(&pacer);
        agrees("shared", figure(&figures(&reports), "skipped_shared_bytes"), 2 * PAGES)?;
        ensure!(
            reports[0].text.to_string().contains("not looked at: 128 MiB of shared memory"),
            "{reports:?}"
        );
    }
    ensure!(target.residency()?.present == 0, "its own memory has left");
    let reports = task.cycle(&pacer);
    let reason = reports[0].reason.as_ref().context("no reason")?;
    ensure!(reason.name.word() == "not_looked_at", "{reason:?}");
    ensure!(reason.text.contains("128 MiB of shared memory"), "{reason:?}");
    Ok(())
}

/// The first half of the target may be freed.
fn freed() -> Result<()> {
    let mut target = Target::start("freed")?;
    let (mut task, pacer) = (Task::new(&target, "max_refault=none")?, SystemPacer::new());
    let sum = figures(&task.cycle(&pacer));
    let (first, second) = (target.residency_of(0)?, target.residency_of(1)?);
    agrees("freed", sum.get(&FREED).unwrap_or(0), first.absent)?;
    agrees("moved", sum.get(&MOVED).unwrap_or(0), second.swapped)?;
    ensure!(first.absent > HALF / 2, "the kernel frees them: {first:?}");
    target.touch(0)?;
    agrees("refaulted", figures(&task.cycle(&pacer)).get(&REFAULTED).unwrap_or(0), 0)?;
    target.touch(1)?;
    agrees("refaulted", figures(&task.cycle(&pacer)).get(&REFAULTED).unwrap_or(0), second.swapped)
}

/// A clock that asks for a stop after a while of moving.
#[derive(Debug)]
struct StopsSoon {
    pacer: SystemPacer,
    after: Duration,
}

impl Pacer for StopsSoon {
    fn pause(&self, duration: Duration) -> Pace {
        let left = self.after.saturating_sub(self.now());
        if self.pacer.pause(duration.min(left)) == Pace::Stop || left < duration {
            return Pace::Stop;
        }
        Pace::Continue
    }

    fn pace(&self) -> Pace {
        if self.now() >= self.after { Pace::Stop } else { Pace::Continue }
    }

    fn now(&self) -> Duration {
        self.pacer.now()
    }
}

fn stopped() -> Result<()> {
    let target = Target::start("plain")?;
    let mut task = Task::new(&target, "max_rate=16m")?;
    let pacer = SystemPacer::new();
    let after = pacer.now() + Duration::from_millis(3500);
    let reports = task.cycle(&StopsSoon { pacer, after });
    let outcome = &scanned(&reports[0])?.outcome;
    ensure!(outcome.ended == Some(Ended::Stopped), "{outcome:?}");
    let swapped = target.residency()?.swapped;
    ensure!(swapped > 256 && swapped < PAGES, "stopped on the way: {swapped} pages are out");
    agrees("moved", figures(&reports).get(&MOVED).unwrap_or(0), swapped)
}

/// Writes to the target's `clear_refs` twenty times a second until this is true.
fn clear(pid: u32, stop: &AtomicBool) -> Result<()> {
    let clock = SystemPacer::new();
    while !stop.load(Ordering::Relaxed) {
        fs::write(format!("/proc/{pid}/clear_refs"), "1")?;
        let _ = clock.pause(Duration::from_millis(50));
    }
    Ok(())
}

/// All of the target is in use, and the accessed bits hardly show it.
fn cleared_by_another() -> Result<()> {
    let target = Target::start("runs")?;
    let (mut task, pacer) = (Task::new(&target, "max_refault=none")?, SystemPacer::new());
    let stop = AtomicBool::new(false);
    let (moved, reasons) = thread::scope(|scope| -> Result<_> {
        let clearing = scope.spawn(|| clear(target.pid(), &stop));
        let (mut moved, mut reasons) = (0, Vec::new());
        for _ in 0..10 {
            let reports = task.cycle(&pacer);
            moved += figures(&reports).get(&MOVED).unwrap_or(0);
            reasons.extend(reports.into_iter().filter_map(|report| report.reason));
        }
        stop.store(true, Ordering::Relaxed);
        match clearing.join() {
            Ok(result) => result?,
            Err(_) => bail!("the thread that clears has panicked"),
        }
        Ok((moved, reasons))
    })?;
    // A few pages of the program's own data are really cold.
    let most = (PAGES / 100) as u64 + ODD;
    ensure!(moved / PAGE as u64 <= most, "{} pages have left, at most {most} may", moved / PAGE as u64);
    let said = reasons.iter().filter(|reason| reason.name.word() == "probe_blind").count();
    ensure!(said >= 9, "it says why: {reasons:?}");
    println!("{} of {PAGES} pages in use have left in ten cycles", moved / PAGE as u64);
    Ok(())
}

fn swap_off() -> Result<()> {
    let _swap = SwapGuard::acquire_alone(SWAP)?;
    target::built()?;
    let target = Target::start("plain")?;
    let mut task = Task::new(&target, "max_rate=8m")?;
    let pacer = SystemPacer::new();
    let areas = areas()?;
    let area = areas.first().context("no swap")?;
    let reports = thread::scope(|scope| -> Result<_> {
        let away = scope.spawn(|| {
            let _ = SystemPacer::new().pause(Duration::from_secs(4));
            Command::new("swapoff").arg(&area.path).status()
        });
        let reports = task.cycle(&pacer);
        let status = away.join().map_err(|_| anyhow::anyhow!("the thread has panicked"))??;
        ensure!(status.success(), "swapoff: {status}");
        Ok(reports)
    })?;
    let reason = reports[0].reason.as_ref().context("no reason")?;
    ensure!(reason.name.word() == "no_swap" && reason.text.contains("swapoff"), "{reason:?}");
    agrees("stayed", figures(&reports).get(&STAYED).unwrap_or(0), 0)?;
    ensure!(target.residency()?.swapped == 0, "all of it is back");
    // Once there is swap again, what swapoff brought back is no refault.
    ensure!(Command::new("swapon").arg(&area.path).status()?.success(), "swapon");
    for _ in 0..2 {
        let reports = task.cycle(&pacer);
        agrees("refaulted", figures(&reports).get(&REFAULTED).unwrap_or(0), 0)?;
        ensure!(scanned(&reports[0])?.feedback.back_off == BackOff::None, "{reports:?}");
    }
    Ok(())
}

/// Compressed memory that may take 8 MiB, which is half of what the target needs at least.
fn zram_limit() -> Result<()> {
    let _swap = SwapGuard::acquire_alone(SWAP)?;
    target::built()?;
    let areas = areas()?;
    let path = &areas.first().context("no swap")?.path;
    let Some(name) = path.strip_prefix("/dev/zram") else { return Ok(()) };
    let file = |file: &str| format!("/sys/block/zram{name}/{file}");
    fs::write(file("mem_limit"), "8M")?;
    let target = Target::start("plain")?;
    let (mut task, pacer) = (Task::new(&target, "")?, SystemPacer::new());
    let mut said = Vec::new();
    for _ in 0..8 {
        let before = target.residency()?.swapped;
        let reports = task.cycle(&pacer);
        agrees("moved", figures(&reports).get(&MOVED).unwrap_or(0), target.residency()?.swapped - before)?;
        said.extend(reports.into_iter().filter_map(|report| report.reason).map(|reason| reason.name.word()));
    }
    ensure!(said.iter().all(|word| *word == "zram_limit"), "{said:?}");
    let (cached, out) = (meminfo("SwapCached"), target.residency()?.swapped * PAGE);
    ensure!(out > 4 * MIB, "{out} bytes are out");
    ensure!(cached < 2 * MIB, "{cached} bytes are in the swap cache");
    Ok(())
}
