//! Builds targets with libFuzzer, on stable Rust.

use super::target::Target;
use crate::project;
use anyhow::{Context, ensure};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What libFuzzer wants to see of a program as it runs: which branches it takes, and what it compares. The pass is a
/// part of LLVM that rustc passes options on to; with one codegen unit, the linker keeps all that the pass adds.
const FLAGS: [&str; 8] = [
    "--cfg=fuzzing",
    "-Ccodegen-units=1",
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "-Cforce-frame-pointers=yes",
];

/// Why libFuzzer cannot be built here; nothing where it can.
pub(crate) fn missing_compiler() -> Option<String> {
    // As the crate that builds it chooses.
    let compiler = std::env::var_os("CXX").unwrap_or_else(|| OsString::from("c++"));
    let ran = Command::new(&compiler).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    let shown = compiler.display();
    match ran {
        Ok(status) if status.success() => None,
        Ok(status) => Some(format!("{shown} --version ended with {status}; name a C++ compiler in CXX")),
        Err(error) => Some(format!(
            "the C++ compiler {shown} does not run ({error}), and libFuzzer is C++; run make setup, or install \
             Debian's package g++"
        )),
    }
}

/// Builds the programs of `targets` below the folder `workshop`, and says in which folder they are.
pub(crate) fn build(root: &Path, workshop: &Path, targets: &[Target]) -> anyhow::Result<PathBuf> {
    let host = host()?;
    let mut cargo = Command::new(project::cargo());
    // With the platform named, the flags are for the targets alone, not for what is run to build them.
    cargo.current_dir(root).args([
        "build",
        "--release",
        "--manifest-path=fuzz/Cargo.toml",
        "--target",
        &host,
    ]);
    cargo.arg("--target-dir").arg(workshop).env("CARGO_ENCODED_RUSTFLAGS", FLAGS.join("\u{1f}"));
    for target in targets {
        cargo.args(["--bin", target.name]);
    }
    let status = cargo.status().context("run cargo build")?;
    ensure!(status.success(), "the fuzz targets do not build: see above");
    Ok(workshop.join(host).join("release"))
}

/// The platform that cargo builds for when none is named.
fn host() -> anyhow::Result<String> {
    let output = Command::new(project::cargo()).arg("-vV").output().context("run cargo -vV")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(ToOwned::to_owned).with_context(|| format!("cargo -vV names no host: {text}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cargo_names_the_host() {
        assert!(host().unwrap().contains("-linux-"));
    }
}
