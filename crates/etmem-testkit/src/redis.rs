//! A redis-server of a test's own, and as much of its protocol (RESP) as tests need.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

use crate::clock::WallClock;
use crate::machine::find_program;
use crate::process::Running;
use crate::size::MIB;
use crate::stage::LIMIT;

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
