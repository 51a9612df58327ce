//! One connection to a monitor.
//!
//! ```text
//! connect -> greeting -> qmp_capabilities -> [command -> (events, late answers)* -> answer]*
//! ```

use crate::pacer::SystemPacer;
use crate::unix_socket;
use etmem_core::kernel::balloon::BalloonError;
use etmem_core::kernel::pacer::Pacer;
use etmem_core::kernel::process::Pid;
use rustix::io::Errno;
use rustix::net::sockopt::socket_peercred;
use rustix::net::{SocketAddrUnix, connect};
use serde::Deserialize;
use serde_json::{Value, json};
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long an answer, or the greeting, may take.
const LIMIT: Duration = Duration::from_secs(2);

/// Longest line, and most lines that are no answer: more is not a monitor.
const LONGEST: usize = 1 << 20;
const MOST_LINES: usize = 10_000;

/// Most characters of what was said that an error repeats.
const SHOWN: usize = 80;

/// A line from the monitor; what else is in it is of no matter.
#[derive(Debug, Deserialize)]
struct Message {
    #[serde(rename = "QMP")]
    greeting: Option<Value>,
    event: Option<Value>,
    id: Option<Value>,
    #[serde(rename = "return")]
    answer: Option<Value>,
    error: Option<Refusal>,
}

#[derive(Debug, Deserialize)]
struct Refusal {
    class: String,
    desc: String,
}

/// A connection to a monitor.
#[derive(Debug)]
pub(super) struct Client {
    socket: PathBuf,
    stream: UnixStream,
    clock: SystemPacer,
    /// What was read after the last line.
    rest: Vec<u8>,
    next: u64,
    /// An exchange did not end as it should: what comes now may be the rest of it.
    is_broken: bool,
}

impl Client {
    /// Connects to the monitor at `socket`.
    ///
    /// # Errors
    /// Why it is none.
    pub(super) fn connect(socket: &Path) -> Result<Self, BalloonError> {
        let absent = |error: Errno| {
            let reason = io::Error::from(error).to_string();
            BalloonError::Absent { socket: socket.to_owned(), reason }
        };
        let address = SocketAddrUnix::new(socket).map_err(absent)?;
        let made = unix_socket::stream().map_err(absent)?;
        match connect(&made, &address) {
            // As many wait for it as it lets wait.
            Err(Errno::AGAIN) => return Err(BalloonError::Taken(socket.to_owned())),
            connected => connected.map_err(absent)?,
        }
        let stream = UnixStream::from(made);
        let mut client = Self {
            socket: socket.to_owned(),
            stream,
            clock: SystemPacer::new(),
            rest: Vec::new(),
            next: 0,
            is_broken: false,
        };
        client.stream.set_nonblocking(false).map_err(|error| client.lost(&error))?;
        client.stream.set_write_timeout(Some(LIMIT)).map_err(|error| client.lost(&error))?;
        let greeting = client.line(client.clock.now() + LIMIT).map_err(|error| match error {
            Broken::Late => BalloonError::Taken(client.socket.clone()),
            other @ (Broken::Closed | Broken::Failed(_) | Broken::Garbled(_)) => client.broken(other),
        })?;
        if greeting.greeting.is_none() {
            return Err(client.garbled("its first line is no greeting"));
        }
        client.execute("qmp_capabilities", Value::Null)?;
        Ok(client)
    }

    /// The process that listens.
    pub(super) fn listener(&self) -> Option<Pid> {
        let peer = socket_peercred(&self.stream).ok()?;
        Pid::new(u32::try_from(peer.pid.as_raw_nonzero().get()).ok()?)
    }

    /// What the monitor answers to `command`.
    ///
    /// # Errors
    /// It refuses, or is of no use any more.
    pub(super) fn execute(&mut self, command: &'static str, arguments: Value) -> Result<Value, BalloonError> {
        if self.is_broken {
            let reason = "an earlier command was not answered".to_owned();
            return Err(BalloonError::Lost { socket: self.socket.clone(), reason });
        }
        let answer = self.exchange(command, arguments);
        self.is_broken =
            !matches!(answer, Ok(_) | Err(BalloonError::Refused { .. } | BalloonError::NoDevice(_)));
        answer
    }

    fn exchange(&mut self, command: &'static str, arguments: Value) -> Result<Value, BalloonError> {
        self.next += 1;
        let id = json!(self.next);
        let mut request = json!({ "execute": command, "id": id });
        if !arguments.is_null() {
            request["arguments"] = arguments;
        }
        let line = format!("{request}\r\n");
        self.stream.write_all(line.as_bytes()).map_err(|error| self.lost(&error))?;
        let end = self.clock.now() + LIMIT;
        for _ in 0..MOST_LINES {
            let message = self.line(end).map_err(|error| self.broken(error))?;
            let is_ours = message.id.as_ref() == Some(&id);
            match message {
                // An answer that came too late for its request is another's.
                Message { event: Some(_), .. } | Message { id: Some(_), .. } if !is_ours => {}
                Message { answer: Some(answer), .. } if is_ours => return Ok(answer),
                Message { error: Some(refusal), .. } => return Err(self.refused(command, refusal)),
                _ => return Err(self.garbled("a line that answers nothing")),
            }
        }
        Err(self.garbled("events without end"))
    }

    fn refused(&self, command: &'static str, Refusal { class, desc }: Refusal) -> BalloonError {
        let socket = self.socket.clone();
        if class == "DeviceNotActive" {
            return BalloonError::NoDevice(socket);
        }
        BalloonError::Refused { socket, command, reason: format!("{class}: {}", shown(&desc)) }
    }

    /// The next line, which has to be there at `end`.
    fn line(&mut self, end: Duration) -> Result<Message, Broken> {
        let length = loop {
            if let Some(at) = self.rest.iter().position(|byte| *byte == b'\n') {
                break at;
            }
            if self.rest.len() >= LONGEST {
                return Err(Broken::Garbled("a line without an end".to_owned()));
            }
            let left = end.saturating_sub(self.clock.now());
            if left.is_zero() {
                return Err(Broken::Late);
            }
            self.stream.set_read_timeout(Some(left)).map_err(Broken::Failed)?;
            let mut bytes = [0; 4096];
            match self.stream.read(&mut bytes) {
                Ok(0) => return Err(Broken::Closed),
                Ok(more) => self.rest.extend_from_slice(bytes.get(..more).unwrap_or_default()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                    return Err(Broken::Late);
                }
                Err(error) => return Err(Broken::Failed(error)),
            }
        };
        let line: Vec<u8> = self.rest.drain(..=length).collect();
        let text = String::from_utf8_lossy(&line);
        serde_json::from_slice(&line).map_err(|_| Broken::Garbled(shown(&text)))
    }

    fn broken(&self, broken: Broken) -> BalloonError {
        let lost =
            |reason: &str| BalloonError::Lost { socket: self.socket.clone(), reason: reason.to_owned() };
        match broken {
            Broken::Late => lost("no answer within 2 s"),
            Broken::Closed => lost("closed by QEMU, which has ended or was asked by another program"),
            Broken::Failed(error) => self.lost(&error),
            Broken::Garbled(said) => self.garbled(&said),
        }
    }

    fn lost(&self, error: &io::Error) -> BalloonError {
        BalloonError::Lost { socket: self.socket.clone(), reason: error.to_string() }
    }

    /// What it said is no answer.
    pub(super) fn garbled(&self, said: &str) -> BalloonError {
        BalloonError::Garbled { socket: self.socket.clone(), said: said.to_owned() }
    }
}

/// Why there is no line.
#[derive(Debug)]
enum Broken {
    Late,
    Closed,
    Failed(io::Error),
    Garbled(String),
}

/// The beginning of `text`, without what would move a terminal's cursor.
fn shown(text: &str) -> String {
    text.trim().chars().filter(|character| !character.is_control()).take(SHOWN).collect()
}
