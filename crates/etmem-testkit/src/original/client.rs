//! The client of etmem 1.x: it connects, writes its line in one go, and reads until a segment holds a final byte.

use std::io::{self, ErrorKind, Read, Write};
use std::net::Shutdown;
use std::os::fd::AsRawFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixStream};

use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, recv};

use super::{ANSWER_LIMIT, DONE, REFUSED, REFUSED_NUMBER};

/// A request; an absent value is written `-`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Line<'a> {
    /// The project.
    pub proj_name: Option<&'a str>,
    /// The configuration file.
    pub file_name: Option<&'a str>,
    /// The number of the command.
    pub cmd: i32,
    /// The engine.
    pub eng_name: Option<&'a str>,
    /// The engine's own command.
    pub eng_cmd: Option<&'a str>,
    /// The task.
    pub task_name: Option<&'a str>,
}

impl<'a> Line<'a> {
    /// `obj add` (0) or `obj del` (1) of a file.
    pub fn object(cmd: i32, file: &'a str) -> Self {
        Self { cmd, file_name: Some(file), ..Self::default() }
    }

    /// `project start` (2), `stop` (3) or `show` (4) of one project.
    pub fn project(cmd: i32, name: &'a str) -> Self {
        Self { cmd, proj_name: Some(name), ..Self::default() }
    }

    /// `project show` of every project.
    pub fn show_all() -> Self {
        Self { cmd: 4, ..Self::default() }
    }

    /// A command (5) to an engine, about a task or none.
    pub fn engine(project: &'a str, engine: &'a str, command: &'a str, task: Option<&'a str>) -> Self {
        Self {
            cmd: 5,
            proj_name: Some(project),
            eng_name: Some(engine),
            eng_cmd: Some(command),
            task_name: task,
            ..Self::default()
        }
    }

    /// The bytes that are sent.
    pub fn bytes(&self) -> Vec<u8> {
        let or_dash = |value: Option<&'a str>| value.unwrap_or("-");
        format!(
            "proj_name {} file_name {} cmd {} eng_name {} eng_cmd {} task_name {}",
            or_dash(self.proj_name),
            or_dash(self.file_name),
            self.cmd,
            or_dash(self.eng_name),
            or_dash(self.eng_cmd),
            or_dash(self.task_name)
        )
        .into_bytes()
    }
}

/// An answer as it came, the final byte included where there was one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer(pub Vec<u8>);

impl Answer {
    /// What the client prints.
    pub fn shown(&self) -> Vec<u8> {
        match self.0.split_last() {
            Some((&DONE, text)) => text.to_vec(),
            Some((&REFUSED, text)) => [text, b"\n"].concat(),
            _ => self.0.clone(),
        }
    }

    /// What it ends with.
    pub fn number(&self) -> u8 {
        if self.0.last() == Some(&DONE) { 0 } else { REFUSED_NUMBER }
    }
}

/// A client that is connected.
#[derive(Debug)]
pub struct OriginalClient(UnixStream);

impl OriginalClient {
    /// Connects to the abstract socket of this name.
    ///
    /// # Errors
    /// No process listens there.
    pub fn connect(socket: &str) -> io::Result<Self> {
        let stream = UnixStream::connect_addr(&SocketAddr::from_abstract_name(socket)?)?;
        stream.set_read_timeout(Some(ANSWER_LIMIT))?;
        stream.set_write_timeout(Some(ANSWER_LIMIT))?;
        Ok(Self(stream))
    }

    /// Writes `bytes` in one go. A server that has turned us away already is no error: what it said is still there.
    ///
    /// # Errors
    /// The server does not read for too long.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self.0.write_all(bytes) {
            Err(error) if is_turned_away(&error) => Ok(()),
            sent => sent,
        }
    }

    /// Says that no more will be sent.
    ///
    /// # Errors
    /// The connection is gone.
    pub fn end_request(&mut self) -> io::Result<()> {
        self.0.shutdown(Shutdown::Write)
    }

    /// The beginning of what has come, which stays to be read; nothing while the server is silent.
    ///
    /// # Errors
    /// The connection is gone.
    pub fn so_far(&self) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; 512];
        let flags = MsgFlags::MSG_PEEK | MsgFlags::MSG_DONTWAIT;
        match recv(self.0.as_raw_fd(), &mut bytes, flags) {
            Ok(length) => bytes.truncate(length),
            Err(Errno::EAGAIN) => bytes.clear(),
            Err(error) => return Err(error.into()),
        }
        Ok(bytes)
    }

    /// Reads until a segment holds a final byte, then (which the original does not) until the server closes, so that
    /// whatever it says behind its final byte is seen.
    ///
    /// # Errors
    /// The server is silent for too long, or does not close.
    pub fn answer(mut self) -> io::Result<Answer> {
        let mut bytes = Vec::new();
        let mut segment = [0; 512];
        loop {
            match self.0.read(&mut segment) {
                Ok(0) => return Ok(Answer(bytes)),
                Ok(length) => bytes.extend_from_slice(&segment[..length]),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // What a close is that leaves bytes of ours unread.
                Err(error) if is_turned_away(&error) => return Ok(Answer(bytes)),
                Err(error) => return Err(error),
            }
        }
    }

    /// All of it: connects, sends `bytes`, reads the answer.
    ///
    /// # Errors
    /// As each step.
    pub fn ask(socket: &str, bytes: &[u8]) -> io::Result<Answer> {
        let mut client = Self::connect(socket)?;
        client.send(bytes)?;
        client.answer()
    }
}

fn is_turned_away(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_those_of_the_protocol() {
        for (line, want) in [
            (Line::object(0, "/f"), "proj_name - file_name /f cmd 0 eng_name - eng_cmd - task_name -"),
            (Line::project(2, "p"), "proj_name p file_name - cmd 2 eng_name - eng_cmd - task_name -"),
            (Line::show_all(), "proj_name - file_name - cmd 4 eng_name - eng_cmd - task_name -"),
            (
                Line::engine("p", "e", "c", Some("t")),
                "proj_name p file_name - cmd 5 eng_name e eng_cmd c task_name t",
            ),
        ] {
            assert_eq!(line.bytes(), want.as_bytes());
        }
    }

    #[test]
    fn the_final_byte_tells_how_to_end() {
        for (bytes, shown, number) in [
            (&b"text\n\xff"[..], &b"text\n"[..], 0),
            (b"no\xfe", b"no\n", 186),
            (b"half", b"half", 186),
            (b"", b"", 186),
        ] {
            let answer = Answer(bytes.to_vec());
            assert_eq!((answer.shown().as_slice(), answer.number()), (shown, number));
        }
    }
}
