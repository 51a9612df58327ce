//! One run: a fresh workload in a fresh group, under one contestant, looked at each second.

use std::env;
use std::time::Duration;

use anyhow::{Context, Result};
use etmem_core::kernel::pacer::Pacer;
use etmem_testkit::cgroup::ControlGroup;
use etmem_testkit::clock::WallClock;
use etmem_testkit::daemon::Binaries;
use etmem_testkit::pagemap::status_bytes;
use etmem_testkit::size::PAGE;
use etmem_testkit::swap::zram_used;

use crate::contestants::{Contestant, Stage};
use crate::workload::{Touches, Workload};

/// What a run came to, in bytes.
#[derive(Debug, Clone)]
pub(crate) struct Outcome {
    pub(crate) name: &'static str,
    /// Mean of what the group used less than at the start, and that without what zram took for it.
    pub(crate) saved: f64,
    pub(crate) saved_net: f64,
    /// What the workload had in memory at the end.
    pub(crate) resident: f64,
    pub(crate) refaulted: f64,
    /// Shares of the time in which the workload waited for memory, and for input and output.
    pub(crate) memory_some: f64,
    pub(crate) io_some: f64,
    /// Of the contestant.
    pub(crate) processor: Duration,
    pub(crate) touches: Touches,
}

/// The sum of time, in microseconds, of the line `some` of a file of PSI.
fn stalled(group: &ControlGroup, file: &str) -> Result<u64> {
    let text = group.text(file)?;
    let total = text.lines().next().and_then(|line| line.rsplit_once("total="));
    Ok(total.context("no total")?.1.parse()?)
}

/// One run of `contestant`, and what it logged.
pub(crate) fn one(
    contestant: &'static Contestant,
    round: u64,
    seconds: u64,
    binaries: &Binaries,
) -> Result<(Outcome, String)> {
    let clock = WallClock::new();
    let path = format!("compared/{}-{round}", contestant.name.replace(' ', "-"));
    let group = ControlGroup::new(&path)?;
    let folder = tempfile::tempdir()?;
    let mut workload = Workload::start(&group.starting(&env::current_exe()?, folder.path())?)?;
    // What it does is what it always does, once this has passed.
    let _ = clock.pause(Duration::from_secs(2));
    let counters = |group: &ControlGroup| -> Result<(usize, u64, u64, u64)> {
        let refaults = group.stat("workingset_refault_anon")? + group.stat("workingset_refault_file")?;
        Ok((
            refaults * PAGE,
            stalled(group, "memory.pressure")?,
            stalled(group, "io.pressure")?,
            zram_used()?,
        ))
    };
    let (start, before) = (group.number("memory.current")?, counters(&group)?);
    let stage = Stage { binaries, group: &path, pid: workload.pid() };
    let begun = clock.now();
    let contest = (contestant.start)(&stage)?;
    let (mut saved, mut net, mut looks) = (0.0, 0.0, 0.0);
    while clock.now() - begun < Duration::from_secs(seconds) {
        let _ = clock.pause(Duration::from_secs(1));
        let less = start as f64 - group.number("memory.current")? as f64;
        saved += less;
        net += less - (zram_used()? as f64 - before.3 as f64);
        looks += 1.0;
    }
    let passed = (clock.now() - begun).as_micros() as f64;
    let (after, resident) = (counters(&group)?, status_bytes(workload.pid(), "VmRSS")?);
    let outcome = Outcome {
        name: contestant.name,
        saved: saved / looks,
        saved_net: net / looks,
        resident: resident as f64,
        refaulted: (after.0 - before.0) as f64,
        memory_some: (after.1 - before.1) as f64 / passed,
        io_some: (after.2 - before.2) as f64 / passed,
        processor: contest.processor_time()?,
        touches: workload.touches()?,
    };
    let log = contest.log();
    contest.end()?;
    workload.end()?;
    // Its memory is taken from the group when the last of its processes is gone.
    clock.wait_until(Duration::from_secs(30), "the group is empty", || Ok(group.remove().is_ok()))?;
    Ok((outcome, log))
}
