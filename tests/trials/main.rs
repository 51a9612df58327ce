//! Real servers under load, with and without etmemd in turn: does it save memory, and do they feel it?
//!
//! `make trials` prints a table of minutes and what holds of it. `ROUNDS` (3), `MINUTES` (10, of each run) and `ONLY` (names,
//! with semicolons) change it. A load is a row of `loads::ALL`.

mod by_age;
mod loads;
mod mariadb;
mod run;
mod stores;
mod table;

use std::process::ExitCode;

use anyhow::{Result, ensure};
use etmem_testkit::machine::{Need, find_program};
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
    let name = "servers_under_load [skipped: takes 7 hours: make trials]";
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
    let swap = SwapGuard::acquire(SWAP)?;
    table::head(swap.describe(), &plan)?;
    let (mut verdicts, mut tried) = (Vec::new(), 0);
    for load in &plan.loads {
        if let Some(lacking) = load.store.programs().iter().find(|name| find_program(name).is_none()) {
            println!("{} is left out: there is no {lacking}, which scripts/setup trials installs", load.name);
            continue;
        }
        tried += 1;
        let (mut without, mut with) = (Vec::new(), Vec::new());
        for round in 1..=plan.rounds {
            for (daemon, runs) in [(false, &mut without), (true, &mut with)] {
                let minutes = run::one(load, daemon, plan.minutes)?;
                minutes.iter().for_each(|minute| println!("{}", table::row(load, round, daemon, minute)));
                if let Some(last) = minutes.last().filter(|_| daemon) {
                    println!("{}", last.said);
                }
                runs.push(minutes);
            }
        }
        verdicts.extend(table::verdicts(load, &without, &with));
    }
    println!();
    verdicts.iter().for_each(|verdict| println!("{verdict}"));
    ensure!(tried > 0, "nothing could be tried");
    ensure!(verdicts.iter().all(|verdict| !verdict.is_broken()), "not all that is to hold does");
    Ok(())
}
