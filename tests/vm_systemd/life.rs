//! The confined unit: installed, enabled and started.

use anyhow::{Result, ensure};

use crate::inside::{FORKING, Inside, MEMORY, NOTIFY, in_swap, processes_of};
use crate::packages::VERSIONS;

/// Nothing runs and nothing is enabled; both programs are found by the names that scripts use; samples are accepted.
pub(crate) fn installed(inside: &Inside) -> Result<()> {
    ensure!(inside.installed_version()?.is_empty(), "there is a package already");
    inside.install("etmem", VERSIONS[0])?;
    for unit in [NOTIFY, FORKING] {
        ensure!(!inside.is_active(unit)?, "{unit} was started");
        let enabled = inside.run("systemctl", &["is-enabled", unit])?;
        ensure!(enabled.stdout.trim() == "disabled", "{unit} is {}", enabled.stdout);
        let verified = inside.run("systemd-analyze", &["verify", "--man=no", unit])?;
        let all = format!("{}{}", verified.stdout, verified.stderr);
        ensure!(verified.status == 0 && !all.contains("etmemd"), "systemd-analyze verify {unit}: {all}");
    }
    ensure!(processes_of("etmemd")?.is_empty(), "a daemon runs");
    inside.must("/usr/bin/etmemd", &["--version"])?;
    inside.must("etmem", &["obj", "add", "--dry-run", "-f", "/etc/etmem/slide_conf.yaml"])?;
    Ok(())
}

/// Enabled and started: cold memory of a process leaves, and its hot memory stays.
pub(crate) fn moves(inside: &Inside) -> Result<()> {
    inside.serve()?;
    let target = inside.target()?;
    inside.wait(NOTIFY, "half of the program is in swap", || Ok(in_swap(target)? > MEMORY / 2))?;
    inside.say(format!("{} MiB are in swap", in_swap(target)? >> 20));
    ensure!(inside.systemctl(&["is-enabled", NOTIFY])?.trim() == "enabled", "it is not enabled");
    Ok(())
}
