//! The scan library, built once for those who link with it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::{Result, anyhow};
use etmem_testkit::built::{self, top};
use etmem_testkit::process::success;

const LIMIT: Duration = Duration::from_secs(120);

/// The folder with the library, which is built once.
pub(crate) fn library() -> Result<&'static Path> {
    static FOLDER: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| build().map_err(|error| format!("{error:#}")));
    folder.as_deref().map_err(|error| anyhow!(error.clone()))
}

fn build() -> Result<PathBuf> {
    let archive = built::library("libetmemd_scan.a")?;
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("scan_library");
    fs::create_dir_all(&folder)?;
    let library = folder.join("libetmemd_scan.so");
    success(Command::new(top().join("scripts/link-scan-library")).arg(&archive).arg(&library), LIMIT)?;
    Ok(folder)
}
