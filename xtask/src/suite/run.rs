//! Runs every test, shows what it prints as it comes, keeps a copy, and says at the end what was skipped and why.

use super::allowed::AllowedSkips;
use super::transcript::{Skip, Transcript};
use crate::project;
use anyhow::Context;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, ExitCode};

/// Runs `cargo test` with `arguments` (none: the whole workspace).
///
/// Fails when a test fails, when a test program does not build or ends early, and when a test is skipped that
/// the list `allowed` does not name; without a list every skip is allowed.
pub(crate) fn run(root: &Path, arguments: &[OsString], allowed: Option<&Path>) -> anyhow::Result<ExitCode> {
    let allowed = allowed.map(AllowedSkips::read).transpose()?;
    let copy = project::read(root)?.target.join("test-output.txt");
    let (transcript, succeeded) = run_cargo_test(root, arguments, &copy)?;

    let refused: Vec<&Skip> = transcript
        .skips
        .iter()
        .filter(|skip| allowed.as_ref().is_some_and(|allowed| !allowed.allows(&skip.name)))
        .collect();

    println!("\nThe whole output: {}", copy.display());
    print_list("Skipped", transcript.skips.iter().map(describe));
    print_list("Skipped, but must run on this kind of machine", refused.iter().map(|skip| describe(skip)));
    print_list("Failed", transcript.failures.iter().cloned());
    println!("{}", transcript.closing_line());
    Ok(if succeeded && refused.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn describe(skip: &Skip) -> String {
    format!("{}: {}: {}", skip.program, skip.name, skip.reason)
}

fn print_list(title: &str, lines: impl ExactSizeIterator<Item = String>) {
    if lines.len() > 0 {
        println!("{title}:");
        lines.for_each(|line| println!("  {line}"));
    }
}

fn run_cargo_test(root: &Path, arguments: &[OsString], copy: &Path) -> anyhow::Result<(Transcript, bool)> {
    // One pipe for both: cargo announces each test program on standard error, tests report on standard output,
    // and the order of the two tells which result is whose.
    let (reader, writer) = io::pipe().context("make a pipe")?;
    let mut command = Command::new(project::cargo());
    command.current_dir(root).args(["test", "--no-fail-fast"]).env("CARGO_TERM_COLOR", "never");
    if arguments.is_empty() {
        command.arg("--workspace");
    }
    command.args(arguments);
    command.stdout(writer.try_clone().context("make a pipe")?).stderr(writer);
    let mut child = command.spawn().context("run cargo test")?;
    // The command keeps its ends of the pipe, which would then never come to an end.
    drop(command);

    let shown = || format!("write {}", copy.display());
    if let Some(folder) = copy.parent() {
        std::fs::create_dir_all(folder).with_context(shown)?;
    }
    let mut file = File::create(copy).with_context(shown)?;
    let mut transcript = Transcript::default();
    for line in BufReader::new(reader).split(b'\n') {
        let line = line.context("read what cargo test prints")?;
        let text = String::from_utf8_lossy(&line);
        println!("{text}");
        writeln!(file, "{text}").with_context(shown)?;
        transcript.line(&text);
    }
    let succeeded = child.wait().context("wait for cargo test")?.success();
    transcript.end(succeeded);
    Ok((transcript, succeeded))
}
