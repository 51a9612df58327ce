//! What removing and purging leave: no setting in the kernel, no file but logs.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};

use crate::inside::{Inside, NOTIFY, processes_of};

const DROP_IN: &str = "/etc/systemd/system/etmemd-notify.service.d/ksm.conf";
const KSM: &str = "/etc/etmem/conf.d/ksm.conf";
const RUN: &str = "/sys/kernel/mm/ksm/run";
const MERGING: &str = "[project]\nname=equal\nscan_type=none\ninterval=10\n[engine]\nproject=equal\nname=ksm\n\
     [task]\nproject=equal\nengine=ksm\nname=pages\ntype=name\nvalue=hotset\n";

/// A daemon that has set something of the kernel, is killed and not started again, is removed: that is taken back; the
/// same with one that runs. Files of the project are there up to the purge, and not after it.
pub(crate) fn purged(inside: &Inside) -> Result<()> {
    inside.serve()?;
    let before = fs::read_to_string(RUN)?;
    let folder = Path::new(DROP_IN).parent().context("no folder")?;
    fs::create_dir_all(folder)?;
    // A kill is not followed by a restart.
    fs::write(DROP_IN, "[Service]\nProtectKernelTunables=no\nRestart=no\n")?;
    inside.systemctl(&["daemon-reload"])?;
    inside.configure(KSM, MERGING)?;
    inside.systemctl(&["restart", NOTIFY])?;
    inside.say("restarted with ksm");
    inside.wait(NOTIFY, "pages are searched", || Ok(fs::read_to_string(RUN)?.trim() == "1"))?;
    inside.signal("-KILL", &inside.main_pid(NOTIFY)?)?;
    inside.wait(NOTIFY, "the kill is noticed", || Ok(!inside.is_active(NOTIFY)?))?;
    ensure!(fs::read_to_string(RUN)?.trim() == "1", "a killed daemon has taken back what it set");
    inside.must("etmemd", &["--take-back"])?;
    ensure!(
        fs::read_to_string(RUN)? == before,
        "etmemd --take-back left ksm/run={}",
        fs::read_to_string(RUN)?
    );

    inside.say("taken back after the kill");
    inside.systemctl(&["reset-failed", NOTIFY])?;
    inside.systemctl(&["start", NOTIFY])?;
    inside.wait(NOTIFY, "pages are searched again", || Ok(fs::read_to_string(RUN)?.trim() == "1"))?;
    inside.must("dpkg", &["--remove", "etmem"])?;
    ensure!(processes_of("etmemd")?.is_empty(), "the daemon runs on");
    ensure!(fs::read_to_string(RUN)? == before, "removing left ksm/run={}", fs::read_to_string(RUN)?);
    ensure!(Path::new(KSM).exists(), "removing took configuration");

    inside.say("removed");
    // The administrator's own.
    fs::remove_dir_all(folder)?;
    inside.must("dpkg", &["--purge", "etmem", "libetmemd-scan"])?;
    let left = ours()?;
    ensure!(left.is_empty(), "purging left {left:?}");
    ensure!(inside.run("systemctl", &["cat", NOTIFY])?.status != 0, "systemd knows the unit still");
    Ok(())
}

/// Files of the project on the machine's own disk and in /run, logs and those brought along for the stories left out.
fn ours() -> Result<BTreeSet<String>> {
    let mut found = BTreeSet::new();
    for top in ["/etc", "/run", "/usr", "/var", "/root", "/tmp"] {
        collect(Path::new(top), &mut found)?;
    }
    let brought = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().context("no folder of the build")?;
    found.retain(|path| {
        let path = Path::new(path);
        // The plugin was not of a package, and dpkg keeps a log.
        !path.starts_with(brought) && !path.starts_with("/usr/lib/etmem") && !path.starts_with("/var/log")
    });
    Ok(found)
}

fn collect(folder: &Path, found: &mut BTreeSet<String>) -> Result<()> {
    let Ok(entries) = fs::read_dir(folder) else { return Ok(()) };
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name();
        if name.to_string_lossy().contains("etmem") {
            found.insert(entry.path().display().to_string());
        } else if entry.file_type()?.is_dir() {
            collect(&entry.path(), found)?;
        }
    }
    Ok(())
}
