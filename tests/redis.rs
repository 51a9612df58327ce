//! A real program that does not know of us: a redis-server whose keys are mostly never asked for.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use anyhow::{Context, Result, anyhow, bail, ensure};
use etmem_testkit::daemon::{ProjectFile, TaskKind};
use etmem_testkit::machine::{Need, find_program};
use etmem_testkit::pagemap::status_bytes;
use etmem_testkit::process::Running;
use etmem_testkit::size::{self, MIB};
use etmem_testkit::stage::{LIMIT, Stage};
use etmem_testkit::trial::{run_in_turn, trial_or_skip};
use etmem_testkit::workload::content::noise;

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
    let socket = stage.daemon.folder().join("redis.socket");
    let (server, mut client) = start_server(&stage, &socket)?;
    for first in (0..KEYS).step_by(BATCH) {
        let batch = first..(first + BATCH).min(KEYS);
        batch.clone().try_for_each(|key| client.send(&[b"SET", name(key).as_bytes(), &value(key)]))?;
        batch.into_iter().try_for_each(|_| client.read_ok())?;
    }
    let resident = || status_bytes(server.pid(), "VmRSS");
    let before = resident()?;
    ensure!(before > KEYS * VALUE_BYTES, "the server holds less than it was given: {}", size::show(before));

    let reader = Reader::start(&socket)?;
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
        batch.into_iter().try_for_each(|key| client.read_value(key))?;
    }
    Ok(())
}

fn start_server(stage: &Stage, socket: &Path) -> Result<(Running, Client)> {
    let folder = stage.daemon.folder();
    let mut command = Command::new(find_program("redis-server").context("there is no redis-server")?);
    command.args(["--port", "0", "--save", "", "--appendonly", "no", "--unixsocket"]).arg(socket);
    command.arg("--dir").arg(folder).stdin(Stdio::null()).stdout(Stdio::null());
    let (server, _) = Running::start(&mut command)?;
    stage.clock.wait_until(LIMIT, "redis-server listens", || match server.ended()? {
        Some(status) => bail!("redis-server ended with {status}"),
        None => Ok(UnixStream::connect(socket).is_ok()),
    })?;
    Ok((server, Client::connect(socket)?))
}

fn name(key: usize) -> String {
    format!("key:{key:06}")
}

/// Half random, half the key's name over and over: it compresses as data does.
fn value(key: usize) -> Vec<u8> {
    let half = VALUE_BYTES / 2;
    let mut bytes = noise(key as u64, half);
    let name = name(key);
    bytes.extend(name.repeat(half.div_ceil(name.len())).into_bytes());
    bytes.truncate(VALUE_BYTES);
    bytes
}

/// Asks for the hot keys over and over, as fast as the server answers.
struct Reader {
    thread: thread::JoinHandle<Result<()>>,
    stop: Arc<AtomicBool>,
    rounds: Arc<AtomicU64>,
}

impl Reader {
    fn start(socket: &Path) -> Result<Self> {
        let mut client = Client::connect(socket)?;
        let (stop, rounds) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (told, count) = (Arc::clone(&stop), Arc::clone(&rounds));
        let thread = thread::spawn(move || {
            for key in (0..KEYS).step_by(HOT_EVERY).cycle() {
                if told.load(Ordering::Relaxed) {
                    break;
                }
                client.send(&[b"GET", name(key).as_bytes()])?;
                client.read_value(key)?;
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

/// As much of the redis protocol (RESP) as it takes.
struct Client {
    input: BufReader<UnixStream>,
    output: UnixStream,
}

impl Client {
    fn connect(socket: &Path) -> Result<Self> {
        let output = UnixStream::connect(socket)?;
        output.set_read_timeout(Some(LIMIT))?;
        Ok(Self { input: BufReader::with_capacity(MIB, output.try_clone()?), output })
    }

    fn send(&mut self, words: &[&[u8]]) -> Result<()> {
        let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
        for word in words {
            bytes.extend(format!("${}\r\n", word.len()).into_bytes());
            bytes.extend_from_slice(word);
            bytes.extend(b"\r\n");
        }
        self.output.write_all(&bytes).context("the server takes no more commands")
    }

    fn read_line(&mut self) -> Result<String> {
        let mut line = String::new();
        self.input.read_line(&mut line).context("the server does not answer")?;
        Ok(line)
    }

    fn read_ok(&mut self) -> Result<()> {
        let line = self.read_line()?;
        ensure!(line == "+OK\r\n", "the server answers {line:?}");
        Ok(())
    }

    fn read_value(&mut self, key: usize) -> Result<()> {
        let line = self.read_line()?;
        ensure!(line == format!("${VALUE_BYTES}\r\n"), "the server answers {line:?} for {}", name(key));
        let mut bytes = vec![0; VALUE_BYTES + 2];
        self.input.read_exact(&mut bytes)?;
        ensure!(bytes.strip_suffix(b"\r\n") == Some(&value(key)), "the value of {} has changed", name(key));
        Ok(())
    }
}
