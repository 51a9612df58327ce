//! The scripted machine in the hands of a test: mounts it, asks it, changes it, takes it away again.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use etmem_core::kernel::pacer::{Pace, Pacer};
use fuser::{BackgroundSession, Config, MountOption, Session};
use nix::mount::{MntFlags, umount2};
use tempfile::TempDir;

use super::faults::Planned;
use super::leftover;
use super::machine::{Machine, Observer};
use super::mount::Tree;
use super::process::{Counts, Process};
use super::script::{Modules, Script, ScriptedMapping, ScriptedProcess};
use crate::clock::WallClock;
use crate::undo::Undo;

/// Why no file system can be mounted here; none if one can.
#[must_use]
pub fn lacks() -> Option<String> {
    if !nix::unistd::geteuid().is_root() {
        return Some("only root can mount a scripted /proc: run it with sudo".into());
    }
    std::fs::File::options().read(true).write(true).open("/dev/fuse").err().map(|error| {
        format!("cannot open /dev/fuse ({error}): load the module fuse, or give it to the container")
    })
}

/// A clock that moves only when a test lets time pass.
#[derive(Debug, Default)]
pub struct HandClock(Mutex<Duration>);

impl HandClock {
    /// Lets time pass.
    pub fn pass(&self, duration: Duration) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) += duration;
    }
}

impl Pacer for HandClock {
    fn pause(&self, duration: Duration) -> Pace {
        self.pass(duration);
        Pace::Continue
    }

    fn pace(&self) -> Pace {
        Pace::Continue
    }

    fn now(&self) -> Duration {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A mounted scripted machine. Dropping it takes the mount away, and so do Ctrl-C and SIGTERM.
#[derive(Debug)]
pub struct FakeProc {
    machine: Arc<Mutex<Machine>>,
    root: PathBuf,
    // In this order: the mount goes before the thread that answers it, and the folder goes last.
    _undo: Undo,
    _session: BackgroundSession,
    _folder: Option<TempDir>,
}

impl FakeProc {
    /// Mounts `script` in a folder of its own, in real time.
    ///
    /// # Errors
    /// It cannot be mounted; see [`lacks`].
    pub fn mount(script: Script) -> Result<Self> {
        Self::mount_with_clock(script, Arc::new(WallClock::new()))
    }

    /// Mounts `script` in a folder of its own, in the time of `clock`.
    ///
    /// # Errors
    /// It cannot be mounted.
    pub fn mount_with_clock(script: Script, clock: Arc<dyn Pacer>) -> Result<Self> {
        Self::mount_at(None, Machine::new(script, clock, None))
    }

    /// Mounts `script` at the folder `root` (none: one of its own), in real time; `observer` learns of everything.
    ///
    /// # Errors
    /// It cannot be mounted.
    pub fn mount_observed(script: Script, root: Option<&Path>, observer: Observer) -> Result<Self> {
        Self::mount_at(root, Machine::new(script, Arc::new(WallClock::new()), Some(observer)))
    }

    fn mount_at(root: Option<&Path>, machine: Machine) -> Result<Self> {
        leftover::take_away()?;
        let (root, folder) = match root {
            Some(root) => (root.to_owned(), None),
            None => {
                let folder = tempfile::Builder::new().prefix(leftover::FOLDER).tempdir()?;
                (folder.path().to_owned(), Some(folder))
            }
        };
        let machine = Arc::new(Mutex::new(machine));
        let mut config = Config::default();
        config.mount_options =
            vec![MountOption::FSName(leftover::SOURCE.into()), MountOption::NoExec, MountOption::NoAtime];
        let session = Session::new(Tree::new(Arc::clone(&machine)), &root, &config)
            .with_context(|| format!("cannot mount a scripted machine at {}", root.display()))?;
        let (mounted, made) = (root.clone(), folder.is_some());
        let undo = Undo::with(move || {
            // Also while a process still has a file of it open.
            let _ = umount2(&mounted, MntFlags::MNT_DETACH);
            if made {
                let _ = std::fs::remove_dir(&mounted);
            }
        });
        let session = session.spawn().context("cannot start a thread for the scripted machine")?;
        Ok(Self { machine, root, _undo: undo, _session: session, _folder: folder })
    }

    /// Where it is mounted: the root to hand to who would read `/proc`.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    fn locked(&self) -> MutexGuard<'_, Machine> {
        self.machine.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn asked<T>(&self, pid: u32, ask: impl FnOnce(&Process) -> T) -> Option<T> {
        let mut machine = self.locked();
        // Pages that were touched meanwhile come back first; of a process that is gone, what was known last counts.
        let _ = machine.living(pid);
        machine.processes.get(&pid).map(ask)
    }

    /// The addresses of the pages of `pid` that are out now, in runs.
    #[must_use]
    pub fn out(&self, pid: u32) -> Vec<Range<u64>> {
        self.asked(pid, |process| process.out_now().iter().map(|(range, ())| range).collect())
            .unwrap_or_default()
    }

    /// The addresses of the pages of `pid` that were out at any time, in runs.
    #[must_use]
    pub fn ever_out(&self, pid: u32) -> Vec<Range<u64>> {
        self.asked(pid, |process| process.ever_out.iter().map(|(range, _)| range).collect())
            .unwrap_or_default()
    }

    /// Forgets what was out before: [`Self::ever_out`] holds only what is out from now on.
    pub fn forget_ever_out(&self, pid: u32) {
        if let Some((process, _)) = self.locked().living(pid) {
            process.ever_out = process.out_now();
        }
    }

    /// What was asked of the files of `pid`.
    #[must_use]
    pub fn counts(&self, pid: u32) -> Counts {
        self.asked(pid, |process| process.counts).unwrap_or_default()
    }

    /// How many walks of `pid` have begun.
    #[must_use]
    pub fn passes(&self, pid: u32) -> u64 {
        self.asked(pid, |process| process.moment(Duration::ZERO).pass).unwrap_or_default()
    }

    /// What was done that must not be: a file used through two descriptors at once.
    #[must_use]
    pub fn violations(&self) -> Vec<String> {
        self.locked().violations.clone()
    }

    /// The swap cache's watermarks, low and high, once they were set.
    #[must_use]
    pub fn watermarks(&self) -> Option<(u8, u8)> {
        self.locked().watermarks
    }

    /// How often the swap cache was to be reclaimed.
    #[must_use]
    pub fn reclaims(&self) -> u64 {
        self.locked().reclaims
    }

    /// How often the reclaim of the swap cache was ended.
    #[must_use]
    pub fn reclaim_ends(&self) -> u64 {
        self.locked().reclaim_ends
    }

    /// Whether the swap cache is to be reclaimed: this was begun and not ended since.
    #[must_use]
    pub fn is_reclaiming(&self) -> bool {
        self.locked().reclaiming
    }

    /// Sets `SwapCached`, in bytes.
    pub fn set_swap_cached(&self, bytes: u64) {
        self.locked().swap_cached = bytes;
    }

    /// Loads or unloads the modules.
    pub fn set_modules(&self, modules: Modules) {
        self.locked().modules = modules;
    }

    /// Plans a fault.
    pub fn plan(&self, fault: Planned) {
        self.locked().plan(fault);
    }

    /// Starts a process.
    pub fn start(&self, process: ScriptedProcess) {
        self.locked().processes.insert(process.pid, Process::new(process));
    }

    /// Lets a process end and `heir` have its number, right before the call on one of its files (open, or read and write of the
    /// modules' files) that comes after `after` others.
    pub fn give_away(&self, after: u64, heir: ScriptedProcess) {
        self.locked().give_away(after, Process::new(heir));
    }

    /// What was asked of the files of the process that had `pid` before it was given away; none while it has it.
    #[must_use]
    pub fn former(&self, pid: u32) -> Option<Counts> {
        self.locked().former.get(&pid).map(|former| former.counts)
    }

    /// Ends a process.
    pub fn kill(&self, pid: u32) {
        if let Some((process, _)) = self.locked().living(pid) {
            process.kill();
        }
    }

    /// Lets a process replace its program.
    pub fn exec(&self, pid: u32, mappings: Vec<ScriptedMapping>) {
        if let Some((process, _)) = self.locked().living(pid) {
            process.exec(mappings);
        }
    }
}
