//! Monitors of engine damon: a kdamond with one context, a target for each process, and one scheme.
//!
//! Processes that come are added while the others are watched on: the kernel is given the whole list once more (`commit`), in
//! which those before keep their places. If one of them has ended, the list begins from the start, and so does the watching,
//! as the kernel would otherwise give the regions of the process that ended, with their ages, to another.

use super::claim::{ALL_IN_USE, Claim, stop};
use super::files::Folder;
use super::group_monitor::{MachineGroupMonitor, can_migrate};
use super::scheme::{counts, is_running, since, write_action, write_attributes, write_pattern};
use super::shared::SharedDamon;
use crate::groups::MachineGroups;
use crate::nodes::MachineNodes;
use crate::process::memory_files::thread_with_memory;
use crate::process::stat::check_alive;
use crate::root::{ProcRoot, Roots};
use etmem_core::address::AddressRange;
use etmem_core::kernel::monitoring::{
    Action, Attributes, Done, GroupMonitor, Monitor, Monitoring, Region, Scheme, Watching, Way,
};
use etmem_core::kernel::process::{ProcessError, ProcessId};
use std::io;
use std::sync::Arc;

/// The machine's DAMON as engine damon uses it.
#[derive(Debug)]
pub(crate) struct MachineMonitoring {
    pub(crate) roots: Roots,
    pub(crate) damon: Arc<SharedDamon>,
}

impl Monitoring for MachineMonitoring {
    fn begin(&self, attributes: &Attributes, scheme: &Scheme) -> Result<Box<dyn Monitor>, ProcessError> {
        let claim = self.damon.claim()?;
        let Some((number, kdamond)) = claim.kdamond()? else {
            return Err(ProcessError::refused("DAMON", ALL_IN_USE));
        };
        // From here on, dropping it gives the kdamond back.
        let monitor = MachineMonitor {
            proc: self.roots.proc.clone(),
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

    fn can_migrate(&self, action: Action) -> Result<(), ProcessError> {
        can_migrate(&self.damon, action)
    }

    fn begin_for_groups(
        &self,
        attributes: &Attributes,
        scheme: &Scheme,
        ways: &[Way],
    ) -> Result<Box<dyn GroupMonitor>, ProcessError> {
        let (groups, nodes) = (MachineGroups::new(self.roots.clone()), MachineNodes(self.roots.sys.clone()));
        let monitor = MachineGroupMonitor::new(&self.damon, groups, &nodes, (attributes, scheme), ways)?;
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
        write_attributes(&context, attributes)?;
        context.folder("monitoring_attrs/intervals").write("update_us", attributes.update.as_micros())?;
        write_pattern(&self.scheme(), scheme, scheme.quota.share(1))?;
        self.write_action()
    }

    fn write_action(&self) -> Result<(), ProcessError> {
        write_action(&self.scheme(), self.action, self.acts)
    }

    fn is_running(&self) -> bool {
        is_running(&self.kdamond)
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

    /// Has the kernel bring its counts up to date, and reads them.
    fn update(&self) -> Result<Done, ProcessError> {
        self.kdamond.write("state", "update_schemes_stats")?;
        counts(&self.scheme())
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
