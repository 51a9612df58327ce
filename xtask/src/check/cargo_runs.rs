//! The checks that cargo's own tools make: `format`, `clippy`, `docs`. Their output is shown only when they fail.

use super::verdict::Verdict;
use crate::project;
use anyhow::Context;
use std::path::Path;
use std::process::Command;

/// Every file is as rustfmt writes it.
pub(crate) fn check_format(root: &Path) -> anyhow::Result<Verdict> {
    let mut cargo = cargo(root, &["fmt", "--all", "--check"]);
    verdict(&mut cargo, "every file is as rustfmt writes it", "run cargo fmt --all")
}

/// Clippy and the compiler have nothing to say, with the lints of the workspace.
pub(crate) fn check_clippy(root: &Path) -> anyhow::Result<Verdict> {
    let mut cargo = cargo(root, &["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]);
    verdict(
        &mut cargo,
        "no warnings in the code and its tests",
        "mend what is named above; where a lint is wrong, #[expect(lint, reason = \"...\")] at the line",
    )
}

/// The documentation builds without a warning: no link leads nowhere.
pub(crate) fn check_docs(root: &Path) -> anyhow::Result<Verdict> {
    let mut cargo = cargo(root, &["doc", "--workspace", "--no-deps"]);
    cargo.env("RUSTDOCFLAGS", "-D warnings");
    verdict(&mut cargo, "no warnings in the documentation", "mend the comments named above")
}

fn cargo(root: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(project::cargo());
    command.current_dir(root).args(arguments).env("CARGO_TERM_COLOR", "never");
    command
}

fn verdict(command: &mut Command, looked_at: &str, remedy: &str) -> anyhow::Result<Verdict> {
    let output = command.output().with_context(|| format!("run {}", command.get_program().display()))?;
    if output.status.success() {
        return Ok(Verdict::Passed(looked_at.to_owned()));
    }
    let problems = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    Ok(Verdict::Failed { problems: problems.to_vec(), remedy: remedy.to_owned() })
}
