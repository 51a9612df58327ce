//! `etmem idle`, `etmem warm` and `etmem survey` on real memory: all but what is in use leaves, comes back whole, and no scan of a daemon meets one of a
//! command.
//!
//! `make soak` runs the long one: a GiB comes back as fast as the program itself would read it.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{ExitCode, Stdio};

use anyhow::{Context, Result, ensure};
use etmem_core::kernel::pacer::Pacer;
use etmem_testkit::daemon::{Daemon, ProjectFile, TaskKind};
use etmem_testkit::machine::Need;
use etmem_testkit::process::{Ran, Running, run};
use etmem_testkit::size::MIB;
use etmem_testkit::stage::{COLD_OUT, HOT_OUT, LIMIT, Stage};
use etmem_testkit::trial::{for_soak, run_in_turn, trial_or_skip};
use etmem_testkit::workload::{Layout, Options, Workload};
use nix::sys::signal::Signal;
use serde_json::Value;

const SWAP: usize = 320 * MIB;
const LARGE_SWAP: usize = 1400 * MIB;
const MEMORY: usize = 192 * MIB;
const HOT: usize = 24 * MIB;

fn main() -> ExitCode {
    let needs = [Need::Root, Need::Bpf, Need::Swap(SWAP)];
    let large = [Need::Root, Need::Bpf, Need::Swap(LARGE_SWAP)];
    let story = |story: fn(&Stage) -> Result<()>| move || story(&Stage::with_swap(SWAP)?);
    run_in_turn(vec![
        trial_or_skip("all_but_what_is_in_use_leaves_and_comes_back_whole", &needs, story(out_and_back)),
        trial_or_skip("the_record_of_another_process_is_noticed", &needs, story(reused)),
        trial_or_skip("a_signal_ends_it_with_what_was_done", &needs, story(interrupted)),
        trial_or_skip("a_task_leaves_alone_what_a_command_scans", &needs, story(beside_a_daemon)),
        trial_or_skip("a_survey_says_what_is_idle_and_moves_nothing", &[Need::Root, Need::Bpf], survey),
        trial_or_skip(&for_soak("a_gib_comes_back_as_fast_as_a_read", 2), &large, || {
            as_fast_as_a_read(&Stage::with_swap(LARGE_SWAP)?)
        })
        .with_ignored_flag(true),
        trial_or_skip("what_cannot_be_done_is_refused_with_a_reason", &[Need::Root, Need::Bpf], refused),
    ])
}

/// Its JSON, with the exit status.
fn answer(stage: &Stage, words: &[&str]) -> Result<(i32, Value)> {
    let Ran { status, stdout, stderr, .. } = run(stage.etmem(words).arg("--json"), LIMIT)?;
    let value = serde_json::from_str(&stdout).with_context(|| format!("{stdout}{stderr}"))?;
    Ok((status, value))
}

fn bytes(value: &Value) -> Result<usize> {
    let bytes = value.as_u64().with_context(|| value.to_string())?;
    Ok(usize::try_from(bytes)?)
}

fn record(pid: u32) -> PathBuf {
    Daemon::state_folder().join("idle").join(format!("{pid}.json"))
}

/// Hot pages lie among cold ones, so a page that is wrongly taken or left shows.
fn scattered(stage: &Stage) -> Result<Workload> {
    stage.workload(&Options { layout: Layout::Scattered, ..Options::gentle(MEMORY, HOT) })
}

fn out_and_back(stage: &Stage) -> Result<()> {
    let mut workload = scattered(stage)?;
    let pid = workload.pid().to_string();
    let (status, idle) = answer(stage, &["idle", &pid, "--keep", "2s"])?;
    let places = workload.footprint().places()?;
    ensure!(status == 0 && places.cold.share_swapped() >= COLD_OUT, "{idle:#} {places:?}");
    ensure!(places.hot.share_swapped() <= HOT_OUT, "{idle:#} {places:?}");
    let one = &idle["processes"][0];
    let cold = MEMORY - HOT;
    ensure!(bytes(&idle["moved_bytes"])? >= cold * 99 / 100, "{idle:#}");
    ensure!((HOT..HOT + 8 * MIB).contains(&bytes(&one["kept_bytes"])?), "{idle:#}");
    let (status, warm) = answer(stage, &["warm", &pid])?;
    let one = &warm["processes"][0];
    ensure!(status == 0 && one["by_record"] == true && bytes(&one["swapped_bytes"])? == 0, "{warm:#}");
    // What was touched meanwhile came back alone.
    ensure!(bytes(&warm["moved_bytes"])? >= cold * 98 / 100, "{warm:#}");
    let places = workload.footprint().places()?;
    ensure!(places.cold.share_present() >= COLD_OUT, "{places:?}");
    ensure!(!record(workload.pid()).exists(), "the record has served");
    // Without a record, and with nothing kept.
    answer(stage, &["idle", &pid, "--keep", "0"])?;
    fs::remove_file(record(workload.pid()))?;
    let text = run(&mut stage.etmem(&["warm", "-p", &pid]), LIMIT)?.stdout;
    ensure!(text.contains("without a record: all that was in swap") && text.contains("MiB/s"), "{text}");
    ensure!(workload.verify()? == MEMORY);
    Ok(())
}

fn reused(stage: &Stage) -> Result<()> {
    let workload = stage.workload(&Options::new(MEMORY, 0))?;
    let pid = workload.pid().to_string();
    answer(stage, &["idle", &pid, "--keep", "0"])?;
    let path = record(workload.pid());
    let mut written: Value = serde_json::from_str(&fs::read_to_string(&path)?)?;
    ensure!(written["etmem_idle"] == 1 && written["pid"] == workload.pid(), "{path:?}");
    written["start_time"] = 1.into();
    fs::write(&path, written.to_string())?;
    let (status, warm) = answer(stage, &["warm", &pid])?;
    let one = &warm["processes"][0];
    ensure!(
        status == 1 && one["reasons"][0]["name"] == "pid_reused" && one["by_record"] == false,
        "{warm:#}"
    );
    ensure!(bytes(&warm["moved_bytes"])? >= MEMORY * 99 / 100, "{warm:#}");
    ensure!(!path.exists(), "it was of no use to any process");
    Ok(())
}

fn interrupted(stage: &Stage) -> Result<()> {
    let workload = stage.workload(&Options::new(MEMORY, 0))?;
    let pid = workload.pid().to_string();
    let mut command = stage.etmem(&["idle", &pid, "--keep", "1h", "--json"]);
    let (running, pipes) = Running::start(command.stdout(Stdio::piped()))?;
    // It keeps others away as soon as it has its signals.
    let claims = Daemon::state_folder().join("scans/of-commands");
    stage.clock.wait_until(LIMIT, "it watches", || is_locked(&claims))?;
    running.signal(Signal::SIGINT)?;
    let text = std::io::read_to_string(pipes.output.context("no output")?)?;
    let value: Value = serde_json::from_str(&text)?;
    ensure!(value["processes"][0]["reasons"][0]["name"] == "stopped", "{value:#}");
    ensure!(
        bytes(&value["moved_bytes"])? == 0 && workload.footprint().places()?.cold.swapped == 0,
        "{value:#}"
    );
    running.wait(LIMIT)?;
    Ok(())
}

/// Whether a lock is held on the file, by the kernel's list of locks.
fn is_locked(path: &Path) -> Result<bool> {
    let Ok(metadata) = fs::metadata(path) else { return Ok(false) };
    let inode = format!(":{} ", metadata.ino());
    Ok(fs::read_to_string("/proc/locks")?
        .lines()
        .any(|line| line.contains("OFDLCK") && line.contains(&inode)))
}

fn beside_a_daemon(stage: &Stage) -> Result<()> {
    let workload = stage.workload(&Options::gentle(MEMORY, HOT))?;
    let pid = workload.pid().to_string();
    let daemon = &stage.daemon;
    daemon.add(
        &ProjectFile::brisk("p")
            .task_with("t", TaskKind::Pid(workload.pid()), &["T=1", "dry_run=yes"])
            .to_string(),
    )?;
    daemon.must(&["project", "start", "-n", "p"])?;
    daemon.wait_for_cycles(LIMIT, "p", 2)?;
    let mut command = stage.etmem(&["idle", &pid, "--keep", "4s", "--json"]);
    let (running, pipes) = Running::start(command.stdout(Stdio::piped()))?;
    let reason = || -> Result<bool> {
        let shown: Value = serde_json::from_str(&daemon.must(&["task", "show", "-n", "p", "--json"])?)?;
        Ok(shown.to_string().contains("\"elsewhere\""))
    };
    stage.clock.wait_until(LIMIT, "the task leaves it alone", reason)?;
    let text = std::io::read_to_string(pipes.output.context("no output")?)?;
    let value: Value = serde_json::from_str(&text)?;
    ensure!(bytes(&value["moved_bytes"])? >= (MEMORY - HOT) * 99 / 100, "{value:#}");
    running.wait(LIMIT)?;
    stage.clock.wait_until(LIMIT, "the task goes on", || Ok(!reason()?))?;
    Ok(())
}

fn survey() -> Result<()> {
    let stage = Stage::without_swap()?;
    let workload = scattered(&stage)?;
    let pid = workload.pid().to_string();
    let (status, survey) = answer(&stage, &["survey", &pid, "--for", "16s"])?;
    let program = &survey["programs"][0];
    let (idle, cold) = (bytes(&program["ages"][0]["idle_bytes"])?, MEMORY - HOT);
    ensure!(status == 0 && idle.abs_diff(cold) < MEMORY / 50, "{idle} of {cold}\n{survey:#}");
    ensure!(program["ages"][1]["idle_bytes"].is_null(), "it did not look for so long: {survey:#}");
    ensure!(
        program["best"]["age_seconds"] == 10 && bytes(&program["sample"]["read_bytes"])? >= 7 * MIB,
        "{survey:#}"
    );
    ensure!(workload.footprint().places()?.cold.swapped == 0, "something moved");
    let file = stage.daemon.write("survey.conf", program["configuration"].as_str().context("none")?)?;
    let checked = run(stage.etmem(&["obj", "add", "--dry-run", "-f"]).arg(&file), LIMIT)?;
    ensure!(checked.status == 0, "{checked:?}");
    Ok(())
}

/// Rounds of a comparison, of which the middle one counts.
const ROUNDS: usize = 5;

fn as_fast_as_a_read(stage: &Stage) -> Result<()> {
    let mut workload = stage.workload(&Options::new(1024 * MIB, 0))?;
    let pid = workload.pid().to_string();
    let mut ratios = Vec::new();
    for _ in 0..ROUNDS {
        let read = |workload: &mut Workload| -> Result<f64> {
            let start = stage.clock.now();
            ensure!(workload.verify()? == 1024 * MIB);
            Ok((stage.clock.now() - start).as_secs_f64())
        };
        answer(stage, &["idle", &pid, "--keep", "0"])?;
        // What it takes besides is taken off.
        let (from_swap, in_memory) = (read(&mut workload)?, read(&mut workload)?);
        answer(stage, &["idle", &pid, "--keep", "0"])?;
        let (_, warm) = answer(stage, &["warm", &pid])?;
        ensure!(bytes(&warm["moved_bytes"])? >= 1023 * MIB, "{warm:#}");
        let took = warm["seconds"].as_f64().context("no seconds")?;
        println!("read by the program in {:.2} s, brought back in {took:.2} s", from_swap - in_memory);
        ratios.push((from_swap - in_memory) / took);
    }
    ratios.sort_by(f64::total_cmp);
    ensure!(ratios[ROUNDS / 2] >= 0.9, "brought back at these parts of the rate of a read: {ratios:.2?}");
    Ok(())
}

fn refused() -> Result<()> {
    let stage = Stage::without_swap()?;
    for (words, status, want) in [
        (&["idle", "4194304"][..], 2, "there is no process 4194304"),
        (&["warm", "4194304"], 2, "there is no process 4194304"),
        (&["idle", "2"], 2, "kernel thread"),
        (&["warm", "-N", "no-such-name"], 2, "there is no process named no-such-name"),
        (&["idle", "1", "--keep", "5"], 2, "followed by s, m or h"),
        (&["idle", "x"], 2, "a pid is a number from 1 on"),
    ] {
        let Ran { status: got, stdout, stderr, .. } = run(&mut stage.etmem(words), LIMIT)?;
        ensure!(
            got == status && (stdout.contains(want) || stderr.contains(want)),
            "{words:?}: {got} {stdout}{stderr}"
        );
    }
    Ok(())
}
