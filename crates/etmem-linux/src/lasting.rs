//! What a task sets in the kernel that outlives the daemon: the line that a record has for it, and how it is taken back.
//!
//! There are seven such settings: the reclaim of the swap cache by openEuler's module, DAMON's, which bear our mark
//! except for the first moment, those of merging equal pages, the size of a guest, the `writeback_limit` of a zram device, the `memory.zswap.max` of a group, and the socket and FIFO on which programs listen. All other settings (scan flags, BPF programs) belong to open files and end with them.

use crate::cooperation;
use crate::damon;
use crate::ksm::{self, Before};
use crate::mover::etmem::Etmem;
use crate::qmp;
use crate::root::{ProcRoot, SysRoot};
use crate::sinking::limit::ZramLimit;
use crate::zswap_max::ZswapMax;
use etmem_core::kernel::swap_cache::SwapCache;
use etmem_core::kernel::wishes::{Chosen, Tracker};
use std::any::Any;
use std::path::PathBuf;
use std::{fmt, io};
use tracing::{info, warn};

/// The first word of a line; the path of procfs, or of sysfs, follows.
const SWAP_CACHE: &str = "swap-cache-reclaim ";
const DAMON: &str = "damon ";
/// What was set before follows, then the path of sysfs.
const MERGING: &str = "ksm ";
const AT: &str = " at ";
/// The bytes that the guest had follow, then the path of its monitor.
const BALLOON: &str = "balloon ";
/// The path of the socket follows.
const PRESSURE_SOCKET: &str = "pressure-socket ";
/// The device, what its limit was and what it was set to follow.
const ZRAM_LIMIT: &str = "zram-writeback-limit ";
/// What it was, the number of the group and its folder follow.
const ZSWAP_MAX: &str = "zswap-max ";

/// Where is written down what is about to be set, for the next daemon if this one is killed.
pub trait SettingJournal: fmt::Debug + Send + Sync {
    /// Writes `setting` down; the line goes when what is returned is dropped.
    ///
    /// # Errors
    /// It cannot be written.
    fn record(&self, setting: &Setting) -> io::Result<Box<dyn Kept>>;
}

/// Something that is kept until it is dropped.
pub trait Kept: Any + fmt::Debug + Send {}
impl<T: Any + fmt::Debug + Send> Kept for T {}

/// Ends the `record` of `what` with how putting that back went: where it failed, the record stays, for the next daemon.
pub(crate) fn end(record: Box<dyn Kept>, what: impl fmt::Display, put_back: io::Result<()>) {
    match put_back {
        Ok(()) => drop(record),
        Err(error) => {
            warn!("{what} cannot be put back: {error}; the next etmemd tries again");
            std::mem::forget(record);
        }
    }
}

/// A setting in the kernel that outlives the daemon.
#[derive(Debug, Clone)]
pub enum Setting {
    /// The swap cache of the machine with this procfs may be reclaimed.
    SwapCache(ProcRoot),
    /// DAMON may be set on the machine with this sysfs.
    Damon(SysRoot),
    /// Equal pages may be merged on the machine with this sysfs, where this was set before.
    Merging(SysRoot, String),
    /// The guest with its monitor at this path may have less than this number of bytes.
    Balloon(PathBuf, u64),
    /// Programs may listen on the socket with this path, and on the FIFO beside it.
    PressureSocket(PathBuf),
    /// A zram device has a limit on what is written to the disk behind it.
    ZramLimit(ZramLimit),
    /// What is paged out of a control group may go past zswap.
    ZswapMax(ZswapMax),
}

/// What a task with `chosen` sets; `swap_cache`: its engine has the swap cache reclaimed.
pub fn of_task(chosen: &Chosen, swap_cache: bool, proc: &ProcRoot, sys: &SysRoot) -> Vec<Setting> {
    let swap_cache = swap_cache.then(|| Setting::SwapCache(proc.clone()));
    let is_damon = chosen.probe.name == Tracker::Damon.name();
    let before = chosen.kernel.merging.as_ref().and_then(|merging| merging.settings_before());
    let merging = before.map(|before| Setting::Merging(sys.clone(), before));
    let damon = is_damon.then(|| Setting::Damon(sys.clone()));
    swap_cache.into_iter().chain(damon).chain(merging).collect()
}

impl Setting {
    /// The line of a record.
    pub fn line(&self) -> String {
        match self {
            Self::SwapCache(proc) => format!("{SWAP_CACHE}{}\n", proc.path().display()),
            Self::Damon(sys) => format!("{DAMON}{}\n", sys.path().display()),
            Self::Merging(sys, before) => format!("{MERGING}{before}{AT}{}\n", sys.path().display()),
            Self::Balloon(socket, bytes) => format!("{BALLOON}{bytes} {}\n", socket.display()),
            Self::PressureSocket(path) => format!("{PRESSURE_SOCKET}{}\n", path.display()),
            Self::ZramLimit(limit) => format!("{ZRAM_LIMIT}{}\n", limit.words()),
            Self::ZswapMax(max) => format!("{ZSWAP_MAX}{}\n", max.words()),
        }
    }

    /// The setting with this line; `None` if this version does not write such a line.
    pub fn of_line(line: &str) -> Option<Self> {
        let after = |word| line.strip_prefix(word).map(str::trim_end);
        let swap_cache = || after(SWAP_CACHE).map(|proc| Self::SwapCache(ProcRoot::new(proc)));
        let damon = || after(DAMON).map(|sys| Self::Damon(SysRoot::new(sys)));
        let merging = || {
            let (before, sys) = after(MERGING)?.split_once(AT)?;
            Before::of_line(before).map(|_| Self::Merging(SysRoot::new(sys), before.to_owned()))
        };
        let balloon = || {
            let (bytes, socket) = after(BALLOON)?.split_once(' ')?;
            Some(Self::Balloon(socket.into(), bytes.parse().ok()?))
        };
        let socket = || after(PRESSURE_SOCKET).map(|path| Self::PressureSocket(path.into()));
        let limit = || after(ZRAM_LIMIT).and_then(ZramLimit::of_words).map(Self::ZramLimit);
        let zswap = || after(ZSWAP_MAX).and_then(ZswapMax::of_words).map(Self::ZswapMax);
        let others = || balloon().or_else(socket).or_else(limit).or_else(zswap);
        swap_cache().or_else(damon).or_else(merging).or_else(others)
    }

    /// Takes it back after a daemon that was killed; whether nothing of it is left.
    pub fn take_back(&self) -> bool {
        match self {
            Self::SwapCache(proc) => end_reclaim(proc),
            Self::Damon(sys) => take_back_damon(sys, true),
            Self::Merging(sys, before) => {
                Before::of_line(before).is_none_or(|before| ksm::take_back(sys, &before))
            }
            Self::Balloon(socket, bytes) => qmp::give_back(socket, *bytes),
            Self::PressureSocket(path) => cooperation::take_back(path),
            Self::ZramLimit(limit) => put_back("the writeback_limit of a zram device", limit.put_back()),
            Self::ZswapMax(max) => put_back("memory.zswap.max of a control group", max.put_back()),
        }
    }
}

fn put_back(what: &str, put_back: io::Result<()>) -> bool {
    match &put_back {
        Ok(()) => info!("a daemon that was killed had {what} set: put back"),
        Err(error) => warn!("a daemon that was killed had {what} set, which cannot be put back: {error}"),
    }
    put_back.is_ok()
}

fn end_reclaim(proc: &ProcRoot) -> bool {
    let ended = match Etmem::detect(proc) {
        Ok(mover) => mover.end_reclaim(),
        // Without the module nothing is set.
        Err(unavailable) => {
            info!("a daemon that was killed had the swap cache reclaimed: {unavailable}");
            return true;
        }
    };
    match &ended {
        Ok(()) => info!(
            "a daemon that was killed had the swap cache reclaimed: ended. Its watermarks stay, as the module cannot \
             tell what they were before"
        ),
        Err(error) => {
            warn!("a daemon that was killed had the swap cache reclaimed, which cannot be ended: {error}");
        }
    }
    ended.is_ok()
}

/// Takes back the settings of DAMON at `sys` that bear our mark: programs with the scan library set DAMON, too, and write no
/// records. With `written_down`, also settings without a mark.
pub fn take_back_damon(sys: &SysRoot, written_down: bool) -> bool {
    let taken = damon::take_back_left(sys, written_down);
    match &taken {
        Ok(true) => info!("an etmem that was killed had DAMON set: taken back"),
        Ok(false) => {}
        Err(error) => {
            warn!("what an etmem that was killed had set in DAMON cannot be taken back: {error}");
        }
    }
    taken.is_ok()
}
