//! A decider of etmem 1.x's engine memdcd, as far as the socket shows it: what it hears, and the manners it may have.

use std::io::{Read, Write};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use etmem_core::kernel::pacer::Pacer;
use nix::sys::socket::{getsockopt, sockopt};

use crate::clock::WallClock;

/// Bytes of a message.
const MESSAGE: usize = 12_336;

/// How long it waits for the rest of a message.
const PATIENCE: Duration = Duration::from_secs(10);

/// How a decider behaves once a message has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// Answers `success`.
    Succeeds,
    /// Closes the connection without a word, as memRouter does.
    Closes,
    /// Answers `success`, a byte at a time.
    ByteByByte,
    /// Answers `success` without the closing zero, and leaves the connection open.
    WithoutZero,
    /// Answers `failed`.
    Fails,
    /// Answers `failed` without the closing zero, and leaves the connection open.
    FailsWithoutZero,
    /// Reads the message and says nothing.
    Silent,
    /// Closes the connection before it reads.
    ClosesAtOnce,
    /// Takes no connection.
    TakesNone,
}

/// A message as the table of the original has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heard {
    /// The process.
    pub pid: i32,
    /// Pages in all messages.
    pub total: u64,
    /// 0 the first, 1 in between, 2 the last of several.
    pub status: i32,
    /// Address, size and count of each page.
    pub pages: Vec<(u64, u64, i32)>,
}

impl Heard {
    /// The status of the first of several messages, of those in between, and of the last.
    pub const FIRST: i32 = 0;
    /// See there.
    pub const BETWEEN: i32 = 1;
    /// See there.
    pub const LAST: i32 = 2;

    /// Takes a message apart, with the checks of memRouter.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        ensure!(bytes.len() == MESSAGE, "{} bytes", bytes.len());
        let four = |at: usize| -> Result<[u8; 4]> { Ok(bytes[at..at + 4].try_into()?) };
        let eight = |at: usize| -> Result<u64> { Ok(u64::from_ne_bytes(bytes[at..at + 8].try_into()?)) };
        let number = |at: usize| -> Result<i32> { Ok(i32::from_ne_bytes(four(at)?)) };
        ensure!(number(0)? == 0, "command {}", number(0)?);
        ensure!(number(12)? == 1 && u32::from_ne_bytes(four(16)?) == 0xFFFF_FF01, "not about memory");
        let (length, total) = (eight(24)?, eight(32)?);
        ensure!(length % 24 == 0 && length / 24 <= 512 && length / 24 <= total, "{length} of {total}");
        let used = usize::try_from(length / 24)?;
        let entry = |at: usize| -> Result<_> { Ok((eight(at)?, eight(at + 8)?, number(at + 16)?)) };
        let pages = (0..used).map(|place| entry(48 + place * 24)).collect::<Result<_>>()?;
        ensure!(bytes[48 + used * 24..].iter().all(|byte| *byte == 0), "something is after the entries");
        Ok(Self { pid: number(8)?, total, status: number(40)?, pages })
    }
}

/// A decider that listens until it is dropped.
#[derive(Debug)]
pub struct OriginalDecider {
    name: String,
    heard: Arc<Mutex<Vec<Heard>>>,
    ends: Arc<AtomicBool>,
    part: Option<JoinHandle<Result<()>>>,
}

impl OriginalDecider {
    /// Starts one with this manner, at a name of its own.
    ///
    /// # Errors
    /// It cannot listen.
    pub fn start(manner: Manner) -> Result<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("etmem-decider-{}-{number}", std::process::id());
        let listener = UnixListener::bind_addr(&SocketAddr::from_abstract_name(&name)?)?;
        let (heard, ends) = (Arc::default(), Arc::new(AtomicBool::new(false)));
        let (hears, is_over) = (Arc::clone(&heard), Arc::clone(&ends));
        let part = thread::spawn(move || play(&listener, manner, &hears, &is_over));
        Ok(Self { name, heard, ends, part: Some(part) })
    }

    /// Where it listens, in the abstract namespace.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it has heard.
    pub fn heard(&self) -> Vec<Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Ends it.
    ///
    /// # Errors
    /// It heard something that is no message.
    pub fn end(mut self) -> Result<Vec<Heard>> {
        let part = self.hang_up();
        part.map_or(Ok(()), |part| part.join().map_err(|_| anyhow::anyhow!("the decider panicked"))?)?;
        Ok(self.heard())
    }

    /// Wakes it for the last time.
    fn hang_up(&mut self) -> Option<JoinHandle<Result<()>>> {
        self.ends.store(true, Ordering::SeqCst);
        let address = SocketAddr::from_abstract_name(&self.name);
        // Where it takes no connection it has ended already.
        let _ = address.and_then(|address| UnixStream::connect_addr(&address));
        self.part.take()
    }
}

impl Drop for OriginalDecider {
    fn drop(&mut self) {
        if let Some(part) = self.hang_up() {
            let _ = part.join();
        }
    }
}

fn play(listener: &UnixListener, manner: Manner, heard: &Mutex<Vec<Heard>>, ends: &AtomicBool) -> Result<()> {
    // Connections that are left open.
    let mut open = Vec::new();
    let clock = WallClock::new();
    if manner == Manner::TakesNone {
        // Connections wait until it goes.
        while !ends.load(Ordering::SeqCst) {
            let _ = clock.pause(Duration::from_millis(10));
        }
        return Ok(());
    }
    loop {
        let (mut client, _) = listener.accept()?;
        if ends.load(Ordering::SeqCst) {
            return Ok(());
        }
        if manner == Manner::ClosesAtOnce {
            continue;
        }
        ensure!(getsockopt(&client, sockopt::PeerCredentials)?.uid() == 0, "not from root");
        client.set_read_timeout(Some(PATIENCE))?;
        let mut bytes = vec![0; MESSAGE];
        client.read_exact(&mut bytes).context("a message is too short")?;
        heard.lock().unwrap_or_else(PoisonError::into_inner).push(Heard::parse(&bytes)?);
        match manner {
            Manner::Succeeds => client.write_all(b"success\0")?,
            Manner::Fails => client.write_all(b"failed\0")?,
            Manner::WithoutZero => client.write_all(b"success")?,
            Manner::FailsWithoutZero => client.write_all(b"failed")?,
            Manner::ByteByByte => {
                for byte in b"success\0" {
                    let _ = clock.pause(Duration::from_millis(30));
                    // The last, the zero, may come when the answer was understood.
                    if client.write_all(&[*byte]).is_err() && *byte != 0 {
                        break;
                    }
                }
            }
            Manner::Closes | Manner::ClosesAtOnce | Manner::TakesNone => continue,
            Manner::Silent => {}
        }
        open.push(client);
    }
}
