//! The answer of a plugin to a command: a text, or within the time limit a reason why there is none.

use crate::guest::fault;
use etmem_core::kernel::pacer::Pacer;
use etmem_engine::Refusal;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::io::{self, PipeReader, PipeWriter, Read};
use std::os::fd::AsFd;
use std::time::Duration;

/// Most bytes of an answer.
const MOST: usize = 1 << 20;

/// Bytes that end an answer in the protocol: 0xff success, 0xfe failure.
const ENDS: [u8; 2] = [0xff, 0xfe];

/// How an answer ended.
#[derive(Debug)]
pub(crate) enum Written {
    /// The plugin has written it.
    Whole(Vec<u8>),
    /// The time is over, and the plugin has not ended it.
    Late,
    /// The plugin has ended it, and it is longer than an answer may be.
    TooLong,
}

/// The reading side of an answer.
#[derive(Debug)]
pub(crate) struct Reader {
    /// None once all is read, or too much was read.
    text: Option<PipeReader>,
    /// Closed once the plugin is done.
    done: PipeReader,
    bytes: Vec<u8>,
    too_long: bool,
}

/// The writing side: where the plugin writes, and what is closed when it is done.
#[derive(Debug)]
pub(crate) struct Writer {
    pub(crate) text: PipeWriter,
    pub(crate) done: PipeWriter,
}

/// Both sides of an answer.
pub(crate) fn pipe() -> Result<(Reader, Writer), Refusal> {
    let make = || {
        let (text, text_writer) = io::pipe()?;
        let (done, done_writer) = io::pipe()?;
        let reader = Reader { text: Some(text), done, bytes: Vec::new(), too_long: false };
        io::Result::Ok((reader, Writer { text: text_writer, done: done_writer }))
    };
    make().map_err(|error| fault(format!("cannot make a pipe for its answer: {error}")))
}

impl Reader {
    /// Reads until the plugin is done, at the latest until `end` by `clock`.
    pub(crate) fn read(mut self, clock: &dyn Pacer, end: Duration) -> Written {
        loop {
            let left = end.saturating_sub(clock.now());
            if left.is_zero() {
                return Written::Late;
            }
            let (readable, done) = self.wait(left);
            if readable {
                self.take();
            } else if done {
                break;
            }
        }
        if self.too_long { Written::TooLong } else { Written::Whole(self.bytes) }
    }

    /// Whether there is something to read, and whether the plugin is done.
    fn wait(&self, limit: Duration) -> (bool, bool) {
        let milliseconds = limit.as_millis().saturating_add(1);
        let timeout = PollTimeout::try_from(milliseconds).unwrap_or(PollTimeout::MAX);
        let done = PollFd::new(self.done.as_fd(), PollFlags::POLLIN);
        let text = self.text.as_ref().map(|text| PollFd::new(text.as_fd(), PollFlags::POLLIN));
        let mut places: Vec<PollFd<'_>> = std::iter::once(done).chain(text).collect();
        // A signal ends the wait early, which does no harm.
        let _ = poll(&mut places, timeout);
        let is_ready = |place: usize| places.get(place).is_some_and(|place| place.any() == Some(true));
        (is_ready(1), is_ready(0))
    }

    /// Reads what was written. After too many bytes, the pipe is closed.
    fn take(&mut self) {
        let Some(text) = &mut self.text else { return };
        let mut buffer = [0; 1 << 16];
        match text.read(&mut buffer) {
            Ok(0) => self.text = None,
            Ok(length) => self.bytes.extend(buffer.iter().take(length)),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => self.text = None,
        }
        if self.bytes.len() > MOST {
            self.too_long = true;
            self.bytes = Vec::new();
            self.text = None;
        }
    }
}

/// `bytes` as a text for the client.
pub(crate) fn text(bytes: Vec<u8>) -> Result<String, Refusal> {
    if let Some(place) = bytes.iter().position(|byte| ENDS.contains(byte)) {
        let byte = bytes.get(place).copied().unwrap_or_default();
        return Err(fault(format!(
            "eng_mgt_func wrote the byte {byte:#04x} (at {place}), which ends an answer in the protocol and is not \
             allowed in its text"
        )));
    }
    Ok(String::from_utf8(bytes)
        .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()))
}

/// The refusal of an answer that is too long.
pub(crate) fn too_long() -> Refusal {
    fault(format!("eng_mgt_func wrote more than {MOST} bytes, the limit of an answer"))
}
