//! The server of etmem 1.x, for one connection: it reads once, says its piece and closes.

use std::io::{Read, Write};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::{self, JoinHandle};

use anyhow::{Context, Result, anyhow};
use nix::sys::socket::{setsockopt, sockopt};
use nix::sys::time::{TimeVal, TimeValLike};

use super::REQUEST_BUFFER;

/// How long the server waits for its client to connect, to ask, and to take the answer, in seconds.
const LIMIT: i64 = 30;

/// A request as the original's parser understands it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// The project.
    pub proj_name: Option<String>,
    /// The configuration file.
    pub file_name: Option<String>,
    /// The number of the command.
    pub cmd: i32,
    /// The engine.
    pub eng_name: Option<String>,
    /// The engine's own command.
    pub eng_cmd: Option<String>,
    /// The task.
    pub task_name: Option<String>,
}

impl Asked {
    /// Takes a line apart: six keys, each with a value that ends at the next space and is absent where it begins
    /// with `-`. Nothing where the line is none.
    pub fn parse(line: &str) -> Option<Self> {
        let mut words = line.split(' ');
        let mut value = |key: &str| {
            let value = (words.next()? == key).then(|| words.next())??;
            Some((!value.starts_with('-')).then(|| value.to_owned()))
        };
        Some(Self {
            proj_name: value("proj_name")?,
            file_name: value("file_name")?,
            cmd: value("cmd")??.parse().ok().filter(|number| (0..=5).contains(number))?,
            eng_name: value("eng_name")?,
            eng_cmd: value("eng_cmd")?,
            task_name: value("task_name")?,
        })
    }
}

/// A server that waits for its one client, or serves it.
#[derive(Debug)]
pub struct OriginalServer<T> {
    socket: String,
    part: JoinHandle<Result<T>>,
}

impl<T: Send + 'static> OriginalServer<T> {
    /// Listens at a new socket, and plays `part` to each client.
    ///
    /// # Errors
    /// The socket cannot be made.
    pub fn play(part: impl FnOnce(UnixStream) -> Result<T> + Send + 'static) -> Result<Self> {
        let socket = unused_socket();
        let listener = UnixListener::bind_addr(&SocketAddr::from_abstract_name(&socket)?)?;
        setsockopt(&listener, sockopt::ReceiveTimeout, &TimeVal::seconds(LIMIT))?;
        let part = thread::spawn(move || {
            let (stream, _) = listener.accept().context("no client connects")?;
            setsockopt(&stream, sockopt::ReceiveTimeout, &TimeVal::seconds(LIMIT))?;
            setsockopt(&stream, sockopt::SendTimeout, &TimeVal::seconds(LIMIT))?;
            part(stream)
        });
        Ok(Self { socket, part })
    }

    /// The name of its socket.
    pub fn socket(&self) -> &str {
        &self.socket
    }

    /// Waits for the end of its part: what that returned.
    ///
    /// # Errors
    /// The part failed, or no client connected.
    pub fn end(self) -> Result<T> {
        self.part.join().map_err(|_| anyhow!("the server panicked"))?
    }
}

impl OriginalServer<String> {
    /// One that answers `answer` in one piece; its end is the line it read.
    ///
    /// # Errors
    /// The socket cannot be made.
    pub fn answering(answer: &[u8]) -> Result<Self> {
        let answer = answer.to_vec();
        Self::play(move |mut stream| {
            let request = read_once(&mut stream)?;
            stream.write_all(&answer).context("the client does not read")?;
            Ok(request)
        })
    }
}

/// What one read into the original's buffer brings.
///
/// # Errors
/// The client sends nothing, or no text.
pub fn read_once(stream: &mut UnixStream) -> Result<String> {
    let mut buffer = [0; REQUEST_BUFFER];
    let length = stream.read(&mut buffer).context("the client asks nothing")?;
    Ok(str::from_utf8(&buffer[..length])?.to_owned())
}

/// The name of a socket that no other program has.
pub fn unused_socket() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("etmem-original-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_taken_apart_as_the_original_does() {
        let line = "proj_name p file_name - cmd 5 eng_name e eng_cmd c task_name -t";
        let asked = Asked::parse(line).unwrap();
        assert_eq!((asked.proj_name.as_deref(), asked.file_name), (Some("p"), None));
        assert_eq!((asked.cmd, asked.eng_name.as_deref()), (5, Some("e")));
        assert_eq!((asked.eng_cmd.as_deref(), asked.task_name), (Some("c"), None));
        for line in [
            "",
            "proj_name p",
            "file_name - proj_name p cmd 4 eng_name - eng_cmd - task_name -",
            "proj_name p file_name - cmd 6 eng_name - eng_cmd - task_name -",
            "proj_name p file_name - cmd - eng_name - eng_cmd - task_name -",
            "proj_name p  file_name - cmd 4 eng_name - eng_cmd - task_name -",
        ] {
            assert_eq!(Asked::parse(line), None, "{line}");
        }
    }
}
