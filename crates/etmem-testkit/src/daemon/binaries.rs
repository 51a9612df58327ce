//! Where the programs are: beside the running one, or built by cargo for the tests.

use std::env;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use anyhow::{Context, Result, anyhow, ensure};

use crate::built::program;

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
    /// Builds them, once in each process, as the running program was built (optimised or not): see [`crate::built`].
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
        // Where cargo puts test programs.
        Self::in_folder(folder.parent().filter(|_| folder.ends_with("deps")).unwrap_or(folder))
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
    Ok(Binaries { etmemd: program("etmemd")?, etmem: program("etmem")?, hotcold: program("hotcold")? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_program_is_named_with_the_command_that_makes_it() {
        let empty = tempfile::tempdir().unwrap();
        let error = Binaries::in_folder(empty.path()).unwrap_err().to_string();
        assert!(error.contains("etmemd") && error.contains("cargo build"), "{error}");
    }
}
