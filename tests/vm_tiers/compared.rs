//! Engine tiers beside what people do now: a script that has zram write what is idle, by the clock. Both have the same age and the same
//! budget for the disk; the same program, of which a part comes back after a time that is longer than that age. `make compare` prints
//! the table.
//!
//! A way to sink is a row of `ALL`.

use std::fs;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use etmem_core::address::AddressRange;
use etmem_testkit::daemon::Daemon;
use etmem_testkit::hotset::HotSet;
use etmem_testkit::process::Running;
use etmem_testkit::size::MIB;

use crate::inside::{Disk, Inside, Zram, on_disk, page_out, part, touch};

/// A piece of the program's memory, of which the first part comes back and the rest does not.
const PIECE: usize = 28 * MIB;
const WARM: usize = 8 * MIB;
const PIECES: usize = 8;
/// What may be written to the disk in all: less than what never comes back.
const BUDGET: usize = 96 * MIB;
/// Seconds after which a page is idle, and between two times that something is written.
const IDLE: u64 = 30;
/// The warm part comes back once in this time, and leaves again after that.
const ROUND: Duration = Duration::from_secs(50);
const AGAIN: Duration = Duration::from_secs(5);
const ROUNDS: u32 = 3;

/// A way to sink.
struct Contestant {
    name: &'static str,
    /// What it was asked to do.
    settings: &'static str,
    start: fn(&Inside) -> Result<Contest>,
}

/// One that is under way; it ends when this is dropped.
#[expect(dead_code, reason = "they are kept, and nothing more")]
enum Contest {
    Script(Running),
    Daemon(Box<Daemon>),
}

static ALL: &[Contestant] = &[
    Contestant {
        name: "script, by seconds",
        settings: "each 30 s: echo 30 > idle; echo idle > writeback",
        start: |_| script("sleep 30; echo 30 >idle; echo idle >writeback"),
    },
    Contestant {
        name: "script, by marks",
        settings: "echo all > idle; 30 s later: echo idle > writeback",
        start: |_| script("echo all >idle; sleep 30; echo idle >writeback"),
    },
    Contestant { name: "tiers", settings: "sink_after=30s, sleep=30, all else as it comes", start: tiers },
];

/// A loop of the shell in the folder of the device, with the kernel's own bound.
fn script(body: &str) -> Result<Contest> {
    fs::write(Zram::file("writeback_limit"), (BUDGET >> 12).to_string())?;
    fs::write(Zram::file("writeback_limit_enable"), "1")?;
    let text = format!("cd {} && while true; do {body}; done", Zram::file("").display());
    let mut command = Command::new("sh");
    // Once the bound is reached, the kernel refuses.
    command.args(["-c", &text]).stderr(Stdio::null());
    Ok(Contest::Script(Running::start(&mut command)?.0))
}

fn tiers(inside: &Inside) -> Result<Contest> {
    let daemon = Daemon::start(&inside.binaries)?;
    daemon.add(&format!(
        "[project]\nname=p\nscan_type=page\nloop=1\ninterval=1\nsleep={IDLE}\n[engine]\nproject=p\nname=tiers\n\
         [task]\nproject=p\nengine=tiers\nname=t\ntype=machine\nsink_after={IDLE}s\nsink_high=100\nsink_per_day={}m\n",
        BUDGET / MIB
    ))?;
    daemon.must(&["project", "start", "-n", "p"])?;
    Ok(Contest::Daemon(Box::new(daemon)))
}

/// What a run came to, in pages.
#[derive(Debug, Clone, Copy)]
struct Outcome {
    written: u64,
    read_back: u64,
    /// On disk in the end: of what never comes back, and of what does.
    cold: usize,
    warm: usize,
}

impl Outcome {
    /// Refaults from the disk for each MiB that was written to it.
    fn price(self) -> f64 {
        self.read_back as f64 / (self.written as f64 / 256.0)
    }
}

fn ranges(program: &HotSet, offset: usize, bytes: usize) -> Vec<AddressRange> {
    (0..PIECES).map(|number| part(program, number * PIECE + offset, bytes)).collect()
}

fn run(inside: &Inside, contestant: &Contestant) -> Result<Outcome> {
    let disk = Disk::new("back", 400)?;
    // Hardly larger than what is in it, as after a long time: what leaves again takes the slots of what came back, all over the device.
    let zram = Zram::new(PIECES * PIECE + 8 * MIB, Some(&disk))?;
    let mut program = inside.program(PIECES * PIECE)?;
    let (warm, cold) = (ranges(&program, 0, WARM), ranges(&program, WARM, PIECE - WARM));
    page_out(&program, part(&program, 0, PIECES * PIECE))?;
    let comes_back = || warm.iter().try_for_each(|range| touch(&program, *range));
    let leaves = || warm.iter().try_for_each(|range| page_out(&program, *range));
    // It has come back before.
    inside.wait(AGAIN);
    comes_back()?;
    leaves()?;
    let contest = (contestant.start)(inside)?;
    for round in 0..ROUNDS {
        inside.wait(ROUND);
        let reads = Zram::number("bd_stat", 1)?;
        comes_back()?;
        inside.say(format!(
            "{}, round {round}: {} pages written so far, {} read back now",
            contestant.name,
            Zram::number("bd_stat", 2)?,
            Zram::number("bd_stat", 1)? - reads
        ));
        inside.wait(AGAIN);
        leaves()?;
    }
    drop(contest);
    let count = |ranges: &[AddressRange]| -> Result<usize> {
        ranges.iter().map(|range| Ok(on_disk(&program, *range)?.0)).sum()
    };
    let outcome = Outcome {
        written: Zram::number("bd_stat", 2)?,
        read_back: Zram::number("bd_stat", 1)?,
        cold: count(&cold)?,
        warm: count(&warm)?,
    };
    ensure!(program.verify()? == PIECES * PIECE, "contents");
    program.kill()?;
    drop(zram);
    Ok(outcome)
}

pub(crate) fn all(inside: &Inside) -> Result<()> {
    let outcomes: Vec<Outcome> =
        ALL.iter().map(|contestant| run(inside, contestant)).collect::<Result<_>>()?;
    println!(
        "{} MiB never come back, {} MiB each {} s; at most {} MiB may be written\n",
        PIECES * (PIECE - WARM) / MIB,
        PIECES * WARM / MIB,
        (ROUND + AGAIN).as_secs(),
        BUDGET / MIB
    );
    for contestant in ALL {
        println!("- {}: {}", contestant.name, contestant.settings);
    }
    println!(
        "\n| | written, MiB | read back, pages | read back for each MiB | cold on disk, MiB | warm on disk, MiB |"
    );
    println!("| --- | --- | --- | --- | --- | --- |");
    for (contestant, outcome) in ALL.iter().zip(&outcomes) {
        let Outcome { written, read_back, cold, warm } = *outcome;
        println!(
            "| {} | {} | {read_back} | {:.2} | {} | {} |",
            contestant.name,
            written / 256,
            outcome.price(),
            cold / 256,
            warm / 256
        );
    }
    let (tiers, scripts) = outcomes.split_last().context("no outcome")?;
    let most = (BUDGET >> 12) as u64;
    ensure!(outcomes.iter().all(|outcome| outcome.written <= most), "{outcomes:?}");
    // What writes next to nothing is at no risk.
    ensure!(tiers.written * 10 >= most * 9, "{tiers:?}");
    ensure!(scripts.iter().all(|script| script.read_back > 0), "a script that costs nothing: {outcomes:?}");
    ensure!(scripts.iter().all(|script| tiers.price() * 2.0 <= script.price()), "{outcomes:?}");
    Ok(())
}
