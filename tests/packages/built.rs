//! The packages, made of the programs under test as `make deb` and `make rpm` make them of a release.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use etmem_testkit::built::{self, top};
use etmem_testkit::daemon::Binaries;
use etmem_testkit::process::{self, Ran};

/// Many times what it takes.
const LIMIT: Duration = Duration::from_secs(300);
/// The versions that are built, the older first. Of the newer there is the package of the daemon alone.
pub(crate) const VERSIONS: [&str; 2] = ["0.1.0-1", "0.1.1-1"];

/// Runs what has to succeed.
pub(crate) fn success(command: &mut Command) -> Result<Ran> {
    process::success(command, LIMIT)
}

/// The folder with the packages of both versions.
pub(crate) fn built() -> Result<&'static Path> {
    static FOLDER: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| build().map_err(|error| format!("{error:#}")));
    folder.as_deref().map_err(|error| anyhow!(error.clone()))
}

/// The package's file.
pub(crate) fn file(folder: &Path, package: &str, version: &str) -> Result<PathBuf> {
    let start = format!("{package}_{version}_");
    let names = fs::read_dir(folder)?.filter_map(|entry| entry.ok().map(|entry| entry.path()));
    let mut found = names.filter(|path| {
        path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with(&start))
    });
    found.next().with_context(|| format!("{} has no package {start}*", folder.display()))
}

/// Each suite has its own: they run side by side.
fn folder() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(concat!(env!("CARGO_CRATE_NAME"), "-packages"))
}

/// The folder of the packages, where a suite has made them.
pub(crate) fn packages() -> PathBuf {
    folder().join("debs")
}

/// The folder of the programs, as `make build` has them.
pub(crate) fn programs() -> PathBuf {
    folder().join("programs")
}

fn build() -> Result<PathBuf> {
    let (programs, packages) = (programs(), packages());
    if folder().exists() {
        fs::remove_dir_all(folder())?;
    }
    for path in [&programs.join("completions"), &packages] {
        fs::create_dir_all(path).with_context(|| path.display().to_string())?;
    }
    lay_out(&programs)?;
    make(&programs, &packages, VERSIONS[0], &[])?;
    make(&programs, &packages, VERSIONS[1], &["etmem"])?;
    Ok(packages)
}

/// The programs and what is made of them, where `make build` has them.
fn lay_out(programs: &Path) -> Result<()> {
    let Binaries { etmemd, etmem, .. } = Binaries::build()?;
    for program in [etmemd, etmem] {
        fs::copy(program, programs.join(program.file_name().context("a program without a name")?))?;
    }
    let archive = built::library("libetmemd_scan.a")?;
    let link = top().join("scripts/link-scan-library");
    success(Command::new(link).arg(archive).arg(programs.join("libetmemd_scan.so")))?;
    success(Command::new(etmem).arg("man").arg(programs.join("manual/man1")))?;
    success(Command::new(etmemd).arg("--man").arg(programs.join("manual/man8")))?;
    let xtask = built::program("xtask")?;
    for (chore, name) in [("notices", "THIRD-PARTY-NOTICES"), ("sbom", "sbom.cdx.json")] {
        fs::write(programs.join(name), success(Command::new(&xtask).arg(chore))?.stdout)?;
    }
    for shell in ["bash", "zsh", "fish"] {
        let script = success(Command::new(etmem).args(["completions", shell]))?;
        fs::write(programs.join("completions").join(shell), script.stdout)?;
    }
    Ok(())
}

/// Packages of `programs`: these, or all. Fast rather than small.
pub(crate) fn make(programs: &Path, packages: &Path, version: &str, which: &[&str]) -> Result<()> {
    let mut command = Command::new(top().join("scripts/build-deb"));
    command.arg(programs).arg(packages).args(which);
    success(command.envs([
        ("VERSION", version),
        ("COMPRESSION", "gzip"),
        ("SOURCE_DATE_EPOCH", "1700000000"),
    ]))?;
    Ok(())
}
