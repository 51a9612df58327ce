//! Where the daemons that run may not write, and what does not work because of that.
//!
//! A service or a container sees its file systems in a mount namespace of its own: what is read-only there is asked below
//! `/proc/PID/root`.

use super::daemons::Daemon;
use super::finding::{Finding, Severity};
use rustix::fs::{StatVfsMountFlags, statvfs};
use rustix::io::Errno;
use std::path::{Path, PathBuf};

/// Where engines write, and how a service gets that.
struct Place {
    /// Below sysfs: the first that is there.
    folders: &'static [&'static str],
    /// What writes there.
    what: &'static str,
    /// An example that lets it, and the setting in that.
    drop_in: &'static str,
    setting: &'static str,
}

const PLACES: [Place; 3] = [
    Place {
        folders: &["kernel/mm"],
        what: "tracker=damon, tracker=idle, and engines damon and ksm",
        drop_in: "kernel-settings.conf",
        setting: "ProtectKernelTunables=no",
    },
    Place {
        folders: &["block"],
        what: "engine tiers with type=machine",
        drop_in: "kernel-settings.conf",
        setting: "ProtectKernelTunables=no",
    },
    Place {
        // Of version 1, the folder above the hierarchies is read-only everywhere.
        folders: &["fs/cgroup/memory", "fs/cgroup"],
        what: "engine psi, triggers on control groups, and disk_directly=yes",
        drop_in: "control-groups.conf",
        setting: "ProtectControlGroups=no",
    },
];

/// The service that the examples are for.
const SERVICE: &str = "etmemd-notify.service";

/// What each of `daemons` may not write, if any runs.
pub(super) fn sandbox(daemons: &[Daemon]) -> Option<Finding> {
    const NAME: &str = "sandbox";
    if daemons.is_empty() {
        return None;
    }
    let closed: Result<Vec<_>, Errno> = daemons.iter().map(closed).collect();
    let Ok(closed) = closed else {
        return Some(
            Finding::ok(NAME, "unknown")
                .but(Severity::Note, "another user's processes do not show where they may write")
                .helped_by("run etmem doctor as root"),
        );
    };
    let closed = closed.concat();
    let finding = if closed.is_empty() {
        Finding::ok(NAME, "nothing that engines write is read-only for the daemon")
    } else {
        let help = if daemons.iter().any(|daemon| daemon.service().as_deref() == Some(SERVICE)) {
            format!(
                "if it is wanted, copy the example of /usr/lib/systemd/system/{SERVICE}.d to /etc/systemd/system/{SERVICE}.d \
                 without its last ending; then systemctl daemon-reload, and restart the service"
            )
        } else {
            "if it is wanted, let the daemon write there: by that setting of its unit, or by a mount of its container".to_owned()
        };
        Finding::ok(NAME, "some of what engines write is read-only for the daemon")
            .but(Severity::Note, "what is listed does not work in this daemon; all else does")
            .helped_by(help)
    };
    Some(finding.with(closed))
}

/// A line for each place where this daemon may not write.
fn closed(daemon: &Daemon) -> Result<Vec<String>, Errno> {
    let root = daemon.folder.join("root");
    let sys = daemon.option("--sys-root").unwrap_or_else(|| "/sys".to_owned());
    let mut lines = Vec::new();
    for Place { folders, what, drop_in, setting } in PLACES {
        for folder in folders {
            let place = format!("{sys}/{folder}");
            match is_read_only(&inside(&root, &place))? {
                None => continue,
                Some(false) => {}
                Some(true) => {
                    lines.push(format!("pid {}, {place}: {what} need {drop_in} ({setting})", daemon.pid));
                }
            }
            break;
        }
    }
    let metrics = daemon.option("--metrics-file").map(PathBuf::from);
    // A daemon leaves the folder that it was started in: what a relative name means is not known.
    if let Some(folder) = metrics.as_deref().filter(|file| file.is_absolute()).and_then(Path::parent)
        && is_read_only(&inside(&root, &folder.display().to_string()))? == Some(true)
    {
        let folder = folder.display();
        lines.push(format!(
            "pid {}, {folder}: --metrics-file needs metrics-file.conf (ReadWritePaths={folder})",
            daemon.pid
        ));
    }
    Ok(lines)
}

/// An absolute path of the namespace whose root is `root`.
fn inside(root: &Path, path: &str) -> PathBuf {
    root.join(path.trim_start_matches('/'))
}

/// Whether it lies on a file system, or a mount, that is not to be written to; `None` if it is not there.
fn is_read_only(path: &Path) -> Result<Option<bool>, Errno> {
    match statvfs(path) {
        Ok(system) => Ok(Some(system.f_flag.contains(StatVfsMountFlags::RDONLY))),
        Err(error @ (Errno::ACCESS | Errno::PERM)) => Err(error),
        // Or the daemon has ended meanwhile.
        Err(_) => Ok(None),
    }
}
