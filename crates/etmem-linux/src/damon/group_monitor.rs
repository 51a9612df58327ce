//! Monitors of control groups, whose memory moves between NUMA nodes: a kdamond for each group and way, with one context over the
//! physical memory of the node that memory leaves, and one scheme.
//!
//! Physical memory belongs to all programs. What belongs to the group a filter says, which keeps all other memory out. A second
//! filter looks at each page once more when it is to move, as a region has hot and cold pages: one that was touched since is
//! not cold, and one that was not is not hot.
//!
//! Schemes for several groups in one context would keep each other from acting: a region is of age 0 again once a scheme was applied to
//! it, whatever its filters left of it (`damos_apply_scheme` in mm/damon/core.c). Several such filters in one scheme would keep out
//! everything. So each group is watched apart. One that comes or goes does not disturb the others.

use super::claim::{ALL_IN_USE, Claim, WATCHING};
use super::files::Folder;
use super::scheme::{counts, is_running, since, write_action, write_attributes, write_pattern, write_quota};
use super::shared::SharedDamon;
use crate::groups::MachineGroups;
use crate::nodes::MachineNodes;
use etmem_core::address::AddressRange;
use etmem_core::kernel::groups::{ControlGroups, Group, GroupError};
use etmem_core::kernel::monitoring::{Action, Attributes, Done, GroupMonitor, QuotaShare, Scheme, Way};
use etmem_core::kernel::nodes::NodeId;
use etmem_core::kernel::process::ProcessError;
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

/// The operations for physical memory.
const PHYSICAL: &str = "paddr";

/// The file of a scheme that came with the actions.
const TARGET_NODE: &str = "target_nid";

/// A kdamond of ours, given back when dropped.
#[derive(Debug)]
struct Lent {
    claim: Arc<Claim>,
    number: usize,
    kdamond: Folder,
}

impl Lent {
    /// One with a marked context; `None` if all are in use.
    fn of(claim: &Arc<Claim>) -> Result<Option<Self>, ProcessError> {
        let lent = claim.kdamond()?;
        Ok(lent.map(|(number, kdamond)| Self { claim: Arc::clone(claim), number, kdamond }))
    }

    fn context(&self) -> Folder {
        self.kdamond.folder("contexts/0")
    }

    fn scheme(&self) -> Folder {
        self.context().folder("schemes/0")
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        self.claim.give_back(self.number);
    }
}

/// Whether the kernel can move memory of groups between nodes by `action`; what is set up for that is taken back.
///
/// # Errors
/// What it lacks, or that another program has DAMON.
pub(super) fn can_migrate(damon: &SharedDamon, action: Action) -> Result<(), ProcessError> {
    let Some(lent) = Lent::of(&damon.claim()?)? else {
        return Err(ProcessError::refused("DAMON", ALL_IN_USE));
    };
    let context = lent.context();
    let known = context.read("avail_operations").unwrap_or_default();
    if !known.split_whitespace().any(|name| name == PHYSICAL) {
        let reason = "this kernel does not watch physical memory; it needs CONFIG_DAMON_PADDR=y";
        return Err(ProcessError::refused("DAMON", reason));
    }
    context.folder("schemes").write("nr_schemes", 1)?;
    let scheme = lent.scheme();
    let lacks = || {
        ProcessError::refused(
            "DAMON",
            "this kernel does not move memory between nodes; Linux 6.11 and later do, and engine cslide on all",
        )
    };
    if !scheme.path().join(TARGET_NODE).exists() {
        return Err(lacks());
    }
    match scheme.try_write("action", action) {
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => Err(lacks()),
        Err(error) => Err(scheme.refused("action", action, &error)),
        Ok(()) => Ok(()),
    }
}

/// What is done, and whether it is now.
#[derive(Debug)]
struct Wanted {
    attributes: Attributes,
    scheme: Scheme,
    acts: bool,
}

impl Wanted {
    /// Whether pages that were touched since are kept out, or those that were not.
    fn keeps_out(&self) -> &'static str {
        if self.scheme.action == Action::MigrateHot { "N" } else { "Y" }
    }
}

/// A way: where the memory lies that leaves, and where it goes.
#[derive(Debug)]
struct Road {
    ranges: Vec<AddressRange>,
    to: NodeId,
}

/// A kdamond that watches what of a group lies on one node.
#[derive(Debug)]
struct Part {
    lent: Lent,
    /// What was counted of its scheme when it was last asked.
    counted: Done,
}

impl Part {
    /// One that begins to watch `group`, of which the scheme may do so much.
    fn begin(
        claim: &Arc<Claim>,
        group: &Group,
        wanted: &Wanted,
        road: &Road,
        share: QuotaShare,
    ) -> Result<Option<Self>, ProcessError> {
        let Some(lent) = Lent::of(claim)? else { return Ok(None) };
        let context = lent.context();
        context.write("operations", PHYSICAL)?;
        // The update interval keeps the mark: it is about mappings, and physical memory has none.
        write_attributes(&context, &wanted.attributes)?;
        let targets = context.folder("targets");
        targets.write("nr_targets", 1)?;
        let regions = targets.folder("0/regions");
        regions.write("nr_regions", road.ranges.len())?;
        for (number, range) in road.ranges.iter().enumerate() {
            let region = regions.folder(number);
            region.write("start", range.start)?;
            region.write("end", range.end)?;
        }
        context.folder("schemes").write("nr_schemes", 1)?;
        let scheme = lent.scheme();
        write_pattern(&scheme, &wanted.scheme, share)?;
        let filters = scheme.folder("filters");
        filters.write("nr_filters", 2)?;
        let others = filters.folder(0);
        others.write("type", "memcg")?;
        others.write("matching", "N")?;
        others.write("memcg_path", format!("/{}", group.path))?;
        let touched = filters.folder(1);
        touched.write("type", "young")?;
        touched.write("matching", wanted.keeps_out())?;
        scheme.write(TARGET_NODE, road.to)?;
        write_action(&scheme, wanted.scheme.action, wanted.acts)?;
        lent.kdamond.write("state", "on")?;
        Ok(Some(Self { lent, counted: Done::default() }))
    }

    fn is_running(&self) -> bool {
        is_running(&self.lent.kdamond)
    }

    /// Has the kernel act by what was written since the watching began. If the group is gone, it stops watching instead.
    fn commit(&self) -> Result<(), ProcessError> {
        if self.is_running() { self.lent.kdamond.write("state", "commit") } else { Ok(()) }
    }

    /// What the scheme did since it was last asked.
    fn done(&mut self) -> Result<Done, ProcessError> {
        if !self.is_running() {
            return Ok(Done::default());
        }
        self.lent.kdamond.write("state", "update_schemes_stats")?;
        let now = counts(&self.lent.scheme())?;
        Ok(since(std::mem::replace(&mut self.counted, now), now))
    }
}

/// Kdamonds of ours, for each group one for each way.
#[derive(Debug)]
pub(super) struct MachineGroupMonitor {
    claim: Arc<Claim>,
    groups: MachineGroups,
    wanted: Wanted,
    roads: Vec<Road>,
    watched: BTreeMap<Group, Vec<Part>>,
    /// What the scheme of each may do.
    share: QuotaShare,
}

impl MachineGroupMonitor {
    /// One that watches no group yet.
    ///
    /// # Errors
    /// Another program has DAMON, or the kernel does not say where the memory of nodes lies.
    pub(super) fn new(
        damon: &SharedDamon,
        groups: MachineGroups,
        nodes: &MachineNodes,
        (attributes, scheme): (&Attributes, &Scheme),
        ways: &[Way],
    ) -> Result<Self, ProcessError> {
        let road = |way: &Way| Ok(Road { ranges: nodes.physical_memory(way.from)?, to: way.to });
        Ok(Self {
            claim: damon.claim()?,
            groups,
            wanted: Wanted { attributes: attributes.clone(), scheme: scheme.clone(), acts: true },
            roads: ways.iter().map(road).collect::<Result<_, ProcessError>>()?,
            watched: BTreeMap::new(),
            share: scheme.quota.share(1),
        })
    }

    /// Makes `share` what each scheme may do.
    fn share_among(&mut self, groups: usize) -> Result<(), ProcessError> {
        let share = self.wanted.scheme.quota.share(groups * self.roads.len());
        if share == self.share {
            return Ok(());
        }
        self.share = share;
        for part in self.watched.values().flatten() {
            write_quota(&part.lent.scheme(), share)?;
            part.commit()?;
        }
        Ok(())
    }

    /// Begins to watch `group`; not where no kdamond is free, or the group was removed meanwhile.
    fn begin(&mut self, group: &Group) -> Result<(), ProcessError> {
        let mut parts = Vec::new();
        for road in &self.roads {
            match Part::begin(&self.claim, group, &self.wanted, road, self.share) {
                Ok(Some(part)) => parts.push(part),
                Ok(None) => return Ok(()),
                Err(_) if self.is_gone(group) => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        self.watched.insert(group.clone(), parts);
        Ok(())
    }

    fn is_gone(&self, group: &Group) -> bool {
        matches!(self.groups.memory(group), Err(GroupError::Removed))
    }
}

impl GroupMonitor for MachineGroupMonitor {
    fn watch(&mut self, groups: &[Group]) -> Result<Vec<Group>, ProcessError> {
        // With a part goes what it set.
        self.watched.retain(|group, parts| groups.contains(group) && parts.iter().all(Part::is_running));
        // There is no more than each kdamond can have.
        self.share_among(groups.len().min(WATCHING))?;
        for group in groups {
            if !self.watched.contains_key(group) {
                self.begin(group)?;
            }
        }
        Ok(self.watched.keys().cloned().collect())
    }

    fn set_acting(&mut self, acts: bool) -> Result<(), ProcessError> {
        if self.wanted.acts == acts {
            return Ok(());
        }
        self.wanted.acts = acts;
        for part in self.watched.values_mut().flatten() {
            write_action(&part.lent.scheme(), self.wanted.scheme.action, acts)?;
            part.commit()?;
            if acts {
                // What is counted until it acts is of a scheme that does nothing.
                part.done()?;
            }
        }
        Ok(())
    }

    fn done(&mut self) -> Result<Vec<(Group, Done)>, ProcessError> {
        if !self.wanted.acts {
            return Ok(Vec::new());
        }
        let mut all = Vec::new();
        for (group, parts) in &mut self.watched {
            let mut sum = Done::default();
            for part in parts {
                sum += part.done()?;
            }
            all.push((group.clone(), sum));
        }
        Ok(all)
    }
}

#[cfg(test)]
#[path = "group_monitor_tests.rs"]
mod tests;
