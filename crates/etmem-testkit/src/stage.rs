//! What an end-to-end test stands on: enough swap, a daemon, and waits for what it should bring about.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use etmem_core::kernel::pacer::{Pace, Pacer};

use crate::clock::WallClock;
use crate::daemon::{Binaries, Daemon};
use crate::pagemap;
use crate::swap::SwapGuard;
use crate::workload::footprint::Places;
use crate::workload::{Footprint, Options, Workload};

/// Many times what a cycle of the shortest legal settings takes, for machines that do something else meanwhile.
pub const LIMIT: Duration = Duration::from_secs(90);
/// The share of cold memory that has to leave.
pub const COLD_OUT: f64 = 0.99;
/// The share of hot pages that may be out.
pub const HOT_OUT: f64 = 0.001;

/// A daemon on a machine with swap. It goes before its swap does.
#[derive(Debug)]
pub struct Stage {
    /// The daemon.
    pub daemon: Daemon,
    /// The programs.
    pub binaries: &'static Binaries,
    /// A clock.
    pub clock: WallClock,
    _swap: Option<Arc<SwapGuard>>,
}

/// The swap of this program's stages. Those that stand at the same time share it.
static SWAP: Mutex<Weak<SwapGuard>> = Mutex::new(Weak::new());

fn shared_swap(bytes: usize) -> Result<Arc<SwapGuard>> {
    let mut shared = SWAP.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(swap) = shared.upgrade() {
        return Ok(swap);
    }
    let swap = Arc::new(SwapGuard::acquire(bytes)?);
    *shared = Arc::downgrade(&swap);
    Ok(swap)
}

impl Stage {
    /// Builds the programs, makes sure there are `bytes` of swap, starts a daemon. Tests of one program that run side by
    /// side share the swap of the first: `bytes` must be enough for all of them.
    ///
    /// # Errors
    /// One of these cannot be.
    pub fn with_swap(bytes: usize) -> Result<Self> {
        Self::new(Some(bytes))
    }

    /// The same with whatever swap there is.
    ///
    /// # Errors
    /// The programs do not build, or the daemon does not start.
    pub fn without_swap() -> Result<Self> {
        Self::new(None)
    }

    fn new(swap: Option<usize>) -> Result<Self> {
        // In this order: a build takes long, and others may wait for the swap.
        let binaries = Binaries::build()?;
        let swap = swap.map(shared_swap).transpose()?;
        Ok(Self { daemon: Daemon::start(binaries)?, binaries, clock: WallClock::new(), _swap: swap })
    }

    /// Starts a workload.
    ///
    /// # Errors
    /// It does not start.
    pub fn workload(&self, options: &Options) -> Result<Workload> {
        Workload::start(&self.binaries.hotcold, options)
    }

    /// A copy of the workload's program under another name, for tasks that go by name: the name of the program
    /// itself is that of every other test's workload on this machine.
    ///
    /// # Errors
    /// It cannot be copied.
    pub fn workload_named(&self, name: &str) -> Result<PathBuf> {
        let copy = self.daemon.folder().join(name);
        fs::copy(&self.binaries.hotcold, &copy).with_context(|| format!("cannot make {}", copy.display()))?;
        Ok(copy)
    }

    /// `etmem` with these words, in the state folder of this program's daemons: for what it does without one.
    pub fn etmem(&self, words: &[&str]) -> Command {
        let mut command = Command::new(&self.binaries.etmem);
        command.args(words).env("ETMEMD_STATE_FOLDER", Daemon::state_folder());
        command
    }

    /// Waits until the cold part of `footprint` has left memory.
    ///
    /// # Errors
    /// It does not; the message tells how far it came and holds the daemon's log.
    pub fn wait_until_cold_is_out(&self, footprint: &Footprint) -> Result<Places> {
        let mut places = Places::default();
        let waited = self.clock.wait_until(LIMIT, "the cold memory leaves", || {
            places = footprint.places()?;
            Ok(places.cold.share_swapped() >= COLD_OUT)
        });
        waited.with_context(|| format!("{places:?}, log:\n{}", self.daemon.log()))?;
        Ok(places)
    }

    /// Lets `seconds` pass, looking at the hot pages each second: the most that were out at one look, or, since
    /// one can come back between two looks, as many as the process fetched back meanwhile.
    ///
    /// # Errors
    /// The process has ended.
    pub fn watch_hot(&self, footprint: &Footprint, seconds: u32) -> Result<u64> {
        let fetched = || pagemap::stat_field(footprint.pid, 12);
        let before = fetched()?;
        let mut most_out = 0;
        for _ in 0..seconds {
            self.pass(Duration::from_secs(1))?;
            most_out = most_out.max(footprint.places()?.hot.swapped as u64);
        }
        Ok(most_out.max(fetched()? - before))
    }

    /// Lets time pass.
    ///
    /// # Errors
    /// The clock was stopped.
    pub fn pass(&self, duration: Duration) -> Result<()> {
        ensure!(self.clock.pause(duration) == Pace::Continue, "stopped");
        Ok(())
    }
}
