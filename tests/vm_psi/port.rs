//! What the port does on a real kernel: requests, the root, groups that go.

use std::fs;
use std::sync::Arc;

use anyhow::{Result, ensure};
use etmem_core::kernel::groups::{
    ControlGroups, Group, GroupError, GroupLimits, GroupMemory, GroupPattern, GroupPressure, Reclaimed,
    Swappiness,
};
use etmem_core::kernel::process::{ProcessError, ProcessId};
use etmem_engine::figures::MOVED;
use etmem_engine::{GroupResult, ReasonName};
use etmem_linux::groups::MachineGroups;
use etmem_linux::root::Roots;
use etmem_testkit::cgroup::ControlGroup;
use etmem_testkit::size::MIB;
use etmem_testkit::swap::SwapGuard;

use crate::inside::{Inside, Task, groups, reason};

/// What the kernel hands out to a processor ahead, and counts late.
const SLACK: usize = MIB;

/// Requests of which the kernel may take too much: it looks at up to a quarter of a group at once where it had to find out first what is
/// old, and does not end that early for control groups (`get_nr_to_scan` and `should_abort_scan` in mm/vmscan.c).
const TAKEN_TOO_MUCH: usize = 1;

pub(crate) fn exact(inside: &Inside) -> Result<()> {
    let _swap = SwapGuard::acquire(256 * MIB)?;
    let (group, mut program) = inside.program("exact", 64 * MIB, 0)?;
    let (port, found) = groups("exact")?;
    let mut too_much = 0;
    for swappiness in [None, Swappiness::new(100), None, Swappiness::new(100)] {
        let before = group.number("memory.current")?;
        let reclaimed = port.reclaim(&found[0], 8 << 20, swappiness)?;
        let gone = before - group.number("memory.current")?;
        inside.say(format!("{reclaimed:?}, memory.current is {gone} bytes less"));
        // The kernel goes on to the end of a batch of pages.
        let got = usize::try_from(reclaimed.got)?;
        ensure!(!reclaimed.no_more && (8 * MIB..=before / 2).contains(&got), "{reclaimed:?}");
        too_much += usize::from(got > 8 * MIB + SLACK);
        // Each of the two processors keeps up to 64 pages that are counted already (MEMCG_CHARGE_BATCH in mm/memcontrol.c).
        ensure!(gone.abs_diff(got) <= 2 * 64 * 4096, "{gone} bytes");
    }
    ensure!(too_much <= TAKEN_TOO_MUCH, "of four requests, {too_much} took more than they asked for");
    // Nothing of a purely anonymous group is a file page.
    let nothing = port.reclaim(&found[0], 8 << 20, Some(Swappiness::FILE_ONLY))?;
    ensure!(nothing.no_more && nothing.got < 1 << 20, "{nothing:?}");
    ensure!(program.verify()? == 64 * MIB);
    Ok(())
}

pub(crate) fn floor(inside: &Inside) -> Result<()> {
    let _swap = SwapGuard::acquire(256 * MIB)?;
    let (group, _program) = inside.program("floor", 96 * MIB, 0)?;
    let keep = 60 * MIB;
    let rates = ["reclaim_rate=0.5", "max_rate=none", "pressure=100", "io_pressure=none", "max_refault=none"];
    let mut task = Task::new("floor", &[&rates[..], &[&format!("limit_min_bytes={keep}")]].concat())?;
    let mut least = usize::MAX;
    for _ in 0..12 {
        task.round()?;
        least = least.min(group.number("memory.current")?);
    }
    ensure!(least < keep + 4 * MIB && least >= keep - SLACK, "{least} bytes are left");
    Ok(())
}

pub(crate) fn root(inside: &Inside) -> Result<()> {
    let _swap = SwapGuard::acquire(256 * MIB)?;
    let (group, _program) = inside.program("below", 64 * MIB, 0)?;
    let mut task = Task::new(
        "/",
        &["reclaim_rate=0.5", "reclaim_max_bytes=16777216", "pressure=100", "io_pressure=none"],
    )?;
    let before = group.number("memory.swap.current")?;
    // A little leaves first, and more when that stays out.
    let mut moved = 0;
    for _ in 0..8 {
        let report = task.round()?;
        ensure!(report.group.is_root() && report.result == GroupResult::Reclaimed, "{report:?}");
        moved += report.figures.get(&MOVED).unwrap_or(0);
        if moved > 8 << 20 {
            break;
        }
    }
    ensure!(moved > 8 << 20, "{moved} bytes left in eight rounds");
    ensure!(
        task.report.groups.as_ref().is_some_and(|groups| groups.len() == 1),
        "one group, and not those below"
    );
    inside.say(format!(
        "of a group below, {} bytes went to swap",
        group.number("memory.swap.current")? - before
    ));
    Ok(())
}

/// The groups of this machine, of which one is removed when it is about to be reclaimed.
#[derive(Debug)]
struct Removing {
    groups: MachineGroups,
    path: &'static str,
    again: bool,
}

impl ControlGroups for Removing {
    fn limits(&self, process: ProcessId) -> Result<GroupLimits, ProcessError> {
        self.groups.limits(process)
    }

    fn find(&self, pattern: &GroupPattern) -> Result<Vec<Group>, GroupError> {
        self.groups.find(pattern)
    }

    fn with_those_below(&self, group: &Group) -> Result<Vec<Group>, GroupError> {
        self.groups.with_those_below(group)
    }

    fn memory(&self, group: &Group) -> Result<GroupMemory, GroupError> {
        self.groups.memory(group)
    }

    fn pressure(&self, group: &Group) -> Result<GroupPressure, GroupError> {
        self.groups.pressure(group)
    }

    fn reclaim(
        &self,
        group: &Group,
        bytes: u64,
        swappiness: Option<Swappiness>,
    ) -> Result<Reclaimed, GroupError> {
        if *group.path == *self.path {
            let folder = format!("/sys/fs/cgroup/{}", self.path);
            fs::remove_dir(&folder).map_err(|error| GroupError::refused(&folder, error))?;
            if self.again {
                fs::create_dir(&folder).map_err(|error| GroupError::refused(&folder, error))?;
            }
        }
        self.groups.reclaim(group, bytes, swappiness)
    }
}

pub(crate) fn removed(inside: &Inside) -> Result<()> {
    let _swap = SwapGuard::acquire(256 * MIB)?;
    // A group whose program has ended and left file pages behind, and one beside it.
    for (again, path) in [(false, "going/a"), (true, "going/b")] {
        let group = ControlGroup::new(path)?;
        let folder = tempfile::tempdir_in("/var/tmp").or_else(|_| tempfile::tempdir())?;
        fill(&group, folder.path())?;
        let (_beside, mut program) = inside.program(&format!("going/z{again}"), 32 * MIB, 0)?;
        let removing = Removing { groups: MachineGroups::new(Roots::default()), path, again };
        let lines = ["reclaim_rate=0.5", "pressure=100", "io_pressure=none", "max_rate=none"];
        let mut task = Task::new(&format!("{{{path},going/z{again}}}"), &lines)?.over(Arc::new(removing));
        let report = task.round()?;
        ensure!(
            report.result == GroupResult::Lost && reason(&report) == Some(ReasonName::GroupRemoved),
            "{report:?}"
        );
        let beside = &task.report.groups.as_ref().map_or(&[][..], |groups| &groups[1..])[0];
        ensure!(beside.result == GroupResult::Reclaimed, "the other has its round: {beside:?}");
        // What is made in its place is another group, and what was asked of the one is not done to the other.
        let report = task.round()?;
        ensure!(again == (&*report.group.path == path) && report.result != GroupResult::Lost, "{report:?}");
        ensure!(program.verify()? == 32 * MIB);
    }
    Ok(())
}

/// Has a program of `group` write a file, and end.
fn fill(group: &ControlGroup, folder: &std::path::Path) -> Result<()> {
    let script = group.starting(std::path::Path::new("/bin/dd"), folder)?;
    let file = folder.join("file");
    let mut dd = std::process::Command::new(script);
    dd.arg("if=/dev/zero").arg(format!("of={}", file.display())).args(["bs=1M", "count=16"]);
    ensure!(dd.status()?.success(), "dd");
    ensure!(group.number("memory.current")? > 8 * MIB, "its pages are the group's");
    Ok(())
}
