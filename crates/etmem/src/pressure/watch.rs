//! What is listened to: a socket, a FIFO, or a file of the kernel's PSI, as `$MEMORY_PRESSURE_WATCH` names it.

use std::env;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use nix::fcntl::OFlag;
use nix::poll::PollFlags;

/// The variables of systemd's protocol.
const WATCH: &str = "MEMORY_PRESSURE_WATCH";
const WRITE: &str = "MEMORY_PRESSURE_WRITE";

/// How the line of a request of etmemd begins.
const WANTED: &str = "wanted_bytes=";

/// Where requests come from, and what is written there first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) path: PathBuf,
    write: Vec<u8>,
}

impl Place {
    /// As `--watch` names it, or else the environment. `None` if the environment switches requests off.
    ///
    /// # Errors
    /// Neither names any, or what is to be written is not Base64.
    pub(crate) fn choose(given: Option<PathBuf>, write: Option<&OsString>) -> Result<Option<Self>, String> {
        let environment = || env::var_os(WATCH).filter(|path| !path.is_empty());
        let (path, write) = match given {
            Some(path) => (path, write.map(|text| text.clone().into_vec()).unwrap_or_default()),
            None => {
                let path = environment()
                    .ok_or_else(|| format!("no --watch PATH is given, and {WATCH} is not set"))?;
                let text = env::var_os(WRITE).unwrap_or_default().into_vec();
                let written = decoded(&text).ok_or_else(|| format!("{WRITE} is not Base64"))?;
                (path.into(), write.map_or(written, |text| text.clone().into_vec()))
            }
        };
        Ok((path.as_os_str() != "/dev/null").then_some(Self { path, write }))
    }

    /// Opens it.
    ///
    /// # Errors
    /// It is not there, or cannot be opened.
    pub(crate) fn open(&self) -> io::Result<Watch> {
        let kind = fs::metadata(&self.path)?.file_type();
        let mut watch = if kind.is_socket() {
            let stream = UnixStream::connect(&self.path)?;
            stream.set_nonblocking(true)?;
            Watch::Socket(stream)
        } else {
            let mut options = File::options();
            options.read(true).write(!self.write.is_empty()).custom_flags(OFlag::O_NONBLOCK.bits());
            let file = options.open(&self.path)?;
            if kind.is_fifo() { Watch::Fifo(file) } else { Watch::Pressure(file) }
        };
        if !self.write.is_empty() {
            match &mut watch {
                Watch::Socket(stream) => stream.write_all(&self.write)?,
                Watch::Fifo(file) => file.write_all(&self.write)?,
                // The kernel overwrites the last byte with the end of the text.
                Watch::Pressure(file) => file.write_all(&[&self.write[..], b"\0"].concat())?,
            }
        }
        Ok(watch)
    }
}

/// Something that is listened to.
#[derive(Debug)]
pub(crate) enum Watch {
    Socket(UnixStream),
    Fifo(File),
    /// A file of the kernel's, which has an event and nothing to read.
    Pressure(File),
}

/// What came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Came {
    /// Memory is asked for, and how much, if that was said.
    Request(Option<u64>),
    /// Nothing can come any more.
    End,
    /// Nothing yet.
    Nothing,
}

impl Watch {
    /// On what to wait.
    pub(crate) fn events(&self) -> (BorrowedFd<'_>, PollFlags) {
        match self {
            Self::Socket(stream) => (stream.as_fd(), PollFlags::POLLIN),
            Self::Fifo(file) => (file.as_fd(), PollFlags::POLLIN),
            Self::Pressure(file) => (file.as_fd(), PollFlags::POLLPRI),
        }
    }

    /// Takes what came with `events`: several requests are one.
    pub(crate) fn take(&mut self, events: PollFlags) -> Came {
        let text = match self {
            Self::Pressure(_) if events.contains(PollFlags::POLLERR) => return Came::End,
            Self::Pressure(_) if events.contains(PollFlags::POLLPRI) => return Came::Request(None),
            Self::Pressure(_) => return Came::Nothing,
            Self::Socket(stream) => read_all(stream),
            Self::Fifo(file) => read_all(file),
        };
        match text {
            (text, _) if !text.is_empty() => Came::Request(wanted(&text)),
            (_, true) => Came::End,
            (_, false) => Came::Nothing,
        }
    }
}

/// Most bytes that are kept of what came, the newest.
const KEPT: usize = 4096;

/// Reads what is there: its newest bytes, and whether the other side has ended.
fn read_all(from: &mut impl Read) -> (Vec<u8>, bool) {
    let (mut text, mut buffer) = (Vec::new(), [0; KEPT]);
    loop {
        match from.read(&mut buffer) {
            Ok(0) => return (text, true),
            Ok(length) => {
                text.extend_from_slice(&buffer[..length]);
                text.drain(..text.len().saturating_sub(KEPT));
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return (text, error.kind() != io::ErrorKind::WouldBlock),
        }
    }
}

/// How much the last line of `text` asks for, if etmemd wrote it.
fn wanted(text: &[u8]) -> Option<u64> {
    let text = String::from_utf8_lossy(text);
    text.lines().next_back()?.strip_prefix(WANTED)?.parse().ok()
}

/// What `text` is in Base64 (RFC 4648, section 4), with `=` at its end.
fn decoded(text: &[u8]) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(4) {
        return None;
    }
    let padding = text.iter().rev().take_while(|byte| **byte == b'=').count();
    let digits = &text[..text.len() - padding];
    let (mut bits, mut count, mut bytes) = (0_u32, 0, Vec::new());
    for digit in digits {
        let value = match digit {
            b'A'..=b'Z' => digit - b'A',
            b'a'..=b'z' => digit - b'a' + 26,
            b'0'..=b'9' => digit - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        (bits, count) = ((bits << 6 | u32::from(value)) & 0x3fff, count + 6);
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count).to_le_bytes()[0]);
        }
    }
    (padding <= 2).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_as_systemd_writes_it() {
        for (text, want) in [
            ("", Some(&b""[..])),
            ("c29tZSAyMDAwMDAgMjAwMDAwMAA=", Some(b"some 200000 2000000\0")),
            ("Zg==", Some(b"f")),
            ("Zm8=", Some(b"fo")),
            ("Zm9v", Some(b"foo")),
            ("+/+/", Some(&[0xfb, 0xff, 0xbf])),
            ("Zg=", None),
            ("Zg", None),
            ("Z===", None),
            ("Zm9v\n   ", None),
            ("Z=9v", None),
        ] {
            assert_eq!(decoded(text.as_bytes()).as_deref(), want, "{text:?}");
        }
    }

    #[test]
    fn the_newest_line_says_how_much() {
        for (text, want) in [
            (&b"wanted_bytes=7\n"[..], Some(7)),
            (b"wanted_bytes=7\nwanted_bytes=9\n", Some(9)),
            (b"wanted_bytes=7\nx\n", None),
            (b"wanted_bytes=-7\n", None),
            (b"\0\xff", None),
            (b"", None),
        ] {
            assert_eq!(wanted(text), want, "{text:?}");
        }
    }

    #[test]
    fn several_requests_are_one_and_the_end_is_seen() {
        let (mut here, there) = UnixStream::pair().unwrap();
        there.set_nonblocking(true).unwrap();
        let mut watch = Watch::Socket(there);
        assert_eq!(watch.take(PollFlags::POLLIN), Came::Nothing);
        here.write_all(&b"wanted_bytes=5\n".repeat(1000)).unwrap();
        here.write_all(b"wanted_bytes=8\n").unwrap();
        assert_eq!(watch.take(PollFlags::POLLIN), Came::Request(Some(8)));
        assert_eq!(watch.take(PollFlags::POLLIN), Came::Nothing);
        drop(here);
        assert_eq!(watch.take(PollFlags::POLLIN), Came::End);
    }
}
