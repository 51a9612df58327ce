//! What the doctor looks at, in the order of its report.

use super::finding::{DoctorReport, Finding, Severity};
use super::text::line_of;
use super::{cgroup, daemons, guests, interfaces, levels, nodes, pressure, reclaim, rights, sandbox, swap};
use crate::root::{ProcRoot, Roots, SysRoot};
use std::fs;

/// Examines the machine whose file systems are at `roots`.
#[must_use]
pub fn examine(roots: &Roots) -> DoctorReport {
    let Roots { proc, sys } = roots;
    let mut findings = vec![kernel(proc), rights::rights(proc), lockdown(sys), kernel_types(sys)];
    findings.extend(interfaces::ways(roots));
    findings.push(interfaces::idle_page_tracking(sys));
    findings.push(interfaces::damon(proc, sys));
    findings.extend(swap::swap(proc, sys));
    findings.push(levels::levels(roots));
    findings.push(nodes::nodes(sys));
    findings.extend(guests::guests(roots));
    findings.push(pressure::pressure(proc));
    let daemons = daemons::running(proc);
    findings.push(cgroup::cgroup(proc, sys, &daemons));
    findings.extend(reclaim::reclaim(roots));
    findings.push(daemons::daemons(&daemons));
    findings.extend(sandbox::sandbox(&daemons));
    findings.push(rights::own_memory(proc));
    DoctorReport { findings }
}

fn kernel(proc: &ProcRoot) -> Finding {
    let file = proc.machine("sys/kernel/osrelease");
    let architecture = line_of(&proc.machine("sys/kernel/arch"));
    let architecture = architecture.as_deref().unwrap_or(std::env::consts::ARCH);
    match line_of(&file) {
        Some(release) => Finding::ok("kernel", format!("Linux {release}, {architecture}")),
        None => Finding::ok("kernel", format!("unknown, {architecture}"))
            .but(Severity::Warning, format!("{} cannot be read", file.display()))
            .helped_by("mount procfs, or name where it is by --proc-root"),
    }
}

/// Whether the kernel lets root, and so the page walk, read its memory.
fn lockdown(sys: &SysRoot) -> Finding {
    let Ok(modes) = fs::read_to_string(sys.lockdown()) else {
        return Finding::ok("lockdown", "none: the kernel does not have it, or securityfs is not mounted");
    };
    let mode =
        modes.split_once('[').and_then(|(_, rest)| rest.split_once(']')).map_or("unknown", |(mode, _)| mode);
    let finding = Finding::ok("lockdown", mode);
    if mode == "confidentiality" {
        finding
            .but(Severity::Note, "the probe bpf cannot read page tables of a kernel in this mode")
            .helped_by("boot with lockdown=integrity or none")
    } else {
        finding
    }
}

/// Whether the kernel describes its own types (BTF), which loading the page walk needs.
fn kernel_types(sys: &SysRoot) -> Finding {
    let file = sys.kernel_types();
    if file.exists() {
        return Finding::ok("kernel_types", "BTF is there");
    }
    Finding::ok("kernel_types", "no BTF")
        .but(
            Severity::Note,
            format!("{}: missing; the probe bpf cannot be loaded into this kernel", file.display()),
        )
        .helped_by("a kernel built with CONFIG_DEBUG_INFO_BTF=y")
}
