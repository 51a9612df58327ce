//! The checks that cargo's own tools make: `format`, `clippy`, `docs`. Their output is shown only when they fail.

use super::verdict::Verdict;
use crate::project;
use anyhow::Context;
use std::path::Path;
use std::process::Command;

/// The fuzz targets are a workspace of their own.
const FUZZ: &str = "--manifest-path=fuzz/Cargo.toml";

/// Every file is as rustfmt writes it.
pub(crate) fn check_format(root: &Path) -> anyhow::Result<Verdict> {
    let runs = [cargo(root, &["fmt", "--all", "--check"]), cargo(root, &["fmt", FUZZ, "--check"])];
    verdict(runs, "every file is as rustfmt writes it", "run cargo fmt --all, and in fuzz cargo fmt")
}

/// Clippy and the compiler have nothing to say, with the lints of the workspace.
pub(crate) fn check_clippy(root: &Path) -> anyhow::Result<Verdict> {
    let target = project::read(root)?.target;
    // Without libFuzzer: a check needs no C++ compiler.
    let mut fuzz = cargo(root, &["clippy", FUZZ, "--no-default-features", "--all-targets"]);
    fuzz.arg("--target-dir").arg(target.join("fuzz")).args(["--", "-D", "warnings"]);
    verdict(
        [cargo(root, &["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]), fuzz],
        "no warnings in the code and its tests",
        "mend what is named above; where a lint is wrong, #[expect(lint, reason = \"...\")] at the line",
    )
}

/// The documentation builds without a warning: no link leads nowhere.
pub(crate) fn check_docs(root: &Path) -> anyhow::Result<Verdict> {
    let mut cargo = cargo(root, &["doc", "--workspace", "--no-deps"]);
    cargo.env("RUSTDOCFLAGS", "-D warnings");
    verdict([cargo], "no warnings in the documentation", "mend the comments named above")
}

fn cargo(root: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(project::cargo());
    command.current_dir(root).args(arguments).env("CARGO_TERM_COLOR", "never");
    command
}

/// What comes of all the runs together.
fn verdict<const RUNS: usize>(
    runs: [Command; RUNS],
    looked_at: &str,
    remedy: &str,
) -> anyhow::Result<Verdict> {
    let mut problems = Vec::new();
    for mut command in runs {
        let output = command.output().with_context(|| format!("run {}", command.get_program().display()))?;
        if !output.status.success() {
            let said = [output.stdout, output.stderr];
            problems.extend(said.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()));
        }
    }
    Ok(Verdict::of(problems, looked_at.to_owned(), remedy))
}
