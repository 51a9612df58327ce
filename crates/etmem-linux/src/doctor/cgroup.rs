//! Which version of control groups the machine has, and whether memory is counted in it.

use super::daemons::Daemon;
use super::finding::{Finding, Severity};
use super::text::line_of;
use crate::root::{ProcRoot, SysRoot};
use std::fs;
use std::path::Path;

const MODERN: &str = "boot with systemd.unified_cgroup_hierarchy=1, or cgroup_no_v1=memory";

const NAME: &str = "cgroup";

/// The version, and whether groups of other programs have names for the daemons that run, or else from here: in a container with a
/// cgroup namespace of its own not even the first process's has (`cgroup_namespaces(7)`).
pub(super) fn cgroup(proc: &ProcRoot, sys: &SysRoot, daemons: &[Daemon]) -> Finding {
    let finding = version(sys);
    let namespace = |process: &Path| fs::read_link(process.join("ns/cgroup")).ok();
    let first = proc.machine("1");
    let of_machine = namespace(&first);
    let names = |daemon: &Daemon| of_machine.is_some() && namespace(&daemon.folder) == of_machine;
    let text = fs::read_to_string(first.join("cgroup")).unwrap_or_default();
    if !text.lines().any(|line| line.contains(":/..")) || (!daemons.is_empty() && daemons.iter().all(names)) {
        return finding;
    }
    finding
        .but(
            Severity::Warning,
            "in a cgroup namespace of its own, targets by type=cgroup and limits of groups are not found",
        )
        .helped_by("run etmemd in that of the machine: nsenter --cgroup --target 1 -- etmemd ...")
}

/// Limits of targets are read from control groups; the engine psi needs their memory controller.
fn version(sys: &SysRoot) -> Finding {
    let has_memory = |controllers: &str| controllers.split_whitespace().any(|name| name == "memory");
    if let Some(controllers) = line_of(&sys.file("fs/cgroup/cgroup.controllers")) {
        if has_memory(&controllers) {
            return Finding::ok(NAME, "v2, with the memory controller");
        }
        return Finding::ok(NAME, "v2, without the memory controller")
            .but(Severity::Note, format!("cgroup.controllers has: {controllers}"))
            .helped_by("a kernel built with CONFIG_MEMCG=y, booted without cgroup_disable=memory");
    }
    let has_both = sys.file("fs/cgroup/unified/cgroup.controllers").exists();
    if sys.file("fs/cgroup/memory/memory.usage_in_bytes").exists() {
        let state = if has_both {
            "v1, with the memory controller; v2 is mounted too, without it"
        } else {
            "v1, with the memory controller"
        };
        return Finding::ok(NAME, state)
            .but(Severity::Note, "the memory controller of v1 has no memory.low, memory.min, memory.reclaim")
            .helped_by(MODERN);
    }
    if has_both {
        return Finding::ok(NAME, "v1 and v2, without the memory controller")
            .but(Severity::Note, "no hierarchy with the memory controller is mounted")
            .helped_by(MODERN);
    }
    Finding::ok(NAME, "none")
        .but(Severity::Note, format!("{} holds no hierarchy", sys.file("fs/cgroup").display()))
        .helped_by("mount -t cgroup2 none /sys/fs/cgroup, where the kernel is built with CONFIG_CGROUPS=y")
}
