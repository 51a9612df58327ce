//! DAMON's own schemes, set by sysfs, as a person would: what was not accessed for ten seconds is paged out.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

const ADMIN: &str = "/sys/kernel/mm/damon/admin/kdamonds";

/// A running kdamond with one scheme.
#[derive(Debug)]
pub(crate) struct Damon(());

fn set(file: &str, value: impl ToString) -> Result<()> {
    let path = PathBuf::from(ADMIN).join(file);
    fs::write(&path, value.to_string()).with_context(|| path.display().to_string())
}

impl Damon {
    /// By the addresses of a process.
    pub(crate) fn of_process(pid: u32) -> Result<Self> {
        Self::prepare("vaddr")?;
        set("0/contexts/0/targets/0/pid_target", pid)?;
        Self::start()
    }

    /// By the addresses of the machine's memory, what belongs to a control group.
    pub(crate) fn of_group(group: &str) -> Result<Self> {
        Self::prepare("paddr")?;
        let (start, end) = memory()?;
        set("0/contexts/0/targets/0/regions/nr_regions", 1)?;
        set("0/contexts/0/targets/0/regions/0/start", start)?;
        set("0/contexts/0/targets/0/regions/0/end", end)?;
        let filters = "0/contexts/0/schemes/0/filters";
        set(&format!("{filters}/nr_filters"), 1)?;
        set(&format!("{filters}/0/type"), "memcg")?;
        set(&format!("{filters}/0/memcg_path"), format!("/{group}"))?;
        // What is not of the group is left out.
        set(&format!("{filters}/0/matching"), "N")?;
        Self::start()
    }

    fn prepare(operations: &str) -> Result<()> {
        set("nr_kdamonds", 1)?;
        set("0/contexts/nr_contexts", 1)?;
        let context = "0/contexts/0";
        set(&format!("{context}/operations"), operations)?;
        for (file, value) in [("sample_us", 5000), ("aggr_us", 100_000), ("update_us", 1_000_000)] {
            set(&format!("{context}/monitoring_attrs/intervals/{file}"), value)?;
        }
        set(&format!("{context}/monitoring_attrs/nr_regions/max"), 1000)?;
        set(&format!("{context}/targets/nr_targets"), 1)?;
        set(&format!("{context}/schemes/nr_schemes"), 1)?;
        let scheme = format!("{context}/schemes/0");
        set(&format!("{scheme}/action"), "pageout")?;
        for (file, value) in [
            ("access_pattern/sz/min", 4096),
            ("access_pattern/sz/max", u64::MAX),
            ("access_pattern/nr_accesses/min", 0),
            ("access_pattern/nr_accesses/max", 0),
            // In aggregations of a tenth of a second.
            ("access_pattern/age/min", 100),
            ("access_pattern/age/max", u64::from(u32::MAX)),
            ("quotas/bytes", 32 << 20),
            ("quotas/reset_interval_ms", 1000),
        ] {
            set(&format!("{scheme}/{file}"), value)?;
        }
        Ok(())
    }

    fn start() -> Result<Self> {
        set("0/state", "on")?;
        Ok(Self(()))
    }

    /// Takes it back.
    pub(crate) fn end(self) -> Result<()> {
        let Self(()) = self;
        set("0/state", "off")?;
        set("nr_kdamonds", 0)
    }
}

/// The largest piece of the machine's memory.
fn memory() -> Result<(u64, u64)> {
    let text = fs::read_to_string("/proc/iomem")?;
    let ranges = text.lines().filter(|line| line.ends_with(": System RAM")).filter_map(|line| {
        let (start, end) = line.split_once(" : ")?.0.trim().split_once('-')?;
        Some((u64::from_str_radix(start, 16).ok()?, u64::from_str_radix(end, 16).ok()? + 1))
    });
    ranges.max_by_key(|(start, end)| end - start).context("no memory")
}

/// The thread that does it.
pub(crate) fn thread() -> Option<u32> {
    let pids =
        fs::read_dir("/proc").ok()?.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
    let is_it = |pid: &u32| {
        let comm = fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("comm"));
        comm.is_ok_and(|comm| comm.starts_with("kdamond"))
    };
    pids.into_iter().find(is_it)
}
