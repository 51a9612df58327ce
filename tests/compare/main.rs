//! Ways to take memory from a program that does not need it, compared: the same paced workload under each, in one boot of a virtual
//! machine. `make compare` prints the table. `ROUNDS` (3), `SECONDS` (120, of each run) and `ONLY` (names, with commas) change it;
//! `LOGS=1` prints what each etmemd has logged.
//!
//! A way is a row of `contestants::ALL`.

mod contestants;
mod damon;
mod run;
mod table;
mod workload;

use std::env;
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use contestants::Contestant;
use etmem_testkit::daemon::Binaries;
use etmem_testkit::guest;
use etmem_testkit::laboratory::{self, Machine, trial};
use etmem_testkit::size::MIB;
use etmem_testkit::swap::SwapGuard;
use etmem_testkit::trial::{asked_number, named, only, run_in_turn};

const SWAP: usize = 700 * MIB;

/// What a comparison is made of.
struct Plan {
    rounds: u64,
    seconds: u64,
    contestants: Vec<&'static Contestant>,
    /// Whether logs are printed.
    logs: bool,
}

impl Plan {
    /// As the environment asks.
    fn asked() -> Result<Self> {
        let contestants = only(contestants::ALL, name, ',')?;
        let (rounds, seconds) = (asked_number("ROUNDS", 3)?, asked_number("SECONDS", 120)?);
        Ok(Self { rounds, seconds, contestants, logs: asked_number("LOGS", 0)? > 0 })
    }

    /// As a word that goes into the machine, and back.
    fn word(&self) -> String {
        let names: Vec<&str> = self.contestants.iter().map(|one| one.name).collect();
        format!("{} {} {} {}", self.rounds, self.seconds, self.logs, names.join(","))
    }

    fn of_word(word: &str) -> Result<Self> {
        let mut parts = word.splitn(4, ' ');
        let mut part = || parts.next().context("a part is missing");
        let (rounds, seconds, logs) = (part()?.parse()?, part()?.parse()?, part()?.parse()?);
        Ok(Self { rounds, seconds, logs, contestants: named(contestants::ALL, name, part()?, ',')? })
    }
}

fn name(contestant: &Contestant) -> &str {
    contestant.name
}

fn main() -> ExitCode {
    match env::args().nth(1).as_deref() {
        Some(workload::WORD) => return guest::exit_code(workload::play()),
        Some(contestants::SENPAI) => return guest::exit_code(contestants::play_senpai()),
        _ => {}
    }
    if let Some(status) = guest::story(inside) {
        return status;
    }
    let name = "ways_to_take_memory_are_compared [skipped: takes 40 minutes: make compare]";
    let missing = laboratory::lacks("6.12");
    run_in_turn(vec![trial(name, missing.as_deref(), outside).with_ignored_flag(true)])
}

fn outside() -> Result<()> {
    let plan = Plan::asked()?;
    let runs = plan.rounds * plan.contestants.len() as u64;
    // Each run begins and ends with some waits.
    let seconds = 300 + runs * (plan.seconds + 60);
    let modules = &["zram", "lz4"];
    let machine = Machine { modules, memory: "1536M", seconds, ..Machine::of("6.12") };
    guest::boot(machine, &plan.word())
}

fn inside(word: &str, binaries: &Binaries) -> Result<()> {
    let plan = Plan::of_word(word)?;
    std::fs::write("/proc/sys/vm/page-cluster", "0")?;
    // As systemd does, or the kernel cannot be asked to look (docs/psi.md).
    let _debugfs = guest::debugfs()?;
    let swap = SwapGuard::acquire(SWAP)?;
    table::head(swap.describe(), &plan)?;
    let mut results = Vec::new();
    for round in 0..plan.rounds {
        for contestant in &plan.contestants {
            let (result, log) = run::one(contestant, round, plan.seconds, binaries)?;
            if plan.logs {
                println!("{log}");
            }
            println!("{}", table::row(&result));
            results.push(result);
        }
    }
    let verdicts = table::verdicts(&results);
    table::means(&results);
    verdicts
        .iter()
        .for_each(|(holds, text)| println!("{}: {text}", if *holds { "holds" } else { "DOES NOT HOLD" }));
    ensure!(verdicts.iter().all(|(holds, _)| *holds), "not all that is to hold does");
    Ok(())
}
