//! A real program that does not know of us: a redis-server whose keys are mostly never asked for.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use etmem_testkit::daemon::{ProjectFile, TaskKind};
use etmem_testkit::machine::Need;
use etmem_testkit::pagemap::status_bytes;
use etmem_testkit::redis::{Keys, Server};
use etmem_testkit::size::{self, MIB};
use etmem_testkit::stage::{LIMIT, Stage};
use etmem_testkit::trial::{run_in_turn, trial_or_skip};

const SWAP: usize = 1024 * MIB;
const KEYS: Keys = Keys { count: 60_000, value_bytes: 10 * 1024 };
/// One key in this number is asked for: 5 %.
const HOT_EVERY: usize = 20;
const CYCLES: usize = 3;

fn main() -> ExitCode {
    let needs = [Need::Root, Need::Bpf, Need::Swap(SWAP), Need::Program("redis-server")];
    run_in_turn(vec![trial_or_skip("redis_shrinks_by_half_and_keeps_every_value", &needs, redis_shrinks)])
}

fn redis_shrinks() -> Result<()> {
    let stage = Stage::with_swap(SWAP)?;
    let server = Server::start(stage.daemon.folder())?;
    let mut client = server.connect()?;
    KEYS.set(&mut client)?;
    let resident = || status_bytes(server.pid(), "VmRSS");
    let before = resident()?;
    ensure!(
        before > KEYS.count * KEYS.value_bytes,
        "the server holds less than it was given: {}",
        size::show(before)
    );

    let reader = KEYS.read_over_and_over(server.connect()?, HOT_EVERY, Duration::ZERO);
    stage.daemon.add(&ProjectFile::new("p").task("t", TaskKind::Pid(server.pid())).to_string())?;
    stage.daemon.must(&["project", "start", "-n", "p"])?;
    let pid = server.pid().to_string();
    stage
        .clock
        .wait_until(LIMIT, &format!("{CYCLES} cycles end"), || {
            let log = stage.daemon.log();
            let ended = |line: &&str| line.contains(&pid) && line.contains("paged out");
            Ok(log.lines().filter(ended).count() >= CYCLES)
        })
        .with_context(|| format!("log:\n{}", stage.daemon.log()))?;
    let after = resident()?;
    ensure!(
        after <= before / 2,
        "{} in memory before, {} after {CYCLES} cycles\nlog:\n{}",
        size::show(before),
        size::show(after),
        stage.daemon.log()
    );
    let rounds = reader.stop()?;
    ensure!(rounds > 0, "the client did not come round once, so no key was hot");

    stage.daemon.must(&["project", "stop", "-n", "p"])?;
    KEYS.check(&mut client)
}
