//! The real programs, with the original's decider as it is played, and with the example.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use etmem_testkit::original::decider::{Heard, Manner, OriginalDecider};
use etmem_testkit::process::Running;
use etmem_testkit::size::MIB;
use etmem_testkit::stage::{HOT_OUT, LIMIT, Stage};
use etmem_testkit::workload::{Layout, Options};

use crate::SWAP;

const HOT: usize = 8 * MIB;
const ALL: usize = 64 * MIB;

/// What the example keeps: the hot part, and what the program touches besides.
const KEPT: usize = HOT / MIB + 2;

/// Least share of the cold part that leaves: all but what is kept.
const COLD_OUT: f64 = 0.95;

fn file(pid: u32, decider: &str) -> String {
    format!(
        "[project]\nname=p\nloop=3\ninterval=200ms\nsleep=200ms\n[engine]\nproject=p\nname=memdcd\n\
         [task]\nproject=p\nengine=memdcd\nname=t\ntype=pid\nvalue={pid}\nSock=@{decider}\nvm_flags=rd wr\n"
    )
}

/// Every page that is in memory is heard of once in a round, in messages in their order.
pub(crate) fn hears() -> Result<()> {
    let stage = Stage::without_swap()?;
    let decider = OriginalDecider::start(Manner::Succeeds)?;
    let workload = stage.workload(&Options::gentle(ALL, HOT))?;
    stage.daemon.add(&file(workload.pid(), decider.name()))?;
    stage.daemon.must(&["project", "start", "-n", "p"])?;
    stage.daemon.wait_for_cycles(LIMIT, "p", 2)?;
    let shown = stage.daemon.must(&["task", "show", "-n", "p"])?;
    ensure!(shown.contains("sent to the decider") && shown.contains("moves by  none"), "{shown}");
    stage.daemon.must(&["project", "stop", "-n", "p"])?;
    let heard = decider.end()?;
    let ends = heard.iter().position(|one| one.status == Heard::LAST).context("no round was whole")?;
    let round = &heard[..=ends];
    let (first, pages) = (&round[0], round.iter().map(|one| one.pages.len() as u64).sum::<u64>());
    ensure!(
        first.status == Heard::FIRST && round[1..ends].iter().all(|one| one.status == Heard::BETWEEN),
        "{round:?}"
    );
    ensure!(
        u32::try_from(first.pid)? == workload.pid() && first.total == pages,
        "{} of {pages}",
        first.total
    );
    let bytes: u64 = round.iter().flat_map(|one| &one.pages).map(|page| page.1).sum();
    ensure!(bytes >= ALL as u64 && bytes < 2 * ALL as u64, "{bytes}");
    let touched: u64 =
        round.iter().flat_map(|one| &one.pages).filter(|page| page.2 > 0).map(|page| page.1).sum();
    ensure!((HOT as u64..ALL as u64 / 2).contains(&touched), "{touched} bytes count as touched");
    Ok(())
}

/// The task waits for its decider, and stops at once.
pub(crate) fn silent() -> Result<()> {
    let stage = Stage::without_swap()?;
    let decider = OriginalDecider::start(Manner::Silent)?;
    let workload = stage.workload(&Options::gentle(ALL, HOT))?;
    stage.daemon.add(&file(workload.pid(), decider.name()))?;
    stage.daemon.must(&["project", "start", "-n", "p"])?;
    stage.clock.wait_until(LIMIT, "the decider hears", || Ok(!decider.heard().is_empty()))?;
    stage.daemon.must(&["project", "stop", "-n", "p"])?;
    let stopped = |log: &str| log.contains("stopped");
    // Long before the decider's time is over.
    stage.daemon.wait_for_line(Duration::from_secs(5), "the task stops", stopped)?;
    ensure!(!stage.daemon.log().contains("did not answer"), "{}", stage.daemon.log());
    Ok(())
}

/// Builds the example as its README says, and starts it.
fn start_example(stage: &Stage, name: &str) -> Result<Running> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/memdcd-decider");
    let copy = stage.daemon.folder().join("memdcd-decider");
    fs::create_dir_all(&copy)?;
    for file in ["memdcd_decider.c", "Makefile"] {
        fs::copy(source.join(file), copy.join(file))?;
    }
    let mut make = Command::new("make");
    make.current_dir(&copy).arg("CFLAGS=-O2 -g -Wall -Wextra -Wpedantic -Werror").stdout(Stdio::null());
    ensure!(make.status()?.success(), "the example does not build");
    // It ends with this program, even if that is killed.
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL"]).arg(copy.join("memdcd-decider"));
    command.args([&KEPT.to_string(), name]).stdin(Stdio::null()).stdout(fs::File::create(copy.join("log"))?);
    Ok(Running::start(&mut command)?.0)
}

pub(crate) fn example() -> Result<()> {
    let stage = Stage::with_swap(SWAP)?;
    let name = format!("etmem-example-{}", std::process::id());
    let _decider = start_example(&stage, &name)?;
    let log = || fs::read_to_string(stage.daemon.folder().join("memdcd-decider/log"));
    stage.clock.wait_until(LIMIT, "the example listens", || Ok(log()?.contains("listening")))?;
    for layout in [Layout::Blocks, Layout::Scattered] {
        let mut workload = stage.workload(&Options { layout, ..Options::gentle(ALL, HOT) })?;
        stage.daemon.add(&file(workload.pid(), &name))?;
        stage.daemon.must(&["project", "start", "-n", "p"])?;
        let leaves = || Ok(workload.footprint().places()?.cold.share_swapped() >= COLD_OUT);
        let waited = stage.clock.wait_until(LIMIT, "the cold memory leaves", leaves);
        waited.with_context(|| format!("{:?}\n{}\n{}", log(), stage.daemon.log(), workload.pid()))?;
        let out = stage.watch_hot(workload.footprint(), 3)?;
        let places = workload.footprint().places()?;
        let most = places.hot.pages() as f64 * HOT_OUT;
        ensure!(out as f64 <= most, "{layout:?}: {out} hot pages left, {most} may: {places:?}\n{:?}", log());
        println!(
            "{layout:?}: {:.4} of the cold part is out, {out} hot pages were",
            places.cold.share_swapped()
        );
        stage
            .daemon
            .must(&["project", "del", "-n", "p"])
            .or_else(|_| stage.daemon.must(&["project", "stop", "-n", "p"]))?;
        ensure!(workload.verify()? == ALL);
    }
    Ok(())
}
