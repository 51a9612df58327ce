//! One kdamond that watches one process.
//!
//! Its aggregation never ends within a window, so that DAMON neither merges nor splits regions and forgets no count; its
//! one scheme, which does nothing (`stat`), is applied in every sampling interval, which is when it can be asked for
//! the regions and their counts so far. Kernels before 6.7 apply schemes at the end of an aggregation only: there it is
//! as long as the shortest window, and the counts are of that time.

use super::regions::{self, Tried};
use crate::damon::claim::{Claim, MARK, stop};
use crate::damon::files::Folder;
use etmem_core::address::AddressRange;
use etmem_core::kernel::process::{Pid, ProcessError};
use std::io;
use std::sync::Arc;

/// An aggregation that does not end within a window, and one where it must, in microseconds.
const ENDLESS: u64 = MARK;
const SHORT: u64 = 1_000_000;

/// A kdamond of ours.
#[derive(Debug)]
pub(super) struct Session {
    claim: Arc<Claim>,
    number: usize,
    kdamond: Folder,
    /// What it was given.
    regions: Vec<AddressRange>,
}

impl Session {
    /// One for the process `pid`, which is not watched yet.
    ///
    /// # Errors
    /// What the kernel refuses, or that there are no more.
    pub(super) fn new(claim: Arc<Claim>, pid: Pid) -> Result<Self, ProcessError> {
        let Some((number, kdamond)) = claim.kdamond()? else {
            let reason = "all of etmem's kdamonds watch other processes; have fewer processes watched by tracker=damon";
            return Err(ProcessError::refused("DAMON", reason));
        };
        // From here on, dropping it gives the kdamond back.
        let session = Self { claim, number, kdamond, regions: Vec::new() };
        session.set_up(pid)?;
        Ok(session)
    }

    fn context(&self) -> Folder {
        self.kdamond.folder("contexts/0")
    }

    fn scheme(&self) -> Folder {
        self.context().folder("schemes/0")
    }

    fn set_up(&self, pid: Pid) -> Result<(), ProcessError> {
        let context = self.context();
        context.write("operations", "vaddr")?;
        let targets = context.folder("targets");
        targets.write("nr_targets", 1)?;
        targets.folder(0).write("pid_target", pid)?;
        context.folder("schemes").write("nr_schemes", 1)?;
        let scheme = self.scheme();
        scheme.write("action", "stat")?;
        if !scheme.folder("tried_regions").path().exists() {
            let path = scheme.path().join("tried_regions");
            return Err(ProcessError::refused(
                path.display(),
                "missing; DAMON reports regions since Linux 6.2",
            ));
        }
        for (what, most) in
            [("sz", u64::MAX), ("nr_accesses", u64::from(u32::MAX)), ("age", u64::from(u32::MAX))]
        {
            let bounds = scheme.folder("access_pattern").folder(what);
            bounds.write("min", 0)?;
            bounds.write("max", most)?;
        }
        Ok(())
    }

    /// Begins to count again from 0, in the regions of `ranges`.
    ///
    /// # Errors
    /// What the kernel refuses.
    pub(super) fn begin(&mut self, ranges: &[AddressRange]) -> Result<(), ProcessError> {
        stop(&self.kdamond);
        let wanted = regions::lay_out(ranges, regions::MOST_REGIONS);
        if wanted.is_empty() {
            // DAMON would choose regions itself.
            self.regions.clear();
            return Ok(());
        }
        if wanted != self.regions {
            self.regions.clear();
            self.write_regions(&wanted)?;
            self.regions = wanted;
        }
        self.kdamond.write("state", "on")
    }

    fn write_regions(&self, wanted: &[AddressRange]) -> Result<(), ProcessError> {
        let context = self.context();
        let intervals = context.folder("monitoring_attrs/intervals");
        let sample = regions::sampling_interval(wanted.len());
        intervals.write("sample_us", sample)?;
        let scheme = self.scheme();
        if scheme.path().join("apply_interval_us").exists() {
            intervals.write("aggr_us", ENDLESS)?;
            scheme.write("apply_interval_us", sample)?;
        } else {
            intervals.write("aggr_us", SHORT)?;
        }
        // As few as there are: none are merged. As many: none are split.
        let count = wanted.len().max(3);
        let bounds = context.folder("monitoring_attrs/nr_regions");
        bounds.write("max", count)?;
        bounds.write("min", count)?;
        let folder = context.folder("targets/0/regions");
        folder.write("nr_regions", 0)?;
        folder.write("nr_regions", wanted.len())?;
        for (number, region) in wanted.iter().enumerate() {
            let place = folder.folder(number);
            place.write("start", region.start)?;
            place.write("end", region.end)?;
        }
        Ok(())
    }

    /// Whether it counts.
    pub(super) fn is_running(&self) -> bool {
        self.kdamond.read("state").is_ok_and(|state| state == "on")
    }

    /// Whether there is anything for it to watch.
    pub(super) fn has_regions(&self) -> bool {
        !self.regions.is_empty()
    }

    /// What was counted since the beginning; it goes on counting. The kernel answers within some tenths of a second.
    ///
    /// # Errors
    /// What the kernel refuses.
    pub(super) fn counted(&self) -> Result<Vec<Tried>, ProcessError> {
        self.kdamond.write("state", "update_schemes_tried_regions")?;
        let folder = self.scheme().folder("tried_regions");
        let tried =
            read_regions(&folder).map_err(|error| ProcessError::refused(folder.path().display(), error));
        // A folder for each region: they are not needed until the next time.
        if let Err(error) = self.kdamond.try_write("state", "clear_schemes_tried_regions") {
            tracing::debug!("DAMON: its list of regions stays: {error}");
        }
        tried
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.claim.give_back(self.number);
    }
}

fn read_regions(folder: &Folder) -> io::Result<Vec<Tried>> {
    let mut tried = Vec::new();
    for entry in std::fs::read_dir(folder.path())? {
        let name = entry?.file_name();
        let Some(name) = name.to_str().filter(|name| name.bytes().all(|byte| byte.is_ascii_digit())) else {
            continue;
        };
        let region = folder.folder(name);
        let range = AddressRange::new(region.number("start")?, region.number("end")?);
        tried.push(Tried { range, accesses: region.number("nr_accesses")? });
    }
    Ok(tried)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn regions_as_the_kernel_lists_them() {
        let tree = tempfile::tempdir().unwrap();
        fs::write(tree.path().join("total_bytes"), "8192\n").unwrap();
        for (name, start, accesses) in [("0", 4096, 0), ("10", 8192, 7)] {
            let folder = tree.path().join(name);
            fs::create_dir(&folder).unwrap();
            for (file, value) in
                [("start", start), ("end", start + 4096), ("nr_accesses", accesses), ("age", 3)]
            {
                fs::write(folder.join(file), format!("{value}\n")).unwrap();
            }
        }
        let mut tried = read_regions(&Folder::new(tree.path().to_owned())).unwrap();
        tried.sort_unstable_by_key(|region| region.range);
        let region = |start, accesses| Tried { range: AddressRange::new(start, start + 4096), accesses };
        assert_eq!(tried, [region(4096, 0), region(8192, 7)]);
        fs::write(tree.path().join("0/start"), "?").unwrap();
        assert!(read_regions(&Folder::new(tree.path().to_owned())).is_err());
    }
}
