//! The unit files, as systemd itself judges them.

use crate::stand::{LIMIT, Stand};
use anyhow::{Context, Result, ensure};
use etmem_testkit::process::{Ran, run};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The most exposure that the confined unit may have, in tenths (`systemd-analyze security`): it has 2.6 with
/// systemd 252; what is left is in its comments.
const EXPOSURE: &str = "27";

const UNITS: [&str; 2] = ["etmemd.service", "etmemd-notify.service"];

/// A unit of this tree.
pub(crate) fn unit(name: &str) -> Result<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../systemd").join(name);
    fs::read_to_string(&path).with_context(|| path.display().to_string())
}

/// The units as if they were installed: with the program under test where it is.
fn installed(stand: &Stand) -> Result<Vec<PathBuf>> {
    let program = format!("ExecStart={}", env!("CARGO_BIN_EXE_etmemd"));
    let reload = format!("ExecReload={} ", env!("CARGO_BIN_EXE_etmemd"));
    UNITS
        .iter()
        .map(|name| {
            let text = unit(name)?;
            ensure!(
                text.contains("\nExecStart=/usr/sbin/etmemd "),
                "make install does not find what to replace"
            );
            let path = stand.path(name);
            let text = text.replace("ExecStart=/usr/sbin/etmemd", &program);
            // Only that there is such a program matters here.
            fs::write(&path, text.replace("ExecReload=/usr/bin/etmem ", &reload))?;
            Ok(path)
        })
        .collect()
}

fn analyze(arguments: &[&str], units: &[PathBuf]) -> Result<Ran> {
    let mut command = Command::new("systemd-analyze");
    run(command.args(arguments).args(units).env("LC_ALL", "C"), LIMIT)
}

/// They are understood to the last word: systemd only warns of what it does not know, which is a fault here.
pub(crate) fn verify() -> Result<()> {
    let stand = Stand::new()?;
    let units = installed(&stand)?;
    let judged = analyze(&["verify", "--man=no"], &units)?;
    let complaint = judged.stderr.lines().find(|line| line.contains("etmemd"));
    ensure!(judged.status == 0 && complaint.is_none(), "{}{}", judged.stdout, judged.stderr);
    // It would have said so.
    fs::write(&units[0], unit(UNITS[0])?.replace("PIDFile=", "PidFile="))?;
    let judged = analyze(&["verify", "--man=no"], &units)?;
    ensure!(judged.stderr.contains("PidFile"), "{judged:?}");
    Ok(())
}

pub(crate) fn security() -> Result<()> {
    let stand = Stand::new()?;
    let units = installed(&stand)?;
    let threshold = format!("--threshold={EXPOSURE}");
    let arguments = ["security", "--no-pager", "--offline=true", &threshold];
    let judged = analyze(&arguments, &units[1..])?;
    ensure!(judged.status == 0, "{}{}", judged.stdout, judged.stderr);
    let judged = analyze(&arguments, &units[..1])?;
    ensure!(judged.status != 0, "the unconfined unit passes as well: the threshold means nothing");
    Ok(())
}
