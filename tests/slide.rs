//! Engine slide on real memory: what is cold leaves, what is hot stays, and every byte comes back as it was.

use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use etmem_testkit::daemon::{ProjectFile, TaskKind};
use etmem_testkit::machine::Need;
use etmem_testkit::pagemap::status_bytes;
use etmem_testkit::process::Running;
use etmem_testkit::size::MIB;
use etmem_testkit::stage::{HOT_OUT, LIMIT, Stage};
use etmem_testkit::trial::{run_in_turn, trial_or_skip};
use etmem_testkit::workload::{Layout, Mark, Options, Workload};
use serde_json::Value;

const SWAP: usize = 512 * MIB;
/// Least share of the earlier rate that a workload must keep.
const RATE: f64 = 0.95;
/// In how many windows its rate is looked at before it counts as lost.
const WINDOWS: usize = 6;

fn main() -> ExitCode {
    let needs = [Need::Root, Need::Bpf, Need::Swap(SWAP)];
    run_in_turn(vec![
        trial_or_skip("cold_blocks_leave_and_hot_ones_stay", &needs, || cold_leaves(Layout::Blocks)),
        trial_or_skip("scattered_cold_pages_leave_and_hot_ones_stay", &needs, || {
            cold_leaves(Layout::Scattered)
        }),
        trial_or_skip("dram_percent_keeps_that_share", &needs, dram_percent),
        trial_or_skip("by_age_nothing_leaves_before_it_is_known_what_would_come_back", &needs, by_age),
        trial_or_skip("what_hardly_compresses_stays_in_memory", &needs, hardly_compresses),
        trial_or_skip("two_tasks_shrink_two_processes", &needs, two_tasks),
        trial_or_skip("eight_children_shrink", &needs, children),
        trial_or_skip("a_process_that_comes_later_is_found_by_name", &needs, comes_later),
        trial_or_skip("memory_that_is_mapped_later_is_found", &needs, grows),
    ])
}

/// How fast the workload is in comparison with another one that is no task's target, over five seconds and by their
/// own processor time: what else the machine does slows both alike. And how many hot pages were out meanwhile.
fn pace_beside(stage: &Stage, workload: &Workload, control: &Workload) -> Result<(f64, u64)> {
    let look = || [workload, control].map(|one| Mark::look(&stage.clock, one));
    let [before, control_before] = look();
    let out = stage.watch_hot(workload.footprint(), 5)?;
    let [after, control_after] = look();
    let pace = after?.since(before?)?.touches_per_processor_second();
    Ok((pace / control_after?.since(control_before?)?.touches_per_processor_second(), out))
}

/// The same task on data that compresses to a half, and on data that does not: a buffer of dd, which waits for more.
fn hardly_compresses() -> Result<()> {
    const NOISE: usize = 128 * MIB;
    let stage = Stage::with_swap(SWAP)?;
    let mut source = Command::new("sh");
    source.args(["-c", &format!("head -c {NOISE} /dev/urandom; exec sleep 1d")]);
    let (_source, pipes) = Running::start(source.stdin(Stdio::null()).stdout(Stdio::piped()))?;
    let mut dd = Command::new("dd");
    dd.args([&format!("bs={}", 2 * NOISE), "iflag=fullblock", "of=/dev/null"]);
    let (dd, _) = Running::start(dd.stdin(Stdio::from(pipes.output.context("no output")?)))?;
    let has_all = || Ok(status_bytes(dd.pid(), "VmRSS")? > NOISE);
    stage.clock.wait_until(LIMIT, "dd has its data", has_all)?;
    let half = stage.workload(&Options::gentle(NOISE, 0))?;
    let file =
        ProjectFile::new("p").task("noise", TaskKind::Pid(dd.pid())).task("half", TaskKind::Pid(half.pid()));
    stage.daemon.add(&file.to_string())?;
    stage.daemon.must(&["project", "start", "-n", "p"])?;
    let out = |pid| status_bytes(pid, "VmSwap");
    stage.clock.wait_until(LIMIT, "what compresses has left", || Ok(out(half.pid())? > NOISE * 9 / 10))?;
    let shown = || stage.daemon.must(&["task", "show", "-n", "p", "-t", "noise", "--json"]);
    stage
        .clock
        .wait_until(LIMIT, "the other has its reason", || Ok(shown()?.contains("\"hardly_compresses\"")))?;
    stage.daemon.wait_for_cycles(LIMIT, "p", 3)?;
    let noise = out(dd.pid())?;
    println!("{} KiB of {} MiB of noise are out", noise >> 10, NOISE / MIB);
    ensure!(noise < MIB, "{noise} bytes of noise are out\n{}", stage.daemon.log());
    Ok(())
}

fn cold_leaves(layout: Layout) -> Result<()> {
    let stage = Stage::with_swap(SWAP)?;
    let mut workload = stage.workload(&Options { layout, ..Options::new(256 * MIB, 32 * MIB) })?;
    // Of the same layout: what else the machine does slows caches and translation buffers of both alike.
    let control = stage.workload(&Options { layout, ..Options::new(256 * MIB, 32 * MIB) })?;
    stage.pass(Duration::from_secs(2))?;
    let (mut before, _) = pace_beside(&stage, &workload, &control)?;
    stage.daemon.add(&ProjectFile::new("p").task("t", TaskKind::Pid(workload.pid())).to_string())?;
    stage.daemon.must(&["project", "start", "-n", "p"])?;

    stage.wait_until_cold_is_out(workload.footprint())?;
    let (mut paces, mut most_out) = (Vec::new(), 0);
    // A daemon that slows its target does so in every window; a disturbance comes and goes. So each window is held
    // against one without the daemon that lies next to it.
    loop {
        let (scanned, out) = pace_beside(&stage, &workload, &control)?;
        most_out = most_out.max(out);
        paces.push((before, scanned));
        if scanned >= before * RATE || paces.len() == WINDOWS {
            break;
        }
        stage.daemon.must(&["project", "stop", "-n", "p"])?;
        (before, _) = pace_beside(&stage, &workload, &control)?;
        stage.daemon.must(&["project", "start", "-n", "p"])?;
    }
    let places = workload.footprint().places()?;

    let most = places.hot.pages() as f64 * HOT_OUT;
    ensure!(most_out as f64 <= most, "{most_out} hot pages left, {most} may\nlog:\n{}", stage.daemon.log());
    ensure!(places.cold.share_swapped() >= 0.99, "{places:?}");
    let keeps_pace = paces.iter().any(|(before, scanned)| *scanned >= before * RATE);
    ensure!(keeps_pace, "the workload's pace, of the other's, before and while it is scanned: {paces:.3?}");
    stage.daemon.must(&["project", "stop", "-n", "p"])?;
    ensure!(workload.verify()? == 256 * MIB);
    Ok(())
}

fn dram_percent() -> Result<()> {
    let stage = Stage::with_swap(SWAP)?;
    let mut workload = stage.workload(&Options::gentle(256 * MIB, 32 * MIB))?;
    let pid = workload.pid();
    let file = ProjectFile::brisk("p").task_with("t", TaskKind::Pid(pid), &["T=1", "dram_percent=50"]);
    stage.daemon.add(&file.to_string())?;
    stage.daemon.must(&["project", "start", "-n", "p"])?;
    let share = || -> Result<f64> {
        let (resident, swapped) = (status_bytes(pid, "VmRSS")?, status_bytes(pid, "VmSwap")?);
        Ok(resident as f64 / (resident + swapped) as f64)
    };
    let waited = stage.clock.wait_until(LIMIT, "half of the memory leaves", || Ok(share()? <= 0.51));
    waited.with_context(|| format!("log:\n{}", stage.daemon.log()))?;
    // Some cycles more: it stays there, and the hot part is in the half that stays.
    stage.daemon.wait_for_cycles(LIMIT, "p", 3)?;
    let (share, places) = (share()?, workload.footprint().places()?);
    ensure!((0.49..=0.51).contains(&share), "{share} is in memory\nlog:\n{}", stage.daemon.log());
    ensure!(places.hot.share_swapped() <= HOT_OUT, "{places:?}");
    ensure!(workload.verify()? == 256 * MIB);
    Ok(())
}

/// The default: the program is watched first, then little leaves, then all that is cold; and the figures are those of the kernel.
fn by_age() -> Result<()> {
    let stage = Stage::with_swap(SWAP)?;
    let mut workload = stage.workload(&Options::gentle(128 * MIB, 16 * MIB))?;
    let pid = workload.pid();
    let file = ProjectFile::brisk("p").task_with("t", TaskKind::Pid(pid), &["T=1", "age=auto"]);
    stage.daemon.add(&file.to_string())?;
    stage.daemon.must(&["project", "start", "-n", "p"])?;
    let show = || -> Result<Value> {
        Ok(serde_json::from_str(&stage.daemon.must(&["task", "show", "-n", "p", "-t", "t", "--json"])?)?)
    };
    let mut shown = Value::Null;
    let mut wait = |what: &str, enough: &dyn Fn(&Value) -> bool| -> Result<Value> {
        let waited = stage.clock.wait_until(LIMIT, what, || {
            shown = show()?;
            Ok(enough(&shown))
        });
        waited.with_context(|| format!("{shown:#}\nlog:\n{}", stage.daemon.log()))?;
        Ok(shown.clone())
    };
    let forecast = |shown: &Value| shown["last_cycle"]["processes"][0]["feedback"]["forecast"].clone();
    let first = wait("a cycle is over", &|shown| shown["cycles"].as_u64() > Some(0))?;
    ensure!(first["last_cycle"]["processes"][0]["reason"]["name"] == "watched_first", "{first:#}");
    ensure!(status_bytes(pid, "VmSwap")? == 0 && forecast(&first)["age_seconds"].is_null(), "{first:#}");
    stage.wait_until_cold_is_out(workload.footprint())?;
    let seen = show()?["cycles"].as_u64();
    let last = wait("two cycles more", &|shown| shown["cycles"].as_u64() >= seen.map(|cycles| cycles + 2))?;
    ensure!(forecast(&last)["age_seconds"].as_f64() > Some(0.0), "{last:#}");
    ensure!(workload.footprint().places()?.hot.share_swapped() <= HOT_OUT, "{last:#}");
    let figure = |name: &str| last["last_cycle"][name].as_u64().unwrap_or(0);
    let (out, saved, swapped) =
        (figure("out_bytes"), figure("saved_bytes"), status_bytes(pid, "VmSwap")? as u64);
    ensure!(out.abs_diff(swapped) <= 256 << 10, "{out} bytes are out, the kernel says {swapped}");
    // Each page compresses to half of it; on a disk all is saved.
    ensure!(saved > out / 3 && saved <= out, "{saved} bytes are saved of {out}");
    ensure!(workload.verify()? == 128 * MIB);
    Ok(())
}

fn two_tasks() -> Result<()> {
    let stage = Stage::with_swap(SWAP)?;
    let mut workloads =
        [1, 2].map(|seed| stage.workload(&Options { seed, ..Options::gentle(64 * MIB, 8 * MIB) }));
    let file = ProjectFile::brisk("p");
    let file = workloads.iter().flatten().enumerate().fold(file, |file, (number, workload)| {
        file.task(&format!("t{number}"), TaskKind::Pid(workload.pid()))
    });
    ensure!(file.tasks.len() == 2, "a workload did not start");
    stage.daemon.add(&file.to_string())?;
    stage.daemon.must(&["project", "start", "-n", "p"])?;
    for workload in workloads.iter().flatten() {
        stage.wait_until_cold_is_out(workload.footprint())?;
    }
    for workload in workloads.iter_mut().flatten() {
        ensure!(workload.verify()? == 64 * MIB);
    }
    Ok(())
}

fn children() -> Result<()> {
    let stage = Stage::with_swap(SWAP)?;
    let mut workload = stage.workload(&Options { children: 8, ..Options::gentle(32 * MIB, 4 * MIB) })?;
    ensure!(workload.children().len() == 8);
    stage.daemon.add(&ProjectFile::brisk("p").task("t", TaskKind::Pid(workload.pid())).to_string())?;
    stage.daemon.must(&["project", "start", "-n", "p"])?;
    stage.wait_until_cold_is_out(workload.footprint())?;
    for child in workload.children() {
        stage.wait_until_cold_is_out(child).with_context(|| format!("child {}", child.pid))?;
    }
    ensure!(workload.verify()? == 9 * 32 * MIB);
    Ok(())
}

fn comes_later() -> Result<()> {
    let stage = Stage::with_swap(SWAP)?;
    let name = format!("late{}", std::process::id());
    let program = stage.workload_named(&name)?;
    stage.daemon.add(&ProjectFile::brisk("p").task("t", TaskKind::Name(name.clone())).to_string())?;
    let answer = stage.daemon.must(&["project", "start", "-n", "p"])?;
    ensure!(
        answer.contains(&name) && answer.contains("waiting"),
        "the answer does not say what it waits for: {answer:?}"
    );
    let both =
        [1, 2].map(|seed| Workload::start(&program, &Options { seed, ..Options::gentle(32 * MIB, 4 * MIB) }));
    for workload in both {
        let mut workload = workload?;
        stage.wait_until_cold_is_out(workload.footprint())?;
        ensure!(workload.verify()? == 32 * MIB);
    }
    Ok(())
}

fn grows() -> Result<()> {
    let stage = Stage::with_swap(SWAP)?;
    let mut workload = stage.workload(&Options::gentle(64 * MIB, 8 * MIB))?;
    stage.daemon.add(&ProjectFile::brisk("p").task("t", TaskKind::Pid(workload.pid())).to_string())?;
    stage.daemon.must(&["project", "start", "-n", "p"])?;
    stage.wait_until_cold_is_out(workload.footprint())?;
    workload.grow(64 * MIB)?;
    stage.wait_until_cold_is_out(workload.footprint())?;
    ensure!(workload.verify()? == 128 * MIB);
    Ok(())
}
