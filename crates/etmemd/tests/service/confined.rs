//! The daemon with the rights that `etmemd-notify.service` gives it, on the memory of another user's process.

use crate::units::unit;
use anyhow::{Context, Result, ensure};
use etmem_testkit::clock::WallClock;
use etmem_testkit::daemon::{Binaries, Daemon, ProjectFile, TaskKind};
use etmem_testkit::size::MIB;
use etmem_testkit::stage::{COLD_OUT, LIMIT};
use etmem_testkit::swap::SwapGuard;
use etmem_testkit::workload::{Options, Workload};
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

pub(crate) const SWAP: usize = 256 * MIB;
pub(crate) const MEMORY: usize = 64 * MIB;

const NOBODY: u32 = 65534;

/// A script that runs `program` with what setpriv(1) makes of `arguments`.
fn wrapped(path: PathBuf, arguments: &str, program: &Path) -> Result<PathBuf> {
    fs::write(&path, format!("#!/bin/sh\nexec setpriv {arguments} {} \"$@\"\n", program.display()))?;
    fs::set_permissions(&path, Permissions::from_mode(0o755))?;
    Ok(path)
}

/// The capabilities of the unit, as setpriv(1) names them.
fn capabilities() -> Result<Vec<String>> {
    let text = unit("etmemd-notify.service")?;
    let line = text.lines().find_map(|line| line.strip_prefix("CapabilityBoundingSet="));
    let names = line.context("the unit does not limit its capabilities")?.split_whitespace();
    Ok(names.map(|name| name.trim_start_matches("CAP_").to_lowercase()).collect())
}

pub(crate) fn rights_are_enough() -> Result<()> {
    let built = Binaries::build()?;
    let folder = tempfile::tempdir()?;
    fs::set_permissions(folder.path(), Permissions::from_mode(0o755))?;
    let path = |name: &str| folder.path().join(name);
    let set: String = capabilities()?.iter().map(|name| format!(",+{name}")).collect();
    let mut binaries = built.clone();
    binaries.etmemd =
        wrapped(path("etmemd"), &format!("--no-new-privs --bounding-set=-all{set}"), &built.etmemd)?;
    // Where the programs are built, others may have no right to look.
    fs::copy(&built.hotcold, path("workload"))?;
    let other = format!("--reuid={NOBODY} --regid={NOBODY} --clear-groups");
    let program = wrapped(path("hotcold"), &other, &path("workload"))?;

    let _swap = SwapGuard::acquire(SWAP)?;
    let daemon = Daemon::start(&binaries)?;
    let status = fs::read_to_string(format!("/proc/{}/status", daemon.pid()))?;
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:\t")).context("no CapEff")?;
    let effective = u64::from_str_radix(effective, 16)?;
    ensure!(effective.count_ones() as usize == capabilities()?.len(), "not confined: {effective:x}");

    let workload = Workload::start(&program, &Options::new(MEMORY, 0))?;
    ensure!(
        fs::read_to_string(format!("/proc/{}/status", workload.pid()))?.contains("Uid:\t65534\t"),
        "the workload is not another user's"
    );
    daemon.add(&ProjectFile::new("p").task("t", TaskKind::Pid(workload.pid())).to_string())?;
    daemon.must(&["project", "start", "-n", "p"])?;
    let waited = WallClock::new().wait_until(LIMIT, "the cold memory leaves", || {
        Ok(workload.footprint().places()?.cold.share_swapped() >= COLD_OUT)
    });
    waited.with_context(|| format!("log:\n{}", daemon.log()))?;
    daemon.must(&["project", "stop", "-n", "p"])?;
    Ok(())
}
