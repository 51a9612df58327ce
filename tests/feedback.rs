//! Doing no harm, on real memory: a hot set that jumps about, limits that hold, and guards that say what they do.
//!
//! `cargo test -p etmem-tests --test feedback -- --ignored` runs the long one, ten minutes: a program of 1 GiB whose hot
//! 128 MiB jump every 20 s for three minutes, untouched, without and with feedback.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use etmem_core::kernel::pacer::Pacer;
use etmem_testkit::daemon::{ProjectFile, TaskKind};
use etmem_testkit::machine::Need;
use etmem_testkit::pagemap::{stat_field, status_bytes};
use etmem_testkit::size::MIB;
use etmem_testkit::stage::{LIMIT, Stage};
use etmem_testkit::trial::{run_in_turn, trial_or_skip};
use etmem_testkit::workload::pace::TICKS;
use etmem_testkit::workload::{Mark, Options, Workload};

const SWAP: usize = 512 * MIB;
const LARGE_SWAP: usize = 1280 * MIB;
/// Least share of the untouched pace that is left with feedback.
const PACE: f64 = 0.9;

fn main() -> ExitCode {
    let needs = [Need::Root, Need::Bpf, Need::Swap(SWAP)];
    let large = [Need::Root, Need::Bpf, Need::Swap(LARGE_SWAP)];
    run_in_turn(vec![
        trial_or_skip("what_came_back_stays", &needs, || jumps(&SHORT)),
        trial_or_skip("a_hot_set_that_jumps_for_three_minutes [skipped: takes ten minutes]", &large, || {
            jumps(&LONG)
        })
        .with_ignored_flag(true),
        trial_or_skip("swap_is_filled_up_to_its_bound_and_no_further", &needs, bounded),
        trial_or_skip("max_rate_holds", &needs, rate),
        trial_or_skip("max_cpu_holds", &needs, processor),
    ])
}

/// A program whose hot part jumps.
struct Jumping {
    memory: usize,
    hot: usize,
    swap: usize,
    jumps: u32,
    every: Duration,
    /// Whether its pace is held against a bound: over a minute, a machine that does something else as well tells nothing.
    pace: bool,
}

const SHORT: Jumping = Jumping {
    memory: 128 * MIB,
    hot: 16 * MIB,
    swap: SWAP,
    jumps: 5,
    every: Duration::from_secs(6),
    pace: false,
};
const LONG: Jumping = Jumping {
    memory: 1024 * MIB,
    hot: 128 * MIB,
    swap: LARGE_SWAP,
    jumps: 9,
    every: Duration::from_secs(20),
    pace: true,
};

/// What a run told.
#[derive(Debug)]
struct Run {
    /// Touches in a second of its own processor time, over the same of another program that does the same.
    pace: f64,
    /// The same of touches in a second.
    rate: f64,
    fetched_back: u64,
    swapped: usize,
}

fn jumps(jumping: &Jumping) -> Result<()> {
    let untouched = run(jumping, None)?;
    let off = run(jumping, Some("max_refault=none"))?;
    let on = run(jumping, Some("max_refault=0.2"))?;
    for (name, run) in [("untouched", &untouched), ("feedback off", &off), ("feedback on", &on)] {
        println!(
            "{name:<13} touches {:>6.1} %, by processor time {:>6.1} %, fetched back {:>7} pages, in swap at the end {:>4} MiB",
            run.rate / untouched.rate * 100.0,
            run.pace / untouched.pace * 100.0,
            run.fetched_back,
            run.swapped / MIB
        );
    }
    ensure!(off.fetched_back > 0, "this is no test of feedback: {off:?}");
    // Without it, what came back goes again; with it, each page comes back once at most, and the last ones stay.
    // What is fetched back in so short a time depends on when the first surprises come; that less is out at the end does not.
    ensure!(on.swapped < off.swapped, "{on:?}, without feedback {off:?}");
    let kept = on.pace / untouched.pace;
    ensure!(
        !jumping.pace || kept >= PACE,
        "{kept:.3} of its pace, untouched {untouched:?}, with feedback {on:?}"
    );
    Ok(())
}

/// Both jump together; one of them is the target of a task with this line, where there is one.
fn run(jumping: &Jumping, line: Option<&str>) -> Result<Run> {
    let stage = Stage::with_swap(jumping.swap)?;
    let mut workload = stage.workload(&Options::new(jumping.memory, jumping.hot))?;
    let mut control = stage.workload(&Options::new(jumping.memory, jumping.hot))?;
    let pid = workload.pid();
    if let Some(line) = line {
        let file = ProjectFile::new("p").task_with("t", TaskKind::Pid(pid), &["T=1", line]);
        stage.daemon.add(&file.to_string())?;
        stage.daemon.must(&["project", "start", "-n", "p"])?;
        if !jumping.pace {
            // So that there is something to come back.
            stage.wait_until_cold_is_out(workload.footprint())?;
        }
    }
    let fetched = stat_field(pid, 12)?;
    let look = |one: &Workload| Mark::look(&stage.clock, one);
    let (before, control_before) = (look(&workload)?, look(&control)?);
    for _ in 0..jumping.jumps {
        stage.pass(jumping.every)?;
        workload.jump()?;
        control.jump()?;
    }
    let (after, control_after) = (look(&workload)?.since(before)?, look(&control)?.since(control_before)?);
    let fetched_back = stat_field(pid, 12)? - fetched;
    let swapped = status_bytes(pid, "VmSwap")?;
    if line.is_some_and(|line| line != "max_refault=none") {
        let log = stage.daemon.log();
        ensure!(log.contains("more came back than max_refault allows"), "log:\n{log}");
        ensure!(
            log.matches("WARN").filter(|_| log.contains("nothing moves")).count() <= 20,
            "it is said once:\n{log}"
        );
    }
    ensure!(workload.verify()? == jumping.memory);
    Ok(Run {
        pace: after.touches_per_processor_second() / control_after.touches_per_processor_second(),
        rate: after.touches / control_after.touches,
        fetched_back,
        swapped,
    })
}

fn bounded() -> Result<()> {
    let stage = Stage::with_swap(SWAP)?;
    let all = etmem_testkit::machine::meminfo("SwapTotal");
    let percent = 100 * 64 * MIB / all;
    let mut workload = stage.workload(&Options::new(256 * MIB, 16 * MIB))?;
    let pid = workload.pid();
    let line = format!("max_swap_use={percent}\nmax_refault=none");
    stage
        .daemon
        .add(&ProjectFile::new("p").task_with("t", TaskKind::Pid(pid), &["T=1", &line]).to_string())?;
    stage.daemon.must(&["project", "start", "-n", "p"])?;
    let said = || Ok(stage.daemon.log().contains(&format!("max_swap_use={percent} keeps the rest")));
    let waited = stage.clock.wait_until(LIMIT, "it says that swap is used enough", said);
    waited.with_context(|| format!("log:\n{}", stage.daemon.log()))?;
    let swapped = status_bytes(pid, "VmSwap")?;
    ensure!(swapped > 32 * MIB && swapped <= all / 100 * percent + MIB, "{swapped} bytes are in swap");
    stage.pass(Duration::from_secs(8))?;
    let warnings = stage
        .daemon
        .log()
        .lines()
        .filter(|line| line.contains("WARN") && line.contains("of swap is in use"))
        .count();
    ensure!(warnings == 1, "said {warnings} times:\n{}", stage.daemon.log());
    ensure!(workload.verify()? == 256 * MIB);
    // Reading it back has made room, and the task goes on by itself.
    let again =
        || Ok(stage.daemon.log().matches("paged out").count() > 1 && status_bytes(pid, "VmSwap")? > 0);
    stage.clock.wait_until(LIMIT, "pages leave again", again)?;
    Ok(())
}

fn rate() -> Result<()> {
    let stage = Stage::with_swap(SWAP)?;
    let mut workload = stage.workload(&Options::new(256 * MIB, 16 * MIB))?;
    let pid = workload.pid();
    let file = ProjectFile::new("p").task_with("t", TaskKind::Pid(pid), &["T=1", "max_rate=16m"]);
    stage.daemon.add(&file.to_string())?;
    stage.daemon.must(&["project", "start", "-n", "p"])?;
    let swapped = || status_bytes(pid, "VmSwap");
    stage.clock.wait_until(LIMIT, "pages leave", || Ok(swapped()? > 0))?;
    let (start, before) = (stage.clock.now(), swapped()?);
    stage.clock.wait_until(LIMIT, "half of them are out", || Ok(swapped()? >= 120 * MIB))?;
    let seconds = (stage.clock.now() - start).as_secs_f64();
    let rate = (swapped()? - before) as f64 / seconds;
    // A batch and what the kernel takes at once may be ahead of the clock.
    ensure!(rate <= 16e6 * 1.048_576 * 1.25, "{rate} bytes a second\nlog:\n{}", stage.daemon.log());
    stage.wait_until_cold_is_out(workload.footprint())?;
    ensure!(workload.verify()? == 256 * MIB);
    Ok(())
}

fn processor() -> Result<()> {
    const PERCENT: f64 = 5.0;
    let stage = Stage::with_swap(SWAP)?;
    let workload = stage.workload(&Options::new(384 * MIB, 16 * MIB))?;
    let pid = workload.pid();
    let file = ProjectFile::new("p").task_with("t", TaskKind::Pid(pid), &["T=1", "max_cpu=5"]);
    stage.daemon.add(&file.to_string())?;
    stage.daemon.must(&["project", "start", "-n", "p"])?;
    // Loading the probe is not the task's own doing.
    stage.clock.wait_until(LIMIT, "pages leave", || Ok(status_bytes(pid, "VmSwap")? > 0))?;
    let (start, ticks) = (stage.clock.now(), stage.daemon.processor_ticks()?);
    stage.pass(Duration::from_secs(20))?;
    let seconds = (stage.clock.now() - start).as_secs_f64();
    let percent = (stage.daemon.processor_ticks()? - ticks) as f64 / TICKS / seconds * 100.0;
    println!("max_cpu=5: {percent:.2} % of a processor over {seconds:.0} s, while pages leave");
    ensure!(percent <= PERCENT + 1.0, "{percent} % of a processor\nlog:\n{}", stage.daemon.log());
    ensure!(status_bytes(pid, "VmSwap")? > 8 * MIB, "log:\n{}", stage.daemon.log());
    Ok(())
}
