//! Processes that are found in unusual ways: whose first thread has ended, that share one memory, whose names are any text.
//!
//! The programs are in C, as no library of Rust makes such processes.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use etmem_core::kernel::process::{ExePattern, Pid, ProcessTable, Target};
use etmem_linux::process::table::Processes;
use etmem_linux::root::ProcRoot;
use etmem_testkit::built;
use etmem_testkit::daemon::{Binaries, Daemon, ProjectFile, TaskKind};
use etmem_testkit::fake::proc::FakeProc;
use etmem_testkit::fake::proc::script::{Life, Script, ScriptedMapping, ScriptedProcess, Segment};
use etmem_testkit::machine::Need;
use etmem_testkit::process::Running;
use etmem_testkit::size::MIB;
use etmem_testkit::stage::{LIMIT, Stage};
use etmem_testkit::trial::{run_in_turn, trial_or_skip};
use serde_json::Value;

const SWAP: usize = 256 * MIB;
/// What a program writes once, in MiB.
const MEMORY_MIB: u64 = 64;

fn main() -> ExitCode {
    let gcc = [Need::Program("gcc")];
    let fake = [Need::Program("gcc"), Need::Root, Need::FakeProc];
    let bpf = [Need::Program("gcc"), Need::Root, Need::Bpf];
    let swap = [Need::Program("gcc"), Need::Root, Need::Bpf, Need::Swap(SWAP)];
    run_in_turn(vec![
        trial_or_skip("names_are_any_text_of_15_bytes", &gcc, names),
        trial_or_skip("executables_are_found_by_path_and_pattern", &gcc, executables),
        trial_or_skip("processes_that_share_memory_are_one_target", &gcc, one_of_many),
        trial_or_skip("a_process_runs_on_after_its_first_thread", &gcc, first_thread),
        trial_or_skip("a_start_names_what_may_be_meant", &bpf, may_be_meant),
        trial_or_skip("a_start_says_how_many_processes_it_means", &fake, many),
        trial_or_skip(
            "memory_of_a_process_without_first_thread_is_scanned",
            &swap,
            scan_without_first_thread,
        ),
        trial_or_skip("shared_memory_is_scanned_and_moved_once", &swap, shared_memory),
    ])
}

/// The program of `name.c`, compiled.
fn program(name: &str) -> Result<PathBuf> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("targets");
    std::fs::create_dir_all(&folder)?;
    let program = folder.join(name);
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("targets").join(format!("{name}.c"));
    built::c_program(&source, &program)?;
    Ok(program)
}

/// Starts `command` and waits until it is ready.
fn started(command: &mut Command) -> Result<Running> {
    let (running, rest) = Running::start_ready(command)?;
    ensure!(rest.is_empty(), "{command:?}: {rest:?}");
    Ok(running)
}

fn found(target: &Target) -> Result<Vec<u32>> {
    let found = Processes::new(ProcRoot::default()).find(target)?;
    Ok(found.iter().map(|process| process.pid.get()).collect())
}

fn names() -> Result<()> {
    for name in ["my db: main", "a) S 1 (b", "ééééééé", "数据库服务", "fifteen#letters"] {
        ensure!(name.len() <= 15);
        let running = started(Command::new(program("threads")?).args([name, "other"]))?;
        let target = Target::Comm(name.into());
        ensure!(found(&target)? == [running.pid()], "{name}: {:?}", found(&target)?);
    }
    Ok(())
}

fn executables() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let copy = folder.path().join("a server");
    std::fs::copy(program("threads")?, &copy)?;
    let running = started(Command::new(&copy).args(["renamed", "other"]))?;
    let top = folder.path().display();
    let pattern = |text: &str| Target::Exe(ExePattern::new(text).expect("a pattern"));
    for (text, is_meant) in [
        (format!("{top}/a server"), true),
        (format!("{top}/a s*"), true),
        (format!("{top}/[ab] ser?er"), true),
        ("/**/a server".to_owned(), true),
        (format!("{top}/b*"), false),
        ("/*/a server".to_owned(), false),
    ] {
        let want: &[u32] = if is_meant { &[running.pid()] } else { &[] };
        ensure!(found(&pattern(&text))? == want, "{text}: {:?}", found(&pattern(&text))?);
    }
    // An upgrade replaces the file; the process runs the old one.
    std::fs::remove_file(&copy)?;
    ensure!(found(&pattern(&format!("{top}/a server")))? == [running.pid()], "after its file was deleted");
    Ok(())
}

/// Starts a program with this number of helpers that share its memory.
fn with_helpers(helpers: u32) -> Result<Running> {
    let mut command = Command::new(program("shared_memory")?);
    started(command.args([MEMORY_MIB.to_string(), helpers.to_string()]))
}

fn children(pid: u32) -> Result<usize> {
    Ok(std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))?.split_whitespace().count())
}

fn one_of_many() -> Result<()> {
    let table = Processes::new(ProcRoot::default());
    for helpers in [2, 4, 64] {
        let running = with_helpers(helpers)?;
        ensure!(children(running.pid())? == usize::try_from(helpers)?, "helpers are processes");
        let pid = Pid::new(running.pid()).context("a pid")?;
        let own = found(&Target::Pid(pid))?;
        ensure!(own == [running.pid()], "{helpers} helpers: {own:?}");
        let text = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))?;
        let helper = text.split_whitespace().next().and_then(|pid| Pid::new(pid.parse().ok()?));
        let (one, other) = (table.identify(pid)?, table.identify(helper.context("a helper")?)?);
        ensure!(table.share_memory(one, other), "{one} and {other}");
        // A child of fork(2) has a memory of its own.
        let ours = table.identify(Pid::new(std::process::id()).context("a pid")?)?;
        ensure!(!table.share_memory(one, ours));
    }
    Ok(())
}

fn first_thread() -> Result<()> {
    let running = started(Command::new(program("first_thread_ends")?).arg("8"))?;
    let stat = || Ok(std::fs::read_to_string(format!("/proc/{}/stat", running.pid()))?.contains(") Z "));
    etmem_testkit::clock::WallClock::new().wait_until(LIMIT, "its first thread has ended", stat)?;
    let table = Processes::new(ProcRoot::default());
    let pid = Pid::new(running.pid()).context("a pid")?;
    ensure!(found(&Target::Pid(pid))? == [running.pid()]);
    ensure!(found(&Target::Comm("first_thread_en".into()))?.contains(&running.pid()));
    let process = table.check(pid)?;
    let memory = table.memory(process)?;
    ensure!(memory.resident >= 8 << 20, "{memory:?}");
    running.signal(nix::sys::signal::Signal::SIGKILL)?;
    running.wait(LIMIT)?;
    ensure!(found(&Target::Pid(pid))?.is_empty() && table.check(pid).is_err());
    Ok(())
}

/// A daemon on a scripted machine, which needs no swap.
fn scripted(script: Script) -> Result<(FakeProc, Daemon)> {
    let fake = FakeProc::mount(script)?;
    let daemon = Daemon::start_at(Binaries::build()?, fake.root())?;
    Ok((fake, daemon))
}

fn may_be_meant() -> Result<()> {
    let daemon = Daemon::start(Binaries::build()?)?;
    let running = started(Command::new(program("threads")?).args(["main name", "a thread"]))?;
    let pid = running.pid();
    let answer = |name: &str, value: &str| -> Result<String> {
        daemon.add(&ProjectFile::new(name).task("t", TaskKind::Name(value.into())).to_string())?;
        daemon.must(&["project", "start", "-n", name])
    };
    let by_file = answer("file", "threads")?;
    let runs = format!("process {pid} runs {} and is named main name", program("threads")?.display());
    ensure!(by_file.contains("no process named threads yet") && by_file.contains(&runs), "{by_file}");
    ensure!(by_file.contains("type=exe"), "{by_file}");
    let by_thread = answer("thread", "a thread")?;
    let thread = format!("process {pid} is named main name and only its thread ");
    ensure!(by_thread.contains(&thread), "{by_thread}");
    let nothing = answer("nothing", "etmem-nobody")?;
    ensure!(!nothing.contains(&pid.to_string()), "{nothing}");
    Ok(())
}

fn many() -> Result<()> {
    const FIRST: u32 = 3_000_000;
    let process = |pid: u32| {
        let mapping = ScriptedMapping::private(0x7000_0000_0000, vec![Segment::solid(8, Life::cold())]);
        let process = ScriptedProcess::new(pid, "worker", vec![mapping]);
        ScriptedProcess { parent: if pid == FIRST { 1 } else { FIRST }, ..process }
    };
    for (processes, is_said) in [(101, false), (102, true)] {
        let (_fake, daemon) = scripted(Script::new((FIRST..FIRST + processes).map(process).collect()))?;
        daemon.add(&ProjectFile::new("p").task("t", TaskKind::Pid(FIRST)).to_string())?;
        let answer = daemon.must(&["project", "start", "-n", "p"])?;
        let said = format!("task t: process {FIRST} means {processes} processes, its descendants included");
        ensure!(answer.contains(&said) == is_said, "{processes} processes: {answer}");
    }
    Ok(())
}

/// What the only task shows once a cycle is over that scanned something.
fn shown(stage: &Stage) -> Result<Value> {
    let mut shown = Value::Null;
    let waited = stage.clock.wait_until(LIMIT, "a cycle is over", || {
        let text = stage.daemon.must(&["task", "show", "-n", "p", "--json"])?;
        shown = serde_json::from_str(&text)?;
        Ok(shown["last_cycle"]["scanned_bytes"].as_u64() > Some(0))
    });
    waited.with_context(|| format!("{shown:#}\nlog:\n{}", stage.daemon.log()))?;
    Ok(shown)
}

/// A project whose cycles are short: nothing here is touched, so no page is taken for idle too soon.
fn project() -> ProjectFile {
    let pause = Duration::from_millis(200);
    ProjectFile { interval: pause, sleep: pause, ..ProjectFile::new("p") }
}

fn scan_without_first_thread() -> Result<()> {
    for by_name in [false, true] {
        let stage = Stage::with_swap(SWAP)?;
        let mut command = Command::new(program("first_thread_ends")?);
        let running = started(command.arg(MEMORY_MIB.to_string()))?;
        let target =
            if by_name { TaskKind::Name("first_thread_en".into()) } else { TaskKind::Pid(running.pid()) };
        stage.daemon.add(&project().task("t", target).to_string())?;
        stage.daemon.must(&["project", "start", "-n", "p"])?;
        let shown = shown(&stage)?;
        let scanned = shown["last_cycle"]["scanned_bytes"].as_u64();
        ensure!(scanned >= Some(MEMORY_MIB << 20), "{shown:#}");
        // A pidfd means the first thread, so the mover madvise cannot reach this memory.
        ensure!(shown["total"]["moved_bytes"] == 0, "{shown:#}");
        let text = stage.daemon.must(&["task", "show", "-n", "p"])?;
        ensure!(text.contains("the first thread of the process has ended"), "{text}");
    }
    Ok(())
}

fn shared_memory() -> Result<()> {
    for (helpers, threads) in [(2, 1), (4, 4), (64, 1), (64, 4)] {
        let stage = Stage::with_swap(SWAP)?;
        let named = Target::Comm("shared_memory".into());
        stage.clock.wait_until(
            LIMIT,
            "the helpers of before have ended",
            || Ok(found(&named)?.is_empty()),
        )?;
        let running = with_helpers(helpers)?;
        let target = TaskKind::Name("shared_memory".into());
        let lines = ["T=1", &format!("max_threads={threads}")];
        stage.daemon.add(&project().task_with("t", target, &lines).to_string())?;
        stage.daemon.must(&["project", "start", "-n", "p"])?;
        let mut text = Value::Null;
        let waited = stage.clock.wait_until(LIMIT, "the cold memory leaves", || {
            text = shown(&stage)?;
            Ok(text["total"]["moved_bytes"].as_u64() >= Some((MEMORY_MIB << 20) / 100 * 99))
        });
        waited.with_context(|| format!("{text:#}\nlog:\n{}", stage.daemon.log()))?;
        let told = format!("{helpers} helpers, {threads} threads: {text:#}");
        ensure!(text["last_cycle"]["processes"].as_array().map(Vec::len) == Some(1), "{told}");
        let swapped = etmem_testkit::pagemap::status_bytes(running.pid(), "VmSwap")? as u64;
        let moved = text["total"]["moved_bytes"].as_u64().unwrap_or(0);
        // The kernel's figure lags by at most 64 pages for each processor.
        ensure!(moved.abs_diff(swapped) <= MIB as u64, "{swapped} bytes are out; {told}");
    }
    Ok(())
}
