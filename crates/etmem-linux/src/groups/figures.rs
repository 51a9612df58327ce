//! The figures of a control group, from its files.

use super::folder::{Folder, Stolen};
use etmem_core::address::PAGE_SIZE;
use etmem_core::kernel::groups::{
    GroupCounters, GroupError, GroupLimits, GroupMemory, GroupPressure, GroupUse, Stall,
};
use etmem_core::kernel::pressure::Share;

/// The lines of a group's `memory.stat`: a name and a number.
struct Stat(String);

impl Stat {
    fn of(folder: &Folder) -> Result<Self, GroupError> {
        folder.text("memory.stat")?.map(Self).ok_or(GroupError::NoMemory)
    }

    fn get(&self, name: &str) -> Option<u64> {
        let line = |line: &str| line.strip_prefix(name)?.strip_prefix(' ')?.trim_end().parse().ok();
        self.0.lines().find_map(line)
    }

    /// The sum of those that are there.
    fn sum(&self, names: &[&str]) -> u64 {
        names.iter().filter_map(|name| self.get(name)).fold(0, u64::saturating_add)
    }

    /// The same of figures that count pages.
    fn pages(&self, names: &[&str]) -> u64 {
        self.sum(names).saturating_mul(PAGE_SIZE)
    }

    fn counters(&self, limit_events: u64) -> GroupCounters {
        GroupCounters {
            // Before Linux 5.9 one figure, of file pages.
            refaulted_anon: self.pages(&["workingset_refault_anon"]),
            refaulted_file: self.pages(&["workingset_refault_file", "workingset_refault"]),
            swapped_in: self.pages(&["zswpin", "swpin_zero", "pswpin"]),
            limit_events,
        }
    }

    /// File pages that can be dropped now.
    fn droppable(&self, prefix: &str) -> u64 {
        let named = |name: &str| self.get(&format!("{prefix}{name}")).unwrap_or(0);
        let lists = named("inactive_file").saturating_add(named("active_file"));
        let to_write = match prefix {
            "" => self.sum(&["file_dirty", "file_writeback"]),
            _ => self.sum(&["total_dirty", "total_writeback"]),
        };
        lists.saturating_sub(to_write)
    }
}

/// Those of a group of the second version.
pub(super) fn second_version(
    folder: &Folder,
    root: bool,
    limits: GroupLimits,
) -> Result<GroupMemory, GroupError> {
    let stat = Stat::of(folder)?;
    let events = folder.text("memory.events")?.map(Stat);
    let current = match folder.figure("memory.current")? {
        Some(current) => current,
        None if root => of_root(&stat),
        None => return Err(GroupError::NoMemory),
    };
    let limit = |file| folder.figure(file);
    // `max` promises all of it.
    let promise = |file| -> Result<u64, GroupError> {
        let is_there = folder.text(file)?.is_some();
        Ok(folder.figure(file)?.unwrap_or(if is_there { u64::MAX } else { 0 }))
    };
    Ok(GroupMemory {
        current,
        limit: [limit("memory.max")?, limit("memory.high")?].into_iter().flatten().min(),
        promise: promise("memory.min")?.max(promise("memory.low")?),
        limits,
        file: stat.droppable(""),
        anon: stat.sum(&["inactive_anon", "active_anon"]),
        active_file: stat.sum(&["active_file"]),
        active_anon: stat.sum(&["active_anon"]),
        swapped: folder.figure("memory.swap.current")?.unwrap_or(0),
        zswap: folder.figure("memory.zswap.current")?,
        counters: stat.counters(events.map_or(0, |events| events.sum(&["high", "max"]))),
    })
}

/// What all processes have: the root has no `memory.current`.
fn of_root(stat: &Stat) -> u64 {
    stat.sum(&["anon", "file", "kernel", "sock"])
}

/// Those of a group of the first version, as openEuler's kernels have them.
pub(super) fn first_version(folder: &Folder) -> Result<GroupMemory, GroupError> {
    let stat = Stat::of(folder)?;
    let Some(current) = folder.figure("memory.usage_in_bytes")? else { return Err(GroupError::NoMemory) };
    // No limit is written as a number, the largest that there is.
    let limit = |file| -> Result<Option<u64>, GroupError> {
        Ok(folder.figure(file)?.filter(|limit| *limit <= i64::MAX as u64 / 2))
    };
    let promise = folder.figure("memory.min")?.unwrap_or(0).max(folder.figure("memory.low")?.unwrap_or(0));
    let both = folder.figure("memory.memsw.usage_in_bytes")?.unwrap_or(current);
    // The room for memory and swap together.
    let swap = limit("memory.memsw.limit_in_bytes")?.map(|bound| GroupUse { bound, used: both });
    let protection = (promise > 0).then_some(GroupUse { bound: promise, used: current });
    Ok(GroupMemory {
        current,
        limit: limit("memory.limit_in_bytes")?,
        promise,
        limits: GroupLimits { protection, swap },
        file: stat.droppable("total_"),
        anon: stat.sum(&["total_inactive_anon", "total_active_anon"]),
        active_file: stat.sum(&["total_active_file"]),
        active_anon: stat.sum(&["total_active_anon"]),
        swapped: both.saturating_sub(current),
        zswap: None,
        counters: stat.counters(0),
    })
}

/// What says how much reclaim has taken of the group: what it counted, less what went to a slower NUMA node and so is still in
/// memory.
pub(super) fn stolen(folder: &Folder, first_version: bool, root: bool) -> Result<Stolen, GroupError> {
    let stat = Stat::of(folder)?;
    if stat.get("pgsteal").is_some() {
        let demoted = ["pgdemote_kswapd", "pgdemote_direct", "pgdemote_khugepaged", "pgdemote_proactive"];
        let taken = stat.pages(&["pgsteal"]).saturating_sub(stat.pages(&demoted));
        return Ok(Stolen::Counted(taken));
    }
    let file = if first_version { "memory.usage_in_bytes" } else { "memory.current" };
    match folder.figure(file)? {
        Some(current) => Ok(Stolen::InUse(current)),
        None if root => Ok(Stolen::InUse(of_root(&stat))),
        None => Err(GroupError::NoMemory),
    }
}

/// How long programs of the group wait.
pub(super) fn pressure(folder: &Folder) -> Result<GroupPressure, GroupError> {
    let stall = |name: &str| -> Result<Option<Stall>, GroupError> {
        let Some(text) = folder.text(name)? else { return Ok(None) };
        let unknown = || {
            let reason = "is not as the kernel's manual describes PSI";
            folder.refused(name, std::io::Error::other(reason))
        };
        some(&text).map(Some).ok_or_else(unknown)
    };
    Ok(GroupPressure { memory: stall("memory.pressure")?, io: stall("io.pressure")? })
}

/// Reads a line such as `some avg10=0.00 avg60=0.00 avg300=0.00 total=0`.
fn some(text: &str) -> Option<Stall> {
    let line = text.lines().find_map(|line| line.strip_prefix("some "))?;
    let share = |name: &str| {
        let value = line.split(' ').find_map(|word| word.strip_prefix(name))?;
        value.parse().ok().and_then(Share::nearest_to_percent)
    };
    Some(Stall { avg10: share("avg10=")?, avg60: share("avg60=")? })
}
