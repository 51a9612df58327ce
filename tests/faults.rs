//! What happens to targets, to the daemon and to the machine in the middle of a scan.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use etmem_testkit::daemon::{ProjectFile, TaskKind};
use etmem_testkit::machine::Need;
use etmem_testkit::pagemap::status_bytes;
use etmem_testkit::size::MIB;
use etmem_testkit::stage::{LIMIT, Stage};
use etmem_testkit::swap::{areas, guard};
use etmem_testkit::trial::{run_in_turn, trial_or_skip};
use etmem_testkit::workload::{Options, Workload};

const SWAP: usize = 256 * MIB;
const LARGE: usize = 1024 * MIB;
const LARGE_SWAP: usize = LARGE + LARGE / 4;
/// Clock ticks in a second (USER_HZ, the same on every x86-64 and arm64 kernel).
const TICKS: u64 = 100;

fn main() -> ExitCode {
    let scan = [Need::Root, Need::Bpf, Need::Swap(SWAP)];
    let large = [Need::Root, Need::Bpf, Need::Swap(LARGE_SWAP)];
    let no_swap = [Need::Root, Need::Bpf, Need::NoSwap];
    run_in_turn(vec![
        trial_or_skip("a_target_killed_in_mid_scan", &scan, killed),
        trial_or_skip("a_target_that_execs_in_mid_scan", &scan, execs),
        trial_or_skip("a_target_that_unmaps_half_in_mid_scan", &scan, unmaps),
        trial_or_skip("sigterm_in_mid_scan_ends_the_daemon_at_once", &scan, sigterm),
        trial_or_skip("project_stop_in_mid_scan_answers_at_once", &scan, stop),
        trial_or_skip("project_stop_at_any_moment_of_a_gib_answers_at_once", &large, stop_large),
        trial_or_skip("obj_del_in_mid_scan_answers_at_once", &scan, del),
        trial_or_skip("without_swap_nothing_spins_and_the_reason_is_told", &no_swap, without_swap),
    ])
}

/// A scan that lasts longer than any command or signal is waited for: what ends before it did not wait for it.
fn long() -> ProjectFile {
    ProjectFile { scans: 120, sleep: Duration::from_millis(200), ..ProjectFile::new("p") }
}

/// A scan that other steps wait for.
fn short() -> ProjectFile {
    ProjectFile { scans: 15, ..ProjectFile::brisk("p") }
}

/// A daemon that has looked at this workload for some of the times that `project` asks for.
fn in_mid_scan(project: ProjectFile) -> Result<(Stage, Workload)> {
    let stage = Stage::with_swap(SWAP)?;
    let workload = stage.workload(&Options::gentle(64 * MIB, 8 * MIB))?;
    // Armed, and once looked.
    let begun = project.sleep + project.interval * 3 / 2;
    stage.daemon.add(&project.task("t", TaskKind::Pid(workload.pid())).to_string())?;
    stage.daemon.must(&["project", "start", "-n", "p"])?;
    stage.pass(begun)?;
    Ok((stage, workload))
}

/// The daemon takes on another process and brings it to the end.
fn next_target_is_served(stage: &Stage) -> Result<()> {
    let mut next = stage.workload(&Options { seed: 2, ..Options::gentle(64 * MIB, 8 * MIB) })?;
    stage.daemon.add(&ProjectFile::brisk("next").task("t", TaskKind::Pid(next.pid())).to_string())?;
    stage.daemon.must(&["project", "start", "-n", "next"])?;
    stage.wait_until_cold_is_out(next.footprint())?;
    ensure!(next.verify()? == 64 * MIB);
    Ok(())
}

fn killed() -> Result<()> {
    let (stage, workload) = in_mid_scan(short())?;
    let pid = workload.pid().to_string();
    workload.kill()?;
    stage.daemon.wait_for_line(LIMIT, "the log says that the target exited", |line| {
        line.contains(&pid) && line.contains("exited")
    })?;
    next_target_is_served(&stage)?;
    let ended = stage.daemon.terminate()?;
    ensure!(ended.status == 0, "{ended:?}");
    Ok(())
}

fn execs() -> Result<()> {
    let (stage, mut workload) = in_mid_scan(short())?;
    let pid = workload.pid().to_string();
    workload.exec()?;
    stage.daemon.wait_for_line(LIMIT, "the log says that the target replaced its program", |line| {
        line.contains(&pid) && line.contains("exec")
    })?;
    next_target_is_served(&stage)?;
    // The program that it is now is served as well, from the start.
    stage.wait_until_cold_is_out(workload.footprint())?;
    ensure!(workload.verify()? == 32 * MIB);
    Ok(())
}

fn unmaps() -> Result<()> {
    let (stage, mut workload) = in_mid_scan(short())?;
    let pid = workload.pid().to_string();
    workload.unmap_half()?;
    next_target_is_served(&stage)?;
    stage.wait_until_cold_is_out(workload.footprint())?;
    stage.daemon.wait_for_line(LIMIT, "the log says what was done to the target", |line| {
        line.contains(&pid) && line.contains("paged out")
    })?;
    ensure!(workload.verify()? == 32 * MIB);
    Ok(())
}

fn sigterm() -> Result<()> {
    let (stage, workload) = in_mid_scan(long())?;
    let ended = stage.daemon.terminate()?;
    ensure!(ended.status == 0, "{ended:?}, log:\n{}", stage.daemon.log());
    nothing_was_paged_out(&stage, &workload)
}

/// The scan did not come to its end.
fn nothing_was_paged_out(stage: &Stage, workload: &Workload) -> Result<()> {
    let log = stage.daemon.log();
    ensure!(status_bytes(workload.pid(), "VmSwap")? == 0 && !log.contains("paged out"), "log:\n{log}");
    Ok(())
}

fn stop() -> Result<()> {
    let (stage, workload) = in_mid_scan(long())?;
    stage.daemon.must(&["project", "stop", "-n", "p"])?;
    nothing_was_paged_out(&stage, &workload)?;
    let resident = status_bytes(workload.pid(), "VmRSS")?;
    stage.pass(Duration::from_secs(3))?;
    ensure!(status_bytes(workload.pid(), "VmRSS")? >= resident, "a stopped project still pages out");
    stage.daemon.must(&["project", "start", "-n", "p"])?;
    Ok(())
}

/// With one scan a fifth of a second after the start, the moments fall into clearing, waiting, scanning, and paging out. Nothing leaves
/// once the task has stopped, and a stop while pages leave does not wait until all have left.
fn stop_large() -> Result<()> {
    let stage = Stage::with_swap(LARGE_SWAP)?;
    let mut workload = stage.workload(&Options::gentle(LARGE, LARGE / 8))?;
    let pid = workload.pid();
    let out = || status_bytes(pid, "VmSwap");
    let file = ProjectFile { scans: 1, ..ProjectFile::brisk("p") }.task("t", TaskKind::Pid(pid));
    stage.daemon.add(&file.to_string())?;
    let start = || stage.daemon.must(&["project", "start", "-n", "p"]);
    let stops = || stage.daemon.log().lines().filter(|line| line.ends_with(": stopped")).count();
    let stop = |moment: &str| -> Result<usize> {
        let before = stops();
        stage.daemon.must(&["project", "stop", "-n", "p"]).with_context(|| moment.to_owned())?;
        stage.clock.wait_until(LIMIT, "the task stops", || Ok(stops() > before))?;
        let left = out()?;
        stage.pass(Duration::from_millis(50))?;
        let later = out()?;
        ensure!(later <= left, "{moment}: {left} bytes had left when the task stopped, and {later} later");
        Ok(left)
    };
    for milliseconds in [0, 5, 10, 20, 50, 100, 200, 210, 220, 250, 300, 400] {
        start()?;
        stage.pass(Duration::from_millis(milliseconds))?;
        stop(&format!("after {milliseconds} ms"))?;
    }
    // All comes back, so that there is as much to page out as at the beginning.
    ensure!(workload.verify()? == LARGE);
    let before = out()?;
    start()?;
    stage.clock.wait_until(LIMIT, "pages leave", || Ok(out()? > before))?;
    let left = stop("while pages leave")?;
    ensure!(left < LARGE / 8 * 6, "{} MiB of {} MiB had left", left / MIB, LARGE / MIB);
    Ok(())
}

fn del() -> Result<()> {
    let (stage, workload) = in_mid_scan(long())?;
    let file = long().task("t", TaskKind::Pid(workload.pid()));
    let file = stage.daemon.write("p.conf", &file.to_string())?;
    stage.daemon.must(&["obj", "del", "-f", &file.display().to_string()])?;
    ensure!(stage.daemon.must(&["project", "show"])? == "no project exists\n\n");
    nothing_was_paged_out(&stage, &workload)
}

fn without_swap() -> Result<()> {
    // Others set up swap for their tests; it is gone once they let go of the lock.
    let _lock = guard::lock()?;
    ensure!(areas()?.is_empty(), "another program has set up swap meanwhile: {:?}", areas()?);
    let stage = Stage::without_swap()?;
    let workload = stage.workload(&Options::new(64 * MIB, 8 * MIB))?;
    stage.daemon.add(&ProjectFile::new("p").task("t", TaskKind::Pid(workload.pid())).to_string())?;
    let answer = stage.daemon.must(&["project", "start", "-n", "p"])?;
    ensure!(answer.contains("swap"), "the answer does not say that there is no swap: {answer:?}");
    let before = stage.daemon.processor_ticks()?;
    stage.pass(Duration::from_secs(10))?;
    let used = stage.daemon.processor_ticks()? - before;
    ensure!(used <= TICKS, "{used} ticks of processor time in 10 s\nlog:\n{}", stage.daemon.log());
    stage.daemon.wait_for_line(LIMIT, "the log says that there is no swap", |line| {
        line.contains("swap") && !line.contains("paged out")
    })?;
    let places = workload.footprint().places()?;
    ensure!(places.hot.swapped + places.cold.swapped == 0, "{places:?}");
    Ok(())
}
