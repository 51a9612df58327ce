//! Limits at their full size: swap that is far too small for what is cold, and a program far too large to be looked at
//! at once.
//!
//! Swap that is short is tried once more on a machine of the laboratory, which has no memory to spare.

use std::num::NonZeroUsize;
use std::process::ExitCode;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use etmem_core::kernel::pacer::{Pace, Pacer};
use etmem_testkit::clock::WallClock;
use etmem_testkit::daemon::{Binaries, Daemon, ProjectFile, TaskKind};
use etmem_testkit::guest;
use etmem_testkit::laboratory::{self, Machine, trial};
use etmem_testkit::machine::{Need, counter, meminfo};
use etmem_testkit::pagemap::status_bytes;
use etmem_testkit::size::{MIB, PAGE};
use etmem_testkit::stage::{LIMIT, Stage};
use etmem_testkit::swap::SwapGuard;
use etmem_testkit::trial::{for_soak, run_in_turn, trial_or_skip};
use etmem_testkit::workload::pace::TICKS;
use etmem_testkit::workload::{Options, Sample, Workload};
use serde_json::Value;

const KERNEL: &str = "6.12";
const LABORATORY: Machine = Machine { memory: "2G", modules: &["zram", "lz4"], ..Machine::of(KERNEL) };

/// Swap, and what comes to it later.
const SWAP: usize = 256 * MIB;
const MORE: usize = 256 * MIB;
const COLD: usize = 2048 * MIB;
const HOT: usize = 64 * MIB;
/// On a machine of 2 GiB, which has little to spare then.
const COLD_INSIDE: usize = 1280 * MIB;
/// What `max_swap_use` is by default, in percent.
const SWAP_USE: usize = 80;

const LARGE: usize = 16 * 1024 * MIB;
/// More than can leave in a minute.
const LARGE_SWAP: usize = 2048 * MIB;
/// The program, its swap in memory, and everybody else.
const LARGE_NEEDS: usize = LARGE + 2 * 1024 * MIB;

fn main() -> ExitCode {
    if let Some(status) = guest::story(|_, binaries| swap_is_short(binaries, COLD_INSIDE)) {
        return status;
    }
    let small = [Need::Root, Need::Bpf, Need::SwapAlone(SWAP, MORE), Need::Memory(COLD + 4 * SWAP)];
    let large = [Need::Root, Need::Bpf, Need::Memory(LARGE_NEEDS), Need::Swap(LARGE_SWAP)];
    run_in_turn(vec![
        trial_or_skip("little_swap_for_much_that_is_cold", &small, || {
            swap_is_short(Binaries::build()?, COLD)
        }),
        trial(
            &for_soak(&format!("little_swap_for_much_that_is_cold_on_linux_{KERNEL}"), 3),
            laboratory::lacks(KERNEL).as_deref(),
            || guest::boot(LABORATORY, "swap_is_short"),
        )
        .with_ignored_flag(true),
        trial_or_skip(&for_soak("max_cpu_holds_for_16_gib", 2), &large, processor).with_ignored_flag(true),
    ])
}

/// How much longer than asked a thread sleeps, at worst: what a user at the machine would feel.
struct Felt {
    clock: Arc<WallClock>,
    thread: JoinHandle<Duration>,
}

impl Felt {
    const MOMENT: Duration = Duration::from_millis(10);

    fn begin() -> Self {
        let clock = Arc::new(WallClock::new());
        let shared = Arc::clone(&clock);
        let thread = thread::spawn(move || {
            let mut worst = Duration::ZERO;
            loop {
                let before = shared.now();
                if shared.pause(Self::MOMENT) == Pace::Stop {
                    return worst;
                }
                worst = worst.max((shared.now() - before).saturating_sub(Self::MOMENT));
            }
        });
        Self { clock, thread }
    }

    fn end(self) -> Result<Duration> {
        self.clock.stop();
        self.thread.join().map_err(|_| anyhow!("the thread that sleeps has panicked"))
    }
}

/// A stretch of the story: what the machine felt like, and that the program went on.
struct Stretch {
    name: &'static str,
    felt: Felt,
    sample: Sample,
}

impl Stretch {
    fn begin(name: &'static str, workload: &Workload) -> Self {
        Self { name, felt: Felt::begin(), sample: workload.sample() }
    }

    fn end(self, workload: &Workload) -> Result<()> {
        let took = self.felt.clock.now();
        let rate = workload.sample().rate_since(self.sample);
        println!(
            "{} ({:.1} s): a sleep of 10 ms took at most {:.1} ms more, {:.1} million touches a second",
            self.name,
            took.as_secs_f64(),
            self.felt.end()?.as_secs_f64() * 1e3,
            rate / 1e6
        );
        ensure!(rate > 0.0, "{}: the program does nothing", self.name);
        Ok(())
    }
}

fn swap_used() -> usize {
    meminfo("SwapTotal") - meminfo("SwapFree")
}

/// The guard, in bytes of the swap that there is now.
fn guard() -> usize {
    meminfo("SwapTotal") / 100 * SWAP_USE
}

/// How much more of swap the kernel may count as used than pages are in it: older kernels have two times 64 slots of swap
/// ready for each processor. The other MiB is for other programs.
fn slots_ready() -> usize {
    MIB + 2 * 64 * PAGE * thread::available_parallelism().map_or(1, NonZeroUsize::get)
}

/// The lines of warning about swap.
fn warnings(daemon: &Daemon) -> usize {
    let log = daemon.log();
    let said = |line: &&str| line.contains("WARN") && line.contains("of swap is in use");
    log.lines().filter(said).count()
}

/// The reason that the task gives for its only process, and the text for people.
fn reason(daemon: &Daemon) -> Result<(String, String)> {
    let task: Value = serde_json::from_str(&daemon.must(&["task", "show", "-n", "p", "--json"])?)?;
    let reason = &task["last_cycle"]["processes"][0]["reason"];
    Ok((reason["name"].as_str().unwrap_or_default().to_owned(), reason.to_string()))
}

fn swap_is_short(binaries: &Binaries, cold: usize) -> Result<()> {
    let clock = WallClock::new();
    let mut swap = SwapGuard::acquire_alone(SWAP)?;
    println!("swap: {}", swap.describe());
    let killed = counter("oom_kill");
    let mut workload = Workload::start(&binaries.hotcold, &Options::gentle(cold + HOT, HOT))?;
    let available = meminfo("MemAvailable") / MIB;
    println!("{:.1?}: {} MiB are filled, {available} MiB are available", clock.now(), (cold + HOT) / MIB);
    let daemon = Daemon::start(binaries)?;
    let stretch = Stretch::begin("before", &workload);
    ensure!(clock.pause(Duration::from_secs(3)) == Pace::Continue, "stopped");
    stretch.end(&workload)?;

    let stretch = Stretch::begin("while swap fills", &workload);
    daemon.add(&ProjectFile::brisk("p").task("t", TaskKind::Pid(workload.pid())).to_string())?;
    daemon.must(&["project", "start", "-n", "p"])?;
    let mut most = 0;
    for (round, name) in (1..).zip(["at the guard", "at the new guard"]) {
        let waited = clock.wait_until(2 * LIMIT, "it stops at the guard and says so", || {
            most = most.max(swap_used());
            Ok(warnings(&daemon) == round)
        });
        waited.with_context(|| format!("{} MiB are used, log:\n{}", swap_used() / MIB, daemon.log()))?;
        if round == 1 {
            println!("{:.1?}: it stopped at the guard", clock.now());
        } else {
            println!("{:.1?}: it went on, to the new guard", clock.now());
        }
        // Some cycles, in which more could leave.
        let cycles = || Ok::<_, anyhow::Error>(daemon.cycles("p")?["t"]);
        let before = cycles()?;
        clock.wait_until(2 * LIMIT, "three more cycles", || {
            most = most.max(swap_used());
            Ok(cycles()? >= before + 3)
        })?;
        let (reason, text) = reason(&daemon)?;
        println!(
            "{:.1?}: {name}: {} KiB used of {} KiB, at most {}, allowed {}; {text}",
            clock.now(),
            swap_used() >> 10,
            meminfo("SwapTotal") >> 10,
            most >> 10,
            guard() >> 10,
        );
        ensure!(most <= guard() + slots_ready(), "more than max_swap_use: log:\n{}", daemon.log());
        ensure!(swap_used() + 16 * MIB >= guard(), "it stopped too early, log:\n{}", daemon.log());
        ensure!(reason == "swap_use", "{text}");
        ensure!(warnings(&daemon) == round, "it is said once, log:\n{}", daemon.log());
        if round == 1 {
            println!("{:.1?}: {} more come to it", clock.now(), swap.grow(MORE)?);
        }
    }
    stretch.end(&workload)?;
    println!("{} MiB of the program are in swap", status_bytes(workload.pid(), "VmSwap")? / MIB);
    ensure!(counter("oom_kill") == killed, "the kernel killed a process for want of memory");
    daemon.must(&["project", "stop", "-n", "p"])?;
    let verified = workload.verify()?;
    ensure!(verified == cold + HOT, "{verified} bytes are as they were written");
    ensure!(counter("oom_kill") == killed, "the kernel killed a process for want of memory");
    println!("{:.1?}: no process was killed, {} MiB are as they were written", clock.now(), verified / MIB);
    Ok(())
}

fn processor() -> Result<()> {
    const PERCENT: f64 = 5.0;
    const MINUTE: Duration = Duration::from_secs(60);
    let stage = Stage::with_swap(LARGE_SWAP)?;
    let begin = stage.clock.now();
    let workload = stage.workload(&Options::new(LARGE, HOT))?;
    let pid = workload.pid();
    println!("{:.1?}: {} MiB are filled", stage.clock.now() - begin, LARGE / MIB);
    let file = ProjectFile::new("p").task_with("t", TaskKind::Pid(pid), &["T=1", "max_cpu=5"]);
    stage.daemon.add(&file.to_string())?;
    stage.daemon.must(&["project", "start", "-n", "p"])?;
    // Loading the probe is not the task's own doing.
    stage.pass(Duration::from_secs(2))?;
    let (start, ticks, swapped) =
        (stage.clock.now(), stage.daemon.processor_ticks()?, status_bytes(pid, "VmSwap")?);
    let (mut before, mut highest) = (ticks, 0.0_f64);
    for _ in 0..6 {
        stage.pass(MINUTE / 6)?;
        let now = stage.daemon.processor_ticks()?;
        highest = highest.max((now - before) as f64 / TICKS / 10.0 * 100.0);
        before = now;
    }
    let seconds = (stage.clock.now() - start).as_secs_f64();
    let percent = (stage.daemon.processor_ticks()? - ticks) as f64 / TICKS / seconds * 100.0;
    let left = status_bytes(pid, "VmSwap")?.saturating_sub(swapped);
    println!(
        "max_cpu=5, 16 GiB: {percent:.2} % of a processor over {seconds:.0} s, {highest:.1} % in the ten seconds that took \
         most; {} MiB left in them",
        left / MIB
    );
    let told = || stage.daemon.log();
    ensure!(percent <= PERCENT + 1.0, "{percent} % of a processor\nlog:\n{}", told());
    ensure!(left > 16 * MIB, "{left} bytes left\nlog:\n{}", told());
    ensure!(warnings(&stage.daemon) == 0, "it had nothing to do all the time, log:\n{}", told());
    Ok(())
}
