//! Real servers under load, two alike, of which etmemd watches one: does it save memory, and does the server feel it?
//!
//! `make trials` prints a table of minutes and what holds of it. `ROUNDS` (3), `MINUTES` (10, of each run) and `ONLY` (names,
//! with semicolons) change it. A load is a row of `loads::ALL`.

mod awake;
mod by_age;
mod loads;
mod mariadb;
mod postgres;
mod run;
mod stores;
mod table;

use std::process::ExitCode;

use anyhow::{Result, ensure};
use awake::Awake;
use etmem_testkit::machine::Need;
use etmem_testkit::size::MIB;
use etmem_testkit::swap::SwapGuard;
use etmem_testkit::trial::{asked_number, only, run_in_turn, trial_or_skip};
use loads::Load;

/// As much as the largest load.
const SWAP: usize = 2048 * MIB;

/// What is to be tried.
struct Plan {
    rounds: u32,
    minutes: u32,
    loads: Vec<&'static Load>,
}

impl Plan {
    /// As the environment asks.
    fn asked() -> Result<Self> {
        let loads = only(loads::ALL, |load| load.name, ';')?;
        Ok(Self { rounds: asked_number("ROUNDS", 3)?, minutes: asked_number("MINUTES", 10)?, loads })
    }
}

fn main() -> ExitCode {
    let name = "servers_under_load [skipped: takes 5 hours: make trials]";
    let needs = [Need::Root, Need::Bpf, Need::Swap(SWAP)];
    let picture = "redis_by_age [skipped: takes 12 minutes: make picture]";
    let of_picture = [Need::Root, Need::Bpf, Need::Program("redis-server")];
    run_in_turn(vec![
        trial_or_skip(name, &needs, trials).with_ignored_flag(true),
        trial_or_skip(picture, &of_picture, by_age::picture).with_ignored_flag(true),
    ])
}

fn trials() -> Result<()> {
    let plan = Plan::asked()?;
    let (swap, awake) = (SwapGuard::acquire(SWAP)?, Awake::start()?);
    table::head(swap.describe(), &plan)?;
    let (mut verdicts, mut tried) = (Vec::new(), 0);
    for load in &plan.loads {
        if let Some(lacking) = load.store.lacks() {
            println!("{} is left out: there is no {lacking}, which scripts/setup trials installs", load.name);
            continue;
        }
        tried += 1;
        let mut rounds = Vec::new();
        for round in 1..=plan.rounds {
            let minutes = run::one(load, round, plan.minutes, &awake)?;
            minutes.iter().for_each(|minute| println!("{}", table::row(load, round, minute)));
            minutes.last().into_iter().for_each(|last| println!("{}", last.said));
            rounds.push(minutes);
        }
        verdicts.extend(table::verdicts(load, &rounds));
    }
    println!();
    verdicts.iter().for_each(|verdict| println!("{verdict}"));
    ensure!(tried > 0, "nothing could be tried");
    ensure!(verdicts.iter().all(|verdict| !verdict.is_broken()), "not all that is to hold does");
    Ok(())
}
