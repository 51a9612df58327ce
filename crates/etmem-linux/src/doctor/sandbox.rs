//! Where the daemons that run may not write, and what does not work because of that.
//!
//! A service sees its file systems in a mount namespace of its own: what is read-only there is asked below `/proc/PID/root`.

use super::daemons::Daemon;
use super::finding::{Finding, Severity};
use rustix::fs::{StatVfsMountFlags, statvfs};
use std::path::Path;

/// A folder below sysfs, what writes there, the example of a drop-in that lets it, and the setting in that.
const PLACES: [(&str, &str, &str, &str); 2] = [
    (
        "kernel/mm",
        "tracker=damon, tracker=idle, and engines damon, ksm and tiers",
        "kernel-settings.conf",
        "ProtectKernelTunables=no",
    ),
    (
        "fs/cgroup",
        "engine psi, triggers on control groups, and disk_directly=yes",
        "control-groups.conf",
        "ProtectControlGroups=no",
    ),
];

/// Where the examples are that the packages bring along.
const EXAMPLES: &str = "/usr/lib/systemd/system/etmemd-notify.service.d";

/// What each of `daemons` may not write, if any runs.
pub(super) fn sandbox(daemons: &[Daemon]) -> Option<Finding> {
    const NAME: &str = "sandbox";
    if daemons.is_empty() {
        return None;
    }
    let closed: Vec<String> = daemons.iter().flat_map(closed).collect();
    let finding = if closed.is_empty() {
        Finding::ok(NAME, "nothing that engines write is read-only for the daemon")
    } else {
        Finding::ok(NAME, "some of what engines write is read-only for the daemon")
            .but(Severity::Note, "what is listed does not work in this daemon; all else does")
            .helped_by(format!(
                "if it is wanted: the drop-in, of which {EXAMPLES} has an example, as /etc/systemd/system/etmemd-notify.service.d/*.conf; \
                 then systemctl daemon-reload, and restart the service"
            ))
    };
    Some(finding.with(closed))
}

/// A line for each place where this daemon may not write.
fn closed(daemon: &Daemon) -> Vec<String> {
    let root = daemon.folder.join("root");
    let sys = daemon.option("--sys-root").unwrap_or_else(|| "/sys".to_owned());
    let mut lines: Vec<String> = PLACES
        .iter()
        .filter(|(folder, ..)| is_read_only(&inside(&root, &format!("{sys}/{folder}"))))
        .map(|(folder, what, example, setting)| {
            format!("pid {}, {sys}/{folder}: {what} need {example} ({setting})", daemon.pid)
        })
        .collect();
    let metrics = daemon.option("--metrics-file");
    if let Some(folder) = metrics.as_deref().and_then(|file| Path::new(file).parent())
        && is_read_only(&inside(&root, &folder.display().to_string()))
    {
        lines.push(format!(
            "pid {}, {}: --metrics-file needs metrics-file.conf (ReadWritePaths={})",
            daemon.pid,
            folder.display(),
            folder.display()
        ));
    }
    lines
}

/// An absolute path of the namespace whose root is `root`.
fn inside(root: &Path, path: &str) -> std::path::PathBuf {
    root.join(path.trim_start_matches('/'))
}

/// Whether it lies on a file system, or a mount, that is not to be written to. One that is not there, or not to be asked, is not.
fn is_read_only(path: &Path) -> bool {
    statvfs(path).is_ok_and(|system| system.f_flag.contains(StatVfsMountFlags::RDONLY))
}
