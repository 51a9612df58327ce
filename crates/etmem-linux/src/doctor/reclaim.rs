//! What engine psi works with: reclaim of control groups, and what misleads it or works beside it.

use super::finding::{Finding, Severity};
use super::text::{line_of, numbered};
use crate::groups::MachineGroups;
use crate::root::{ProcRoot, Roots, SysRoot};
use etmem_core::kernel::groups::GroupError;
use std::fs;

/// The first kernel whose `memory.reclaim` takes `swappiness=`.
const SWAPPINESS_SINCE: (u32, u32) = (6, 9);

/// Whether control groups can be reclaimed, whether pages are compressed, and which daemon kills beside us.
pub(super) fn reclaim(roots: &Roots) -> Vec<Finding> {
    let compressed = is_compressed(&roots.proc, &roots.sys);
    let mut findings = vec![of_groups(roots)];
    findings.extend(compressed.then(blind));
    findings.extend(read_ahead(&roots.proc).filter(|_| compressed));
    findings.extend(oomd(&roots.proc));
    findings
}

fn of_groups(roots: &Roots) -> Finding {
    const NAME: &str = "reclaim";
    match MachineGroups::new(roots.clone()).detect() {
        Ok(by) => {
            let takes = release(&roots.proc) >= Some(SWAPPINESS_SINCE);
            let swappiness =
                if takes { "with swappiness=" } else { "without swappiness=, which Linux 6.9 brings" };
            Finding::ok(NAME, format!("{by}, {swappiness}"))
        }
        Err(error) => {
            let reason = match error {
                // The finding has its own line for what would help.
                GroupError::Refused { reason, .. } => {
                    reason.split("; boot with").next().unwrap_or_default().to_owned()
                }
                GroupError::Removed | GroupError::NoMemory | GroupError::NoSwappiness => error.to_string(),
            };
            Finding::ok(NAME, "cannot run: engine psi").but(Severity::Note, reason).helped_by(
                "boot with systemd.unified_cgroup_hierarchy=1, or cgroup_no_v1=memory, Linux 5.19 or later",
            )
        }
    }
}

/// The first two numbers of the kernel's release.
fn release(proc: &ProcRoot) -> Option<(u32, u32)> {
    let release = line_of(&proc.machine("sys/kernel/osrelease"))?;
    let mut numbers = release.split(|character: char| !character.is_ascii_digit());
    let mut number = || numbers.next()?.parse().ok();
    Some((number()?, number()?))
}

/// Whether pages that leave are compressed into memory.
fn is_compressed(proc: &ProcRoot, sys: &SysRoot) -> bool {
    let swaps = fs::read_to_string(proc.machine("swaps")).unwrap_or_default();
    let mut devices = swaps.lines().skip(1).peekable();
    let zswap = line_of(&sys.zswap()).is_some_and(|switch| switch == "Y" || switch == "1");
    zswap && devices.peek().is_some() || devices.any(|device| device.starts_with("/dev/zram"))
}

fn blind() -> Finding {
    Finding::ok("pressure_of_refaults", "not all of it is seen")
        .but(
            Severity::Note,
            "PSI does not see refaults of compressed memory (zram, zswap): programs may read back all that left while the pressure \
             stays near 0",
        )
        .helped_by("leave max_refault on: it goes by refaults themselves")
}

/// How many pages the kernel reads back from swap at once.
fn read_ahead(proc: &ProcRoot) -> Option<Finding> {
    let file = proc.machine("sys/vm/page-cluster");
    let pages =
        line_of(&file)?.parse::<u32>().ok().filter(|power| *power > 0).map(|power| 1u64 << power.min(20))?;
    let finding = Finding::ok("page_cluster", format!("{pages} pages are read back at once"))
        .but(
            Severity::Note,
            "compressed memory has no seek to save: what is read ahead takes memory, and counts as refaulted",
        )
        .helped_by("sysctl vm.page-cluster=0");
    Some(finding)
}

/// Whether systemd's daemon kills control groups by pressure and swap use.
fn oomd(proc: &ProcRoot) -> Option<Finding> {
    let runs = |(_, folder): &(u32, std::path::PathBuf)| {
        line_of(&folder.join("comm")).as_deref() == Some("systemd-oomd")
    };
    let (pid, _) = numbered(proc.path(), "").into_iter().find(runs)?;
    let finding = Finding::ok("oomd", format!("systemd-oomd runs, pid {pid}"))
        .but(
            Severity::Note,
            "it kills control groups with ManagedOOMSwap=kill once more of swap is in use than SwapUsedLimit (90 %), and those with \
             ManagedOOMMemoryPressure=kill by their pressure",
        )
        .helped_by("keep max_swap_use below SwapUsedLimit; see oomd.conf(5) and oomctl");
    Some(finding)
}
