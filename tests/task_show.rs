//! `etmem task show`: it reports each reason why nothing moves, what moved, what would have, and at what price.

use std::fs::File;
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use etmem_testkit::clock::WallClock;
use etmem_testkit::daemon::{Binaries, Daemon, ProjectFile, TaskKind};
use etmem_testkit::fake::proc::FakeProc;
use etmem_testkit::fake::proc::script::{Life, PAGE, Script, ScriptedMapping, ScriptedProcess, Segment};
use etmem_testkit::machine::Need;
use etmem_testkit::original::{Asked, OriginalServer};
use etmem_testkit::pagemap::status_bytes;
use etmem_testkit::process::{Running, run};
use etmem_testkit::size::MIB;
use etmem_testkit::stage::{LIMIT, Stage};
use etmem_testkit::swap::{areas, guard};
use etmem_testkit::trial::{run_in_turn, trial_or_skip};
use etmem_testkit::workload::Options;
use serde_json::Value;

const SWAP: usize = 256 * MIB;
const MEMORY: usize = 64 * MIB;
const HOT: usize = 8 * MIB;
/// Where scripted processes begin: far from the machine's own pids.
const FIRST_PID: u32 = 3_000_000;
const START: u64 = 0x7000_0000_0000;
const PAGES: u64 = 1000;

fn main() -> ExitCode {
    let fake = [Need::Root, Need::FakeProc];
    let swap = [Need::Root, Need::Bpf, Need::Swap(SWAP)];
    let no_swap = [Need::Root, Need::Bpf, Need::NoSwap];
    run_in_turn(vec![
        trial_or_skip("scripted_every_reason_for_nothing", &fake, scripted_reasons),
        trial_or_skip("scripted_what_moved_is_told_and_summed", &fake, scripted_figures),
        trial_or_skip("scripted_metrics_are_the_figures_of_task_show", &fake, scripted_metrics),
        trial_or_skip("scripted_a_dry_run_moves_nothing", &fake, scripted_dry_run),
        trial_or_skip("scripted_without_swap", &fake, scripted_without_swap),
        trial_or_skip("watching_outlives_the_daemon", &fake, watching),
        trial_or_skip("what_is_not_there_is_refused", &fake, refused),
        trial_or_skip("without_swap_that_is_told", &no_swap, without_swap),
        trial_or_skip("reasons_told_of_real_memory", &swap, reasons),
        trial_or_skip("a_dry_run_leaves_real_memory_where_it_is", &swap, dry_run),
        trial_or_skip("what_left_real_memory_is_told", &swap, moved),
        trial_or_skip("a_daemon_of_1_x_is_not_taken_at_its_word", &[], original),
    ])
}

/// The task of project p, as `--json` shows it.
fn show(daemon: &Daemon, task: &str) -> Result<Value> {
    let text = daemon.must(&["task", "show", "-n", "p", "-t", task, "--json"])?;
    ensure!(text.lines().count() == 1, "one object, one line: {text}");
    Ok(serde_json::from_str(&text)?)
}

/// The task as shown once `enough` is.
fn show_when(daemon: &Daemon, task: &str, what: &str, enough: impl Fn(&Value) -> bool) -> Result<Value> {
    let mut shown = Value::Null;
    let waited = WallClock::new().wait_until(LIMIT, what, || {
        shown = show(daemon, task)?;
        Ok(enough(&shown))
    });
    waited.with_context(|| format!("{shown:#}\nlog:\n{}", daemon.log()))?;
    Ok(shown)
}

/// The reason of the only process, or where there is none, that of the task.
fn reason(shown: &Value) -> &str {
    let process = &shown["last_cycle"]["processes"][0]["reason"]["name"];
    process.as_str().or(shown["reason"]["name"].as_str()).unwrap_or("")
}

/// Waits until the task tells this reason, for people, too, and that nothing has moved.
fn told(daemon: &Daemon, task: &str, name: &str, words: &str) -> Result<()> {
    let shown = show_when(daemon, task, &format!("{task}: {name}"), |shown| reason(shown) == name)?;
    ensure!(shown["total"]["moved_bytes"] == 0, "{shown:#}");
    let text = daemon.must(&["task", "show", "-n", "p", "-t", task])?;
    ensure!(text.starts_with(&format!("task: {task} (project p, engine slide")), "{text}");
    ensure!(text.contains(words), "no word of {words:?}:\n{text}");
    Ok(())
}

fn scripted(pid: u32, segments: Vec<Segment>) -> ScriptedProcess {
    ScriptedProcess::new(pid, "scripted", vec![ScriptedMapping::private(START, segments)])
}

fn cold(pid: u32) -> ScriptedProcess {
    scripted(pid, vec![Segment::solid(PAGES, Life::cold()), Segment::solid(PAGES, Life::hot())])
}

fn started(daemon: &Daemon, project: &ProjectFile) -> Result<()> {
    daemon.add(&project.to_string())?;
    daemon.must(&["project", "start", "-n", "p"])?;
    Ok(())
}

fn scripted_reasons() -> Result<()> {
    let hot = scripted(FIRST_PID, vec![Segment::solid(PAGES, Life::hot())]);
    let mut shared = scripted(FIRST_PID + 1, vec![Segment::solid(PAGES, Life::cold())]);
    shared.mappings.iter_mut().for_each(|mapping| mapping.permissions = "rw-s".into());
    let fake = FakeProc::mount(Script::new(vec![hot, shared, cold(FIRST_PID + 2)]))?;
    let daemon = Daemon::start_at(Binaries::build()?, fake.root())?;
    let project = ProjectFile::brisk("p")
        .task("hot", TaskKind::Pid(FIRST_PID))
        .task("unsuitable", TaskKind::Pid(FIRST_PID + 1))
        .task("nobody", TaskKind::Name("nobody".into()));
    daemon.add(&project.to_string())?;
    let text = daemon.must(&["task", "show", "-n", "p"])?;
    ensure!(text.matches("why       not started: etmem project start -n p").count() == 3, "{text}");
    daemon.must(&["project", "start", "-n", "p"])?;
    told(&daemon, "hot", "not_cold", "nothing is cold")?;
    told(&daemon, "unsuitable", "nothing_suitable", "none of its memory is of the kind that slide moves")?;
    told(&daemon, "nobody", "no_process", "there is no process named nobody now")?;
    fake.kill(FIRST_PID);
    let ended = "process 3000000, which the task was added for, has ended; delete the task";
    told(&daemon, "hot", "process_ended", ended)?;
    // In a cycle, both are `working`.
    show_when(&daemon, "hot", "it is gone", |shown| shown["state"] == "gone")?;
    show_when(&daemon, "nobody", "it waits", |shown| shown["state"] == "waiting")?;
    fake.start(ScriptedProcess { start_time: 9_000_000, ..cold(FIRST_PID) });
    told(&daemon, "hot", "pid_reused", "the process that has its number now is another and is left alone")?;

    let lines = ["sysmem_threshold=1".to_owned()];
    let held = ProjectFile { extra: lines.into(), ..ProjectFile::brisk("held") };
    daemon.add(&held.task("t", TaskKind::Pid(FIRST_PID + 2)).to_string())?;
    daemon.must(&["project", "start", "-n", "held"])?;
    let waited = WallClock::new().wait_until(LIMIT, "the threshold holds it", || {
        let text = daemon.must(&["task", "show", "-n", "held"])?;
        Ok(text.contains("of memory is free; sysmem_threshold acts below 1 %"))
    });
    waited.with_context(|| daemon.log())?;
    ensure!(fake.ever_out(FIRST_PID + 2).is_empty());
    Ok(())
}

fn scripted_figures() -> Result<()> {
    let fake = FakeProc::mount(Script::new(vec![cold(FIRST_PID)]))?;
    let daemon = Daemon::start_at(Binaries::build()?, fake.root())?;
    started(&daemon, &ProjectFile::new("p").task("t", TaskKind::Pid(FIRST_PID)))?;
    let shown = show_when(&daemon, "t", "two cycles are over", |shown| shown["cycles"].as_u64() >= Some(2))?;
    let all = &shown["total"];
    ensure!(all["moved_bytes"] == PAGES * PAGE, "{shown:#}");
    ensure!(all["cold_bytes"] == PAGES * PAGE, "what is out is not cold memory again: {shown:#}");
    let cycles = shown["cycles"].as_u64().unwrap_or(0);
    ensure!(all["hot_bytes"] == cycles * PAGES * PAGE && all["found"] == cycles, "{shown:#}");
    ensure!(reason(&shown) == "not_cold" && shown["last_cycle"]["moved_bytes"] == 0, "{shown:#}");
    ensure!(
        shown["last_cycle"]["window_seconds"].as_f64() >= Some(3.0),
        "a sleep and two intervals: {shown:#}"
    );
    ensure!(all["cpu_seconds"].as_f64() > Some(0.0), "{shown:#}");
    ensure!(shown["tracker"]["name"] == "etmem" && shown["mover"]["name"] == "etmem", "{shown:#}");
    Ok(())
}

fn scripted_metrics() -> Result<()> {
    let fake = FakeProc::mount(Script::new(vec![cold(FIRST_PID)]))?;
    let daemon = Daemon::start_at(Binaries::build()?, fake.root())?;
    started(&daemon, &ProjectFile::new("p").task("t", TaskKind::Pid(FIRST_PID)))?;
    show_when(&daemon, "t", "a cycle is over", |shown| shown["cycles"].as_u64() >= Some(1))?;
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("etmem.prom");
    let file = path.to_str().context("UTF-8")?;
    let answer = daemon.must(&["metrics"])?;
    let moved =
        format!("etmem_moved_bytes_total{{project=\"p\",engine=\"slide\",task=\"t\"}} {}\n", PAGES * PAGE);
    ensure!(answer.contains(&moved) && answer.ends_with("# EOF\n"), "{answer}");
    for _ in 0..2 {
        ensure!(daemon.must(&["metrics", "--file", file])?.is_empty(), "it goes to the file");
        let written = std::fs::read_to_string(&path)?;
        ensure!(written.contains(&moved) && !written.contains("# EOF"), "{written}");
    }
    ensure!(std::fs::read_dir(folder.path())?.count() == 1, "nothing else is left");
    Ok(())
}

fn scripted_dry_run() -> Result<()> {
    let fake = FakeProc::mount(Script::new(vec![cold(FIRST_PID)]))?;
    let daemon = Daemon::start_at(Binaries::build()?, fake.root())?;
    let project = ProjectFile::brisk("p").task_with("t", TaskKind::Pid(FIRST_PID), &["T=1", "dry_run=yes"]);
    daemon.add(&project.to_string())?;
    let answer = daemon.must(&["project", "start", "-n", "p"])?;
    ensure!(answer.contains("task t: dry_run=yes: it looks and plans, and moves nothing"), "{answer}");
    told(&daemon, "t", "dry_run", "dry run: would page out 3 MiB in 1 range")?;
    let shown =
        show_when(&daemon, "t", "another cycle is over", |shown| shown["cycles"].as_u64() >= Some(2))?;
    ensure!(shown["dry_run"] == true && shown["last_cycle"]["would_move_bytes"] == PAGES * PAGE, "{shown:#}");
    ensure!(fake.ever_out(FIRST_PID).is_empty(), "{:x?}", fake.ever_out(FIRST_PID));
    ensure!(daemon.log().contains("dry run: would page out 3 MiB in 1 range"), "{}", daemon.log());
    Ok(())
}

fn scripted_without_swap() -> Result<()> {
    let fake = FakeProc::mount(Script { swap: 0, ..Script::new(vec![cold(FIRST_PID)]) })?;
    let daemon = Daemon::start_at(Binaries::build()?, fake.root())?;
    started(&daemon, &ProjectFile::brisk("p").task("t", TaskKind::Pid(FIRST_PID)))?;
    told(&daemon, "t", "no_swap", "this machine has no swap")
}

fn watching() -> Result<()> {
    let fake = FakeProc::mount(Script::new(vec![cold(FIRST_PID)]))?;
    let binaries = Binaries::build()?;
    let daemon = Daemon::start_at(binaries, fake.root())?;
    started(&daemon, &ProjectFile::brisk("p").task("t", TaskKind::Pid(FIRST_PID)))?;
    let [out, said] = ["out", "said"].map(|name| daemon.folder().join(name));
    let mut command = Command::new(&binaries.etmem);
    command.args(["task", "show", "-n", "p", "--watch", "--json", "-s", daemon.socket()]);
    command.stdin(Stdio::null()).stdout(File::create(&out)?).stderr(File::create(&said)?);
    let (watching, _) = Running::start(&mut command)?;
    let lines = || -> Result<usize> { Ok(std::fs::read_to_string(&out)?.lines().count()) };
    WallClock::new().wait_until(LIMIT, "three lines are there", || Ok(lines()? >= 3))?;
    ensure!(daemon.terminate()?.status == 0);
    let told = || std::fs::read_to_string(&said);
    WallClock::new()
        .wait_until(LIMIT, "the end of the daemon is told", || Ok(told()?.contains("asking again")))?;
    let before = lines()?;
    ensure!(watching.ended()?.is_none(), "it ended with the daemon: {}", told()?);

    // The program that listens there next is shown, and what it refuses ends the watch.
    let mut again = Daemon::command(binaries, daemon.socket());
    let log = File::create(daemon.folder().join("log2"))?;
    let (_again, _) = Running::start(again.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log))?;
    let (status, _) = watching.wait(LIMIT)?;
    ensure!(status.code() == Some(186), "{status:?}: {}", told()?);
    let shown = std::fs::read_to_string(&out)?;
    ensure!(
        shown.ends_with("see etmem project show\n") && shown.contains("error: project is not exist"),
        "{shown}"
    );
    ensure!(told()?.lines().count() == 1, "told once: {}", told()?);
    for line in shown.lines().take(before) {
        let shown: Value = serde_json::from_str(line)?;
        ensure!(shown["task"] == "t", "{shown}");
    }
    Ok(())
}

fn refused() -> Result<()> {
    let fake = FakeProc::mount(Script::new(vec![cold(FIRST_PID)]))?;
    let daemon = Daemon::start_at(Binaries::build()?, fake.root())?;
    daemon.add(&ProjectFile::brisk("p").task("t", TaskKind::Pid(FIRST_PID)).to_string())?;
    for (words, first, second) in [
        (&["task", "show", "-n", "q"][..], "error: project is not exist", "there is no project q"),
        (&["task", "show", "-n", "q", "--watch"], "error: project is not exist", "there is no project q"),
        (&["task", "show", "-n", "p", "-t", "u"], "error: task is not exist", "project p has no task u"),
    ] {
        let ran = daemon.etmem(words)?;
        ensure!(ran.status == 186 && ran.stdout.starts_with(first) && ran.stdout.contains(second), "{ran:?}");
    }
    daemon.add("[project]\nname=empty\nloop=1\ninterval=1\nsleep=1\n")?;
    ensure!(daemon.must(&["task", "show", "-n", "empty"])? == "task: project empty has none\n");
    ensure!(daemon.must(&["task", "show", "-n", "empty", "--json"])?.is_empty());
    Ok(())
}

fn without_swap() -> Result<()> {
    // Others set up swap for their tests; it is gone once they let go of the lock.
    let _lock = guard::lock()?;
    ensure!(areas()?.is_empty(), "somebody has set up swap meanwhile: {:?}", areas()?);
    let stage = Stage::without_swap()?;
    let workload = stage.workload(&Options::gentle(MEMORY, HOT))?;
    started(&stage.daemon, &ProjectFile::brisk("p").task("t", TaskKind::Pid(workload.pid())))?;
    told(&stage.daemon, "t", "no_swap", "this machine has no swap")
}

fn reasons() -> Result<()> {
    let stage = Stage::with_swap(SWAP)?;
    let workload = stage.workload(&Options::gentle(MEMORY, HOT))?;
    let gate = ["sysmem_threshold=1".to_owned()];
    let project = ProjectFile { extra: gate.into(), ..ProjectFile::brisk("p") };
    let project = project.task("held", TaskKind::Pid(workload.pid()));
    started(&stage.daemon, &project.task("nobody", TaskKind::Name("etmem-nobody".into())))?;
    told(&stage.daemon, "held", "memory_free", "of memory is free; sysmem_threshold acts below 1 %")?;
    told(&stage.daemon, "nobody", "no_process", "there is no process named etmem-nobody now")?;
    stage.daemon.must(&["project", "del", "-n", "p"])?;
    // No page counts less than 0.
    let project = ProjectFile::brisk("p").task_with("t", TaskKind::Pid(workload.pid()), &["T=0"]);
    started(&stage.daemon, &project)?;
    told(&stage.daemon, "t", "not_cold", "nothing is cold")
}

fn dry_run() -> Result<()> {
    let stage = Stage::with_swap(SWAP)?;
    let mut workload = stage.workload(&Options::gentle(MEMORY, HOT))?;
    let project =
        ProjectFile::brisk("p").task_with("t", TaskKind::Pid(workload.pid()), &["T=1", "dry_run=yes"]);
    started(&stage.daemon, &project)?;
    let most = (MEMORY - HOT) as u64;
    let shown =
        show_when(&stage.daemon, "t", "two cycles are over", |shown| shown["cycles"].as_u64() >= Some(2))?;
    let would = shown["last_cycle"]["would_move_bytes"].as_u64().unwrap_or(0);
    ensure!(would >= most - most / 100, "{shown:#}");
    ensure!(reason(&shown) == "dry_run" && shown["total"]["moved_bytes"] == 0, "{shown:#}");
    ensure!(status_bytes(workload.pid(), "VmSwap")? == 0, "something left");
    ensure!(workload.verify()? == MEMORY);
    Ok(())
}

fn moved() -> Result<()> {
    let stage = Stage::with_swap(SWAP)?;
    let mut workload = stage.workload(&Options::gentle(MEMORY, HOT))?;
    started(&stage.daemon, &ProjectFile::new("p").task("t", TaskKind::Pid(workload.pid())))?;
    let places = stage.wait_until_cold_is_out(workload.footprint())?;
    let cycles = show(&stage.daemon, "t")?["cycles"].as_u64();
    let shown =
        show_when(&stage.daemon, "t", "that cycle is over", |shown| shown["cycles"].as_u64() > cycles)?;
    let swapped = (places.cold.swapped * etmem_testkit::size::PAGE) as u64;
    let moved = shown["total"]["moved_bytes"].as_u64().unwrap_or(0);
    ensure!(moved >= swapped, "{moved} bytes are told, {swapped} have left: {shown:#}");
    ensure!(shown["total"]["cpu_seconds"].as_f64() > Some(0.0), "{shown:#}");
    ensure!(shown["last_cycle"]["took_seconds"].as_f64() >= Some(2.0), "two intervals: {shown:#}");
    ensure!(shown["last_cycle"]["scanned_bytes"].as_u64() >= Some(HOT as u64), "{shown:#}");
    ensure!(workload.verify()? == MEMORY);
    Ok(())
}

fn original() -> Result<()> {
    let etmem = &Binaries::build()?.etmem;
    for answer in [&b"project: p\nnumber   type\n\xff"[..], b"no project exists\n\n\xff"] {
        let server = OriginalServer::answering(answer)?;
        let words = ["task", "show", "-n", "p", "-t", "t", "-s", server.socket()];
        let ran = run(Command::new(etmem).args(words), Duration::from_secs(30))?;
        ensure!(ran.status == 186 && ran.stdout.is_empty(), "{ran:?}");
        ensure!(ran.stderr.contains("knows no task show"), "{ran:?}");
        let line = server.end()?;
        ensure!(Asked::parse(&line).is_some(), "the original does not understand {line}");
        ensure!(line == "proj_name p file_name - cmd 4 eng_name - eng_cmd tasks task_name t", "{line}");
    }
    Ok(())
}
