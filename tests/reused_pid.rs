//! A pid that is given to another process: nothing of that is ever looked at, or moved, by a task that meant the first.
//!
//! Over the scripted machine the number changes hands before each call that the daemon makes, one after the other. On real
//! memory it does so in a pid namespace, in which it can be said which number comes next; there this same program runs
//! as its first process, with a daemon and programs of its own: as in a container.

use std::collections::BTreeMap;
use std::fs;
use std::process::{Command, ExitCode};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use etmem_core::kernel::pacer::{Pace, Pacer};
use etmem_testkit::clock::WallClock;
use etmem_testkit::daemon::{Binaries, Daemon, ProjectFile, TaskKind};
use etmem_testkit::fake::proc::FakeProc;
use etmem_testkit::fake::proc::script::{Life, PAGE, Script, ScriptedMapping, ScriptedProcess, Segment};
use etmem_testkit::guest;
use etmem_testkit::laboratory::{self, Machine, indented, trial};
use etmem_testkit::machine::{IN_PID_NAMESPACE, LAST_PID, Need};
use etmem_testkit::pagemap::status_bytes;
use etmem_testkit::process::run;
use etmem_testkit::size::MIB;
use etmem_testkit::stage::LIMIT;
use etmem_testkit::swap::SwapGuard;
use etmem_testkit::trial::{for_soak, run_in_turn, trial_or_skip};
use etmem_testkit::workload::{Options, Workload};
use serde_json::Value;

const STORY: &str = "pids_change_hands";
const KERNEL: &str = "6.12";
const INSIDE_LIMIT: Duration = Duration::from_secs(240);

/// Where scripted processes begin: far from the machine's own pids.
const FIRST_PID: u32 = 3_000_000;
const START: u64 = 0x7000_0000_0000;
const PAGES: u64 = 500;
/// Pages go by the task's own rule alone, however many come back.
const PLAIN: &str = "max_refault=none";
/// More calls than the daemon makes on one process in a cycle.
const CALLS: u32 = 64;

const SWAP: usize = 256 * MIB;
const MEMORY: usize = 64 * MIB;
const HOT: usize = 8 * MIB;

fn main() -> ExitCode {
    if let Some(status) = guest::story(|_, binaries| story(binaries)) {
        return status;
    }
    let scripted = [Need::Root, Need::FakeProc];
    let real = [Need::Root, Need::Bpf, Need::PidNamespace, Need::Swap(SWAP)];
    run_in_turn(vec![
        trial(
            &for_soak(&format!("a_reused_pid_in_a_pid_namespace_is_never_acted_on_on_linux_{KERNEL}"), 2),
            laboratory::lacks(KERNEL).as_deref(),
            in_the_laboratory,
        )
        .with_ignored_flag(true),
        trial_or_skip("a_number_given_away_before_any_call_is_never_acted_on", &scripted, by_number),
        trial_or_skip("a_process_found_by_name_is_not_the_one_that_gets_its_pid", &scripted, by_name),
        trial_or_skip("a_reused_pid_in_a_pid_namespace_is_never_acted_on", &real, in_a_namespace),
    ])
}

/// All that it has is cold.
fn scripted(pid: u32, comm: &str, start_time: u64) -> ScriptedProcess {
    let mapping = ScriptedMapping::private(START, vec![Segment::solid(PAGES, Life::cold())]);
    ScriptedProcess { start_time, ..ScriptedProcess::new(pid, comm, vec![mapping]) }
}

/// A process under each of these pids. Each pid is about to pass to another process, each one call later than the one before.
fn to_be_given_away(pids: &[u32]) -> Result<FakeProc> {
    let script = Script::new(pids.iter().map(|pid| scripted(*pid, "first", 1_000)).collect());
    FakeProc::mount(script)
}

fn give_away(fake: &FakeProc, pids: &[u32]) {
    for (after, pid) in (0..).zip(pids) {
        fake.give_away(after, scripted(*pid, "second", 2_000));
    }
}

/// The tasks of project p, by name.
fn tasks(daemon: &Daemon) -> Result<BTreeMap<String, Value>> {
    let text = daemon.must(&["task", "show", "-n", "p", "--json"])?;
    let lines = text.lines().map(|line| {
        let task: Value = serde_json::from_str(line).with_context(|| line.to_owned())?;
        Ok((task["task"].as_str().context("no name")?.to_owned(), task))
    });
    lines.collect()
}

/// Nothing was asked of those who have the numbers now; how far the daemon was with those who had them.
fn no_heir_was_touched(fake: &FakeProc, pids: &[u32], daemon: &Daemon) -> Result<()> {
    for pid in pids {
        let counts = fake.counts(*pid);
        let told = || format!("{pid}: {counts:?}, log:\n{}", daemon.log());
        ensure!(fake.ever_out(*pid).is_empty() && counts.writes == 0, "it was acted on: {}", told());
        ensure!(counts.reads == 0, "it was looked at: {}", told());
    }
    let formers: Vec<_> = pids.iter().filter_map(|pid| fake.former(*pid)).collect();
    ensure!(formers.len() == pids.len(), "only {} numbers changed hands", formers.len());
    let unseen = formers.iter().filter(|counts| counts.reads == 0).count();
    let moved = formers.iter().filter(|counts| counts.paged_out > 0).count();
    let seen = formers.len() - unseen - moved;
    println!(
        "numbers given away before the first look {unseen}, between look and move {seen}, later {moved}"
    );
    ensure!(unseen > 0 && seen > 0 && moved > 0, "not every moment was tried");
    ensure!(fake.violations().is_empty(), "{:?}", fake.violations());
    Ok(())
}

fn by_number() -> Result<()> {
    let pids: Vec<u32> = (FIRST_PID..FIRST_PID + CALLS).collect();
    let fake = to_be_given_away(&pids)?;
    let daemon = Daemon::start_at(Binaries::build()?, fake.root())?;
    let mut project = ProjectFile::brisk("p");
    for pid in &pids {
        project = project.task_with(&format!("t{pid}"), TaskKind::Pid(*pid), &["T=1", PLAIN]);
    }
    daemon.add(&project.to_string())?;
    give_away(&fake, &pids);
    daemon.must(&["project", "start", "-n", "p"])?;
    let mut waiting = BTreeMap::new();
    let waited = WallClock::new().wait_until(LIMIT, "each task says that its number is another's", || {
        waiting = tasks(&daemon)?;
        waiting.retain(|_, task| task["reason"]["name"] != "pid_reused" || task["state"] != "gone");
        Ok(waiting.is_empty())
    });
    waited.with_context(|| format!("{waiting:#?}, log:\n{}", daemon.log()))?;
    daemon.wait_for_cycles(LIMIT, "p", 2)?;
    no_heir_was_touched(&fake, &pids, &daemon)?;
    for pid in &pids {
        let said = format!("process {pid}, which the task was added for, has ended; the process that has");
        let times = daemon.log().lines().filter(|line| line.contains("WARN") && line.contains(&said)).count();
        ensure!(times == 1, "said {times} times: {said}, log:\n{}", daemon.log());
    }
    // Stopped and started again, tasks mean the processes they meant; added again, those that have the pids now.
    daemon.must(&["project", "stop", "-n", "p"])?;
    let started = daemon.must(&["project", "start", "-n", "p"])?;
    ensure!(started.matches("another and is left alone").count() == pids.len(), "{started}");
    daemon.add(
        &ProjectFile::brisk("again").task_with("t", TaskKind::Pid(FIRST_PID), &["T=1", PLAIN]).to_string(),
    )?;
    daemon.must(&["project", "start", "-n", "again"])?;
    let all = START..START + PAGES * PAGE;
    let out = || Ok(fake.out(FIRST_PID) == std::slice::from_ref(&all));
    WallClock::new().wait_until(LIMIT, "the pages of one that was added again leave", out)?;
    Ok(())
}

fn by_name() -> Result<()> {
    let pids: Vec<u32> = (FIRST_PID..FIRST_PID + CALLS).collect();
    let fake = to_be_given_away(&pids)?;
    let daemon = Daemon::start_at(Binaries::build()?, fake.root())?;
    let lines = ["T=1", PLAIN, "max_threads=5"];
    let project = ProjectFile { scans: 1, ..ProjectFile::brisk("p") };
    daemon.add(&project.task_with("t", TaskKind::Name("first".into()), &lines).to_string())?;
    give_away(&fake, &pids);
    daemon.must(&["project", "start", "-n", "p"])?;
    let given_away = || Ok(pids.iter().all(|pid| fake.former(*pid).is_some()));
    let waited = WallClock::new().wait_until(LIMIT, "each number changes hands", given_away);
    waited.with_context(|| daemon.log())?;
    daemon.wait_for_cycles(LIMIT, "p", 2)?;
    no_heir_was_touched(&fake, &pids, &daemon)?;
    ensure!(tasks(&daemon)?["t"]["reason"]["name"] == "no_process");
    Ok(())
}

fn in_a_namespace() -> Result<()> {
    let mut inside = Command::new("unshare");
    inside.args(IN_PID_NAMESPACE).arg("--").args(guest::words(STORY)?);
    let ran = run(&mut inside, INSIDE_LIMIT)?;
    print!("{}", indented(&ran.stdout));
    ensure!(ran.status == 0, "it ended with {}:\n{}", ran.status, indented(&ran.stderr));
    Ok(())
}

fn in_the_laboratory() -> Result<()> {
    let machine = Machine { modules: &["zram", "lz4"], ..Machine::of(KERNEL) };
    guest::boot_below(machine, "unshare -p -f --mount-proc --", STORY)
}

/// When the number changes hands.
struct Moment {
    name: &'static str,
    project: ProjectFile,
    lines: &'static [&'static str],
    /// Whether the moment has come, by the task as it is shown and by how much of the process is in swap.
    has_come: fn(&Value, usize) -> bool,
    /// So much later still.
    later: Duration,
}

fn moments() -> [Moment; 3] {
    [
        Moment {
            name: "in mid-scan",
            project: ProjectFile { scans: 10, ..ProjectFile::brisk("p") },
            lines: &["T=1", PLAIN],
            has_come: |task, _| task["state"] == "working" && task["total"]["moved_bytes"].as_u64() > Some(0),
            later: Duration::from_secs(1),
        },
        Moment {
            name: "while pages leave",
            project: ProjectFile::brisk("p"),
            lines: &["T=1", PLAIN, "max_rate=4m"],
            has_come: |_, swapped| swapped >= 8 * MIB,
            later: Duration::from_secs(1),
        },
        Moment {
            name: "between two cycles",
            project: ProjectFile { scans: 1, sleep: Duration::from_secs(2), ..ProjectFile::brisk("p") },
            lines: &["T=1", PLAIN],
            has_come: |task, _| task["state"] == "resting" && task["total"]["moved_bytes"].as_u64() > Some(0),
            later: Duration::ZERO,
        },
    ]
}

/// What happens inside.
fn story(binaries: &Binaries) -> Result<()> {
    ensure!(std::process::id() == 1, "this is not the first process of a pid namespace");
    let clock = WallClock::new();
    let swap = SwapGuard::acquire(SWAP)?;
    println!("swap: {}", swap.describe());
    let daemon = Daemon::start(binaries)?;
    let mut heirs = Vec::new();
    for (pid, moment) in (4000..).step_by(100).zip(moments()) {
        let heir = changes_hands(&clock, binaries, &daemon, pid, &moment);
        heirs.push(heir.with_context(|| format!("{}, log:\n{}", moment.name, daemon.log()))?);
    }
    for heir in &mut heirs {
        ensure!(status_bytes(heir.pid(), "VmSwap")? == 0 && heir.verify()? == MEMORY);
    }
    // Added again, the task means the process that has the pid now.
    let heir = heirs.first().context("no heir")?.pid();
    daemon.add(&ProjectFile::brisk("next").task("t", TaskKind::Pid(heir)).to_string())?;
    daemon.must(&["project", "start", "-n", "next"])?;
    let out = || Ok(status_bytes(heir, "VmSwap")? >= MEMORY / 100 * 99);
    clock
        .wait_until(LIMIT, "the memory of one that was added again leaves", out)
        .with_context(|| daemon.log())?;
    ensure!(heirs[0].verify()? == MEMORY);
    println!("{:?}: added again, it is served, and its content is whole", clock.now());
    let ended = daemon.terminate()?;
    ensure!(ended.status == 0, "{ended:?}");
    Ok(())
}

/// A process is acted on, ends, and another gets its number, which is returned.
fn changes_hands(
    clock: &WallClock,
    binaries: &Binaries,
    daemon: &Daemon,
    pid: u32,
    moment: &Moment,
) -> Result<Workload> {
    let first = started_as(pid, binaries, &Options::gentle(MEMORY, HOT))?;
    daemon.add(&moment.project.clone().task_with("t", TaskKind::Pid(pid), moment.lines).to_string())?;
    daemon.must(&["project", "start", "-n", "p"])?;
    let task = || tasks(daemon)?.remove("t").context("no task");
    let mut swapped = 0;
    clock.wait_until(LIMIT, "the first process is acted on", || {
        swapped = status_bytes(pid, "VmSwap")?;
        Ok(swapped > 0 && (moment.has_come)(&task()?, swapped))
    })?;
    ensure!(clock.pause(moment.later) == Pace::Continue, "stopped");
    swapped = status_bytes(pid, "VmSwap")?;
    let cycles = task()?["cycles"].as_u64().context("no cycles")?;
    first.kill()?;
    let mut heir = started_as(pid, binaries, &Options { seed: 2, ..Options::gentle(MEMORY, 0) })?;
    let mut looks = 0_u32;
    let waited = clock.wait_until(LIMIT, "the task says so, over three more cycles", || {
        let most = status_bytes(pid, "VmSwap")?;
        ensure!(most == 0, "{most} bytes of another process were moved");
        looks += 1;
        let task = task()?;
        let is_told = task["reason"]["name"] == "pid_reused" && task["state"] == "gone";
        Ok(is_told && task["cycles"].as_u64() >= Some(cycles + 4))
    });
    let took = waited.with_context(|| task().map_or_else(|e| e.to_string(), |task| format!("{task:#}")))?;
    ensure!(heir.verify()? == MEMORY);
    let text = daemon.must(&["task", "show", "-n", "p"])?;
    ensure!(text.contains("which the task was added for, has ended"), "{text}");
    println!(
        "{:?}: {}, with {} MiB of the first in swap: of the second nothing in {looks} looks over {took:.1?}",
        clock.now(),
        moment.name,
        swapped / MIB,
    );
    daemon.must(&["project", "stop", "-n", "p"])?;
    let file =
        daemon.write("gone.conf", &moment.project.clone().task("t", TaskKind::Pid(pid)).to_string())?;
    daemon.must(&["obj", "del", "-f", file.to_str().context("a name")?])?;
    Ok(heir)
}

/// Starts a workload under the number `pid`.
fn started_as(pid: u32, binaries: &Binaries, options: &Options) -> Result<Workload> {
    // A thread that begins at the same time may get it first.
    for _ in 0..20 {
        fs::write(LAST_PID, (pid - 1).to_string())?;
        let workload = Workload::start(&binaries.hotcold, options)?;
        if workload.pid() == pid {
            return Ok(workload);
        }
        workload.kill()?;
    }
    bail!("no program gets the number {pid}")
}
