//! Engine ksm on this machine's kernel: equal memory of two programs is kept once, distinct memory is left alone, and the settings of KSM
//! are as before after a stop and after `kill -9`.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use etmem_testkit::daemon::{Binaries, Daemon};
use etmem_testkit::machine::Need;
use etmem_testkit::process::run;
use etmem_testkit::size::{MIB, PAGE};
use etmem_testkit::stage::{LIMIT, Stage};
use etmem_testkit::trial::{run_in_turn, trial_or_skip};
use etmem_testkit::undo::Undo;
use etmem_testkit::workload::{Options, Workload};
use serde_json::Value;

const KSM: &str = "/sys/kernel/mm/ksm";
const MEMORY: usize = 128 * MIB;
const SAVED: u64 = 120 << 20;

/// Rounds within which memory that is not worth merging is known to be so.
const ROUNDS: u64 = 3;

fn main() -> ExitCode {
    let needs = [Need::Root, Need::Ksm, Need::Memory(2048 * MIB)];
    run_in_turn(vec![
        trial_or_skip("equal_memory_of_two_programs_is_kept_once", &needs, equal),
        trial_or_skip("distinct_memory_ends_for_want_of_profit", &needs, distinct),
        trial_or_skip("settings_are_as_before_after_a_kill", &needs, killed),
        trial_or_skip("a_program_that_does_not_let_its_memory_be_merged_is_named", &needs, not_allowed),
        trial_or_skip("a_second_daemon_is_refused", &needs, second_daemon),
        trial_or_skip("a_command_takes_the_place_of_etmem", &needs, command),
    ])
}

/// What is set, by file; the number of pages changes while an advisor chooses it.
fn settings() -> Result<BTreeMap<&'static str, String>> {
    let files = [
        "run",
        "advisor_mode",
        "advisor_max_cpu",
        "advisor_target_scan_time",
        "pages_to_scan",
        "sleep_millisecs",
    ];
    let there = files.into_iter().filter(|file| PathBuf::from(KSM).join(file).exists());
    there.map(|file| Ok((file, fs::read_to_string(format!("{KSM}/{file}"))?))).collect()
}

fn counter(file: &str) -> Result<u64> {
    Ok(fs::read_to_string(format!("{KSM}/{file}"))?.trim().parse()?)
}

/// Writes the settings of before, whatever becomes of the test, and separates what it has merged.
fn set_back() -> Undo {
    let before = settings().unwrap_or_default();
    Undo::with(move || {
        for (file, value) in before.iter().filter(|(file, _)| **file != "run") {
            let chosen = value.split_once('[').and_then(|(_, rest)| Some(rest.split_once(']')?.0));
            // What the daemon has set back already is refused by none.
            let _ = fs::write(format!("{KSM}/{file}"), chosen.unwrap_or(value).trim());
        }
        let _ = fs::write(format!("{KSM}/run"), "2");
        let _ = fs::write(format!("{KSM}/run"), before.get("run").map_or("0", |run| run.trim()));
    })
}

/// A program with memory of this content, under a name of its own, that lets the kernel merge it.
fn program(stage: &Stage, name: &str, seed: u64) -> Result<Workload> {
    let path = stage.daemon.folder().join(name);
    let copy = stage.daemon.folder().join("equal");
    if !copy.exists() {
        fs::copy(&stage.binaries.hotcold, &copy)?;
    }
    let text =
        format!("#!/bin/sh\nexec {} ksm run -- {} \"$@\"\n", stage.binaries.etmem.display(), copy.display());
    fs::write(&path, text)?;
    fs::set_permissions(&path, Permissions::from_mode(0o700))?;
    Workload::start(&path, &Options { seed, ..Options::new(MEMORY, 0) })
}

fn project(interval: u32, target: &str) -> String {
    format!(
        "[project]\nname=p\nscan_type=none\ninterval={interval}\n[engine]\nproject=p\nname=ksm\nmax_cpu=100\nscan_time=1\n\
         [task]\nproject=p\nengine=ksm\nname=t\n{target}\n"
    )
}

fn show(daemon: &Daemon) -> Result<Value> {
    let text = daemon.must(&["task", "show", "-n", "p", "--json"])?;
    serde_json::from_str(&text).context(text)
}

fn start(daemon: &Daemon, interval: u32, target: &str) -> Result<()> {
    daemon.add(&project(interval, target))?;
    daemon.must(&["project", "start", "-n", "p"]).map(drop)
}

fn equal() -> Result<()> {
    let stage = Stage::without_swap()?;
    let _back = set_back();
    let before = settings()?;
    let mut programs = [program(&stage, "one", 7)?, program(&stage, "two", 7)?];
    start(&stage.daemon, 1, "type=name\nvalue=equal")?;
    let mut last = Value::Null;
    // Sysfs is read before and after: what has not changed meanwhile is what the daemon saw.
    let waited = stage.clock.wait_until(LIMIT, "120 MiB are saved, as sysfs says", || {
        let sysfs = || Ok::<_, anyhow::Error>((counter("pages_sharing")?, counter("pages_shared")?));
        let first = sysfs()?;
        last = show(&stage.daemon)?;
        let figure = |name: &str| last["last_cycle"][name].as_u64();
        let page = PAGE as u64;
        let (sharing, shared) = (first.0 * page, first.1 * page);
        let is_equal = figure("merging_saved_bytes") == Some(sharing)
            && figure("merged_bytes") == Some(sharing + shared);
        Ok(sysfs()? == first && sharing >= SAVED && is_equal)
    });
    waited.with_context(|| format!("{last:#}\nlog:\n{}", stage.daemon.log()))?;
    for process in last["last_cycle"]["processes"].as_array().context("no processes")? {
        let pid = process["pid"].as_u64().context("no pid")?;
        let stat = fs::read_to_string(format!("/proc/{pid}/ksm_stat"))?;
        let of =
            |name: &str| stat.lines().find_map(|line| line.strip_prefix(name)?.trim().parse::<i64>().ok());
        let figure = |name: &str| process["figures"][name].as_i64().context(name.to_owned());
        let profit = figure("merged_bytes")? - figure("merging_cost_bytes")?;
        ensure!(of("ksm_process_profit") == Some(profit), "{stat}{process:#}");
        ensure!(process["reason"].is_null(), "{process:#}");
    }
    println!("saved {} bytes of 2 x {MEMORY}", last["last_cycle"]["merging_saved_bytes"]);
    for program in &mut programs {
        ensure!(program.verify()? == MEMORY, "the content is damaged");
    }
    stage.daemon.must(&["project", "stop", "-n", "p"])?;
    stage.clock.wait_until(LIMIT, "the settings are as before", || Ok(settings()? == before))?;
    ensure!(counter("pages_sharing")? > 0, "at_stop=keep");
    Ok(())
}

fn distinct() -> Result<()> {
    let stage = Stage::without_swap()?;
    let _back = set_back();
    let before = settings()?;
    let _programs = [program(&stage, "one", 7)?, program(&stage, "two", 8)?];
    start(&stage.daemon, 30, "type=name\nvalue=equal")?;
    let mut last = Value::Null;
    let waited = stage.clock.wait_until(LIMIT, "it ends for want of profit", || {
        last = show(&stage.daemon)?;
        Ok(last["last_cycle"]["processes"][0]["reason"]["name"] == "merging_no_profit")
    });
    waited.with_context(|| format!("{last:#}\nlog:\n{}", stage.daemon.log()))?;
    let cycles = last["cycles"].as_u64().context("cycles")?;
    println!("ended in round {cycles}");
    ensure!(cycles <= ROUNDS, "{last:#}");
    ensure!(settings()? == before, "{:?} instead of {before:?}", settings()?);
    Ok(())
}

fn killed() -> Result<()> {
    let stage = Stage::without_swap()?;
    let _back = set_back();
    let before = settings()?;
    let _program = program(&stage, "one", 7)?;
    start(&stage.daemon, 1, "type=name\nvalue=equal")?;
    let runs = || Ok(counter("run")? == 1);
    stage.clock.wait_until(LIMIT, "KSM runs", runs)?;
    stage.daemon.kill()?;
    ensure!(settings()? != before, "a kill leaves what was set");
    let next = Daemon::start(Binaries::build()?)?;
    ensure!(settings()? == before, "{:?} instead of {before:?}:\n{}", settings()?, next.log());
    ensure!(next.log().contains("an etmem that was killed had KSM set: set back"), "{}", next.log());
    Ok(())
}

fn not_allowed() -> Result<()> {
    let stage = Stage::without_swap()?;
    let _back = set_back();
    let path = stage.workload_named("closed")?;
    let _program = Workload::start(&path, &Options::new(8 * MIB, 0))?;
    start(&stage.daemon, 1, "type=name\nvalue=closed")?;
    let mut last = Value::Null;
    let waited = stage.clock.wait_until(Duration::from_secs(20), "the reason is there", || {
        last = show(&stage.daemon)?;
        let reason = &last["last_cycle"]["processes"][0]["reason"]["name"];
        // Kernels before 6.18 say it only after scans, of which none ends while no program takes part.
        Ok(reason == "merging_not_allowed" || reason == "merging_first_scans")
    });
    waited.with_context(|| format!("{last:#}\nlog:\n{}", stage.daemon.log())).map(drop)
}

fn second_daemon() -> Result<()> {
    let stage = Stage::without_swap()?;
    let _back = set_back();
    start(&stage.daemon, 1, "type=name\nvalue=nosuchprogram")?;
    let second = Daemon::start(stage.binaries)?;
    second.add(&project(1, "type=name\nvalue=nosuchprogram"))?;
    let refused = second.etmem(&["project", "start", "-n", "p"])?;
    let text = format!("{}{}", refused.stdout, refused.stderr);
    ensure!(refused.status != 0 && text.contains("KSM is in use by another program"), "{text}");
    Ok(())
}

fn command() -> Result<()> {
    let etmem = &Binaries::build()?.etmem;
    let limit = Duration::from_secs(20);
    let ran = run(
        Command::new(etmem).args(["ksm", "run", "--", "sh", "-c", "cat /proc/self/ksm_stat; exit 7"]),
        limit,
    )?;
    ensure!(ran.status == 7, "{ran:?}");
    let says = ran.stdout.lines().find(|line| line.starts_with("ksm_merge_any:"));
    // The line is there from Linux 6.18 on.
    ensure!(says.is_none_or(|line| line.ends_with("yes")), "{ran:?}");
    let missing = run(Command::new(etmem).args(["ksm", "run", "--", "/nonexistent"]), limit)?;
    ensure!(missing.status == 127 && missing.stderr.contains("/nonexistent"), "{missing:?}");
    Ok(())
}
