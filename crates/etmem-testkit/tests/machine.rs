//! The testkit on the real machine: swap that is undone however a run ends, and the workload as a program.

use std::env;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use etmem_core::kernel::pacer::Pacer;
use etmem_testkit::clock::WallClock;
use etmem_testkit::machine::Need;
use etmem_testkit::process::Running;
use etmem_testkit::size::{MIB, PAGE};
use etmem_testkit::swap::{SwapGuard, area, guard, leftover};
use etmem_testkit::trial::{run_in_turn, trial_or_skip};
use etmem_testkit::workload::{Layout, Options, Workload};
use nix::sys::signal::Signal;

const SWAP: usize = 64 * MIB;
/// Set for a copy of this program that only holds swap until it is ended.
const HOLD: &str = "ETMEM_TESTKIT_HOLD_SWAP";
const LIMIT: Duration = Duration::from_secs(60);

fn main() -> ExitCode {
    if env::var_os(HOLD).is_some() {
        return hold();
    }
    let swap = [Need::Root, Need::Swap(SWAP)];
    run_in_turn(vec![
        trial_or_skip("swap_is_undone_when_its_guard_goes", &swap, swap_is_undone),
        trial_or_skip("swap_is_undone_when_a_signal_ends_the_run", &swap, || ended_by(Signal::SIGTERM)),
        trial_or_skip("swap_of_a_killed_run_is_taken_back", &swap, || ended_by(Signal::SIGKILL)),
        trial_or_skip("the_workload_touches_and_keeps_its_content", &[], touches),
        trial_or_skip("the_workload_obeys", &[], obeys),
        trial_or_skip("children_have_memory_of_their_own", &[], children),
        trial_or_skip("the_workload_leaves_when_its_input_ends", &[], leaves),
    ])
}

fn hold() -> ExitCode {
    match SwapGuard::acquire(SWAP) {
        Ok(_guard) => {
            println!("held");
            let _ = WallClock::new().pause(LIMIT);
            ExitCode::SUCCESS
        }
        Err(error) => {
            println!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn areas_and_leftover() -> Result<(usize, bool)> {
    Ok((area::areas()?.len(), !leftover::find()?.is_empty()))
}

fn swap_is_undone() -> Result<()> {
    let before = {
        let _lock = guard::lock()?;
        areas_and_leftover()?
    };
    let swap = SwapGuard::acquire(SWAP)?;
    ensure!(area::free() >= SWAP);
    drop(swap);
    let _lock = guard::lock()?;
    ensure!(areas_and_leftover()? == before);
    Ok(())
}

fn ended_by(signal: Signal) -> Result<()> {
    let before = {
        let _lock = guard::lock()?;
        areas_and_leftover()?
    };
    let mut command = Command::new(env::current_exe()?);
    let (holder, pipes) = Running::start(command.env(HOLD, "1").stdin(Stdio::null()).stdout(Stdio::piped()))?;
    let mut said = String::new();
    BufReader::new(pipes.output.context("no output")?).read_line(&mut said)?;
    ensure!(said == "held\n", "{said}");
    holder.signal(signal)?;
    let (status, _) = holder.wait(LIMIT)?;
    ensure!(!status.success());
    if signal == Signal::SIGTERM {
        ensure!(leftover::find()?.is_empty(), "the run wrote down what it left, so it left something");
    }
    // Taking the lock takes back what a killed run left.
    let _lock = guard::lock()?;
    ensure!(areas_and_leftover()? == before);
    Ok(())
}

fn start(options: &Options) -> Result<Workload> {
    Workload::start(Path::new(env!("CARGO_BIN_EXE_hotcold")), options)
}

fn touches() -> Result<()> {
    for layout in [Layout::Blocks, Layout::Scattered] {
        let mut workload = start(&Options { layout, ..Options::new(16 * MIB, 2 * MIB) })?;
        let clock = WallClock::new();
        clock.wait_until(LIMIT, "the workload touches", || Ok(workload.sample().ops > 0))?;
        let places = workload.footprint().places()?;
        ensure!((places.hot.pages(), places.cold.pages()) == (2 * MIB / PAGE, 14 * MIB / PAGE), "{places:?}");
        ensure!(places.hot.absent + places.cold.absent == 0, "{places:?}");
        ensure!(workload.verify()? == 16 * MIB);
    }
    Ok(())
}

fn obeys() -> Result<()> {
    let mut workload = start(&Options::new(16 * MIB, 2 * MIB))?;
    let pid = workload.pid();
    let bytes = |workload: &Workload| -> usize {
        workload.footprint().memory.iter().map(ExactSizeIterator::len).sum()
    };
    workload.grow(4 * MIB)?;
    ensure!((bytes(&workload), workload.verify()?) == (20 * MIB, 20 * MIB));
    let gone = workload.footprint().memory[2].clone();
    workload.unmap_half()?;
    ensure!((bytes(&workload), workload.verify()?) == (8 * MIB, 8 * MIB));
    let left = etmem_testkit::pagemap::residency(pid, &gone)?;
    ensure!(left.present == 0, "what was unmapped is still there: {left:?}");
    workload.idle()?;
    let sample = workload.sample();
    workload.verify()?;
    ensure!(workload.sample() == sample, "it touches while it should idle");
    workload.touch()?;
    WallClock::new().wait_until(LIMIT, "it touches again", || Ok(workload.sample() != sample))?;
    workload.exec()?;
    ensure!((workload.pid(), workload.footprint().pid, workload.verify()?) == (pid, pid, 8 * MIB));
    workload.kill()
}

fn children() -> Result<()> {
    let mut workload = start(&Options { children: 3, ..Options::new(4 * MIB, 0) })?;
    ensure!(workload.children().len() == 3);
    for child in workload.children() {
        let parent = etmem_testkit::pagemap::stat_field(child.pid, 4)?;
        ensure!(parent == u64::from(workload.pid()));
        let places = child.places()?;
        ensure!((places.cold.present + places.cold.swapped, places.hot.pages()) == (4 * MIB / PAGE, 0));
    }
    ensure!(workload.verify()? == 16 * MIB);
    Ok(())
}

fn leaves() -> Result<()> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hotcold"));
    command.args(Options { children: 1, ..Options::new(4 * MIB, MIB) }.arguments());
    let (running, pipes) = Running::start(command.stdin(Stdio::piped()).stdout(Stdio::piped()))?;
    drop(pipes.input);
    let (status, _) = running.wait(LIMIT)?;
    ensure!(status.success(), "{status}");
    Ok(())
}
