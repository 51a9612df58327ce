//! One fact, one line of the log for each task, until it changes.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use etmem_testkit::clock::WallClock;
use etmem_testkit::daemon::{Binaries, Daemon, ProjectFile, TaskKind};
use etmem_testkit::fake::proc::FakeProc;
use etmem_testkit::fake::proc::script::{
    Life, Modules, PAGE, Script, ScriptedMapping, ScriptedProcess, Segment,
};
use etmem_testkit::machine::Need;
use etmem_testkit::stage::LIMIT;
use etmem_testkit::trial::{run_in_turn, trial_or_skip};
use serde_json::Value;

const PROCESSES: u32 = 300;
const FIRST_PID: u32 = 3_000_000;
const START: u64 = 0x7000_0000_0000;
const PAGES: u64 = 64;

fn main() -> ExitCode {
    let fake = [Need::Root, Need::FakeProc];
    let namespace = [Need::Root, Need::Bpf, Need::Program("unshare")];
    run_in_turn(vec![
        trial_or_skip("no_swap_is_one_line_for_all_processes", &fake, no_swap),
        trial_or_skip("unloaded_modules_are_one_line_until_they_are_back", &fake, unloaded),
        trial_or_skip("another_pid_namespace_is_refused_at_start_by_every_probe", &namespace, namespaces),
    ])
}

fn processes() -> Vec<ScriptedProcess> {
    let process = |pid| {
        let mapping = ScriptedMapping::private(START, vec![Segment::solid(PAGES, Life::cold())]);
        ScriptedProcess::new(pid, "worker", vec![mapping])
    };
    (FIRST_PID..FIRST_PID + PROCESSES).map(process).collect()
}

/// A daemon whose task `t` works on all of them, with these lines of the task's.
fn started(fake: &FakeProc, lines: &[&str]) -> Result<Daemon> {
    let daemon = Daemon::start_at(Binaries::build()?, fake.root())?;
    // Processes take their turns: with a second for each, a cycle of all would take minutes.
    let (interval, sleep) = (Duration::from_millis(10), Duration::from_millis(200));
    let file = ProjectFile { scans: 1, interval, sleep, ..ProjectFile::new("p") };
    daemon.add(&file.task_with("t", TaskKind::Name("worker".into()), lines).to_string())?;
    daemon.must(&["project", "start", "-n", "p"])?;
    Ok(daemon)
}

fn shown(daemon: &Daemon) -> Result<Value> {
    Ok(serde_json::from_str(&daemon.must(&["task", "show", "-n", "p", "--json"])?)?)
}

/// Waits until `count` more cycles are over, all of them for this reason.
fn pass(daemon: &Daemon, count: u64, reason: &str) -> Result<()> {
    let clock = WallClock::new();
    let mut last = Value::Null;
    let mut goal = None;
    let waited = clock.wait_until(LIMIT, &format!("{count} cycles: {reason}"), || {
        last = shown(daemon)?;
        let name = last["last_cycle"]["processes"][0]["reason"]["name"].as_str();
        let cycles = last["cycles"].as_u64().unwrap_or(0);
        if name == Some(reason) && goal.is_none() {
            goal = Some(cycles + count);
        }
        Ok(goal.is_some_and(|goal| cycles >= goal))
    });
    waited.with_context(|| format!("{last:#}\nlog:\n{}", daemon.log()))?;
    let found = last["last_cycle"]["processes"].as_array().map_or(0, Vec::len);
    ensure!(found == usize::try_from(PROCESSES)?, "{found} processes");
    Ok(())
}

/// How many lines of the log have these words. At the debug level a fact is repeated in each cycle.
fn lines(daemon: &Daemon, words: &str) -> usize {
    daemon.log().lines().filter(|line| line.contains(words) && !line.contains("DEBUG")).count()
}

fn no_swap() -> Result<()> {
    let fake = FakeProc::mount(Script { swap: 0, ..Script::new(processes()) })?;
    let daemon = started(&fake, &["T=1"])?;
    pass(&daemon, 3, "no_swap")?;
    let count = lines(&daemon, "this machine has no swap");
    ensure!(count == 1, "{count} lines:\n{}", daemon.log());
    Ok(())
}

fn unloaded() -> Result<()> {
    let fake = FakeProc::mount(Script::new(processes()))?;
    let daemon = started(&fake, &["T=1"])?;
    let waited = WallClock::new().wait_until(LIMIT, "the cold memory leaves", || {
        Ok(shown(&daemon)?["total"]["moved_bytes"].as_u64() >= Some(u64::from(PROCESSES) * PAGES * PAGE))
    });
    waited.with_context(|| daemon.log())?;
    // A scripted machine has no other probe to go on by.
    fake.set_modules(Modules::Unloaded);
    pass(&daemon, 3, "kernel_refused")?;
    let told = |daemon: &Daemon| lines(daemon, "modprobe etmem_");
    ensure!(told(&daemon) == 1, "{} lines:\n{}", told(&daemon), daemon.log());
    fake.set_modules(Modules::Loaded);
    pass(&daemon, 2, "all_out")?;
    ensure!(told(&daemon) == 1, "{} lines:\n{}", told(&daemon), daemon.log());
    fake.set_modules(Modules::Unloaded);
    pass(&daemon, 2, "kernel_refused")?;
    ensure!(told(&daemon) == 2, "it has changed, so it is said again:\n{}", daemon.log());
    Ok(())
}

fn namespaces() -> Result<()> {
    let binaries = Binaries::build()?;
    let folder = tempfile::tempdir()?;
    let script = folder.path().join("etmemd");
    let inner =
        format!("#!/bin/sh\nexec unshare -p -f --kill-child -- '{}' \"$@\"\n", binaries.etmemd.display());
    fs::write(&script, inner)?;
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755))?;
    let daemon = Daemon::start(&Binaries { etmemd: script, ..binaries.clone() })?;
    for tracker in ["auto", "bpf", "idle", "damon"] {
        let file = ProjectFile::new(tracker);
        let lines = ["T=1", &format!("tracker={tracker}")];
        daemon.add(&file.task_with("t", TaskKind::Name("worker".into()), &lines).to_string())?;
        let refused = daemon.etmem(&["project", "start", "-n", tracker])?;
        ensure!(refused.status == 186, "{tracker}: {refused:?}");
        // What the kernel lacks may come first.
        let says = refused.stdout.contains("is of another pid namespace than this program");
        ensure!(says || ["idle", "damon"].contains(&tracker), "{tracker}: {refused:?}");
    }
    ensure!(lines(&daemon, "running the page walk") == 0, "{}", daemon.log());
    Ok(())
}
