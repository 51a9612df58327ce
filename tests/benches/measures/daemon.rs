//! What the daemon itself takes: while it scans, and while it has nothing to do.

use crate::report::Measure;
use crate::target::{GIB, scattered};
use anyhow::{Result, ensure};
use etmem_core::kernel::pacer::Pacer;
use etmem_linux::pacer::SystemPacer;
use etmem_testkit::daemon::{Binaries, Daemon, ProjectFile, TaskKind};
use etmem_testkit::pagemap::status_bytes;
use etmem_testkit::swap::SwapGuard;
use std::fs;
use std::time::Duration;

const MIB: f64 = (1 << 20) as f64;
const IDLE_WATCH: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(2);

/// Peak of anonymous memory, from before the first start of a task on: heap, stacks and all.
pub(crate) fn scanning() -> Result<Vec<Measure>> {
    // Nothing leaves with T=0, but without any swap there would be nothing to look for.
    let _swap = SwapGuard::acquire(GIB / 16)?;
    let daemon = Daemon::start(Binaries::build()?)?;
    let workload = scattered(4 * GIB)?;
    let mut project = ProjectFile::new("p").task_with("t", TaskKind::Pid(workload.pid()), &["T=0"]);
    // Six looks: counts go above 15, so each page takes a whole byte.
    project.scans = 6;
    daemon.add(&project.to_string())?;
    daemon.must(&["project", "start", "-n", "p"])?;
    let clock = SystemPacer::new();
    let mut peak = 0;
    while !daemon.log().contains("scanned") {
        peak = peak.max(status_bytes(daemon.pid(), "RssAnon")?);
        let _ = clock.pause(LOOK_EVERY);
        ensure!(clock.now() < Duration::from_secs(120), "no cycle ended: {}", daemon.log());
    }
    let pages = 4.0 * GIB as f64 / 4096.0;
    let peak_resident = status_bytes(daemon.pid(), "VmHWM")? as f64;
    daemon.terminate()?;
    let bound = (1.2 * pages + 8.0 * MIB) / MIB;
    Ok(vec![
        Measure::at_most("daemon: peak heap while it scans a 4 GiB process", peak as f64 / MIB, bound, "MiB"),
        Measure::told("  peak of all its resident memory, code included", peak_resident / MIB, "MiB"),
    ])
}

/// Resident memory and wake-ups of a daemon with no project started.
pub(crate) fn idle() -> Result<Vec<Measure>> {
    let daemon = Daemon::start(Binaries::build()?)?;
    let clock = SystemPacer::new();
    daemon.must(&["project", "show"])?;
    // The thread that answered lingers for 10 s before it ends.
    let _ = clock.pause(Duration::from_secs(12));
    let before = wake_ups(daemon.pid())?;
    let _ = clock.pause(IDLE_WATCH);
    let after = wake_ups(daemon.pid())?;
    let resident = status_bytes(daemon.pid(), "VmRSS")? as f64 / MIB;
    daemon.terminate()?;
    Ok(vec![
        Measure::at_most("daemon, no project started: resident memory", resident, 10.0, "MiB"),
        Measure::at_most("daemon, no project started: wake-ups in 60 s", (after - before) as f64, 0.0, ""),
    ])
}

/// Voluntary context switches of all threads so far.
fn wake_ups(pid: u32) -> Result<u64> {
    let mut sum = 0;
    for task in fs::read_dir(format!("/proc/{pid}/task"))? {
        let status = fs::read_to_string(task?.path().join("status"))?;
        let line = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
        sum += line.map_or(Ok(0), |count| count.trim().parse::<u64>())?;
    }
    Ok(sum)
}
