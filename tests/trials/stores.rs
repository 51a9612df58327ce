//! The servers, as much as loads need of them.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::iter;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use etmem_core::kernel::pacer::Pacer;
use etmem_testkit::clock::WallClock;
use etmem_testkit::machine::find_program;
use etmem_testkit::process::Running;
use etmem_testkit::redis;
use etmem_testkit::size::MIB;
use etmem_testkit::stage::LIMIT;
use etmem_testkit::workload::content::record;

use crate::{mariadb, postgres};

pub(crate) const VALUE_BYTES: usize = 1024;
/// Commands that are sent before their answers are read.
const BATCH: usize = 50;

#[derive(Debug, Clone, Copy)]
pub(crate) enum StoreKind {
    Redis,
    Memcached {
        /// Whether a thread of it reads all items now and then: a minute after it was started, then two minutes later, then three, up
        /// to an hour. What no client asks for is read all the same.
        crawls: bool,
    },
    MariaDb,
    Postgres,
    /// A map on the heap of a Java virtual machine, whose collector marks all that is alive each quarter of a minute.
    Jvm,
}

impl StoreKind {
    /// A program that it needs and that is not installed.
    pub(crate) fn lacks(self) -> Option<&'static str> {
        let programs: &[&str] = match self {
            Self::Redis => &["redis-server"],
            Self::Memcached { .. } => &["memcached"],
            Self::MariaDb => &[mariadb::PROGRAM],
            Self::Postgres => postgres::PROGRAMS,
            Self::Jvm => &["javac", "java"],
        };
        let find = if matches!(self, Self::Postgres) { postgres::program } else { find_program };
        programs.iter().find(|name| find(name).is_none()).copied()
    }
}

/// A running server.
#[derive(Debug)]
pub(crate) enum Store {
    Redis(redis::Server),
    /// One that speaks memcached's text protocol at a socket.
    Memcached(Running, PathBuf),
    Jvm(Running, PathBuf, PathBuf),
    MariaDb(mariadb::Server),
    Postgres(postgres::Server),
}

/// A connection to it.
#[derive(Debug)]
pub(crate) enum Client {
    Redis(redis::Client),
    Memcached(BufReader<UnixStream>),
    MariaDb(mariadb::Client),
    Postgres(postgres::Client),
}

impl Store {
    /// Starts one that keeps its files in `folder`.
    pub(crate) fn start(kind: StoreKind, folder: &Path) -> Result<Self> {
        match kind {
            StoreKind::Redis => redis::Server::start(folder).map(Self::Redis),
            StoreKind::Memcached { crawls } => memcached(folder, crawls),
            StoreKind::Jvm => jvm(folder),
            StoreKind::MariaDb => mariadb::Server::start(folder).map(Self::MariaDb),
            StoreKind::Postgres => postgres::Server::start(folder).map(Self::Postgres),
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        match self {
            Self::Redis(server) => server.pid(),
            Self::Memcached(running, _) | Self::Jvm(running, ..) => running.pid(),
            Self::MariaDb(server) => server.running.pid(),
            Self::Postgres(server) => server.running.pid(),
        }
    }

    /// It, and the processes that it has made.
    pub(crate) fn pids(&self) -> Vec<u32> {
        let pid = self.pid();
        let made = match self {
            Self::Postgres(_) => fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")),
            Self::Redis(_) | Self::Memcached(..) | Self::Jvm(..) | Self::MariaDb(_) => Ok(String::new()),
        };
        let made = made.unwrap_or_default();
        iter::once(pid).chain(made.split_whitespace().filter_map(|pid| pid.parse().ok())).collect()
    }

    /// How long its collector's markings took so far, where it has one.
    pub(crate) fn markings(&self) -> Result<Vec<Duration>> {
        match self {
            Self::Jvm(_, _, log) => Ok(markings_of(&fs::read_to_string(log)?)),
            Self::Redis(_) | Self::Memcached(..) | Self::MariaDb(_) | Self::Postgres(_) => Ok(Vec::new()),
        }
    }

    pub(crate) fn connect(&self) -> Result<Client> {
        match self {
            Self::Redis(server) => server.connect().map(Client::Redis),
            Self::MariaDb(server) => server.connect()?.begin().map(Client::MariaDb),
            Self::Postgres(server) => server.connect().map(Client::Postgres),
            Self::Memcached(_, socket) | Self::Jvm(_, socket, _) => {
                let stream = UnixStream::connect(socket)?;
                stream.set_read_timeout(Some(LIMIT))?;
                Ok(Client::Memcached(BufReader::with_capacity(MIB, stream)))
            }
        }
    }
}

fn memcached(folder: &Path, crawls: bool) -> Result<Store> {
    let socket = folder.join("memcached.socket");
    let mut command = Command::new(find_program("memcached").context("there is no memcached")?);
    command.args(["-u", "root", "-m", "2048", "-t", "1", "-s"]).arg(&socket);
    if !crawls {
        command.args(["-o", "no_lru_crawler"]);
    }
    let running = redis::start_listening(&mut command, &socket)?;
    Ok(Store::Memcached(running, socket))
}

/// Bytes of the part of the heap in which objects begin: what the server throws away fills it in about a quarter of a minute.
const YOUNG: &str = "-Xmn256m";

fn jvm(folder: &Path) -> Result<Store> {
    let (socket, log) = (folder.join("jvm.socket"), folder.join("gc.log"));
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/trials/Store.java");
    let compiled = Command::new("javac").arg("-d").arg(folder).arg(source).output().context("javac")?;
    ensure!(compiled.status.success(), "javac: {}", String::from_utf8_lossy(&compiled.stderr));
    let mut command = Command::new(find_program("java").context("there is no java")?);
    // Each collection of young objects begins to mark the old ones.
    command.args(["-XX:+UseG1GC", "-Xms2g", "-Xmx2g", YOUNG, "-XX:-G1UseAdaptiveIHOP"]);
    command.args(["-XX:InitiatingHeapOccupancyPercent=10", &format!("-Xlog:gc:file={}", log.display())]);
    command.arg("-cp").arg(folder).arg("Store").arg(&socket);
    let running = redis::start_listening(&mut command, &socket)?;
    Ok(Store::Jvm(running, socket, log))
}

/// How long each marking took, by `log` of a virtual machine's collector.
fn markings_of(log: &str) -> Vec<Duration> {
    let lines = log.lines().filter(|line| line.contains("Concurrent Mark Cycle "));
    let took = lines.filter_map(|line| line.rsplit(' ').next()?.strip_suffix("ms")?.parse().ok());
    took.map(|ms: f64| Duration::from_secs_f64(ms / 1e3)).collect()
}

fn value(key: usize) -> Vec<u8> {
    record(key as u64, &name(key), VALUE_BYTES)
}

/// The statement that writes `rows`, where SQL takes bytes as hexadecimal digits after `prefix` and before a quote.
pub(crate) fn insert(rows: impl Iterator<Item = (usize, Vec<u8>)>, prefix: &str) -> String {
    let digit = |value: u8| char::from(b"0123456789abcdef"[usize::from(value & 15)]);
    let hexadecimal = |bytes: Vec<u8>| -> String {
        bytes.into_iter().flat_map(|byte| [digit(byte >> 4), digit(byte)]).collect()
    };
    let rows = rows.map(|(key, value)| format!("({key},{prefix}{}')", hexadecimal(value)));
    format!("INSERT INTO t VALUES {}", rows.collect::<Vec<String>>().join(","))
}

fn name(key: usize) -> String {
    format!("key:{key:08}")
}

impl Client {
    /// Writes all keys, one after the other.
    pub(crate) fn fill(&mut self, keys: usize) -> Result<()> {
        for first in (0..keys).step_by(BATCH) {
            let batch = first..(first + BATCH).min(keys);
            let rows = batch.clone().map(|key| (key, value(key)));
            match self {
                Self::Redis(client) => {
                    for (key, value) in rows {
                        client.send(&[b"SET", name(key).as_bytes(), &value])?;
                    }
                    batch.into_iter().try_for_each(|_| client.read_ok())?;
                }
                Self::Memcached(stream) => {
                    for (key, value) in rows {
                        let head = format!("set {} 0 0 {VALUE_BYTES}\r\n", name(key));
                        stream.get_mut().write_all(&[head.as_bytes(), &value, b"\r\n"].concat())?;
                    }
                    batch.into_iter().try_for_each(|_| expect_line(stream, "STORED"))?;
                }
                Self::MariaDb(client) => client.write(rows)?,
                Self::Postgres(client) => client.write(rows)?,
            }
        }
        if let Self::Postgres(client) = self {
            // Its first reads would write what vacuuming does.
            client.run("VACUUM FREEZE t")?;
        }
        Ok(())
    }

    /// Asks for one.
    pub(crate) fn get(&mut self, key: usize) -> Result<()> {
        match self {
            Self::Redis(client) => {
                client.send(&[b"GET", name(key).as_bytes()])?;
                ensure!(client.read_value()?.len() == VALUE_BYTES, "{key} has changed");
            }
            Self::Memcached(stream) => {
                stream.get_mut().write_all(format!("get {}\r\n", name(key)).as_bytes())?;
                expect_line(stream, &format!("VALUE {} 0 {VALUE_BYTES}", name(key)))?;
                stream.read_exact(&mut [0; VALUE_BYTES + 2])?;
                expect_line(stream, "END")?;
            }
            Self::MariaDb(client) => ensure!(client.read(key)? == VALUE_BYTES, "{key} has changed"),
            Self::Postgres(client) => ensure!(client.read(key)? == VALUE_BYTES, "{key} has changed"),
        }
        Ok(())
    }
}

/// Writes a snapshot of what `server` holds: how long its child takes.
pub(crate) fn snapshot(server: &redis::Server, clock: &WallClock) -> Result<Duration> {
    let (mut client, begun) = (server.connect()?, clock.now());
    client.send(&[b"BGSAVE"])?;
    client.read_ok()?;
    clock.wait_until(LIMIT, "the snapshot is written", || {
        client.send(&[&b"INFO"[..], &b"persistence"[..]])?;
        let info = client.read_value()?;
        Ok(String::from_utf8_lossy(&info).contains("rdb_bgsave_in_progress:0"))
    })?;
    Ok(clock.now() - begun)
}

fn expect_line(stream: &mut BufReader<UnixStream>, expected: &str) -> Result<()> {
    let mut line = String::new();
    stream.read_line(&mut line).context("the server does not answer")?;
    ensure!(line.trim_end() == expected, "the server answers {line:?} where {expected:?} was expected");
    Ok(())
}
