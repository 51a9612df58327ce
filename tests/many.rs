//! A task of thousands of processes: they share their windows, so that a cycle takes about as long as that of one.

use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use etmem_core::kernel::pacer::Pacer;
use etmem_testkit::clock::WallClock;
use etmem_testkit::daemon::{ProjectFile, TaskKind};
use etmem_testkit::machine::Need;
use etmem_testkit::size::MIB;
use etmem_testkit::stage::{LIMIT, Stage};
use etmem_testkit::trial::{run_in_turn, trial_or_skip};
use etmem_testkit::workload::Options;
use serde_json::Value;

const SWAP: usize = 1024 * MIB;
const WORKERS: usize = 2000;
const MEMORY: usize = MIB / 8;

fn main() -> ExitCode {
    let needs = [Need::Root, Need::Bpf, Need::Swap(SWAP)];
    run_in_turn(vec![trial_or_skip("thousands_of_workers_share_their_windows", &needs, workers)])
}

fn show(stage: &Stage) -> Result<Value> {
    Ok(serde_json::from_str(&stage.daemon.must(&["task", "show", "-n", "p", "-t", "t", "--json"])?)?)
}

/// All are looked at while the first cycle is under way, which only a shared window allows; and what is cold has left all of them.
fn workers() -> Result<()> {
    let stage = Stage::with_swap(SWAP)?;
    let mut workload = stage.workload(&Options { children: WORKERS, ..Options::new(MEMORY, 0) })?;
    let all = WORKERS as u64 + 1;
    let keys = ["T=1", "max_cpu=100", "max_rate=none"];
    let project = ProjectFile::new("p").task_with("t", TaskKind::Pid(workload.pid()), &keys);
    stage.daemon.add(&project.to_string())?;
    stage.daemon.must(&["project", "start", "-n", "p"])?;
    let clock = WallClock::new();
    let (mut shown, mut first) = (Value::Null, None);
    clock
        .wait_until(LIMIT, "all are looked at in the first cycle", || {
            shown = show(&stage)?;
            ensure!(
                shown["cycles"] == 0,
                "the first cycle is over, and this was not seen: {}",
                shown["so_far"]
            );
            let looked_at = shown["so_far"]["looked_at"].as_u64().filter(|number| *number > 0);
            first = first.or(looked_at.map(|number| (number, clock.now())));
            Ok(looked_at == Some(all))
        })
        .with_context(|| format!("{}", shown["so_far"]))?;
    let (number, then) = first.context("no figures before all were looked at")?;
    println!("figures of {number} processes {:.1} s after the start", then.as_secs_f64());
    println!("{all} processes looked at {:.1} s after the start", clock.now().as_secs_f64());
    clock.wait_until(LIMIT, "the first cycle is over", || {
        shown = show(&stage)?;
        Ok(shown["cycles"].as_u64() > Some(0))
    })?;
    let cycle = &shown["last_cycle"];
    println!(
        "a cycle of {all} processes took {} s, {} s of processor time",
        cycle["took_seconds"], cycle["cpu_seconds"]
    );
    ensure!(cycle["looked_at"] == all, "{} of {all}: {:?}", cycle["looked_at"], cycle["processes"][1]);
    let moved = cycle["moved_bytes"].as_u64().unwrap_or(0);
    ensure!(moved >= (WORKERS * MEMORY) as u64, "{moved} bytes have left");
    ensure!(workload.verify()? == MEMORY * (WORKERS + 1));
    Ok(())
}
