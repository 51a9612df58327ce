//! The scan library, built once for those who link with it.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use etmem_testkit::process::{Ran, run};

/// From nothing, on two slow processors.
const BUILD_LIMIT: Duration = Duration::from_secs(1800);
const LIMIT: Duration = Duration::from_secs(120);

/// The top of this project.
pub(crate) fn top() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// Runs `command`, which has to succeed.
pub(crate) fn success(command: &mut Command, limit: Duration) -> Result<Ran> {
    let ran = run(command, limit)?;
    ensure!(ran.status == 0, "{command:?}: {}\n{}{}", ran.status, ran.stdout, ran.stderr);
    Ok(ran)
}

/// The folder with the library, which is built once.
pub(crate) fn library() -> Result<&'static Path> {
    static FOLDER: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| build().map_err(|error| format!("{error:#}")));
    folder.as_deref().map_err(|error| anyhow!(error.clone()))
}

fn build() -> Result<PathBuf> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    let mut command = Command::new(cargo);
    command.args(["build", "--quiet", "--package=etmemd-scan", "--message-format=json-render-diagnostics"]);
    command.current_dir(top());
    if !cfg!(debug_assertions) {
        command.arg("--release");
    }
    let built = success(&mut command, BUILD_LIMIT)?.stdout;
    let archive = built
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter_map(|message| Some(message.get("filenames")?.as_array()?.first()?.as_str()?.to_owned()))
        .find(|file| file.ends_with("/libetmemd_scan.a"))
        .context("cargo built no archive")?;
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("scan_library");
    fs::create_dir_all(&folder)?;
    let library = folder.join("libetmemd_scan.so");
    success(Command::new(top().join("scripts/link-scan-library")).arg(&archive).arg(&library), LIMIT)?;
    Ok(folder)
}
