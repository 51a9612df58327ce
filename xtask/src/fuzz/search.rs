//! Runs a target: for some seconds in search of a finding, or once, to see one again.

use super::output::Told;
use super::target::Target;
use anyhow::{Context, ensure};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, ExitCode, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// How often progress is shown.
const SHOWN_EVERY: Duration = Duration::from_secs(5);

/// Longer than any input may take, many times over.
const TIMEOUT: &str = "-timeout=10";

/// More memory than any input may need.
const MEMORY_LIMIT: &str = "-rss_limit_mb=512";

/// Searches for `duration`, and says whether anything was found.
pub(crate) fn search(
    root: &Path,
    workshop: &Path,
    programs: &Path,
    target: Target,
    duration: Duration,
) -> anyhow::Result<bool> {
    let name = target.name;
    let [corpus, findings] = ["corpus", "findings"].map(|folder| workshop.join(folder).join(name));
    for folder in [&corpus, &findings] {
        std::fs::create_dir_all(folder).with_context(|| format!("make {}", folder.display()))?;
    }
    let mut command = Command::new(programs.join(name));
    // What is new goes to the first folder; the others are only read.
    command.current_dir(root).arg(&corpus).args(target.seeds).args([
        TIMEOUT,
        MEMORY_LIMIT,
        "-print_final_stats=1",
    ]);
    command.arg(format!("-max_total_time={}", duration.as_secs()));
    command.arg(format!("-max_len={}", target.longest));
    command.arg(format!("-dict=fuzz/dictionaries/{name}.txt"));
    command.arg(format!("-artifact_prefix={}/", findings.display()));
    let (told, status) = watch(&mut command, name)?;

    if status.success() && told.finding.is_none() {
        let per_second = told.per_second.unwrap_or(told.executions / duration.as_secs().max(1));
        println!(
            "{name}: nothing found by {} executions in {} s, {per_second} a second; {} places reached, {} inputs kept",
            told.executions,
            duration.as_secs(),
            told.coverage,
            told.kept_inputs
        );
        return Ok(false);
    }
    told.rest().for_each(|line| eprintln!("  {line}"));
    // Without an input, it is libFuzzer that could not run.
    let finding = told.finding.with_context(|| format!("{name} ended with {status}: see above"))?;
    let finding = finding.display();
    eprintln!(
        "{name}: FOUND by {} executions: {finding}\nto see it again: cargo xtask fuzz {name} --replay {finding}\n\
         once it is mended, keep the input in {}",
        told.executions,
        target.seeds.first().unwrap_or(&"fuzz/seeds")
    );
    Ok(true)
}

/// Runs `command` to its end, with a line now and then about how far it is.
fn watch(command: &mut Command, name: &str) -> anyhow::Result<(Told, ExitStatus)> {
    let context = format!("run {}", command.get_program().display());
    let mut child = command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().context(context)?;
    let output = child.stderr.take().context("the standard error of the target is not a pipe")?;
    let mut told = Told::default();
    let start = now();
    let mut next = SHOWN_EVERY;
    for line in BufReader::new(output).split(b'\n') {
        told.line(&String::from_utf8_lossy(&line.context("read what libFuzzer tells")?));
        let passed = now().duration_since(start);
        if passed >= next {
            let (executions, coverage) = (told.executions, told.coverage);
            println!("{name}: {} s, {executions} executions, {coverage} places reached", passed.as_secs());
            next = passed + SHOWN_EVERY;
        }
    }
    Ok((told, child.wait().context("wait for the target")?))
}

#[expect(clippy::disallowed_methods, reason = "this is no part of the daemon, whose clock is a Pacer")]
fn now() -> Instant {
    Instant::now()
}

/// Feeds `file` to `target` once; what comes of it is shown as it is.
pub(crate) fn replay(programs: &Path, target: Target, file: &Path) -> anyhow::Result<ExitCode> {
    ensure!(file.is_file(), "{}: is not a file that could be fed to {}", file.display(), target.name);
    let mut command = Command::new(programs.join(target.name));
    let status = command.args([TIMEOUT, MEMORY_LIMIT]).arg(file).status().context("run the target")?;
    println!(
        "{}: {} {}",
        target.name,
        file.display(),
        if status.success() { "is read well" } else { "is a FINDING" }
    );
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
