//! Probes and movers, what a task of slide would get, idle page tracking and DAMON.

use super::damon_details;
use super::finding::{Finding, Severity};
use super::text::{line_of, numbered};
use crate::capabilities::Capability;
use crate::choice::Interfaces;
use crate::damon::{Holder, SharedDamon};
use crate::nodes::MachineNodes;
use crate::probe::sight;
use crate::root::{ProcRoot, Roots, SysRoot};
use crate::unavailable::Unavailable;
use etmem_core::kernel::nodes::NumaNodes;
use etmem_core::kernel::wishes::Wishes;

/// Users of DAMON in the kernel, each a module with a switch.
const KERNEL_USERS: [&str; 3] = ["damon_reclaim", "damon_lru_sort", "damon_stat"];

/// Each probe and mover, and whether a task with `tracker=auto` and `mover=auto` could run.
pub(super) fn ways(roots: &Roots) -> Vec<Finding> {
    let interfaces = Interfaces::new(roots.clone());
    let capabilities = interfaces.capabilities();
    let probes = capabilities.probes.iter().map(|one| way("probe", one));
    let movers = capabilities.movers.iter().map(|one| way("mover", one));
    let mut findings: Vec<Finding> = probes.chain(movers).collect();
    let chosen = |wishes| interfaces.kernel(&wishes).map(|chosen| (chosen.probe.name, chosen.mover.name));
    findings.push(slide(chosen(Wishes::default())));
    let nodes = MachineNodes(roots.sys.clone()).nodes().map_or(0, |nodes| nodes.len());
    findings.push(cslide(chosen(Wishes { nodes: true, ..Wishes::default() }), nodes));
    findings
}

fn way(kind: &str, capability: &Capability) -> Finding {
    let name = format!("{kind}_{}", capability.name);
    match &capability.available {
        Ok(()) => Finding::ok(name, "works").with(sight::blind_spots(capability.name)),
        Err(unavailable) => Finding::ok(name, "not here")
            .but(Severity::Note, unavailable.to_string())
            .helped_by(unavailable.remedy()),
    }
}

/// One probe and one mover are enough: it is an error only if there is none.
fn slide(chosen: Result<(&str, &str), Unavailable>) -> Finding {
    const NAME: &str = "slide";
    match chosen {
        Ok((probe, mover)) => Finding::ok(NAME, format!("sees by {probe}, moves by {mover}")),
        Err(unavailable) => Finding::ok(NAME, "cannot run")
            .but(Severity::Error, unavailable.to_string())
            .helped_by(unavailable.remedy()),
    }
}

/// The same between nodes, of which most machines have one.
fn cslide(chosen: Result<(&str, &str), Unavailable>, nodes: usize) -> Finding {
    const NAME: &str = "cslide";
    match chosen {
        Ok((probe, mover)) if nodes > 1 => {
            Finding::ok(NAME, format!("sees by {probe}, moves by {mover} between {nodes} nodes"))
        }
        Ok(_) => Finding::ok(NAME, "cannot run")
            .but(
                Severity::Note,
                "this machine has one NUMA node with memory, and cslide moves pages between two",
            )
            .helped_by("only if cslide is wanted: a second node, such as a memory expander"),
        Err(unavailable) => Finding::ok(NAME, "cannot run")
            .but(Severity::Note, unavailable.to_string())
            .helped_by(unavailable.remedy()),
    }
}

/// Whether the kernel can mark pages idle by their numbers.
pub(super) fn idle_page_tracking(sys: &SysRoot) -> Finding {
    const NAME: &str = "idle_page_tracking";
    let file = sys.idle_bitmap();
    if file.exists() {
        return Finding::ok(NAME, "the kernel has it");
    }
    Finding::ok(NAME, "the kernel does not have it")
        .but(Severity::Note, format!("{}: missing", file.display()))
        .helped_by("only if no better probe works: a kernel built with CONFIG_IDLE_PAGE_TRACKING=y")
}

/// Whether the kernel has DAMON, who uses it, and what it shows of itself. Nothing is written: it may be another program's.
pub(super) fn damon(proc: &ProcRoot, sys: &SysRoot) -> Finding {
    let mut finding = owner_of_damon(proc, sys);
    finding.details.extend(damon_details::details(sys));
    finding
}

fn owner_of_damon(proc: &ProcRoot, sys: &SysRoot) -> Finding {
    const NAME: &str = "damon";
    let taken = |users, help| {
        Finding::ok(NAME, "taken")
            .with(users)
            .but(
                Severity::Note,
                "DAMON is in use by another program: it has one user at a time, and etmem never takes it away",
            )
            .helped_by(help)
    };
    let end = "end that program if etmem is to use DAMON".to_owned();
    let switches =
        KERNEL_USERS.map(|module| (module, sys.file(&format!("module/{module}/parameters/enabled"))));
    let kernels_own = switches
        .iter()
        .filter(|(_, switch)| line_of(switch).is_some_and(|value| ["Y", "1"].contains(&value.as_str())));
    let kernels_own: Vec<_> = kernels_own.collect();
    if let Some((_, switch)) = kernels_own.first() {
        let users = kernels_own.iter().map(|(module, _)| format!("the kernel's own {module}")).collect();
        return taken(users, format!("echo N > {} if etmem is to use DAMON", switch.display()));
    }
    let admin = sys.damon();
    let holder = if admin.is_dir() { Some(SharedDamon::new(sys).holder()) } else { None };
    match holder {
        Some(Ok(Holder::Other(what))) => taken(vec![what], end),
        Some(Ok(Holder::Etmem)) => {
            Finding::ok(NAME, "in use by etmem: an etmemd, or a program with its scan library")
        }
        Some(Ok(Holder::LeftBehind)) => Finding::ok(NAME, "set up, not in use").but(
            Severity::Note,
            "an etmem that was killed has left its settings; the next task with probe damon takes them back",
        ),
        Some(Err(error)) => Finding::ok(NAME, "unknown")
            .but(Severity::Note, format!("{}: {error}", admin.join("kdamonds").display()))
            .helped_by("run etmem doctor as root"),
        Some(Ok(Holder::Free)) | None => match threads(proc) {
            threads if !threads.is_empty() => taken(threads, end),
            _ if admin.is_dir() => Finding::ok(NAME, "free"),
            _ => Finding::ok(NAME, "the kernel does not have it")
                .but(Severity::Note, format!("{}: missing", admin.display()))
                .helped_by(
                    "only if it is wanted: a kernel built with CONFIG_DAMON_SYSFS=y and CONFIG_DAMON_VADDR=y",
                ),
        },
    }
}

/// The kernel's threads that work for a user of DAMON that sysfs does not show.
fn threads(proc: &ProcRoot) -> Vec<String> {
    numbered(proc.path(), "")
        .into_iter()
        .filter(|(_, folder)| line_of(&folder.join("comm")).is_some_and(|comm| comm.starts_with("kdamond.")))
        .map(|(pid, _)| format!("kernel thread {pid}, which sysfs does not show"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::folder_lock;
    use std::fs;

    #[test]
    fn own_use_of_damon_is_distinguished_from_others() {
        const MARK: &str = "435745023341";
        let tree = tempfile::tempdir().unwrap();
        let (proc, sys) = (ProcRoot::new(tree.path()), SysRoot::new(tree.path()));
        let kdamonds = sys.damon().join("kdamonds");
        let contexts = kdamonds.join("0/contexts");
        let intervals = contexts.join("0/monitoring_attrs/intervals");
        fs::create_dir_all(&intervals).unwrap();
        for (folder, file, text) in [
            (&kdamonds, "nr_kdamonds", "1"),
            (&kdamonds.join("0"), "state", "on"),
            (&contexts, "nr_contexts", "1"),
            (&intervals, "update_us", MARK),
        ] {
            fs::write(folder.join(file), format!("{text}\n")).unwrap();
        }
        let state = || damon(&proc, &sys).state;
        assert_eq!(state(), "set up, not in use");
        let lock = folder_lock::try_take(&kdamonds).unwrap();
        assert!(lock.is_some() && state().starts_with("in use by etmem"), "{}", state());
        fs::write(intervals.join("update_us"), "60000000\n").unwrap();
        assert_eq!(state(), "taken");
        fs::remove_file(contexts.join("nr_contexts")).unwrap();
        assert_eq!(state(), "unknown");
        fs::write(kdamonds.join("nr_kdamonds"), "0\n").unwrap();
        assert_eq!(state(), "free");
    }

    #[test]
    fn each_missing_interface_says_why_in_one_line() {
        let tree = tempfile::tempdir().unwrap();
        let roots = Roots { proc: ProcRoot::new(tree.path()), sys: SysRoot::new(tree.path()) };
        for finding in ways(&roots) {
            let reason = finding.reason.unwrap();
            assert!(!reason.contains('\n') && !reason.is_empty(), "{}: {reason}", finding.name);
        }
    }

    #[test]
    fn only_no_probe_or_no_mover_is_an_error() {
        assert_eq!(slide(Ok(("bpf", "madvise"))).severity, Severity::Ok);
        let finding = slide(Err(Unavailable::Lockdown));
        assert_eq!(finding.severity, Severity::Error);
        assert!(finding.remedy.unwrap().contains("lockdown=integrity"));
        assert_eq!(cslide(Ok(("bpf", "numa")), 2).state, "sees by bpf, moves by numa between 2 nodes");
        for (chosen, nodes, why) in
            [(Ok(("bpf", "numa")), 1, "one NUMA node"), (Err(Unavailable::Lockdown), 2, "locked down")]
        {
            let finding = cslide(chosen, nodes);
            assert_eq!((finding.severity, finding.state.as_str()), (Severity::Note, "cannot run"));
            assert!(finding.reason.unwrap().contains(why));
        }
        let available = Err(Unavailable::Architecture);
        assert_eq!(way("probe", &Capability { name: "bpf", available }).severity, Severity::Note);
    }
}
