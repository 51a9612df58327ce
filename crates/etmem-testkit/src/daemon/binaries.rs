//! Where the programs are: beside the running one, or built by cargo for the tests.

use std::env;
use std::ffi::OsString;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use serde_json::Value;

use crate::process::run;

/// From nothing, on two slow processors.
const BUILD_LIMIT: Duration = Duration::from_secs(1800);

/// The programs under test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binaries {
    /// The daemon.
    pub etmemd: PathBuf,
    /// The command line.
    pub etmem: PathBuf,
    /// The workload.
    pub hotcold: PathBuf,
}

impl Binaries {
    /// Builds them, once in each process, as the running program was built (optimised or not).
    ///
    /// # Errors
    /// The build fails; the message is cargo's.
    pub fn build() -> Result<&'static Self> {
        static BUILT: OnceLock<Result<Binaries, String>> = OnceLock::new();
        let built = BUILT.get_or_init(|| build().map_err(|error| format!("{error:#}")));
        built.as_ref().map_err(|error| anyhow!(error.clone()))
    }

    /// Those that lie beside the running program.
    ///
    /// # Errors
    /// One is not there; the message says how to make it.
    pub fn beside() -> Result<Self> {
        let own = env::current_exe()?;
        let folder = own.parent().context("the program has no folder")?;
        Self::in_folder(folder)
    }

    fn in_folder(folder: &Path) -> Result<Self> {
        let find = |name: &str| {
            let file = folder.join(name);
            let package = if name == "hotcold" { "etmem-testkit" } else { name };
            let hint = format!("build it by: cargo build --release --package {package} --bin {name}");
            ensure!(file.is_file(), "{} is not there; {hint}", file.display());
            Ok(file)
        };
        Ok(Self { etmemd: find("etmemd")?, etmem: find("etmem")?, hotcold: find("hotcold")? })
    }
}

/// A copy of `program` in `folder` that everybody may run.
///
/// # Errors
/// It cannot be made.
pub fn for_everybody(folder: &Path, program: &Path) -> Result<PathBuf> {
    let copy = folder.join(program.file_name().context("a program without a name")?);
    fs::copy(program, &copy)?;
    fs::set_permissions(&copy, Permissions::from_mode(0o755))?;
    fs::set_permissions(folder, Permissions::from_mode(0o755))?;
    Ok(copy)
}

fn build() -> Result<Binaries> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    let mut command = Command::new(cargo);
    command.args(["build", "--quiet", "--message-format=json-render-diagnostics"]);
    command.args(["--package=etmemd", "--package=etmem", "--package=etmem-testkit", "--bins"]);
    command.current_dir(env!("CARGO_MANIFEST_DIR"));
    if !cfg!(debug_assertions) {
        command.arg("--release");
    }
    let ran = run(&mut command, BUILD_LIMIT)?;
    ensure!(ran.status == 0, "the programs do not build:\n{}", ran.stderr);
    read(&ran.stdout)
}

/// Finds the programs in what cargo says of each thing it built.
fn read(messages: &str) -> Result<Binaries> {
    let find = |name: &str| {
        let mut programs = messages.lines().filter_map(|line| program(line, name));
        programs.next_back().with_context(|| format!("cargo built no {name}"))
    };
    Ok(Binaries { etmemd: find("etmemd")?, etmem: find("etmem")?, hotcold: find("hotcold")? })
}

fn program(line: &str, name: &str) -> Option<PathBuf> {
    let message: Value = serde_json::from_str(line).ok()?;
    let is_program =
        message["target"]["kind"] == serde_json::json!(["bin"]) && message["target"]["name"] == name;
    is_program.then(|| message["executable"].as_str().map(PathBuf::from)).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_found_in_what_cargo_says() {
        let line = |kind: &str, name: &str| {
            format!(r#"{{"target":{{"kind":["{kind}"],"name":"{name}"}},"executable":"/t/{kind}/{name}"}}"#)
        };
        let names = [("bin", "etmemd"), ("test", "etmem"), ("bin", "etmem"), ("bin", "hotcold")];
        let lines: Vec<String> = names.iter().map(|(kind, name)| line(kind, name)).collect();
        assert_eq!(read(&lines.join("\n")).unwrap().etmem, PathBuf::from("/t/bin/etmem"));
        assert!(read(&lines[..3].join("\n")).unwrap_err().to_string().contains("hotcold"));
    }

    #[test]
    fn a_missing_program_is_named_with_the_command_that_makes_it() {
        let empty = tempfile::tempdir().unwrap();
        let error = Binaries::in_folder(empty.path()).unwrap_err().to_string();
        assert!(error.contains("etmemd") && error.contains("cargo build"), "{error}");
    }
}
