//! Probes and movers, what a task of slide would get, and the two ways of seeing that are the kernel's own.

use super::finding::{Finding, Severity};
use super::text::{line_of, number, numbered};
use crate::capabilities::Capability;
use crate::choice::Interfaces;
use crate::root::{ProcRoot, Roots, SysRoot};
use crate::unavailable::Unavailable;
use etmem_core::kernel::wishes::Wishes;

/// Users of DAMON inside of the kernel, each a module with a switch.
const KERNEL_USERS: [&str; 3] = ["damon_reclaim", "damon_lru_sort", "damon_stat"];

/// Each probe and mover, and whether a task that leaves the choice to etmemd could run.
pub(super) fn ways(roots: &Roots) -> Vec<Finding> {
    let interfaces = Interfaces::new(roots.clone());
    let capabilities = interfaces.capabilities();
    let probes = capabilities.probes.iter().map(|one| way("probe", one));
    let movers = capabilities.movers.iter().map(|one| way("mover", one));
    let mut findings: Vec<Finding> = probes.chain(movers).collect();
    findings.push(slide(
        interfaces.kernel(&Wishes::default()).map(|chosen| (chosen.probe.name, chosen.mover.name)),
    ));
    findings
}

fn way(kind: &str, capability: &Capability) -> Finding {
    let name = format!("{kind}_{}", capability.name);
    match &capability.available {
        Ok(()) => Finding::ok(name, "works"),
        Err(unavailable) => Finding::ok(name, "not here")
            .but(Severity::Note, unavailable.to_string())
            .helped_by(unavailable.remedy()),
    }
}

/// What is not had in one way may be had in another: only that none is left is bad.
fn slide(chosen: Result<(&str, &str), Unavailable>) -> Finding {
    const NAME: &str = "slide";
    match chosen {
        Ok((probe, mover)) => Finding::ok(NAME, format!("sees by {probe}, moves by {mover}")),
        Err(unavailable) => Finding::ok(NAME, "cannot run")
            .but(Severity::Error, unavailable.to_string())
            .helped_by(unavailable.remedy()),
    }
}

/// Whether the kernel can mark pages idle by their numbers.
pub(super) fn idle_page_tracking(sys: &SysRoot) -> Finding {
    const NAME: &str = "idle_page_tracking";
    let file = sys.file("kernel/mm/page_idle/bitmap");
    if file.exists() {
        return Finding::ok(NAME, "the kernel has it");
    }
    Finding::ok(NAME, "the kernel does not have it")
        .but(Severity::Note, format!("{}: missing", file.display()))
        .helped_by("where no better probe works: a kernel built with CONFIG_IDLE_PAGE_TRACKING=y")
}

/// Whether the kernel has DAMON, and whose it is. Nothing is written there: it may be another program's.
pub(super) fn damon(proc: &ProcRoot, sys: &SysRoot) -> Finding {
    const NAME: &str = "damon";
    let admin = sys.file("kernel/mm/damon/admin");
    let mut users: Vec<String> = KERNEL_USERS
        .into_iter()
        .filter(|module| {
            let switch = sys.file(&format!("module/{module}/parameters/enabled"));
            line_of(&switch).is_some_and(|value| ["Y", "1"].contains(&value.as_str()))
        })
        .map(|module| format!("the kernel's own {module}"))
        .collect();
    let kdamonds = numbered(&admin.join("kdamonds"), "");
    for (id, folder) in &kdamonds {
        if line_of(&folder.join("state")).as_deref() == Some("on") {
            let pid = line_of(&folder.join("pid")).unwrap_or_else(|| "?".to_owned());
            users.push(format!("kdamond {id} (kernel thread {pid}), set up through sysfs by a program that the kernel does not name"));
        }
    }
    let threads: Vec<u32> = numbered(proc.path(), "")
        .into_iter()
        .filter(|(_, folder)| line_of(&folder.join("comm")).is_some_and(|comm| comm.starts_with("kdamond.")))
        .map(|(pid, _)| pid)
        .collect();
    if users.is_empty() {
        users.extend(threads.iter().map(|pid| format!("kernel thread {pid}, of which sysfs tells nothing")));
    }
    if !users.is_empty() {
        return Finding::ok(NAME, "taken")
            .with(users)
            .but(Severity::Note, "DAMON is in use by another program: it has one owner at a time, and etmem never takes it away")
            .helped_by("stop that program, where etmem is to use DAMON");
    }
    if !admin.is_dir() {
        return Finding::ok(NAME, "the kernel does not have it")
            .but(Severity::Note, format!("{}: missing", admin.display()))
            .helped_by(
                "where it is wanted: a kernel built with CONFIG_DAMON_SYSFS=y and CONFIG_DAMON_VADDR=y",
            );
    }
    if kdamonds.is_empty() {
        Finding::ok(NAME, "free")
    } else {
        Finding::ok(NAME, "set up, not running").but(
            Severity::Note,
            format!("another program has made {}, which is off", number(kdamonds.len(), "kdamond")),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_that_no_way_is_left_is_bad() {
        assert_eq!(slide(Ok(("bpf", "madvise"))).severity, Severity::Ok);
        let finding = slide(Err(Unavailable::Lockdown));
        assert_eq!(finding.severity, Severity::Error);
        assert!(finding.remedy.unwrap().contains("lockdown=integrity"));
        let available = Err(Unavailable::Architecture);
        assert_eq!(way("probe", &Capability { name: "bpf", available }).severity, Severity::Note);
    }
}
