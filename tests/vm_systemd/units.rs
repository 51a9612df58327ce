//! The unit that runs in the background, as etmem 1.x.

use std::fs;

use anyhow::{Context, Result, ensure};

use crate::inside::{FORKING, Inside, NOTIFY};
use crate::life::back_soon;

/// With the folder of files, as docs/service.md says.
const DROP_IN: &str = "/etc/systemd/system/etmemd.service.d/conf.d.conf";
const EXEC: &str = "[Service]\nExecStart=\nExecStart=/usr/sbin/etmemd -m -l 3 -s etmemd_socket --config-dir /etc/etmem/conf.d\n";

/// Starting it ends the other one; after a kill it is back with its projects, and its pid file names it.
pub(crate) fn forking(inside: &Inside) -> Result<()> {
    inside.serve()?;
    fs::create_dir_all("/etc/systemd/system/etmemd.service.d")?;
    fs::write(DROP_IN, EXEC)?;
    inside.systemctl(&["daemon-reload"])?;
    inside.systemctl(&["start", FORKING])?;
    ensure!(!inside.is_active(NOTIFY)?, "both units run");
    let before = inside.main_pid(FORKING)?;
    ensure!(fs::read_to_string("/run/etmemd.pid")?.trim() == before, "the pid file names another process");
    inside.signal("-KILL", &before)?;
    back_soon(inside, FORKING, &before)?;
    inside.systemctl(&["stop", FORKING])?;
    fs::remove_dir_all("/etc/systemd/system/etmemd.service.d").context("remove the drop-in")?;
    inside.systemctl(&["daemon-reload"]).map(|_| ())
}
