//! The probe's one-time part: can it work here, and what all its watches share.

use super::direct_map::{DirectMap, soft_dirty};
use super::program::{self, CAPABILITIES};
use super::watch::BpfWatch;
use crate::process::stat::Stat;
use crate::root::{ProcRoot, SysRoot};
use crate::sys::iterator::TaskLink;
use crate::sys::page_walk::PageWalk;
use crate::unavailable::Unavailable;
use etmem_core::kernel::probe::{AccessProbe, ProbeSource};
use etmem_core::kernel::process::{ProcessError, ProcessId};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The first kernel whose iterators can be limited to one process.
const OLDEST: (u32, u32) = (6, 1);

/// Nanoseconds of a clock tick as `/proc` counts them (`USER_HZ` is 100).
const TICK: u64 = 10_000_000;

/// The probe `bpf`: a page walk in the kernel, loaded once and shared by all that watch a process.
#[derive(Debug)]
pub struct Bpf {
    walk: Arc<SharedWalk>,
}

/// The loaded page walk, for one run at a time: a run takes about 0.1 ms.
#[derive(Debug)]
pub(super) struct SharedWalk {
    program: OwnedFd,
    maps: Mutex<PageWalk>,
    pub(super) direct_map: DirectMap,
    pub(super) proc: ProcRoot,
    /// Whether the kernel tracks soft-dirty pages (`CONFIG_MEM_SOFT_DIRTY`).
    pub(super) soft_dirty: bool,
    /// What `/proc` adds to the kernel's own start times, in ticks: not 0 in a time namespace.
    start_time_offset: i128,
}

impl SharedWalk {
    /// A link of the walk to the process `pid`.
    ///
    /// # Errors
    /// What bpf(2) answers.
    pub(super) fn link(&self, pid: u32) -> io::Result<TaskLink> {
        TaskLink::new(self.program.as_fd(), pid)
    }

    /// The maps, for one run and the reading of what it found.
    pub(super) fn maps(&self) -> MutexGuard<'_, PageWalk> {
        // Each run starts by writing its own request: what a panic left behind does not matter.
        self.maps.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a process that the kernel says started at `start_boottime` (ns) is the one of which `/proc` says
    /// `start_time` (ticks). They differ where `/proc` is of another pid namespace than ours.
    pub(super) fn is_same_start(&self, start_boottime: u64, start_time: u64) -> bool {
        let expected = i128::from(start_boottime / TICK) + self.start_time_offset;
        expected.abs_diff(i128::from(start_time)) <= 1
    }
}

impl Bpf {
    /// Loads the walk and finds the direct map, which takes about 0.2 s.
    ///
    /// # Errors
    /// Says why this machine cannot, and what would help.
    pub fn detect(proc: &ProcRoot, sys: &SysRoot) -> Result<Self, Unavailable> {
        if !cfg!(target_arch = "x86_64") {
            return Err(Unavailable::Architecture);
        }
        check_version(proc)?;
        check_lockdown(sys)?;
        let clear_refs = proc.own("clear_refs");
        if !clear_refs.exists() {
            return Err(Unavailable::NotBuilt { path: clear_refs, option: "CONFIG_PROC_PAGE_MONITOR" });
        }
        let program = program::load(sys)?;
        let mut maps = program.maps;
        let failed = |error: io::Error| Unavailable::from_io("running the page walk", &error, CAPABILITIES);
        let own = TaskLink::new(program.program.as_fd(), std::process::id()).map_err(failed)?;
        let direct_map = DirectMap::find(proc, &mut maps, &own)?;
        let start = maps.run(&own, 0, direct_map.levels, &[]).map_err(failed)?.start_boottime;
        let start_time_offset = i128::from(own_start_time(proc)?) - i128::from(start / TICK);
        // Its base stays untold: it would undo the randomisation for whoever reads the log.
        tracing::debug!("page tables have {} levels", direct_map.levels);
        Ok(Self {
            walk: Arc::new(SharedWalk {
                program: program.program,
                maps: Mutex::new(maps),
                direct_map,
                proc: proc.clone(),
                soft_dirty: soft_dirty(proc)?,
                start_time_offset,
            }),
        })
    }
}

impl ProbeSource for Bpf {
    fn name(&self) -> &'static str {
        "bpf"
    }

    fn attach(&self, process: ProcessId) -> Result<Box<dyn AccessProbe>, ProcessError> {
        Ok(Box::new(BpfWatch::new(Arc::clone(&self.walk), process)?))
    }
}

fn check_version(proc: &ProcRoot) -> Result<(), Unavailable> {
    let path = proc.machine("sys/kernel/osrelease");
    let running = std::fs::read_to_string(&path).map_err(|error| Unavailable::Refused {
        call: path.display().to_string(),
        reason: error.to_string(),
    })?;
    let running = running.trim().to_owned();
    let mut numbers = running.split(|c: char| !c.is_ascii_digit()).map(str::parse);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) if (major, minor) >= OLDEST => Ok(()),
        _ => Err(Unavailable::KernelTooOld { needed: "6.1", running }),
    }
}

/// The kernel lets nobody read its memory in the mode `confidentiality`, the one in brackets being in force.
fn check_lockdown(sys: &SysRoot) -> Result<(), Unavailable> {
    match std::fs::read_to_string(sys.lockdown()) {
        Ok(modes) if modes.contains("[confidentiality]") => Err(Unavailable::Lockdown),
        _ => Ok(()),
    }
}

fn own_start_time(proc: &ProcRoot) -> Result<u64, Unavailable> {
    let path = proc.own("stat");
    let refused = |reason| Unavailable::Refused { call: path.display().to_string(), reason };
    let text = std::fs::read(&path).map_err(|error| refused(error.to_string()))?;
    Stat::parse(&text)
        .map(|stat| stat.id().start_time)
        .ok_or_else(|| refused("is not as proc_pid_stat(5) describes it".into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(tree: &tempfile::TempDir, file: &str, text: &str) {
        let path = tree.path().join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    #[test]
    fn what_a_machine_may_lack() {
        let tree = tempfile::tempdir().unwrap();
        let (proc, sys) = (ProcRoot::new(tree.path()), SysRoot::new(tree.path()));
        let reason = || Bpf::detect(&proc, &sys).unwrap_err();
        assert!(matches!(reason(), Unavailable::Refused { .. }));
        for old in ["5.10.0-30-amd64", "6.0.19", "6", "", "banana"] {
            write(&tree, "sys/kernel/osrelease", old);
            assert_eq!(reason(), Unavailable::KernelTooOld { needed: "6.1", running: old.into() });
        }
        for new in ["6.1.0-28-amd64\n", "6.12", "10.0-rc1"] {
            write(&tree, "sys/kernel/osrelease", new);
            assert!(matches!(reason(), Unavailable::NotBuilt { .. }), "{new}");
        }
        write(&tree, "kernel/security/lockdown", "none integrity [confidentiality]\n");
        assert_eq!(reason(), Unavailable::Lockdown);
        write(&tree, "kernel/security/lockdown", "none [integrity] confidentiality\n");
        write(&tree, "self/clear_refs", "");
        assert!(matches!(reason(), Unavailable::NoKernelTypes { .. }));
    }
}
