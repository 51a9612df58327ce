//! What this process is allowed to do, and so an etmemd that is started in the same way.

use super::finding::{Finding, Severity};
use crate::own_memory;
use crate::root::ProcRoot;
use std::fs;

/// CAP_SYS_ADMIN.
const SYS_ADMIN: u32 = 21;

/// The capabilities of root that the daemon uses: their numbers (`include/uapi/linux/capability.h`) and names.
const POWERS: [(u32, &str); 5] = [
    (19, "CAP_SYS_PTRACE"),
    (SYS_ADMIN, "CAP_SYS_ADMIN"),
    (23, "CAP_SYS_NICE"),
    (38, "CAP_PERFMON"),
    (39, "CAP_BPF"),
];

/// CAP_SYS_ADMIN holds what these two were split from.
const WITHIN_ADMIN: [u32; 2] = [38, 39];

/// Whether this process is root, with all of root's capabilities.
pub(super) fn rights(proc: &ProcRoot) -> Finding {
    const NAME: &str = "rights";
    let status = fs::read_to_string(proc.own("status")).unwrap_or_default();
    let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name));
    // Real, effective, saved and file system user.
    let user = field("Uid:").and_then(|ids| ids.split_whitespace().nth(1));
    let Some(user) = user else {
        return Finding::ok(NAME, "unknown")
            .but(Severity::Note, format!("{} has no line Uid", proc.own("status").display()));
    };
    if user != "0" {
        return Finding::ok(NAME, format!("user {user}"))
            .but(
                Severity::Warning,
                "etmemd needs root; interfaces that need root's rights are shown as not permitted",
            )
            .helped_by("run etmem doctor as root");
    }
    let has = |number| own_memory::has_capability(&status, number);
    let lacks = |number| !(has(number) || WITHIN_ADMIN.contains(&number) && has(SYS_ADMIN));
    let missing: Vec<&str> =
        POWERS.iter().filter(|(number, _)| lacks(*number)).map(|(_, name)| *name).collect();
    if missing.is_empty() {
        Finding::ok(NAME, "root")
    } else {
        Finding::ok(NAME, format!("root without {}", missing.join(", ")))
            .but(Severity::Warning, "probes and movers that need them are shown as not permitted")
            .helped_by("run it outside of the container, or give the container these capabilities")
    }
}

/// Whether etmemd could keep its own memory out of swap.
pub(super) fn own_memory(proc: &ProcRoot) -> Finding {
    const NAME: &str = "own_memory";
    match own_memory::may_lock(proc) {
        Ok(()) => Finding::ok(NAME, "can be locked"),
        Err(unavailable) => Finding::ok(NAME, "cannot be locked")
            .but(
                Severity::Warning,
                format!("{unavailable}; etmemd may have to wait until its own pages are read back from swap"),
            )
            .helped_by(unavailable.remedy()),
    }
}
