//! Monitors of engine damon: a kdamond with one context, a target for each process, and one scheme.
//!
//! Processes that come are added while the others are watched on: the kernel is given the whole list once more (`commit`), in
//! which those before keep their places. If one of them has ended, the list begins from the start, and so does the watching,
//! as the kernel would otherwise give the regions of the process that ended, with their ages, to another.

use super::claim::{Claim, stop};
use super::files::Folder;
use super::shared::SharedDamon;
use crate::process::memory_files::thread_with_memory;
use crate::process::stat::check_alive;
use crate::root::ProcRoot;
use etmem_core::address::AddressRange;
use etmem_core::kernel::monitoring::{
    Action, Attributes, Bounds, Done, Monitor, Monitoring, Region, Scheme, Watching,
};
use etmem_core::kernel::process::{ProcessError, ProcessId};
use std::fmt::Display;
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// The time that quotas are about.
const QUOTA_RESET: Duration = Duration::from_secs(1);

/// The machine's DAMON as engine damon uses it.
#[derive(Debug)]
pub(crate) struct MachineMonitoring {
    pub(crate) proc: ProcRoot,
    pub(crate) damon: Arc<SharedDamon>,
}

impl Monitoring for MachineMonitoring {
    fn begin(&self, attributes: &Attributes, scheme: &Scheme) -> Result<Box<dyn Monitor>, ProcessError> {
        let claim = self.damon.claim()?;
        let Some((number, kdamond)) = claim.kdamond()? else {
            let reason = "all of etmem's kdamonds are in use; have fewer engines damon, or fewer processes with tracker=damon";
            return Err(ProcessError::refused("DAMON", reason));
        };
        // From here on, dropping it gives the kdamond back.
        let monitor = MachineMonitor {
            proc: self.proc.clone(),
            claim,
            number,
            kdamond,
            action: scheme.action,
            acts: true,
            watched: Vec::new(),
            counted: Done::default(),
        };
        monitor.set_up(attributes, scheme)?;
        Ok(Box::new(monitor))
    }
}

/// A kdamond of ours with a scheme.
#[derive(Debug)]
struct MachineMonitor {
    proc: ProcRoot,
    claim: Arc<Claim>,
    number: usize,
    kdamond: Folder,
    action: Action,
    acts: bool,
    /// The targets, in their places.
    watched: Vec<ProcessId>,
    /// What was counted of the scheme when it was last asked.
    counted: Done,
}

impl MachineMonitor {
    fn context(&self) -> Folder {
        self.kdamond.folder("contexts/0")
    }

    fn scheme(&self) -> Folder {
        self.context().folder("schemes/0")
    }

    fn set_up(&self, attributes: &Attributes, scheme: &Scheme) -> Result<(), ProcessError> {
        let context = self.context();
        context.folder("schemes").write("nr_schemes", 1)?;
        Claim::mark_scheme(&context)?;
        context.write("operations", "vaddr")?;
        let intervals = context.folder("monitoring_attrs/intervals");
        intervals.write("sample_us", attributes.sample.as_micros())?;
        intervals.write("aggr_us", attributes.aggregation.as_micros())?;
        intervals.write("update_us", attributes.update.as_micros())?;
        write_bounds(&context.folder("monitoring_attrs/nr_regions"), attributes.regions)?;
        let folder = self.scheme();
        let pattern = folder.folder("access_pattern");
        write_bounds(&pattern.folder("sz"), scheme.size)?;
        write_bounds(&pattern.folder("nr_accesses"), scheme.accesses)?;
        write_bounds(&pattern.folder("age"), scheme.age)?;
        let quotas = folder.folder("quotas");
        quotas.write("bytes", scheme.quota.bytes_per_second.unwrap_or(0))?;
        quotas.write("ms", scheme.quota.time_per_second.map_or(0, |time| time.as_millis()))?;
        quotas.write("reset_interval_ms", QUOTA_RESET.as_millis())?;
        self.write_action()
    }

    fn write_action(&self) -> Result<(), ProcessError> {
        self.scheme().write("action", if self.acts { self.action } else { Action::Stat })
    }

    fn is_running(&self) -> bool {
        self.kdamond.read("state").is_ok_and(|state| state == "on")
    }

    /// Writes the targets.
    fn write_targets(&self, processes: &[ProcessId]) -> Result<(), ProcessError> {
        let targets = self.context().folder("targets");
        targets.write("nr_targets", processes.len())?;
        for (place, process) in processes.iter().enumerate() {
            let pid = thread_with_memory(&self.proc, process.pid);
            targets.folder(place).write("pid_target", pid)?;
        }
        Ok(())
    }

    /// Watches `processes` from the beginning.
    fn begin(&mut self, processes: &[ProcessId]) -> Result<Watching, ProcessError> {
        self.end();
        if processes.is_empty() {
            return Ok(Watching::Nothing);
        }
        self.write_targets(processes)?;
        self.kdamond.write("state", "on")?;
        self.watched = processes.to_vec();
        Ok(Watching::Begun)
    }

    /// Watches nothing.
    fn end(&mut self) {
        stop(&self.kdamond);
        self.watched.clear();
        self.counted = Done::default();
    }

    /// Watches `more` besides those that it watches, all of which live.
    fn add(&mut self, more: &[ProcessId]) -> Result<Watching, ProcessError> {
        let all = [&self.watched[..], more].concat();
        self.write_targets(&all)?;
        self.kdamond.write("state", "commit")?;
        self.watched = all;
        Ok(Watching::Added)
    }

    fn lives(&self, process: &ProcessId) -> bool {
        check_alive(&self.proc, *process).is_ok()
    }

    fn counts(&self) -> io::Result<Done> {
        let stats = self.scheme().folder("stats");
        Ok(Done {
            tried_regions: stats.number("nr_tried")?,
            tried: stats.number("sz_tried")?,
            applied: stats.number("sz_applied")?,
            quota_exceeded: stats.number("qt_exceeds")?,
        })
    }

    /// Has the kernel bring its counts up to date, and reads them.
    fn update(&self) -> Result<Done, ProcessError> {
        self.kdamond.write("state", "update_schemes_stats")?;
        let path = self.scheme().path().join("stats");
        self.counts().map_err(|error| ProcessError::refused(path.display(), error))
    }
}

impl Monitor for MachineMonitor {
    fn watch(&mut self, processes: &[ProcessId]) -> Result<Watching, ProcessError> {
        let alive: Vec<ProcessId> = processes.iter().filter(|process| self.lives(process)).copied().collect();
        // It ends with the last process that it watches.
        let stays = self.is_running() && self.watched.iter().all(|process| alive.contains(process));
        let watched = if stays {
            let more: Vec<_> =
                alive.iter().filter(|process| !self.watched.contains(process)).copied().collect();
            if more.is_empty() { Ok(Watching::AsBefore) } else { self.add(&more) }
        } else {
            self.begin(&alive)
        };
        // One that ended in between explains a refusal, and may have left its number to another process.
        if alive.iter().any(|process| !self.lives(process)) {
            self.end();
            return Ok(Watching::Nothing);
        }
        watched
    }

    fn set_acting(&mut self, acts: bool) -> Result<(), ProcessError> {
        if self.acts == acts {
            return Ok(());
        }
        self.acts = acts;
        self.write_action()?;
        if self.is_running() {
            // What is counted until it acts is of a scheme that does nothing.
            self.kdamond.write("state", "commit")?;
            if acts {
                self.counted = self.update()?;
            }
        }
        Ok(())
    }

    fn done(&mut self) -> Result<Done, ProcessError> {
        if !self.acts || !self.is_running() {
            return Ok(Done::default());
        }
        let now = self.update()?;
        let before = std::mem::replace(&mut self.counted, now);
        Ok(since(before, now))
    }

    fn regions(&mut self) -> Result<Vec<Region>, ProcessError> {
        if !self.is_running() {
            return Ok(Vec::new());
        }
        self.kdamond.write("state", "update_schemes_tried_regions")?;
        let folder = self.scheme().folder("tried_regions");
        let regions = read_regions(&folder);
        // A folder for each region: they are not needed until the next time.
        if let Err(error) = self.kdamond.try_write("state", "clear_schemes_tried_regions") {
            tracing::debug!("DAMON: its list of regions stays: {error}");
        }
        regions.map_err(|error| ProcessError::refused(folder.path().display(), error))
    }
}

impl Drop for MachineMonitor {
    fn drop(&mut self) {
        self.claim.give_back(self.number);
    }
}

/// What was added from `before` to `now`; a scheme that was made again counts from zero.
fn since(before: Done, now: Done) -> Done {
    let more = |of: fn(&Done) -> u64| of(&now).checked_sub(of(&before)).unwrap_or_else(|| of(&now));
    Done {
        tried_regions: more(|done| done.tried_regions),
        tried: more(|done| done.tried),
        applied: more(|done| done.applied),
        quota_exceeded: more(|done| done.quota_exceeded),
    }
}

/// Both bounds; the kernel compares them when the watching begins.
fn write_bounds<T: Display>(folder: &Folder, bounds: Bounds<T>) -> Result<(), ProcessError> {
    folder.write("min", &bounds.min)?;
    folder.write("max", &bounds.max)
}

fn read_regions(folder: &Folder) -> io::Result<Vec<Region>> {
    let mut regions = Vec::new();
    for entry in std::fs::read_dir(folder.path())? {
        let name = entry?.file_name();
        let Some(number) = name.to_str().and_then(|name| name.parse::<u64>().ok()) else { continue };
        let region = folder.folder(number);
        let range = AddressRange::new(region.number("start")?, region.number("end")?);
        let (accesses, age) = (region.number("nr_accesses")?, region.number("age")?);
        regions.push((number, Region { range, accesses, age }));
    }
    // The kernel's order: target by target.
    regions.sort_unstable_by_key(|(number, _)| *number);
    Ok(regions.into_iter().map(|(_, region)| region).collect())
}
