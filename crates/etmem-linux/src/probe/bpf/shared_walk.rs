//! The page walk and what it takes to run it: loaded once, shared by all that watch a process.

use super::direct_map::{DirectMap, soft_dirty};
use super::program::{self, CAPABILITIES};
use crate::process::stat::Stat;
use crate::root::{ProcRoot, SysRoot};
use crate::sys::iterator::TaskLink;
use crate::sys::page_walk::PageWalk;
use crate::unavailable::Unavailable;
use parking_lot::Mutex;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

/// Nanoseconds of a clock tick as `/proc` counts them (`USER_HZ` is 100).
const TICK: u64 = 10_000_000;

/// The loaded page walk, for one run at a time: a run takes about 0.1 ms.
#[derive(Debug)]
pub(super) struct SharedWalk {
    program: OwnedFd,
    pub(super) maps: Mutex<PageWalk>,
    pub(super) direct_map: DirectMap,
    pub(super) proc: ProcRoot,
    /// Whether the kernel tracks soft-dirty pages (`CONFIG_MEM_SOFT_DIRTY`).
    pub(super) soft_dirty: bool,
    /// What `/proc` adds to the kernel's own start times, in ticks: not 0 in a time namespace.
    start_time_offset: i128,
}

impl SharedWalk {
    /// Loads the walk and finds the direct map, which takes about 0.2 s.
    ///
    /// # Errors
    /// Says why this machine cannot, and what would help.
    pub(super) fn load(proc: &ProcRoot, sys: &SysRoot) -> Result<Self, Unavailable> {
        let program = program::load(sys)?;
        let mut maps = program.maps;
        let failed = |error: io::Error| Unavailable::from_io("running the page walk", &error, CAPABILITIES);
        let own = TaskLink::new(program.program.as_fd(), std::process::id()).map_err(failed)?;
        let direct_map = DirectMap::find(proc, &mut maps, &own)?;
        let start = maps.run(&own, 0, direct_map.levels, &[]).map_err(failed)?.start_boottime;
        let start_time_offset = i128::from(own_start_time(proc)?) - i128::from(start / TICK);
        // The address of the direct map is not logged: it would undo the kernel's address randomisation.
        tracing::debug!("page tables have {} levels", direct_map.levels);
        Ok(Self {
            program: program.program,
            maps: Mutex::new(maps),
            direct_map,
            proc: proc.clone(),
            soft_dirty: soft_dirty(proc)?,
            start_time_offset,
        })
    }

    /// A link of the walk to the process `pid`.
    ///
    /// # Errors
    /// What bpf(2) answers.
    pub(super) fn link(&self, pid: u32) -> io::Result<TaskLink> {
        TaskLink::new(self.program.as_fd(), pid)
    }

    /// Whether a process that the kernel says started at `start_boottime` (ns) is the one of which `/proc` says
    /// `start_time` (ticks). They differ where `/proc` is of another pid namespace than ours.
    pub(super) fn is_same_start(&self, start_boottime: u64, start_time: u64) -> bool {
        let expected = i128::from(start_boottime / TICK) + self.start_time_offset;
        expected.abs_diff(i128::from(start_time)) <= 1
    }
}

fn own_start_time(proc: &ProcRoot) -> Result<u64, Unavailable> {
    let path = proc.own("stat");
    let refused = |reason: String| Unavailable::refused(path.display(), reason);
    let text = std::fs::read(&path).map_err(|error| refused(error.to_string()))?;
    Stat::parse(&text)
        .map(|stat| stat.id().start_time)
        .ok_or_else(|| refused("is not as proc_pid_stat(5) describes it".into()))
}
