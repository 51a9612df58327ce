//! Writing a record.

use crate::frame::{self, Kind};
use crate::header::{Ended, Header, Mappings, NamedMapping, Process};
use crate::memory::{Malformed, Memory};
use crate::number::put;
use etmem_core::heat::HeatMap;
use serde::Serialize;
use std::io::{self, Write};
use std::time::Duration;

/// Why a record cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// It cannot be written.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// A process has more memory than a record takes.
    #[error("{0}: a record takes no more of a process")]
    TooMuch(#[from] Malformed),
}

/// A record that is being written. Each frame is flushed: what was looked at is kept.
#[derive(Debug)]
pub struct Writer<W> {
    out: W,
    processes: Vec<Written>,
    bytes: u64,
}

#[derive(Debug, Default)]
struct Written {
    memory: Memory,
    mappings: Vec<NamedMapping>,
}

impl<W: Write> Writer<W> {
    /// Begins a record.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn new(mut out: W, header: &Header) -> io::Result<Self> {
        let mut line = serde_json::to_vec(header)?;
        line.push(b'\n');
        out.write_all(&line)?;
        out.flush()?;
        Ok(Self { out, processes: Vec::new(), bytes: line.len() as u64 })
    }

    fn json(&mut self, kind: Kind, value: &impl Serialize) -> io::Result<()> {
        let payload = serde_json::to_vec(value)?;
        self.bytes += frame::write(&mut self.out, kind, &payload)? as u64;
        Ok(())
    }

    /// Adds a process; returns its number.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn process(&mut self, process: &Process) -> io::Result<usize> {
        self.json(Kind::Process, process)?;
        self.processes.push(Written::default());
        Ok(self.processes.len() - 1)
    }

    /// Takes note of where the mappings of process number `process` are. Those that were written last are not written again.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn mappings(&mut self, process: usize, mappings: Vec<NamedMapping>) -> io::Result<()> {
        if self.processes.get(process).is_none_or(|known| known.mappings == mappings) {
            return Ok(());
        }
        let mappings = Mappings { process, mappings };
        self.json(Kind::Mappings, &mappings)?;
        if let Some(known) = self.processes.get_mut(process) {
            known.mappings = mappings.mappings;
        }
        Ok(())
    }

    /// Takes note of a look at process number `process`, `at` after the beginning. `heat` counts each page once.
    ///
    /// # Errors
    /// [`WriteError`].
    pub fn look(&mut self, process: usize, at: Duration, heat: &HeatMap) -> Result<(), WriteError> {
        let Some(known) = self.processes.get_mut(process) else { return Ok(()) };
        let mut payload = Vec::new();
        put(process as u64, &mut payload);
        put(u64::try_from(at.as_millis()).unwrap_or(u64::MAX), &mut payload);
        payload.extend(known.memory.write(heat)?);
        self.bytes += frame::write(&mut self.out, Kind::Look, &payload)? as u64;
        Ok(())
    }

    /// Takes note of an end.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn ended(&mut self, ended: &Ended) -> io::Result<()> {
        self.json(Kind::Ended, ended)
    }

    /// How much of process number `process` was in memory at its last look, and how much of that had been touched, in bytes.
    #[must_use]
    pub fn bytes_of(&self, process: usize) -> (u64, u64) {
        self.processes.get(process).map_or((0, 0), |known| known.memory.bytes())
    }

    /// Bytes written so far.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// What it was written to.
    pub fn into_inner(self) -> W {
        self.out
    }
}
