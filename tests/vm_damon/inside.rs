//! What the stories share: swap, a daemon, programs with a hot and a cold part, and DAMON's files.

use std::fmt;
use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use etmem_core::kernel::pacer::{Pace, Pacer};
use etmem_testkit::clock::WallClock;
use etmem_testkit::daemon::{Binaries, Daemon};
use etmem_testkit::pagemap::Residency;
use etmem_testkit::size::MIB;
use etmem_testkit::swap::SwapGuard;
use etmem_testkit::workload::{Options, Workload};
use serde_json::Value;

pub(crate) const KDAMONDS: &str = "/sys/kernel/mm/damon/admin/kdamonds";
pub(crate) const MEMORY: usize = 64 * MIB;
/// The hot part: one piece at the start of each half of the memory.
pub(crate) const HOT: usize = 16 * MIB;
const SWAP: usize = 256 * MIB;

/// Many times what it takes, where every instruction is emulated on a machine that does something else meanwhile.
pub(crate) const LIMIT: Duration = Duration::from_secs(120);

/// The pattern of `etc/etmem/damon.yaml`: idle for 100 intervals of 0.1 s.
pub(crate) const SAMPLE: &str =
    "min_size=4096\nmax_size=1099511627776\nmin_acc=0\nmax_acc=0\nmin_age=100\nmax_age=100000\n";

/// The machine that a story happens in.
pub(crate) struct Inside {
    pub(crate) binaries: Binaries,
    pub(crate) clock: WallClock,
    _swap: SwapGuard,
}

impl fmt::Debug for Inside {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Inside").finish_non_exhaustive()
    }
}

impl Inside {
    pub(crate) fn new(binaries: &Binaries) -> Result<Self> {
        let clock = WallClock::new();
        if kdamonds()? != "0" {
            // The daemon of a story that failed was killed: the next one takes back what is left, once the kernel has let go of the killed
            // one, which may have waited for an answer of DAMON's.
            clock.wait_until(LIMIT, "what an earlier story left is taken back", || {
                Daemon::start(binaries)?.terminate()?;
                Ok(kdamonds()? == "0")
            })?;
        }
        Ok(Self { binaries: binaries.clone(), clock, _swap: SwapGuard::acquire(SWAP)? })
    }

    /// A program with a hot and a cold part.
    /// It rests between touches: an emulated processor sets no accessed bit again before another program had its turn.
    pub(crate) fn program(&self) -> Result<Workload> {
        Workload::start(&self.binaries.hotcold, &Options::gentle(MEMORY, HOT))
    }

    pub(crate) fn daemon(&self) -> Result<Daemon> {
        Daemon::start(&self.binaries)
    }

    /// Tells the reader of a failed test how far it came.
    pub(crate) fn say(&self, what: impl fmt::Display) {
        println!("{:?}: {what}", self.clock.now());
    }

    pub(crate) fn pass(&self, time: Duration) -> Result<()> {
        ensure!(self.clock.pause(time) == Pace::Continue, "stopped");
        Ok(())
    }

    /// Waits until DAMON is as it was found.
    pub(crate) fn wait_for_nothing(&self, after: &str) -> Result<()> {
        let nothing = || Ok(kdamonds()? == "0");
        self.clock.wait_until(LIMIT, &format!("nothing is set {after}"), nothing).map(drop)
    }
}

/// How many kdamonds are set up.
pub(crate) fn kdamonds() -> Result<String> {
    read("nr_kdamonds")
}

/// What a file of DAMON's holds, once DAMON is not busy.
pub(crate) fn read(file: &str) -> Result<String> {
    let mut text = String::new();
    WallClock::new().wait_until(LIMIT, "DAMON is not busy", || {
        match fs::read_to_string(format!("{KDAMONDS}/{file}")) {
            Err(error) if error.kind() == std::io::ErrorKind::ResourceBusy => Ok(false),
            read => {
                text = read.with_context(|| file.to_owned())?;
                Ok(true)
            }
        }
    })?;
    Ok(text.trim().to_owned())
}

/// The number of the one kdamond that runs.
pub(crate) fn running() -> Result<Option<usize>> {
    let count: usize = kdamonds()?.parse()?;
    for number in 0..count {
        if read(&format!("{number}/state"))? == "on" {
            return Ok(Some(number));
        }
    }
    Ok(None)
}

/// Its files.
pub(crate) fn context() -> Result<String> {
    let number = running()?.context("no kdamond runs")?;
    Ok(format!("{number}/contexts/0"))
}

/// A file with a project of regions, an engine with these lines, and a task for each pid.
pub(crate) fn file(engine: &str, pids: &[u32]) -> String {
    let tasks: String = pids
        .iter()
        .map(|pid| format!("[task]\nproject=p\nengine=damon\nname=t{pid}\ntype=pid\nvalue={pid}\n"))
        .collect();
    format!(
        "[project]\nname=p\nscan_type=region\nsample_interval=5000\naggr_interval=100000\nupdate_interval=1000000\n\
         min_nr_regions=10\nmax_nr_regions=1000\n[engine]\nproject=p\nname=damon\n{engine}\n{tasks}"
    )
}

/// Where the hot and the cold part of `program` are.
pub(crate) fn places(program: &Workload) -> Result<(Residency, Residency)> {
    let places = program.footprint().places()?;
    Ok((places.hot, places.cold))
}

/// The objects of `task show --json`, one for each task.
pub(crate) fn shown(daemon: &Daemon) -> Result<Vec<Value>> {
    let text = daemon.must(&["task", "show", "-n", "p", "--json"])?;
    text.lines().map(|line| Ok(serde_json::from_str(line)?)).collect()
}

/// The sum of a figure over all tasks.
pub(crate) fn figure(daemon: &Daemon, name: &str) -> Result<u64> {
    let shown = shown(daemon)?;
    Ok(shown.iter().filter_map(|task| task["total"][name].as_u64()).sum())
}
