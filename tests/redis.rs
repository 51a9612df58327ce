//! A real program that does not know of us: a redis-server whose keys are mostly never asked for.

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use anyhow::{Context, Result, anyhow, ensure};
use etmem_testkit::daemon::{ProjectFile, TaskKind};
use etmem_testkit::machine::Need;
use etmem_testkit::pagemap::status_bytes;
use etmem_testkit::redis::{Client, Server};
use etmem_testkit::size::{self, MIB};
use etmem_testkit::stage::{LIMIT, Stage};
use etmem_testkit::trial::{run_in_turn, trial_or_skip};
use etmem_testkit::workload::content::record;

const SWAP: usize = 1024 * MIB;
const KEYS: usize = 60_000;
const VALUE_BYTES: usize = 10 * 1024;
/// One key in this number is asked for: 5 %.
const HOT_EVERY: usize = 20;
const CYCLES: usize = 3;
/// Commands that are sent before their answers are read.
const BATCH: usize = 50;

fn main() -> ExitCode {
    let needs = [Need::Root, Need::Bpf, Need::Swap(SWAP), Need::Program("redis-server")];
    run_in_turn(vec![trial_or_skip("redis_shrinks_by_half_and_keeps_every_value", &needs, redis_shrinks)])
}

fn redis_shrinks() -> Result<()> {
    let stage = Stage::with_swap(SWAP)?;
    let server = Server::start(stage.daemon.folder())?;
    let mut client = server.connect()?;
    for first in (0..KEYS).step_by(BATCH) {
        let batch = first..(first + BATCH).min(KEYS);
        batch.clone().try_for_each(|key| client.send(&[b"SET", name(key).as_bytes(), &value(key)]))?;
        batch.into_iter().try_for_each(|_| client.read_ok())?;
    }
    let resident = || status_bytes(server.pid(), "VmRSS");
    let before = resident()?;
    ensure!(before > KEYS * VALUE_BYTES, "the server holds less than it was given: {}", size::show(before));

    let reader = Reader::start(server.connect()?)?;
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
    for first in (0..KEYS).step_by(BATCH) {
        let batch = first..(first + BATCH).min(KEYS);
        batch.clone().try_for_each(|key| client.send(&[b"GET", name(key).as_bytes()]))?;
        batch.into_iter().try_for_each(|key| read_value(&mut client, key))?;
    }
    Ok(())
}

fn name(key: usize) -> String {
    format!("key:{key:06}")
}

fn read_value(client: &mut Client, key: usize) -> Result<()> {
    ensure!(client.read_value()? == value(key), "the value of {} has changed", name(key));
    Ok(())
}

fn value(key: usize) -> Vec<u8> {
    record(key as u64, &name(key), VALUE_BYTES)
}

/// Asks for the hot keys over and over, as fast as the server answers.
struct Reader {
    thread: thread::JoinHandle<Result<()>>,
    stop: Arc<AtomicBool>,
    rounds: Arc<AtomicU64>,
}

impl Reader {
    fn start(mut client: Client) -> Result<Self> {
        let (stop, rounds) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (told, count) = (Arc::clone(&stop), Arc::clone(&rounds));
        let thread = thread::spawn(move || {
            for key in (0..KEYS).step_by(HOT_EVERY).cycle() {
                if told.load(Ordering::Relaxed) {
                    break;
                }
                client.send(&[b"GET", name(key).as_bytes()])?;
                read_value(&mut client, key)?;
                if key + HOT_EVERY >= KEYS {
                    count.fetch_add(1, Ordering::Relaxed);
                }
            }
            Ok(())
        });
        Ok(Self { thread, stop, rounds })
    }

    /// Ends it: how often it came round.
    fn stop(self) -> Result<u64> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().map_err(|_| anyhow!("the client panicked"))??;
        Ok(self.rounds.load(Ordering::Relaxed))
    }
}
