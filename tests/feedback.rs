//! Doing no harm, on real memory: limits that hold, and guards that say what they do.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use etmem_core::kernel::pacer::Pacer;
use etmem_testkit::daemon::{ProjectFile, TaskKind};
use etmem_testkit::machine::Need;
use etmem_testkit::pagemap::status_bytes;
use etmem_testkit::size::MIB;
use etmem_testkit::stage::{LIMIT, Stage};
use etmem_testkit::trial::{run_in_turn, trial_or_skip};
use etmem_testkit::workload::Options;
use etmem_testkit::workload::pace::TICKS;

const SWAP: usize = 512 * MIB;

fn main() -> ExitCode {
    let needs = [Need::Root, Need::Bpf, Need::Swap(SWAP)];
    run_in_turn(vec![
        trial_or_skip("swap_is_filled_up_to_its_bound_and_no_further", &needs, bounded),
        trial_or_skip("max_rate_holds", &needs, rate),
        trial_or_skip("max_cpu_holds", &needs, processor),
    ])
}

fn bounded() -> Result<()> {
    let stage = Stage::with_swap(SWAP)?;
    let all = etmem_testkit::machine::meminfo("SwapTotal");
    let percent = 100 * 64 * MIB / all;
    let mut workload = stage.workload(&Options::gentle(256 * MIB, 16 * MIB))?;
    let pid = workload.pid();
    let line = format!("max_swap_use={percent}\nmax_refault=none");
    stage
        .daemon
        .add(&ProjectFile::brisk("p").task_with("t", TaskKind::Pid(pid), &["T=1", &line]).to_string())?;
    stage.daemon.must(&["project", "start", "-n", "p"])?;
    let said = || Ok(stage.daemon.log().contains(&format!("max_swap_use={percent} keeps the rest")));
    let waited = stage.clock.wait_until(LIMIT, "it says that swap is used enough", said);
    waited.with_context(|| format!("log:\n{}", stage.daemon.log()))?;
    let swapped = status_bytes(pid, "VmSwap")?;
    ensure!(swapped > 32 * MIB && swapped <= all / 100 * percent + MIB, "{swapped} bytes are in swap");
    stage.daemon.wait_for_cycles(LIMIT, "p", 3)?;
    let warnings = stage
        .daemon
        .log()
        .lines()
        .filter(|line| line.contains("WARN") && line.contains("of swap is in use"))
        .count();
    ensure!(warnings == 1, "said {warnings} times:\n{}", stage.daemon.log());
    ensure!(workload.verify()? == 256 * MIB);
    // Reading it back has made room, and the task goes on without a command.
    let again =
        || Ok(stage.daemon.log().matches("paged out").count() > 1 && status_bytes(pid, "VmSwap")? > 0);
    stage.clock.wait_until(LIMIT, "pages leave again", again)?;
    Ok(())
}

fn rate() -> Result<()> {
    let stage = Stage::with_swap(SWAP)?;
    let mut workload = stage.workload(&Options::gentle(256 * MIB, 16 * MIB))?;
    let pid = workload.pid();
    let file = ProjectFile::brisk("p").task_with("t", TaskKind::Pid(pid), &["T=1", "max_rate=32m"]);
    stage.daemon.add(&file.to_string())?;
    stage.daemon.must(&["project", "start", "-n", "p"])?;
    let swapped = || status_bytes(pid, "VmSwap");
    stage.clock.wait_until(LIMIT, "pages leave", || Ok(swapped()? > 0))?;
    let (start, before) = (stage.clock.now(), swapped()?);
    stage.clock.wait_until(LIMIT, "half of them are out", || Ok(swapped()? >= 120 * MIB))?;
    let seconds = (stage.clock.now() - start).as_secs_f64();
    let rate = (swapped()? - before) as f64 / seconds;
    // A batch and what the kernel takes at once may be ahead of the clock.
    ensure!(rate <= 32e6 * 1.048_576 * 1.25, "{rate} bytes a second\nlog:\n{}", stage.daemon.log());
    stage.wait_until_cold_is_out(workload.footprint())?;
    ensure!(workload.verify()? == 256 * MIB);
    Ok(())
}

fn processor() -> Result<()> {
    const PERCENT: f64 = 5.0;
    let stage = Stage::with_swap(SWAP)?;
    let workload = stage.workload(&Options::gentle(384 * MIB, 16 * MIB))?;
    let pid = workload.pid();
    let file = ProjectFile::brisk("p").task_with("t", TaskKind::Pid(pid), &["T=1", "max_cpu=5"]);
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
