//! What a program prints, read until it ends: a process that it leaves may hold the pipe for hours.

use anyhow::Context;
use std::ffi::OsStr;
use std::fmt::Write;
use std::fs;
use std::io::{self, PipeReader, PipeWriter, Read};
use std::os::fd::AsRawFd;
use std::path::Path;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

/// How long after its end what a program printed may come, and its helpers may end: they end with it, but not at once.
const AFTER_THE_END: Duration = Duration::from_secs(10);

/// The output of a program that runs.
#[derive(Debug)]
pub(super) struct Output {
    pieces: Receiver<io::Result<Vec<u8>>>,
    /// What the links to the pipe in `/proc/PID/fd` say.
    pipe: String,
}

impl Output {
    /// A pipe, of which the program gets the end that is returned.
    pub(super) fn new() -> io::Result<(Self, PipeWriter)> {
        let (reader, writer) = io::pipe()?;
        let link = format!("/proc/self/fd/{}", reader.as_raw_fd());
        let pipe = fs::read_link(link)?.to_string_lossy().into_owned();
        let (sender, pieces) = mpsc::channel();
        // It is left where a process holds the pipe: it has nothing to clean up.
        thread::spawn(move || read(reader, |piece| sender.send(piece).is_ok()));
        Ok((Self { pieces, pipe }, writer))
    }

    /// What was printed, when the program has ended by `wait`; and the processes that hold its output still, if there are any.
    pub(super) fn of_program<T>(
        self,
        wait: impl FnOnce() -> io::Result<T>,
    ) -> anyhow::Result<(String, T, Option<String>)> {
        let ended = wait()?;
        let since = now();
        let mut output = Vec::new();
        let orphans = loop {
            // What is left may print without end.
            match self.pieces.recv_timeout(AFTER_THE_END.saturating_sub(since.elapsed())) {
                Ok(piece) => output.extend(piece.context("read what it prints")?),
                Err(RecvTimeoutError::Disconnected) => break None,
                Err(RecvTimeoutError::Timeout) => break Some(holders(&self.pipe)),
            }
        };
        Ok((String::from_utf8_lossy(&output).into_owned(), ended, orphans))
    }
}

#[expect(clippy::disallowed_methods, reason = "what is run here has its own clock")]
fn now() -> Instant {
    Instant::now()
}

/// Gives all that comes out of `reader`, piece by piece, for as long as it is taken.
fn read(mut reader: PipeReader, mut give: impl FnMut(io::Result<Vec<u8>>) -> bool) {
    let mut piece = vec![0; 64 * 1024];
    loop {
        match reader.read(&mut piece) {
            Ok(0) => return,
            Ok(length) if !give(Ok(piece[..length].to_vec())) => return,
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => {
                give(Err(error));
                return;
            }
        }
    }
}

/// The processes other than this one that have `pipe` open: numbers and names.
fn holders(pipe: &str) -> String {
    let mut found = String::new();
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let own = std::process::id();
    let is_other =
        |name: &OsStr| name.to_str().and_then(|name| name.parse().ok()).is_some_and(|pid: u32| pid != own);
    for process in processes.filter(|process| is_other(&process.file_name())) {
        let links = fs::read_dir(process.path().join("fd")).into_iter().flatten().flatten();
        if links.filter_map(|link| fs::read_link(link.path()).ok()).any(|link| link == Path::new(pipe)) {
            let number = process.file_name();
            let name = fs::read_to_string(process.path().join("comm")).unwrap_or_default();
            let comma = if found.is_empty() { "" } else { ", " };
            let _ = write!(found, "{comma}{} ({})", number.to_string_lossy(), name.trim());
        }
    }
    if found.is_empty() { "a process that cannot be found".to_owned() } else { found }
}
