//! The test programs: cargo builds them all, and each is then run as `cargo test` would run it.

use super::output::Output;
use crate::project;
use anyhow::Context;
use cargo_metadata::{Artifact, Message};
use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::process::{Command, Stdio};

/// Names the file with cargo's messages, which hold the path of each thing that was built; `etmem_testkit::built` reads it.
const MESSAGES: &str = "ETMEM_TEST_BUILT";
/// What `cargo test` does not build and suites use: a program without tests of its own, and libraries for other languages.
/// The test among them has cargo take the features that tests ask for, so that nothing is compiled twice.
const BESIDES: [&str; 5] = ["--workspace", "--lib", "--bins", "--test", "machine"];

/// A command that prints results of tests.
#[derive(Debug)]
pub(crate) struct Program {
    name: String,
    /// What cargo prints before it runs a test program.
    announcement: String,
    command: Command,
}

impl Program {
    /// Package and target, such as `etmem-tests::slide`.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Any command.
    #[cfg(test)]
    pub(crate) fn of(name: &str, command: Command) -> Self {
        Self { name: name.to_owned(), announcement: String::new(), command }
    }

    /// Runs it to its end.
    pub(crate) fn run(mut self) -> anyhow::Result<Ended> {
        // One pipe for both, so that the lines stay in their order.
        let (output, writer) = Output::new().context("make a pipe")?;
        self.command.stdin(Stdio::null()).stdout(writer.try_clone().context("make a pipe")?).stderr(writer);
        let mut child = self.command.spawn().with_context(|| format!("run {}", self.name))?;
        // The command keeps its ends of the pipe, which would then never come to an end.
        drop(self.command);
        let (output, status, orphans) =
            output.of_program(|| child.wait()).with_context(|| format!("wait for {}", self.name))?;
        Ok(Ended { output: self.announcement + &output, succeeded: status.success(), orphans })
    }
}

/// What a program came to.
#[derive(Debug)]
pub(crate) struct Ended {
    /// All that it printed.
    pub(crate) output: String,
    /// Whether it succeeded.
    pub(crate) succeeded: bool,
    /// The processes that it has left, which hold its output.
    pub(crate) orphans: Option<String>,
}

/// Builds what `arguments` select (none: the whole workspace) and what the suites use besides; `None` if it does not
/// build. Words after a `--` in the arguments are for the test programs.
pub(crate) fn build(
    root: &Path,
    target: &Path,
    arguments: &[OsString],
) -> anyhow::Result<Option<Vec<Program>>> {
    let (selection, words) = match arguments.iter().position(|word| word == "--") {
        Some(at) => (&arguments[..at], &arguments[at + 1..]),
        None => (arguments, &[][..]),
    };
    let everything = [OsString::from("--workspace")];
    let selected = if selection.is_empty() { &everything } else { selection };
    let Some(tests) = messages_of("test", &[&[OsString::from("--no-run")], selected].concat(), root)? else {
        return Ok(None);
    };
    let Some(besides) = messages_of("build", &BESIDES.map(OsString::from), root)? else { return Ok(None) };
    let file = target.join("test-built.json");
    std::fs::write(&file, [&tests[..], &besides].concat())
        .with_context(|| format!("write {}", file.display()))?;

    let mut programs = Vec::new();
    for message in Message::parse_stream(&tests[..]) {
        if let Message::CompilerArtifact(artifact) = message.context("read what cargo says")? {
            programs.extend(of_artifact(&artifact, root, &file, words)?);
        }
    }
    if selection.is_empty() {
        programs.push(documentation(root, words));
    }
    Ok(Some(programs))
}

/// What cargo says of each thing that it builds, one a line; `None` if something does not build.
fn messages_of(verb: &str, arguments: &[OsString], root: &Path) -> anyhow::Result<Option<Vec<u8>>> {
    let mut command = cargo(root);
    command.arg(verb).arg("--message-format=json-render-diagnostics").args(arguments);
    command.stderr(Stdio::inherit());
    let output = command.output().with_context(|| format!("run cargo {verb}"))?;
    Ok(output.status.success().then_some(output.stdout))
}

/// The test program that is built as `artifact`.
fn of_artifact(
    artifact: &Artifact,
    root: &Path,
    messages: &Path,
    words: &[OsString],
) -> anyhow::Result<Option<Program>> {
    let (true, Some(executable)) = (artifact.profile.test, &artifact.executable) else { return Ok(None) };
    let package = artifact.manifest_path.parent().context("a package without a folder")?;
    let text = std::fs::read_to_string(&artifact.manifest_path).context("read a manifest")?;
    let name =
        text.lines().find_map(|line| line.strip_prefix("name = ")).context("a package without a name")?;
    let source = artifact.target.src_path.strip_prefix(package).unwrap_or(&artifact.target.src_path);
    let mut command = Command::new(executable);
    command.args(words).current_dir(package);
    command.env("CARGO", project::cargo()).env("CARGO_MANIFEST_DIR", package).env(MESSAGES, messages);
    Ok(Some(Program {
        name: format!("{}::{}", name.trim_matches('"'), artifact.target.name),
        announcement: format!(
            "     Running {source} ({})\n",
            executable.strip_prefix(root).unwrap_or(executable)
        ),
        command,
    }))
}

/// The examples in documentation, which are compiled as they are run.
fn documentation(root: &Path, words: &[OsString]) -> Program {
    let mut command = cargo(root);
    command.args(["test", "--doc", "--workspace", "--no-fail-fast", "--"]).args(words);
    Program { name: String::from("documentation"), announcement: String::new(), command }
}

fn cargo(root: &Path) -> Command {
    let mut command = Command::new(project::cargo());
    command.current_dir(root).env("CARGO_TERM_COLOR", OsStr::new("never"));
    command
}
