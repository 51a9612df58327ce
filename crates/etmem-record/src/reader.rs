//! Reading a record, look by look.

use crate::frame::{self, Kind, Next};
use crate::header::{Ended, Header, Mappings, NamedMapping, Process, VERSION};
use crate::memory::{BLOCKS_MAX, Memory};
use crate::number::take;
use etmem_core::address::PAGE_SIZE;
use std::io::{self, BufRead, Read};
use std::time::Duration;

/// The longest first line.
const LINE_MAX: u64 = 64 << 10;

/// Most processes: each look may be of one.
const PROCESSES_MAX: usize = 1 << 16;

/// Why a file cannot be read as a record.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file cannot be read at all.
    #[error("cannot be read: {0}")]
    Io(#[from] io::Error),
    /// It is something else.
    #[error(
        "is no record: its first line is not what etmem record writes, and it is no JSON of damo record (output_type json or json_compressed)"
    )]
    NotARecord,
    /// It was written by a later version.
    #[error(
        "is a record of version {0}; this etmem reads versions up to {VERSION}: read it with the etmem that wrote it"
    )]
    Version(u32),
    /// Its pages are of another size.
    #[error("has pages of {0} bytes; this etmem reads those of {PAGE_SIZE} bytes")]
    PageSize(u64),
    /// It is a record of damo, but not as expected.
    #[error("is not what damo record writes: {0}")]
    Damo(String),
    /// It has nothing to show.
    #[error("has no look: the record ended before the first, {0}")]
    Empty(String),
}

/// What was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// A process of this number, which is new.
    Process(usize),
    /// The mappings of the process of this number have changed.
    Mappings(usize),
    /// A look at a process.
    Look(Look),
    /// The process of this number is looked at no more; none: that is the end.
    Ended(Option<usize>),
}

/// A look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    /// The number of the process.
    pub process: usize,
    /// When, after the beginning of the record.
    pub at: Duration,
    /// How long its touches were seen: since the look before.
    pub window: Duration,
}

/// What is known of a process.
#[derive(Debug)]
pub struct Known {
    /// What it is.
    pub process: Process,
    /// Its memory at its last look.
    pub memory: Memory,
    /// Where its mappings are.
    pub mappings: Vec<NamedMapping>,
    /// When it was looked at last.
    seen: Duration,
    /// Why it was looked at no more.
    pub ended: Option<String>,
}

/// A record that is being read.
#[derive(Debug)]
pub struct Reader<R> {
    input: R,
    header: Header,
    processes: Vec<Known>,
    most: usize,
    looks: u64,
    last: Duration,
    /// Why there is no more.
    cut: Option<String>,
    ended: Option<String>,
}

impl<R: BufRead> Reader<R> {
    /// Begins to read.
    ///
    /// # Errors
    /// Why `input` is no record.
    pub fn new(input: R) -> Result<Self, ReadError> {
        Self::of_at_most(input, BLOCKS_MAX)
    }

    /// The same for records whose processes have at most `most` blocks together.
    ///
    /// # Errors
    /// Why `input` is no record.
    pub fn of_at_most(mut input: R, most: usize) -> Result<Self, ReadError> {
        let mut line = Vec::new();
        input.by_ref().take(LINE_MAX).read_until(b'\n', &mut line)?;
        let version: Version = serde_json::from_slice(&line).map_err(|_| ReadError::NotARecord)?;
        if version.etmem_record > VERSION || version.etmem_record == 0 {
            return Err(ReadError::Version(version.etmem_record));
        }
        let header: Header = serde_json::from_slice(&line).map_err(|_| ReadError::NotARecord)?;
        if header.page_bytes != PAGE_SIZE {
            return Err(ReadError::PageSize(header.page_bytes));
        }
        let last = Duration::ZERO;
        Ok(Self { input, header, processes: Vec::new(), most, looks: 0, last, cut: None, ended: None })
    }

    /// What the record says of itself.
    #[must_use]
    pub const fn header(&self) -> &Header {
        &self.header
    }

    /// Its processes so far.
    #[must_use]
    pub fn processes(&self) -> &[Known] {
        &self.processes
    }

    /// How many looks were read.
    #[must_use]
    pub const fn looks(&self) -> u64 {
        self.looks
    }

    /// When the last look was, after the beginning.
    #[must_use]
    pub const fn last(&self) -> Duration {
        self.last
    }

    /// Why the record ends before its end; none if it is whole.
    #[must_use]
    pub fn cut(&self) -> Option<&str> {
        self.cut.as_deref()
    }

    /// Why it ended, as it says itself; none if what wrote it was killed.
    #[must_use]
    pub fn ended(&self) -> Option<&str> {
        self.ended.as_deref()
    }

    /// The next event; none at the end, and at the first frame that is not whole ([`Reader::cut`]).
    ///
    /// # Errors
    /// When the file cannot be read.
    #[expect(
        clippy::should_implement_trait,
        reason = "an iterator could not lend what is known of a process"
    )]
    pub fn next(&mut self) -> Result<Option<Event>, ReadError> {
        if self.cut.is_some() {
            return Ok(None);
        }
        match frame::read(&mut self.input)? {
            Next::End => Ok(None),
            Next::Cut(why) => Ok(self.cut_off(why)),
            Next::Frame(kind, payload) => match self.take(kind, &payload) {
                Ok(event) => Ok(Some(event)),
                Err(why) => Ok(self.cut_off(&why)),
            },
        }
    }

    fn cut_off(&mut self, why: &str) -> Option<Event> {
        self.cut = Some(format!("the record ends after look {}: {why}", self.looks));
        None
    }

    fn take(&mut self, kind: Kind, payload: &[u8]) -> Result<Event, String> {
        let json = |error: serde_json::Error| format!("a frame is not as expected: {error}");
        match kind {
            Kind::Process => {
                let process: Process = serde_json::from_slice(payload).map_err(json)?;
                if self.processes.len() >= PROCESSES_MAX {
                    return Err("it has too many processes".to_owned());
                }
                let (seen, memory) = (process.since(), Memory::of_at_most(self.most));
                let known = Known { process, memory, mappings: Vec::new(), seen, ended: None };
                self.processes.push(known);
                Ok(Event::Process(self.processes.len() - 1))
            }
            Kind::Mappings => {
                let Mappings { process, mappings } = serde_json::from_slice(payload).map_err(json)?;
                let ascend = mappings.windows(2).all(|pair| pair[0].1 <= pair[1].0);
                if !ascend || mappings.iter().any(|mapping| mapping.1 <= mapping.0) {
                    return Err("mappings overlap".to_owned());
                }
                self.known(process)?.mappings = mappings;
                Ok(Event::Mappings(process))
            }
            Kind::Look => self.look(payload),
            Kind::Ended => {
                let Ended { process, why } = serde_json::from_slice(payload).map_err(json)?;
                match process {
                    Some(process) => self.known(process)?.ended = Some(why),
                    None => self.ended = Some(why),
                }
                Ok(Event::Ended(process))
            }
        }
    }

    fn known(&mut self, process: usize) -> Result<&mut Known, String> {
        self.processes.get_mut(process).ok_or_else(|| format!("there is no process number {process}"))
    }

    fn look(&mut self, mut payload: &[u8]) -> Result<Event, String> {
        let bytes = &mut payload;
        let numbers = take(bytes).zip(take(bytes));
        let (process, at) = numbers.ok_or_else(|| "a look has no time".to_owned())?;
        let at = Duration::from_millis(at);
        // A time that runs backwards is of no record.
        if at < self.last {
            return Err("a look is before the one before it".to_owned());
        }
        let others: usize = self.processes.iter().map(|known| known.memory.blocks().count()).sum();
        let most = self.most;
        let process = usize::try_from(process).unwrap_or(usize::MAX);
        let known = self.known(process)?;
        let before = known.memory.blocks().count();
        known.memory.read(bytes).map_err(|why| format!("a look is not as expected: {why}"))?;
        let window = at.saturating_sub(known.seen);
        known.seen = at;
        if others - before + known.memory.blocks().count() > most {
            return Err("its processes have more memory than a record may have".to_owned());
        }
        (self.last, self.looks) = (at, self.looks + 1);
        Ok(Event::Look(Look { process, at, window }))
    }
}

/// What tells a record from anything else.
#[derive(serde::Deserialize)]
struct Version {
    etmem_record: u32,
}

#[cfg(test)]
#[path = "../tests/unit/reader.rs"]
mod tests;
