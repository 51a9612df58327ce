//! The scan library, built for the tests.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::binaries::BUILD_LIMIT;
use crate::process::run;

/// Builds `libetmemd_scan.so` in `folder`, as the running program was built (optimised or not): its path. One that is there
/// is replaced at once, so that whoever has loaded it keeps what it has.
///
/// # Errors
/// The build fails; the message is the compiler's or the linker's.
pub fn build_in(folder: &Path) -> Result<PathBuf> {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let cargo = env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    let mut command = Command::new(cargo);
    command.args(["build", "--quiet", "--package=etmemd-scan", "--message-format=json-render-diagnostics"]);
    command.current_dir(&top);
    if !cfg!(debug_assertions) {
        command.arg("--release");
    }
    let built = run(&mut command, BUILD_LIMIT)?;
    ensure!(built.status == 0, "the scan library does not build:\n{}", built.stderr);
    let archive = built
        .stdout
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter_map(|message| Some(message.get("filenames")?.as_array()?.first()?.as_str()?.to_owned()))
        .find(|file| file.ends_with("/libetmemd_scan.a"))
        .context("cargo built no archive")?;
    fs::create_dir_all(folder)?;
    let fresh = folder.join(format!("libetmemd_scan.so.{}", std::process::id()));
    let mut link = Command::new(top.join("scripts/link-scan-library"));
    let linked = run(link.arg(archive).arg(&fresh), BUILD_LIMIT)?;
    ensure!(linked.status == 0, "the scan library is not linked:\n{}", linked.stderr);
    let library = folder.join("libetmemd_scan.so");
    fs::rename(fresh, &library)?;
    Ok(library)
}
