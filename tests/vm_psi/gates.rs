//! When nothing may be reclaimed: programs wait, too much is refaulted, swap has no room, nothing is above the floor.

use std::fs;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use etmem_engine::figures::MOVED;
use etmem_engine::{GroupResult, ReasonName};
use etmem_testkit::guest;
use etmem_testkit::pagemap::residency;
use etmem_testkit::size::MIB;
use etmem_testkit::swap::SwapGuard;

use crate::inside::{Inside, Task, reason};

/// Many times what it takes.
const LIMIT: Duration = Duration::from_secs(300);

/// Gates that are open whatever happens, beside the one that a story is about.
const OPEN: [&str; 3] = ["pressure=100", "io_pressure=none", "max_rate=none"];

fn lines(own: &[&'static str]) -> Vec<&'static str> {
    [&OPEN[..], own].concat()
}

pub(crate) fn no_swap(inside: &Inside) -> Result<()> {
    let (group, _program) = inside.program("no-swap", 32 * MIB, 0)?;
    let mut task = Task::new("no-swap", &lines(&["reclaim_rate=0.5"]))?;
    let before = group.number("memory.current")?;
    for _ in 0..3 {
        let report = task.round()?;
        // Nor can the kernel be asked to look, which is said apart.
        let events = task.report.events.iter().filter(|event| event.key != "no_looks");
        let said: Vec<String> = events.map(|event| event.text.to_string()).collect();
        ensure!(said == ["the machine has no swap: only file pages are reclaimed"], "{said:?}");
        ensure!(task.report.events[0].repeated.is_none(), "once as long as it holds");
        ensure!(report.result != GroupResult::Lost && reason(&report).is_some(), "{report:?}");
    }
    ensure!(group.number("memory.current")? + MIB >= before - before / 8, "what is anonymous stays");
    Ok(())
}

pub(crate) fn full_swap(inside: &Inside) -> Result<()> {
    let _swap = SwapGuard::acquire(24 * MIB)?;
    let (group, mut program) = inside.program("full", 96 * MIB, 0)?;
    let mut task = Task::new("full", &lines(&["reclaim_rate=0.5", "reclaim_rate_max=1"]))?;
    // At the bound, slots that come free let a few pages leave in between.
    let mut held = Vec::new();
    for _ in 0..24 {
        let report = task.round()?;
        if reason(&report) == Some(ReasonName::SwapUse) {
            ensure!(report.result == GroupResult::Held, "{report:?}");
            held.push(report.events[0].key.clone());
        }
    }
    ensure!(held.len() > 1, "swap is at its bound in {} of 24 rounds", held.len());
    ensure!(held.iter().all(|key| *key == held[0] && !key.is_empty()), "the same fact is one line: {held:?}");
    let swapped = group.number("memory.swap.current")?;
    ensure!(swapped <= 24 * MIB * 80 / 100 + MIB, "{swapped} bytes are in swap, beyond max_swap_use=80");
    ensure!(program.verify()? == 96 * MIB);
    Ok(())
}

pub(crate) fn limit_below_floor(inside: &Inside) -> Result<()> {
    let _swap = SwapGuard::acquire(256 * MIB)?;
    let (group, _program) = inside.program("limited", 64 * MIB, 0)?;
    group.set("memory.max", 48 * MIB)?;
    let mut task = Task::new("limited", &lines(&["limit_min_bytes=67108864"]))?;
    let report = task.round()?;
    ensure!(report.result == GroupResult::Held && reason(&report) == Some(ReasonName::AtFloor), "{report:?}");
    ensure!(group.number("memory.max")? == 48 * MIB, "memory.max is not written");
    ensure!(group.text("memory.high")?.trim() == "max", "memory.high is not written");
    // With its PSI off, the other gates go on, and it is said.
    group.set("cgroup.pressure", 0)?;
    group.set("memory.max", "max")?;
    let mut task = Task::new("limited", &lines(&["reclaim_rate=0.2"]))?;
    let report = task.round()?;
    ensure!(report.result == GroupResult::Reclaimed && report.figures.get(&MOVED) > Some(0), "{report:?}");
    let said = task
        .report
        .events
        .iter()
        .any(|event| event.text.to_string().contains("how long programs of limited wait"));
    ensure!(said, "{:?}", task.report.events);
    Ok(())
}

/// With the lists of pages by generations, and with the classic ones, for which PSI sees no refault of compressed memory.
pub(crate) fn triples(inside: &Inside) -> Result<()> {
    let _swap = SwapGuard::acquire(256 * MIB)?;
    for generations in [true, false] {
        Inside::generations(generations)?;
        let path = if generations { "generations" } else { "classic" };
        let (hot, tripled) = (12 * MIB, 36 * MIB);
        let (group, mut program) = inside.program(path, 128 * MIB, hot)?;
        // What the first rounds take without knowing better makes programs wait a little.
        let mut task =
            Task::new(path, &["reclaim_rate=0.1", "max_rate=none", "pressure=5", "io_pressure=none"])?;
        let range = program.range();
        // Until much of it has left.
        let mut left = 0;
        for _ in 0..25 {
            task.paced_round()?;
            left = group.number("memory.swap.current")?;
            if left > 64 * MIB {
                break;
            }
        }
        ensure!(left > 48 * MIB, "{left} bytes are in swap");
        // What follows the hot stretch was filled first, so it has left first.
        program.heat(0, tripled)?;
        let within_two = [task.paced_round()?, task.paced_round()?];
        let held = within_two.iter().find(|report| report.result == GroupResult::Held);
        let held = held.with_context(|| format!("within two rounds: {within_two:?}"))?;
        let why = held.reason.as_ref().context("a reason")?;
        inside.say(format!("{path}: {}", why.text));
        ensure!([ReasonName::TooManyRefaults, ReasonName::Pressure].contains(&why.name), "{why:?}");
        if !generations {
            ensure!(why.name == ReasonName::TooManyRefaults, "PSI sees nothing of it: {why:?}");
        }
        for _ in 0..4 {
            task.paced_round()?;
        }
        let hot = residency(program.pid(), &(range.start..range.start + tripled))?;
        ensure!(hot.share_present() > 0.999, "{path}: {hot:?}");
        ensure!(program.verify()? == 128 * MIB);
        program.kill()?;
    }
    Inside::generations(true)
}

/// Where the kernel can be asked to look at what is in use, none of that leaves.
pub(crate) fn looks(inside: &Inside) -> Result<()> {
    // Other stories are about kernels that cannot be asked.
    let _debugfs = guest::debugfs()?;
    let _swap = SwapGuard::acquire(256 * MIB)?;
    let (all, hot) = (96 * MIB, 32 * MIB);
    let (group, mut program) = inside.program("looked-at", all, hot)?;
    let mut task =
        Task::new("looked-at", &lines(&["reclaim_rate=0.3", "reclaim_rate_min=0.3", "max_refault=none"]))?;
    let first = task.round()?;
    ensure!(reason(&first) == Some(ReasonName::Looking), "{first:?}");
    ensure!(group.number("memory.swap.current")? == 0, "it took something before it knew");
    let in_use = inside.clock.wait_until(LIMIT, "what is idle has left", || {
        Ok(reason(&task.paced_round()?) == Some(ReasonName::AllInUse))
    })?;
    let (out, back) = (group.number("memory.swap.current")?, group.stat("workingset_refault_anon")? * 4096);
    inside.say(format!("in use after {in_use:?}: {} MiB are out, {} KiB came back", out / MIB, back >> 10));
    ensure!(out > (all - hot) * 9 / 10, "{out} bytes are out");
    ensure!(back * 100 < out, "{back} bytes came back");
    ensure!(program.verify()? == all);
    program.kill()
}

/// A disk that takes two milliseconds for each request, for swap.
fn slow_disk(megabytes: usize) -> Result<()> {
    let run = |program: &str, words: &[&str]| -> Result<()> {
        ensure!(Command::new(program).args(words).status()?.success(), "{program} {words:?}");
        Ok(())
    };
    run("mount", &["-t", "configfs", "none", "/sys/kernel/config"])?;
    let disk = std::path::Path::new("/sys/kernel/config/nullb/slow");
    fs::create_dir(disk).context("null_blk")?;
    for (file, value) in [
        ("memory_backed", "1"),
        ("size", &megabytes.to_string()),
        ("irqmode", "2"),
        ("completion_nsec", "2000000"),
        ("power", "1"),
    ] {
        fs::write(disk.join(file), value).context(file.to_owned())?;
    }
    let device = if std::path::Path::new("/dev/slow").exists() { "/dev/slow" } else { "/dev/nullb1" };
    run("mkswap", &[device])?;
    run("swapon", &[device])
}

pub(crate) fn disk(inside: &Inside) -> Result<()> {
    slow_disk(256)?;
    let (group, mut program) = inside.program("disk", 96 * MIB, 4 * MIB)?;
    // Only waiting for the disk may stop it.
    let mut task =
        Task::new("disk", &["reclaim_rate=0.4", "max_rate=none", "max_refault=none", "pressure=100"])?;
    for _ in 0..10 {
        task.paced_round()?;
        if group.number("memory.swap.current")? > 40 * MIB {
            break;
        }
    }
    // It waits for what is on its way to the disk as well.
    for _ in 0..60 {
        if task.round()?.result == GroupResult::Reclaimed {
            break;
        }
        task.wait(Duration::from_secs(2));
    }
    program.heat(64 * MIB, 32 * MIB)?;
    let mut round = || {
        let report = task.paced_round();
        // The kernel works out its averages each 2 s (PSI_FREQ, kernel/sched/psi.c).
        task.wait(Duration::from_secs(2));
        report
    };
    let within_two = [round()?, round()?, round()?];
    let held = within_two[1..].iter().find(|report| reason(report) == Some(ReasonName::IoPressure));
    inside.say(format!("{:?}", held.context("it goes on")?.reason));
    program.kill()
}
