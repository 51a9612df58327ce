//! A redis-server of a test's own, and as much of its protocol (RESP) as tests need.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};
use etmem_core::kernel::pacer::Pacer;

use crate::clock::WallClock;
use crate::machine::find_program;
use crate::process::Running;
use crate::size::MIB;
use crate::stage::LIMIT;
use crate::workload::content::record;

/// A redis-server that listens on a Unix socket only and saves nothing of its own accord; killed when this is dropped.
#[derive(Debug)]
pub struct Server {
    running: Running,
    socket: PathBuf,
}

impl Server {
    /// Starts one that keeps its files in `folder`.
    ///
    /// # Errors
    /// There is no redis-server, or it does not come to listen.
    pub fn start(folder: &Path) -> Result<Self> {
        let socket = folder.join("redis.socket");
        let mut command = Command::new(find_program("redis-server").context("there is no redis-server")?);
        command.args(["--port", "0", "--save", "", "--appendonly", "no", "--unixsocket"]).arg(&socket);
        command.arg("--dir").arg(folder).stdout(Stdio::null());
        let running = start_listening(&mut command, &socket)?;
        Ok(Self { running, socket })
    }

    /// Its pid.
    pub fn pid(&self) -> u32 {
        self.running.pid()
    }

    /// Another client of it.
    ///
    /// # Errors
    /// It does not listen any more.
    pub fn connect(&self) -> Result<Client> {
        let output = UnixStream::connect(&self.socket)?;
        output.set_read_timeout(Some(LIMIT))?;
        Ok(Client { input: BufReader::with_capacity(MIB, output.try_clone()?), output })
    }
}

/// Starts a server by `command`, and waits until it listens on `socket`.
///
/// # Errors
/// It ends instead, or does not come to listen.
pub fn start_listening(command: &mut Command, socket: &Path) -> Result<Running> {
    let (running, _) = Running::start(command.stdin(Stdio::null()))?;
    let name = command.get_program().display().to_string();
    WallClock::new().wait_until(LIMIT, &format!("{name} listens"), || match running.ended()? {
        Some(status) => bail!("{name} ended with {status}"),
        None => Ok(UnixStream::connect(socket).is_ok()),
    })?;
    Ok(running)
}

/// A connection.
#[derive(Debug)]
pub struct Client {
    input: BufReader<UnixStream>,
    output: UnixStream,
}

impl Client {
    /// Sends a command.
    ///
    /// # Errors
    /// The server is gone.
    pub fn send(&mut self, words: &[&[u8]]) -> Result<()> {
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

    /// The answer to a command that has no other answer than that it was carried out.
    ///
    /// # Errors
    /// The server answers something else.
    pub fn read_ok(&mut self) -> Result<()> {
        let line = self.read_line()?;
        ensure!(line.starts_with('+'), "the server answers {line:?}");
        Ok(())
    }

    /// The answer to GET.
    ///
    /// # Errors
    /// The server answers something else than a value.
    pub fn read_value(&mut self) -> Result<Vec<u8>> {
        let line = self.read_line()?;
        let length = line.trim_end().strip_prefix('$').and_then(|length| length.parse::<usize>().ok());
        let length = length.with_context(|| format!("the server answers {line:?}"))?;
        let mut bytes = vec![0; length + 2];
        self.input.read_exact(&mut bytes)?;
        bytes.truncate(length);
        Ok(bytes)
    }
}

/// Commands that are sent before their answers are read.
const BATCH: usize = 50;

/// A number of keys, each with its own value.
#[derive(Debug, Clone, Copy)]
pub struct Keys {
    /// How many.
    pub count: usize,
    /// Bytes of each value.
    pub value_bytes: usize,
}

impl Keys {
    fn name(key: usize) -> String {
        format!("key:{key:06}")
    }

    fn value(self, key: usize) -> Vec<u8> {
        record(key as u64, &Self::name(key), self.value_bytes)
    }

    fn batches(self) -> impl Iterator<Item = std::ops::Range<usize>> {
        (0..self.count).step_by(BATCH).map(move |first| first..(first + BATCH).min(self.count))
    }

    fn expect(self, client: &mut Client, key: usize) -> Result<()> {
        ensure!(client.read_value()? == self.value(key), "the value of {} has changed", Self::name(key));
        Ok(())
    }

    /// Sets all.
    ///
    /// # Errors
    /// The server takes one not.
    pub fn set(self, client: &mut Client) -> Result<()> {
        for batch in self.batches() {
            for key in batch.clone() {
                client.send(&[b"SET", Self::name(key).as_bytes(), &self.value(key)])?;
            }
            batch.into_iter().try_for_each(|_| client.read_ok())?;
        }
        Ok(())
    }

    /// Reads all, and compares.
    ///
    /// # Errors
    /// One has changed.
    pub fn check(self, client: &mut Client) -> Result<()> {
        for batch in self.batches() {
            for key in batch.clone() {
                client.send(&[b"GET", Self::name(key).as_bytes()])?;
            }
            batch.into_iter().try_for_each(|key| self.expect(client, key))?;
        }
        Ok(())
    }

    /// Reads one key in `every` over and over, with `pause` after each.
    pub fn read_over_and_over(self, mut client: Client, every: usize, pause: Duration) -> Reader {
        let (stop, rounds) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (told, count) = (Arc::clone(&stop), Arc::clone(&rounds));
        let thread = thread::spawn(move || {
            let clock = WallClock::new();
            for key in (0..self.count).step_by(every).cycle() {
                if told.load(Ordering::Relaxed) {
                    break;
                }
                client.send(&[b"GET", Self::name(key).as_bytes()])?;
                self.expect(&mut client, key)?;
                if key + every >= self.count {
                    count.fetch_add(1, Ordering::Relaxed);
                }
                if !pause.is_zero() {
                    let _ = clock.pause(pause);
                }
            }
            Ok(())
        });
        Reader { thread, stop, rounds }
    }
}

/// Who reads keys over and over.
#[derive(Debug)]
pub struct Reader {
    thread: thread::JoinHandle<Result<()>>,
    stop: Arc<AtomicBool>,
    rounds: Arc<AtomicU64>,
}

impl Reader {
    /// Ends it: how often it came round.
    ///
    /// # Errors
    /// A value had changed, or the server was gone.
    pub fn stop(self) -> Result<u64> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().map_err(|_| anyhow!("the client panicked"))??;
        Ok(self.rounds.load(Ordering::Relaxed))
    }
}
