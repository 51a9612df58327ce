//! No mount stays.

use std::env;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use etmem_testkit::process::Running;
use nix::sys::signal::Signal;

use crate::{START, Stage, cold, read};

const LIMIT: Duration = Duration::from_secs(60);

fn is_mounted(root: &Path) -> Result<bool> {
    Ok(fs::read_to_string("/proc/self/mountinfo")?.contains(&root.display().to_string()))
}

pub(crate) fn go_with_the_handle() -> Result<()> {
    let stage = Stage::private(vec![cold(1)])?;
    let root = stage.fake.root().to_owned();
    let file = stage.idle_pages()?;
    read(&file, START, 32)?;
    ensure!(is_mounted(&root)?);
    drop(stage);
    ensure!(!is_mounted(&root)? && !root.exists(), "{} is still there", root.display());
    drop(file);
    Ok(())
}

/// A script that is mounted by the program until it is ended.
fn program(signal: Signal) -> Result<PathBuf> {
    let folder = tempfile::tempdir()?;
    let script = folder.path().join("script");
    fs::write(&script, "process 7 x\nmap 0x1000 rw-p\npages 16 hot\n")?;
    let mut command = Command::new(env!("CARGO_BIN_EXE_fakeproc"));
    command.arg(&script).stdin(Stdio::null()).stdout(Stdio::piped());
    let (running, pipes) = Running::start(&mut command)?;
    let mut said = String::new();
    BufReader::new(pipes.output.context("no output")?).read_line(&mut said)?;
    let root = said.trim().strip_prefix("mounted at ").context(said.clone())?;
    let root = PathBuf::from(root);
    ensure!(fs::read_to_string(root.join("7/comm"))? == "x\n");
    running.signal(signal)?;
    let (status, _) = running.wait(LIMIT)?;
    ensure!(!status.success(), "{status}");
    Ok(root)
}

pub(crate) fn of_a_killed_run() -> Result<()> {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let root = program(signal)?;
        ensure!(!is_mounted(&root)?, "{signal} leaves {}", root.display());
    }
    let root = program(Signal::SIGKILL)?;
    ensure!(is_mounted(&root)? && fs::metadata(root.join("7")).is_err(), "a killed run leaves a dead mount");
    // The next one takes it away.
    let _stage = Stage::private(vec![cold(1)])?;
    ensure!(!is_mounted(&root)? && !root.exists());
    Ok(())
}
