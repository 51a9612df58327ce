//! What cargo built for the tests: programs, libraries, and other test programs.
//!
//! `cargo xtask test` builds everything before it runs anything, and hands every suite the [`MESSAGES`] of cargo. A suite
//! that is run alone asks cargo itself. Both build the whole workspace's features: a package that cargo builds alone has
//! fewer of them, and all that it needs would be compiled a second time.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use serde_json::Value;

use crate::process::run;

/// The environment variable with the path of a file that holds what cargo said of each thing it built.
pub const MESSAGES: &str = "ETMEM_TEST_BUILT";

/// From nothing, on two slow processors.
const BUILD_LIMIT: Duration = Duration::from_secs(1800);

/// A small program in C.
const C_LIMIT: Duration = Duration::from_secs(60);

/// The programs that suites start.
const PROGRAMS: [&str; 5] = ["etmemd", "etmem", "hotcold", "hotset", "xtask"];

/// The program `name`.
///
/// # Errors
/// It does not build; the message is cargo's.
pub fn program(name: &str) -> Result<PathBuf> {
    let is_it = |artifact: &Value| is_program(artifact, name);
    let found = built()?.iter().rfind(|artifact| is_it(artifact));
    let path = found.and_then(|artifact| artifact["executable"].as_str());
    path.map(PathBuf::from).with_context(|| format!("cargo built no program {name}"))
}

/// The library whose file is called `file`, such as `libcold_pages.so`.
///
/// # Errors
/// It does not build; the message is cargo's.
pub fn library(file: &str) -> Result<PathBuf> {
    let files = built()?.iter().filter_map(|artifact| artifact["filenames"].as_array()).flatten();
    let mut paths = files.filter_map(Value::as_str).map(Path::new);
    let path = paths.rfind(|path| path.file_name().is_some_and(|name| name == file));
    path.map(Path::to_owned).with_context(|| format!("cargo built no {file}"))
}

/// The test program whose source is `source`, below the top of the project.
///
/// # Errors
/// It does not build; the message is cargo's.
pub fn test(source: &str) -> Result<PathBuf> {
    let is_it = |artifact: &&Value| {
        let path = artifact["target"]["src_path"].as_str().map(Path::new);
        path.is_some_and(|path| path.ends_with(source)) && artifact["profile"]["test"] == true
    };
    let path = built()?.iter().rfind(is_it).and_then(|artifact| artifact["executable"].as_str());
    path.map(PathBuf::from).with_context(|| format!("cargo built no test of {source}"))
}

/// Compiles the C source to `program`; one that runs meanwhile goes on.
///
/// # Errors
/// There is no gcc, or it refuses the source.
pub fn c_program(source: &Path, program: &Path) -> Result<()> {
    // Under another name first: one that runs cannot be written.
    let fresh = program.with_extension(std::process::id().to_string());
    let mut command = Command::new("gcc");
    command.args(["-D_GNU_SOURCE", "-O1", "-Wall", "-Wextra", "-Werror", "-pthread", "-o"]).arg(&fresh);
    let ran = run(command.arg(source), C_LIMIT)?;
    ensure!(ran.status == 0, "{}: {}", source.display(), ran.stderr);
    Ok(fs::rename(fresh, program)?)
}

fn is_program(artifact: &Value, name: &str) -> bool {
    let target = &artifact["target"];
    // The tests of a program's own modules have its name too.
    target["kind"][0] == "bin" && target["name"] == name && artifact["profile"]["test"] == false
}

/// Everything, built once in each process, as the running program was built (optimised or not).
fn built() -> Result<&'static [Value]> {
    static BUILT: OnceLock<Result<Vec<Value>, String>> = OnceLock::new();
    let built =
        BUILT.get_or_init(|| messages().map(|text| parse(&text)).map_err(|error| format!("{error:#}")));
    built.as_deref().map_err(|error| anyhow!(error.clone()))
}

fn messages() -> Result<String> {
    match env::var_os(MESSAGES) {
        Some(file) => fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display())),
        None => build(),
    }
}

fn build() -> Result<String> {
    let mut command = cargo();
    command.args(["build", "--quiet", "--message-format=json-render-diagnostics", "--workspace", "--lib"]);
    command.args(PROGRAMS.iter().flat_map(|name| ["--bin", name]));
    if cfg!(debug_assertions) {
        // A test among them has cargo take the features that tests ask for.
        command.args(["--test", "machine"]);
    } else {
        command.arg("--release");
    }
    let ran = run(&mut command, BUILD_LIMIT)?;
    ensure!(ran.status == 0, "the programs do not build:\n{}", ran.stderr);
    Ok(ran.stdout)
}

/// The top of this project.
pub fn top() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

/// Cargo, of this workspace.
fn cargo() -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo")));
    command.current_dir(top());
    command
}

/// The lines about things that were built.
fn parse(messages: &str) -> Vec<Value> {
    let lines = messages.lines().filter_map(|line| serde_json::from_str(line).ok());
    lines.filter(|message: &Value| message["reason"] == "compiler-artifact").collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_distinguished_from_the_tests_of_its_modules() {
        let line = |kind: &str, name: &str, test: bool| {
            format!(
                r#"{{"reason":"compiler-artifact","target":{{"kind":["{kind}"],"name":"{name}"}},"profile":{{"test":{test}}}}}"#
            )
        };
        let text =
            [line("bin", "etmem", true), line("lib", "etmem", false), line("bin", "etmem", false)].join("\n");
        let artifacts = parse(&(text + "\nnot JSON\n{\"reason\":\"build-finished\"}\n"));
        assert_eq!(artifacts.len(), 3);
        let found: Vec<usize> = (0..3).filter(|at| is_program(&artifacts[*at], "etmem")).collect();
        assert_eq!(found, [2]);
        assert!(!is_program(&artifacts[2], "etmemd"));
    }
}
